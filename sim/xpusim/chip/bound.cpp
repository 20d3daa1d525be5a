#include <algorithm>
#include <array>
#include <cmath>

#include "xpusim/chip/kernel.h"
#include "xpusim/ops/cost.h"

namespace xpusim::chip {
namespace {

using mapping::Engine;
using mapping::kEngines;
using mapping::kMaxBuffers;
using mapping::kNone;
using mapping::Step;
using mapping::StepKind;
using mapping::TileProgram;

double d(std::int64_t x) { return static_cast<double>(x); }

/// Cycles of one block in the steady state, and what decides them.
struct BlockCycles {
  double steady = 0;
  double primary = 0;
  Bound limiter = Bound::Matrix;
};

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
    if (a.operand != kNone && a.bytes > 0 && !p.operands[static_cast<std::size_t>(a.operand)].resident)
      from_hbm = true;
  return (from_hbm ? chip.hbm.latency : chip.l2.latency).count() * clock.count();
}

/// Event-graph bound of one block: an engine's time is the sum of its steps; a buffer of s slots passes on
/// its tiles no faster than (time to produce + time to consume) / s.
BlockCycles block_cycles(const mapping::BlockShape& shape, const TileProgram& p, const ChipSpec& chip,
                         Hertz clock) {
  std::array<double, kEngines> engine{};
  std::array<double, kMaxBuffers> buffer{};
  std::array<Bound, kMaxBuffers> waits_for{};
  waits_for.fill(Bound::L2);
  for (const mapping::Loop& loop : shape.loops) {
    const double times = d(loop.repeat);
    for (std::size_t i = loop.first_step; i < std::size_t{loop.first_step} + loop.steps; ++i) {
      const Step& s = shape.steps[i];
      engine[static_cast<std::size_t>(s.engine)] += s.busy.count() * times;
      const double latency = s.kind == StepKind::Load ? latency_cycles(s, p, chip, clock) : 0;
      if (s.output.buffer != kNone) {
        const auto b = static_cast<std::size_t>(s.output.buffer);
        buffer[b] += (s.busy.count() + latency) * times;
        if (s.output.accumulate) waits_for[b] = Bound::FillDrain;
        if (latency > chip.l2.latency.count() * clock.count()) waits_for[b] = Bound::Hbm;
      }
      for (const mapping::Input& in : s.inputs)
        if (in.buffer != kNone && in.release)
          buffer[static_cast<std::size_t>(in.buffer)] += s.busy.count() * times;
    }
  }
  BlockCycles c;
  c.primary = engine[static_cast<std::size_t>(p.primary)];
  c.steady = c.primary;
  c.limiter = bound_of(p.primary);
  for (std::size_t e = 0; e < kEngines; ++e) {
    if (engine[e] <= c.steady) continue;
    c.steady = engine[e];
    c.limiter = bound_of(static_cast<Engine>(e));
  }
  for (std::size_t b = 0; b < p.buffers.size(); ++b) {
    const double cycle = buffer[b] / d(p.buffers[b].slots);
    if (cycle <= c.steady) continue;
    c.steady = cycle;
    c.limiter = waits_for[b];
  }
  return c;
}

/// Cycles before the primary engine's first step of a block, and after its last.
struct Ends {
  double fill = 0, drain = 0;
};
Ends block_ends(const mapping::BlockShape& shape, const TileProgram& p, const ChipSpec& chip, Hertz clock) {
  Ends e;
  bool started = false;
  for (const mapping::Loop& loop : shape.loops) {
    for (std::size_t i = loop.first_step; i < std::size_t{loop.first_step} + loop.steps; ++i) {
      const Step& s = shape.steps[i];
      const double latency = s.kind == StepKind::Load ? latency_cycles(s, p, chip, clock) : 0;
      if (s.engine == p.primary) {
        started = true;
        e.drain = 0;
      } else if (!started) {
        e.fill = std::max(e.fill, s.kind == StepKind::Load ? latency : 0) + s.busy.count();
      } else {
        e.drain += s.busy.count() + (s.kind == StepKind::Load ? latency : 0);
      }
    }
  }
  return e;
}

/// Cycles of the core with the most work. Equal blocks run in waves; unequal ones, longest first, leave an
/// end of half a mean block at most.
double busiest_core(const TileProgram& p, double sum, double longest, std::int64_t blocks,
                    std::int64_t cores) {
  if (p.shapes.size() == 1) return d(ceil_div(blocks, cores)) * longest;
  return std::max(longest, sum / d(cores) + sum / d(blocks) / 2);
}

}  // namespace

Seconds lower_bound(const Operator& o, const ChipSpec& chip) {
  const ops::Cost c = ops::cost(o);
  const double cores = d(chip.cores.count);
  const double units = cores * d(chip.vector.units_per_core);
  double cycles = 0;
  if (c.matrix_flops.count() > 0)
    cycles = c.matrix_flops.count() / (matrix_rate(chip, c.matrix_dtype).count() * cores);
  cycles = std::max({cycles, c.vector_ops / (chip.vector.ops_per_cycle.count() * units),
                     c.special_ops / (chip.vector.special_per_cycle.count() * units)});
  return Seconds(std::max(cycles / chip.clock.max.count(), c.weight_bytes / achieved_hbm(chip).count()));
}

KernelTime bound(const TileProgram& p, const ChipSpec& chip, Hertz clock, Seconds overhead) {
  const double cores = d(chip.cores.count);
  const std::int64_t blocks = mapping::block_count(p);
  double steady = 0, primary = 0, longest = 0;  // sums over blocks, in cycles
  Bound limiter = Bound::Matrix;
  for (const mapping::BlockShape& shape : p.shapes) {
    const BlockCycles c = block_cycles(shape, p, chip, clock);
    steady += c.steady * d(shape.count);
    primary += c.primary * d(shape.count);
    if (c.steady > longest) limiter = c.limiter;
    longest = std::max(longest, c.steady);
  }
  const Ends ends = block_ends(p.shapes.front(), p, chip, clock);
  const double busiest = busiest_core(p, steady, longest, blocks, chip.cores.count);
  const mapping::ProgramTotals all = mapping::totals(p);
  const double l2_cycles = std::max(all.l2_read_bytes / chip.l2.bandwidth.count(),
                                    all.l2_write_bytes / chip.l2.write_bandwidth.count()) *
                           clock.count();
  const double hbm_cycles =
      (p.hbm_read_bytes + p.hbm_write_bytes) / achieved_hbm(chip).count() * clock.count();
  const double shared = std::max(l2_cycles, hbm_cycles);

  const auto seconds = [&](double cycles) { return cycles / clock.count(); };
  KernelTime t;
  t.clock = clock;
  t.flops = all.flops;
  t.hbm_bytes = p.hbm_read_bytes + p.hbm_write_bytes;
  t.l2_bytes = all.l2_read_bytes + all.l2_write_bytes;
  t.transactions = all.transactions;
  t.tiling = p.label;
  t.breakdown[Bound::Launch] = overhead.count();
  t.breakdown[Bound::FillDrain] = seconds(ends.fill + ends.drain);
  t.breakdown[p.primary == Engine::Matrix ? Bound::Matrix : Bound::Vector] += seconds(primary / cores);
  t.breakdown[limiter] += seconds((steady - primary) / cores);
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
  double clock = chip.clock.max.count();
  // The busy fraction rises slowly as the clock falls: the fixed point is reached in a few steps.
  for (int i = 0; i < 30; ++i) {
    const KernelTime t = bound(p, chip, Hertz(clock), Seconds(0));
    const double busy = t.breakdown[Bound::Matrix] / t.total.count();
    const double next =
        std::min(chip.clock.max.count(), power.full_load_clock.count() * std::cbrt(dynamic / busy));
    const bool settled = std::abs(next - clock) <= 1e-7 * clock;
    clock = next;
    if (settled) break;
  }
  return Hertz(clock);
}

Seconds launch_overhead(const ChipSpec& chip, Launch launch) {
  const OverheadSpec& o = chip.overheads;
  switch (launch) {
    case Launch::Graph:
      return o.kernel_start + o.graph_node;
    case Launch::Eager:
      return o.kernel_start + o.kernel_launch;
    case Launch::Kernel:
      break;
  }
  return o.kernel_start;
}

}  // namespace xpusim::chip
