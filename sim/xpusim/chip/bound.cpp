#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "xpusim/chip/kernel.h"

namespace xpusim::chip {
namespace {

using mapping::Engine;
using mapping::kEngines;
using mapping::kMaxBuffers;
using mapping::kNone;
using mapping::Step;
using mapping::StepKind;
using mapping::TileProgram;

/// What limits a block whose busiest engine is `engine`.
Bound bound_of(Engine engine) {
  switch (engine) {
    case Engine::Matrix:
      return Bound::Matrix;
    case Engine::Vector:
      return Bound::Vector;
    case Engine::Feed:
      return Bound::OperandFeed;
    case Engine::Store:
      return Bound::FillDrain;
    case Engine::CopyIn:
    case Engine::VectorIn:
    case Engine::VectorOut:
      return Bound::L2;
  }
  return Bound::L2;
}

/// The latency of a load, in cycles: from HBM, unless all that it brings is in L2 already.
double latency_cycles(const Step& step, const TileProgram& p, const ChipSpec& chip, Hertz clock) {
  bool from_hbm = false;
  for (const mapping::Access& a : step.accesses)
    if (a.operand != kNone && a.bytes > 0 && p.operands[static_cast<std::size_t>(a.operand)].resident < 1)
      from_hbm = true;
  return (from_hbm ? chip.hbm.latency : chip.l2.latency).count() * clock.count();
}

/// Event-graph bound of a program: an engine's time is the sum of its steps; a buffer of s slots passes on
/// its tiles no faster than (time to produce + time to consume) / s. Every engine and buffer that is used is
/// one resource with cycles per run of each body; a block takes what its busiest resource takes.
class Resources {
 public:
  Resources(const TileProgram& p, const ChipSpec& chip, Hertz clock) {
    std::array<Bound, kMost> bounds{};
    for (std::size_t e = 0; e < kEngines; ++e) bounds[e] = bound_of(static_cast<Engine>(e));
    for (std::size_t b = kEngines; b < kMost; ++b) bounds[b] = Bound::L2;
    std::vector<Cycles> cycles(p.bodies.size());
    for (std::size_t b = 0; b < p.bodies.size(); ++b)
      for (const Step& s : mapping::steps_of(p, p.bodies[b])) add(s, p, chip, clock, cycles[b], bounds);
    keep_used(cycles, bounds, static_cast<std::size_t>(p.primary));
  }

  struct Block {
    double steady = 0;   ///< cycles of its busiest resource
    double primary = 0;  ///< cycles of the primary engine
  };
  /// Visits (shape, its block) in order. Neighbours mostly differ in one loop's count (a causal mask), so
  /// only what changed is added.
  template <class Visit>
  void for_each(const std::vector<mapping::BlockShape>& shapes, const Visit& visit) const {
    Cycles sum;
    const mapping::BlockShape* before = nullptr;
    for (const mapping::BlockShape& shape : shapes) {
      if (before != nullptr && same_bodies(*before, shape))
        add_difference(*before, shape, sum);
      else
        sum = cycles_of(shape);
      double most = 0;
      for (std::size_t r = 0; r < stride_; ++r) most = std::max(most, sum[r]);
      visit(shape, Block{most, sum[0]});
      before = &shape;
    }
  }

  /// What limits a block: its busiest resource.
  [[nodiscard]] Bound limiter(const mapping::BlockShape& shape) const {
    const Cycles sum = cycles_of(shape);
    return bounds_[static_cast<std::size_t>(
        std::max_element(sum.begin(), sum.begin() + static_cast<std::ptrdiff_t>(used_)) - sum.begin())];
  }

 private:
  static constexpr std::size_t kLanes = 4;  ///< resources summed at once: they fill vector registers
  static constexpr std::size_t kTurns = kEngines + kMaxBuffers;  ///< tiles in flight, as if they were slots
  static constexpr std::size_t kMost = (kTurns + 1 + kLanes - 1) / kLanes * kLanes;
  using Cycles = std::array<double, kMost>;  ///< of each resource that is used, the primary engine first

  [[nodiscard]] Cycles cycles_of(const mapping::BlockShape& shape) const {
    Cycles sum;
    std::fill_n(sum.begin(), stride_, 0);
    for (const mapping::Loop& loop : shape.loops()) add_runs(loop.body, d(loop.repeat), sum);
    return sum;
  }
  void add_runs(std::size_t body, double times, Cycles& sum) const {
    const double* cycles = &cycles_[body * stride_];
    for (std::size_t r = 0; r < stride_; r += kLanes)
      for (std::size_t lane = 0; lane < kLanes; ++lane) sum[r + lane] += cycles[r + lane] * times;
  }
  static bool same_bodies(const mapping::BlockShape& a, const mapping::BlockShape& b) {
    return std::equal(a.loops().begin(), a.loops().end(), b.loops().begin(), b.loops().end(),
                      [](const mapping::Loop& x, const mapping::Loop& y) { return x.body == y.body; });
  }
  void add_difference(const mapping::BlockShape& from, const mapping::BlockShape& to, Cycles& sum) const {
    for (std::size_t i = 0; i < to.loops().size(); ++i) {
      const std::int64_t more = to.loops()[i].repeat - from.loops()[i].repeat;
      if (more != 0) add_runs(to.loops()[i].body, d(more), sum);
    }
  }

  static void add(const Step& s, const TileProgram& p, const ChipSpec& chip, Hertz clock, Cycles& cycles,
                  std::array<Bound, kMost>& bounds) {
    const double latency = s.kind == StepKind::Load ? latency_cycles(s, p, chip, clock) : 0;
    const double busy = busy_cycles(s, clock);
    const auto slots = [&](std::size_t b) { return d(p.buffers[b].slots); };
    cycles[static_cast<std::size_t>(s.engine)] += busy;
    if (s.in_turn) {
      const double passing = s.kind == StepKind::Post ? chip.l2.latency.count() * clock.count() : 0;
      cycles[kTurns] += (busy + passing) / d(p.in_flight);
    }
    if (s.output.buffer != kNone) {
      const auto b = static_cast<std::size_t>(s.output.buffer);
      cycles[kEngines + b] += (busy + latency) / slots(b);
      if (s.output.accumulate) bounds[kEngines + b] = Bound::FillDrain;
      if (latency > chip.l2.latency.count() * clock.count()) bounds[kEngines + b] = Bound::Hbm;
    }
    for (const mapping::Input& in : s.inputs) {
      if (in.buffer == kNone || !in.release) continue;
      const auto b = static_cast<std::size_t>(in.buffer);
      cycles[kEngines + b] += busy / slots(b);
    }
  }

  /// Packs the resources that any body uses, the primary engine first.
  void keep_used(const std::vector<Cycles>& cycles, const std::array<Bound, kMost>& bounds,
                 std::size_t primary) {
    std::array<std::size_t, kMost> kept{};
    kept[used_++] = primary;
    for (std::size_t r = 0; r < kMost; ++r) {
      const bool any = std::any_of(cycles.begin(), cycles.end(), [r](const auto& c) { return c[r] > 0; });
      if (any && r != primary) kept[used_++] = r;
    }
    stride_ = (used_ + kLanes - 1) / kLanes * kLanes;
    cycles_.resize(cycles.size() * stride_);
    for (std::size_t b = 0; b < cycles.size(); ++b)
      for (std::size_t r = 0; r < used_; ++r) cycles_[b * stride_ + r] = cycles[b][kept[r]];
    for (std::size_t r = 0; r < used_; ++r) bounds_[r] = bounds[kept[r]];
  }

  std::size_t used_ = 0, stride_ = 0;
  std::vector<double> cycles_;  ///< of body b and resource r at b * stride_ + r
  std::array<Bound, kMost> bounds_{};
};

/// Cycles that L2 takes for what `at_once` blocks read and write in one step.
struct L2Cycles {
  double read = 0, write = 0;
};
L2Cycles l2_cycles(const Step& step, const TileProgram& p, const ChipSpec& chip, Hertz clock,
                   double at_once) {
  L2Cycles c;
  for (const mapping::Access& a : step.accesses) {
    if (a.operand == kNone) continue;
    const bool writes = p.operands[static_cast<std::size_t>(a.operand)].write;
    const double rate = (writes ? chip.l2.write_bandwidth : chip.l2.bandwidth).count();
    (writes ? c.write : c.read) += a.bytes * a.l2_share * at_once / rate * clock.count();
  }
  return c;
}

/// Cycles before the primary engine's first step of a block, and after its last.
struct Ends {
  double fill = 0, drain = 0;
  double l2_writes = 0;  ///< cycles that L2 takes for what blocks that end together store there
};
/// `at_once` blocks are in the last wave. Where they read each other's results at the end, they end together
/// and share L2.
Ends block_ends(const mapping::BlockShape& shape, const TileProgram& p, const ChipSpec& chip, Hertz clock,
                double at_once) {
  Ends e;
  bool started = false, wait_for_others = false;
  double together = 0;  // the drain, if the last wave ends at the same time
  for (const mapping::Loop& loop : shape.loops()) {
    for (const Step& s : mapping::steps_of(p, p.bodies[loop.body])) {
      const double latency = s.kind == StepKind::Load ? latency_cycles(s, p, chip, clock) : 0;
      const double busy = busy_cycles(s, clock);
      if (s.engine == p.primary) {
        started = true;
        e.drain = e.l2_writes = together = 0;
        wait_for_others = false;
      } else if (!started) {
        e.fill = std::max(e.fill, s.kind == StepKind::Load ? latency : 0) + busy;
      } else {
        const L2Cycles l2 = l2_cycles(s, p, chip, clock, at_once);
        e.drain += busy + latency;
        together += std::max(busy, l2.read + l2.write) + latency;
        e.l2_writes += l2.write;
        wait_for_others |= s.kind == StepKind::Load;
      }
    }
  }
  if (wait_for_others)
    e.drain = together;
  else
    e.l2_writes = 0;
  return e;
}

/// Cycles of the core with the most work. Unequal blocks, longest first, leave an end of half a mean block
/// at most. Tiles of a grid are nearly equal: some core runs a whole number of them.
double busiest_core(const TileProgram& p, double sum, double shortest, double longest, std::int64_t blocks,
                    std::int64_t cores) {
  const double waves = d(ceil_div(blocks, cores));
  const double spread = std::max(longest, sum / d(cores) + sum / d(blocks) / 2);
  if (p.shapes.size() > 1 && p.raster.kind != mapping::Raster::Grid) return spread;
  return std::max(waves * shortest, std::min(spread, waves * longest));
}

}  // namespace

Seconds lower_bound(const Operator& o, const ChipSpec& chip) {
  const Cost c = cost(o);
  const double cores = d(chip.cores.count);
  const double units = cores * d(chip.vector.units_per_core);
  double cycles = 0;
  if (c.matrix_flops.count() > 0)
    cycles = c.matrix_flops.count() / (matrix_rate(chip, c.matrix_dtype).count() * cores);
  cycles = std::max({cycles, c.vector_ops / (chip.vector.ops_per_cycle.count() * units),
                     c.special_ops / (chip.vector.special_per_cycle.count() * units)});
  double fraction = chip.hbm.achieved_fraction;
  if (o.is<GroupedGemmShape>() && o.as<GroupedGemmShape>().groups > 1) fraction = chip.moe.hbm_fraction;
  if (o.is<AttentionShape>() && o.as<AttentionShape>().is_picked()) fraction = chip.moe.gather_fraction;
  return Seconds(
      std::max(cycles / chip.clock.max.count(), c.weight_bytes / (chip.hbm.bandwidth * fraction).count()));
}

KernelTime bound(const TileProgram& p, const ChipSpec& chip, Hertz clock, Seconds overhead) {
  const double cores = d(chip.cores.count);
  const std::int64_t blocks = mapping::block_count(p);
  const Resources resources(p, chip, clock);
  const std::int64_t used = std::min(p.cores, chip.cores.count);
  const double last_wave = d(blocks - (ceil_div(blocks, used) - 1) * used);
  const Ends ends = block_ends(p.shapes.front(), p, chip, clock, last_wave);
  // A core that runs few blocks at a time does not hide how each begins and ends.
  const double around = ends.fill + ends.drain + p.block_start.count() * clock.count();
  const auto resident = d(p.resident_blocks);
  double steady = 0, primary = 0, exposed = 0;  // cycles, summed over blocks
  double most = 0, least = std::numeric_limits<double>::infinity();
  const mapping::BlockShape* longest = &p.shapes.front();
  resources.for_each(p.shapes, [&](const mapping::BlockShape& shape, const Resources::Block& b) {
    const double cycles = std::max(b.steady, (b.steady + around) / resident);
    exposed += (cycles - b.steady) * d(shape.count);
    steady += cycles * d(shape.count);
    primary += b.primary * d(shape.count);
    least = std::min(least, cycles);
    if (cycles > most) most = cycles, longest = &shape;
  });
  const double busiest = busiest_core(p, steady, least, most, blocks, used);
  const mapping::ProgramTotals all = mapping::totals(p);
  // What the last blocks write at their ends counts there.
  const double l2_write_cycles =
      all.l2_write_bytes / chip.l2.write_bandwidth.count() * clock.count() - ends.l2_writes;
  const double l2_cycles =
      std::max(all.l2_read_bytes / chip.l2.bandwidth.count() * clock.count(), l2_write_cycles);
  const double hbm_cycles =
      (p.hbm_read_bytes + p.hbm_write_bytes) / achieved_hbm(p, chip).count() * clock.count();
  const double shared = std::max(l2_cycles, hbm_cycles);

  const auto seconds = [&](double cycles) { return cycles / clock.count(); };
  KernelTime t;
  t.clock = clock;
  t.flops = all.flops;
  t.hbm_bytes = p.hbm_read_bytes + p.hbm_write_bytes;
  t.hbm_write_bytes = p.hbm_write_bytes;
  t.l2_bytes = all.l2_read_bytes + all.l2_write_bytes;
  t.transactions = all.transactions;
  t.tiling = p.label;
  t.breakdown[Bound::Launch] = overhead.count();
  t.breakdown[Bound::FillDrain] = seconds(exposed / cores + around * (1 - 1 / resident));
  t.breakdown[p.primary == Engine::Matrix ? Bound::Matrix : Bound::Vector] += seconds(primary / cores);
  t.breakdown[resources.limiter(*longest)] += seconds((steady - exposed - primary) / cores);
  // Idle cores count as wave tail as far as an even spread could shorten the run (as in execute()).
  const double even = steady / cores;
  t.breakdown[Bound::WaveTail] += seconds(std::max(0.0, busiest - std::max(even, shared)));
  t.breakdown[hbm_cycles >= l2_cycles ? Bound::Hbm : Bound::L2] += seconds(std::max(0.0, shared - even));
  t.total = Seconds(t.breakdown.total());
  return t;
}

Hertz clock_under_cap(const TileProgram& p, const ChipSpec& chip) {
  if (p.primary != Engine::Matrix) return chip.clock.max;
  const PowerSpec& power = chip.power;
  const double dynamic = (power.cap - power.idle) / (power.full_load - power.idle);
  const double highest = chip.clock.max.count();
  double clock = highest, clock_before = 0, gap_before = 0;
  // The busy fraction rises slowly as the clock falls: secants reach the fixed point in a few steps.
  for (int i = 0; i < 30; ++i) {
    const KernelTime t = bound(p, chip, Hertz(clock), Seconds(0));
    const double busy = t.breakdown[Bound::Matrix] / t.total.count();
    const double next = std::min(highest, power.full_load_clock.count() * std::cbrt(dynamic / busy));
    const double gap = next - clock;
    if (std::abs(gap) <= 1e-7 * clock) return Hertz(next);
    const double secant = clock - gap * (clock - clock_before) / (gap - gap_before);
    clock_before = clock;
    gap_before = gap;
    clock = i > 0 && secant > 0 && secant <= highest ? secant : next;
  }
  return Hertz(clock);
}

BytesPerSecond achieved_hbm(const TileProgram& p, const ChipSpec& chip) {
  return chip.hbm.bandwidth * p.hbm_fraction.value_or(chip.hbm.achieved_fraction);
}

Seconds launch_overhead(const ChipSpec& chip, Launch launch, const Operator& op) {
  const OverheadSpec& o = chip.overheads;
  const Seconds start = is_rowwise(op) ? o.vector_start : o.kernel_start;
  switch (launch) {
    case Launch::Graph:
      return start + o.graph_node;
    case Launch::Eager:
      return start + o.kernel_launch;
    case Launch::Kernel:
      break;
  }
  return start;
}

}  // namespace xpusim::chip
