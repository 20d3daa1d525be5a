#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include "xpusim/chip/kernel.h"
#include "xpusim/core/error.h"
#include "xpusim/des/calendar.h"
#include "xpusim/des/timeline.h"

/// The tile model on the event kernel. A core walks its program in order and computes when each step can
/// start from the buffers' rings of times. Loads take turns among all cores in global time; posts are booked
/// ahead of it.
namespace xpusim::chip {
namespace {

using mapping::Access;
using mapping::Engine;
using mapping::Input;
using mapping::kEngines;
using mapping::kMaxBuffers;
using mapping::kMaxOperands;
using mapping::kMaxSlots;
using mapping::kNone;
using mapping::StepKind;
using mapping::TileProgram;

using Time = std::int64_t;

/// An access with its costs in ticks.
struct TimedAccess {
  std::int8_t operand = kNone;
  bool write = false;
  Time tag_offset = 0;
  Time l2 = 0, hbm = 0;
  double bytes = 0, l2_bytes = 0, hbm_bytes = 0;
};

struct TimedStep {
  std::uint8_t engine = 0;
  StepKind kind = StepKind::Compute;
  std::uint8_t inputs = 0, accesses = 0;
  bool is_primary = false;
  std::int8_t output = kNone;
  bool accumulate = false;
  bool acquire_first = false;  ///< acquires the output slot in the loop's first iteration only
  bool acquire = false, fill = false;
  bool fill_last = false;  ///< fills it in the last iteration only
  Time busy = 0;
  std::array<Input, 3> input;
  std::array<TimedAccess, 2> access;
};

struct TimedLoop {
  std::size_t first_step = 0, steps = 0;
  std::int64_t repeat = 1, first_iteration = 0;
};

struct TimedShape {
  std::vector<TimedStep> steps;
  std::vector<TimedLoop> loops;
};

/// Turns cycles and bytes into ticks once, before the run.
class Compiler {
 public:
  Compiler(const TileProgram& p, const ChipSpec& chip, Hertz clock)
      : p_(p),
        ticks_per_cycle_(kTicksPerSecond / clock.count()),
        l2_read_ticks_per_byte_(kTicksPerSecond / chip.l2.bandwidth.count()),
        l2_write_ticks_per_byte_(kTicksPerSecond / chip.l2.write_bandwidth.count()),
        hbm_ticks_per_byte_(kTicksPerSecond / achieved_hbm(p, chip).count()) {}

  TimedShape shape(const mapping::BlockShape& s) const {
    TimedShape t;
    for (const mapping::Loop& loop : s.loops()) {
      const std::size_t first = t.steps.size();
      for (const mapping::Step& step : mapping::steps_of(p_, p_.bodies[loop.body]))
        t.steps.push_back(timed(step));
      t.loops.push_back({first, t.steps.size() - first, loop.repeat, loop.first_iteration});
    }
    mark_accumulation(t);
    return t;
  }

 private:
  TimedStep timed(const mapping::Step& s) const {
    TimedStep t;
    t.engine = static_cast<std::uint8_t>(s.engine);
    t.kind = s.kind;
    t.is_primary = s.engine == p_.primary;
    t.busy = std::llround(s.busy.count() * ticks_per_cycle_ + s.wait.count() * kTicksPerSecond);
    for (const Input& in : s.inputs)
      if (in.buffer != kNone) t.input[t.inputs++] = in;
    t.output = s.output.buffer;
    t.accumulate = t.output != kNone && s.output.accumulate;
    t.acquire = t.fill = t.output != kNone && !s.output.accumulate;
    for (const Access& a : s.accesses)
      if (a.operand != kNone && a.bytes > 0) t.access[t.accesses++] = timed(a);
    return t;
  }

  TimedAccess timed(const Access& a) const {
    const mapping::Operand& o = p_.operands[static_cast<std::size_t>(a.operand)];
    TimedAccess t;
    t.operand = a.operand;
    t.write = o.write;
    t.tag_offset = static_cast<Time>(a.tag_offset);
    t.bytes = a.bytes;
    t.l2_bytes = a.bytes * a.l2_share;
    t.hbm_bytes = a.bytes * (o.write ? o.hbm_share : 1);
    t.l2 = std::llround(t.l2_bytes * (o.write ? l2_write_ticks_per_byte_ : l2_read_ticks_per_byte_));
    t.hbm = std::llround(t.hbm_bytes * hbm_ticks_per_byte_);
    return t;
  }

  /// Sums of a block: the first step that adds to a buffer acquires its slot, the last one fills it.
  static void mark_accumulation(TimedShape& t) {
    std::array<TimedStep*, kMaxBuffers> last{};
    for (TimedStep& step : t.steps) {
      if (!step.accumulate) continue;
      TimedStep*& latest = last[static_cast<std::size_t>(step.output)];
      step.acquire_first = latest == nullptr;
      latest = &step;
    }
    for (TimedStep* step : last)
      if (step != nullptr) step->fill_last = true;
  }

  const TileProgram& p_;
  double ticks_per_cycle_, l2_read_ticks_per_byte_, l2_write_ticks_per_byte_, hbm_ticks_per_byte_;
};

/// What a core waited for.
enum class Cause : std::uint8_t { Own, Vector, Feed, L2, Hbm, Drain };

/// L2 and HBM of one die: bandwidth as reservations, contents as a directory of operand tiles.
class Memory {
 public:
  Memory(const TileProgram& p, const ChipSpec& chip)
      : l2_(chip.l2),
        l2_latency_(to_ticks(chip.l2.latency).count()),
        miss_latency_(std::max<Time>(0, to_ticks(chip.hbm.latency).count() - l2_latency_)) {
    for (std::size_t i = 0; i < p.operands.size(); ++i) {
      resident_[i] = p.operands[i].resident;
      if (p.operands[i].tiles > 0 && !p.operands[i].write)
        lines_[i].assign(static_cast<std::size_t>(p.operands[i].tiles),
                         Line{0, resident_[i] == 1 ? 0 : kUnread, resident_[i]});
    }
  }

  struct Arrival {
    Time time;
    Cause cause;
  };

  /// Brings a tile to a core whose port is busy with it until `port_end`.
  Arrival read(const TimedAccess& a, std::int64_t tag, Time now, Time port_end) {
    const Time l2_end = l2_reads_.reserve(now, a.l2, now);
    l2_bytes_ += a.l2_bytes;
    Arrival at{std::max(port_end, l2_end), Cause::L2};
    const Time in_l2 = arrival_in_l2(a, tag, now);
    if (in_l2 > at.time)
      at = {in_l2, Cause::Hbm};
    else if (in_l2 > now)
      at.cause = Cause::Hbm;
    at.time += l2_latency_;
    return at;
  }

  /// A transfer booked ahead: writes a tile, or takes one that lies in L2. Returns when L2 and HBM are
  /// through with it.
  Time post(const TimedAccess& a, Time start, Time now) {
    Time end = (a.write ? l2_writes_ : l2_reads_).reserve(start, a.l2, now);
    l2_bytes_ += a.l2_bytes;
    if (a.write && a.hbm > 0) {
      hbm_bytes_ += a.hbm_bytes;
      hbm_write_bytes_ += a.hbm_bytes;
      end = std::max(end, hbm_.reserve(start, a.hbm, now));
    }
    return end;
  }

  [[nodiscard]] Time l2_latency() const { return l2_latency_; }
  [[nodiscard]] double hbm_bytes() const { return hbm_bytes_; }
  [[nodiscard]] double hbm_write_bytes() const { return hbm_write_bytes_; }
  [[nodiscard]] double l2_bytes() const { return l2_bytes_; }
  [[nodiscard]] Time hbm_busy() const { return hbm_.busy(); }
  [[nodiscard]] Time l2_busy() const { return std::max(l2_reads_.busy(), l2_writes_.busy()); }

 private:
  static constexpr double kUnread = -1;  ///< a share of it is there, and stays
  struct Line {
    Time ready;
    double used;   ///< bytes fetched into L2 until it was last used; what has been fetched since is its age
    double share;  ///< of the tile, that was there then
  };

  Time arrival_in_l2(const TimedAccess& a, std::int64_t tag, Time now) {
    const auto operand = static_cast<std::size_t>(a.operand);
    std::vector<Line>& lines = lines_[operand];
    if (lines.empty()) return resident_[operand] == 1 ? now : fetch(a, 1 - resident_[operand], now);
    Line& line = lines[static_cast<std::size_t>(tag)];
    const double held = line.used == kUnread ? 1 : held_share(filled_ - line.used, l2_);
    const double missing = 1 - line.share * held;
    if (missing > 0) {
      line.ready = fetch(a, missing, now);
      filled_ += a.bytes * missing;
    }
    line.used = filled_;
    line.share = 1;
    return line.ready;  // possibly on its way for another core
  }

  /// Brings a share of a tile.
  Time fetch(const TimedAccess& a, double share, Time now) {
    hbm_bytes_ += a.hbm_bytes * share;
    const Time duration = share == 1 ? a.hbm : std::llround(static_cast<double>(a.hbm) * share);
    return hbm_.reserve(now, duration, now) + miss_latency_;
  }

  L2Spec l2_;
  Time l2_latency_, miss_latency_;
  des::Timeline l2_reads_, l2_writes_, hbm_;
  std::array<std::vector<Line>, kMaxOperands> lines_;
  std::array<double, kMaxOperands> resident_{};
  double filled_ = 0;
  double hbm_bytes_ = 0, hbm_write_bytes_ = 0, l2_bytes_ = 0;
};

/// What all cores share: the program, the memory, and the queue of blocks.
struct Die {
  const TileProgram& program;
  const std::vector<TimedShape>& shapes;
  Memory memory;
  std::int64_t blocks;
  std::int64_t resident_blocks;
  Time block_start;
  std::int64_t next_block = 0;
  Time deadline = std::numeric_limits<Time>::max();
  std::vector<result::Span>* spans = nullptr;  ///< of core 0
};

constexpr std::size_t kMostSpans = 20000;

class Core : public des::Actor {
 public:
  Core(Die& die, bool traced) : die_(die), traced_(traced) {
    for (std::size_t b = 0; b < die.program.buffers.size(); ++b)
      rings_[b].slots = die.program.buffers[b].slots;
  }

  Time turn(Time now) override {
    for (;;) {
      if (end_ > die_.deadline || (!shape_ && !fetch_block(now))) return kIdle;
      const TimedStep& step = shape_->steps[loop().first_step + step_];
      const Start start = earliest(step);
      if (step.kind == StepKind::Load && start.time > now) return start.time;
      run(step, start, now);
      if (!advance()) return std::max({now, load_engines_free(), leave_block()});
    }
  }

  [[nodiscard]] Time end() const { return end_; }
  [[nodiscard]] const std::array<Time, kBounds>& spent() const { return spent_; }
  [[nodiscard]] Time primary_end() const { return primary_end_; }

 private:
  /// The slots of a buffer as rings of times: when each was last filled, and last freed.
  struct Ring {
    std::array<Time, kMaxSlots> ready{}, free{};
    std::array<Cause, kMaxSlots> cause{};
    std::int64_t slots = 1;
    std::int64_t produced = 0, consumed = 0;
    std::size_t head() const { return static_cast<std::size_t>(consumed % slots); }
    std::size_t tail() const { return static_cast<std::size_t>(produced % slots); }
  };
  struct Start {
    Time time;
    Cause cause;  ///< what was waited for last
  };

  const TimedLoop& loop() const { return shape_->loops[loop_]; }

  /// When the place of the next block was left.
  [[nodiscard]] Time oldest_end() const {
    return resident_end_[static_cast<std::size_t>(blocks_run_ % die_.resident_blocks)];
  }

  /// Ends a block. Returns when the core takes the next one: when its loads are out, and no more blocks are
  /// resident than may be.
  Time leave_block() {
    Time& oldest = resident_end_[static_cast<std::size_t>(blocks_run_++ % die_.resident_blocks)];
    oldest = block_end_;
    return oldest_end();
  }

  bool fetch_block(Time now) {
    if (die_.next_block >= die_.blocks) return false;
    block_ = mapping::block_at(die_.program, die_.next_block++);
    shape_ = &die_.shapes[block_.shape];
    loop_ = 0;
    step_ = 0;
    iteration_ = 0;
    not_before_ = std::max(now, oldest_end() + die_.block_start);  // blocks start beside those that run
    block_end_ = 0;
    return true;
  }

  Start earliest(const TimedStep& step) const {
    Start s{std::max(engine_free_[step.engine], not_before_), Cause::Own};
    for (std::size_t i = 0; i < step.inputs; ++i) {
      const Ring& ring = rings_[static_cast<std::size_t>(step.input[i].buffer)];
      if (ring.ready[ring.head()] > s.time) s = {ring.ready[ring.head()], ring.cause[ring.head()]};
    }
    if (step.acquire || (step.acquire_first && iteration_ == 0)) {
      const Ring& ring = rings_[static_cast<std::size_t>(step.output)];
      if (ring.free[ring.tail()] > s.time) s = {ring.free[ring.tail()], Cause::Drain};
    }
    return s;
  }

  void run(const TimedStep& step, const Start& start, Time now) {
    const Outcome out = carry_out(step, start, now);
    if (step.is_primary) account_primary(start, out.engine_free);
    engine_free_[step.engine] = out.engine_free;
    for (std::size_t i = 0; i < step.inputs; ++i) {
      Ring& ring = rings_[static_cast<std::size_t>(step.input[i].buffer)];
      if (!step.input[i].release) continue;
      ring.free[ring.head()] = out.engine_free;
      ++ring.consumed;
    }
    if (step.fill || (step.fill_last && iteration_ + 1 == loop().repeat)) {
      Ring& ring = rings_[static_cast<std::size_t>(step.output)];
      ring.ready[ring.tail()] = out.ready;
      ring.cause[ring.tail()] = out.cause;
      ++ring.produced;
    }
    block_end_ = std::max(block_end_, step.kind == StepKind::Post ? out.engine_free : out.ready);
    end_ = std::max(end_, block_end_);
    if (traced_ && die_.spans->size() < kMostSpans)
      die_.spans->push_back(
          {step.engine, 0, 0, to_seconds(Ticks(start.time)), to_seconds(Ticks(start.time + step.busy))});
  }

  /// What the next step would wait for: what this one waited for, or else this one itself.
  static Cause own_or(Cause waited, Cause own) {
    return waited == Cause::Own || waited == Cause::Drain ? own : waited;
  }
  static Cause own_cause(const TimedStep& step) {
    if (step.engine == static_cast<std::uint8_t>(Engine::Vector)) return Cause::Vector;
    if (step.engine == static_cast<std::uint8_t>(Engine::Feed)) return Cause::Feed;
    return Cause::Own;
  }

  struct Outcome {
    Time engine_free;  ///< the engine can begin its next step, and what was read can be overwritten
    Time ready;        ///< the next step can use the result
    Cause cause;
  };
  Outcome carry_out(const TimedStep& step, const Start& start, Time now) {
    const Time end = start.time + step.busy;
    switch (step.kind) {
      case StepKind::Compute:
        return {end, end, own_or(start.cause, own_cause(step))};
      case StepKind::Load:
        return load(step, end, now);
      case StepKind::Post:
        break;
    }
    Time through = end;
    for (std::size_t i = 0; i < step.accesses; ++i)
      through = std::max(through, die_.memory.post(step.access[i], start.time, now));
    // What passes through L2 is there for the next reader one latency later.
    return {through, through + die_.memory.l2_latency(), own_or(start.cause, Cause::L2)};
  }

  Outcome load(const TimedStep& step, Time port_end, Time now) {
    Outcome out{port_end, port_end, Cause::L2};
    for (std::size_t i = 0; i < step.accesses; ++i) {
      const TimedAccess& a = step.access[i];
      const std::int64_t tag = block_.first_tile[static_cast<std::size_t>(a.operand)] + a.tag_offset +
                               loop().first_iteration + iteration_;
      const Memory::Arrival arrival = die_.memory.read(a, tag, now, port_end);
      if (arrival.time > out.ready) out = {port_end, arrival.time, arrival.cause};
    }
    return out;
  }

  void account_primary(const Start& start, Time end) {
    const Time gap = start.time - primary_end_;
    if (gap > 0) spend(started_ ? bound_of(start.cause) : Bound::FillDrain, gap);
    started_ = true;
    spend(die_.program.primary == Engine::Matrix ? Bound::Matrix : Bound::Vector, end - start.time);
    primary_end_ = end;
  }

  static Bound bound_of(Cause cause) {
    switch (cause) {
      case Cause::Vector:
        return Bound::Vector;
      case Cause::Feed:
        return Bound::OperandFeed;
      case Cause::L2:
        return Bound::L2;
      case Cause::Hbm:
        return Bound::Hbm;
      case Cause::Own:
      case Cause::Drain:
        return Bound::FillDrain;
    }
    return Bound::FillDrain;
  }
  void spend(Bound b, Time t) { spent_[static_cast<std::size_t>(b)] += t; }

  /// Goes to the next step. False at the end of the block.
  bool advance() {
    if (++step_ < loop().steps) return true;
    step_ = 0;
    if (++iteration_ < loop().repeat) return true;
    iteration_ = 0;
    if (++loop_ < shape_->loops.size()) return true;
    shape_ = nullptr;
    return false;
  }

  Time load_engines_free() const {
    return std::max(engine_free_[static_cast<std::size_t>(Engine::CopyIn)],
                    engine_free_[static_cast<std::size_t>(Engine::VectorIn)]);
  }

  Die& die_;
  bool traced_;
  const TimedShape* shape_ = nullptr;
  mapping::Block block_;
  std::size_t loop_ = 0, step_ = 0;
  std::int64_t iteration_ = 0;
  std::array<Time, kEngines> engine_free_{};
  std::array<Ring, kMaxBuffers> rings_{};
  std::array<Time, kBounds> spent_{};
  std::array<Time, kMaxSlots> resident_end_{};  ///< of the latest blocks, as a ring
  std::int64_t blocks_run_ = 0;
  Time not_before_ = 0, block_end_ = 0;  ///< of the block that runs
  Time end_ = 0, primary_end_ = 0;
  bool started_ = false;
};

/// The cores' accounts, averaged. After its last step a core is idle. That time counts as wave tail only as
/// far as an even spread over the cores could shorten the run: not below what L2 or HBM need for the work.
Breakdown average(const std::vector<std::unique_ptr<Core>>& cores, Time end, const Memory& memory) {
  Breakdown b;
  const double n = static_cast<double>(cores.size());
  const double scale = 1 / (kTicksPerSecond * n);
  double idle = 0;
  for (const auto& core : cores) {
    for (std::size_t i = 0; i < kBounds; ++i) b.seconds[i] += static_cast<double>(core->spent()[i]) * scale;
    b[Bound::FillDrain] += static_cast<double>(core->end() - core->primary_end()) * scale;
    idle += static_cast<double>(end - core->end()) * scale;
  }
  const double even = to_seconds(Ticks(end)).count() - idle;
  const double hbm = to_seconds(Ticks(memory.hbm_busy())).count();
  const double l2 = to_seconds(Ticks(memory.l2_busy())).count();
  const double shared = std::clamp(std::max(hbm, l2) - even, 0.0, idle);
  b[hbm >= l2 ? Bound::Hbm : Bound::L2] += shared;
  b[Bound::WaveTail] += idle - shared;
  return b;
}

}  // namespace

KernelTime execute(const TileProgram& p, const ChipSpec& chip, Hertz clock, Seconds overhead,
                   bool with_spans) {
  return *execute_within(Seconds(std::numeric_limits<double>::infinity()), p, chip, clock, overhead,
                         with_spans);
}

std::optional<KernelTime> execute_within(Seconds limit, const TileProgram& p, const ChipSpec& chip,
                                         Hertz clock, Seconds overhead, bool with_spans) {
  check_invariant(p.buffers.size() <= kMaxBuffers && p.operands.size() <= kMaxOperands, "program too wide");
  const Compiler compiler(p, chip, clock);
  std::vector<TimedShape> shapes;
  for (const mapping::BlockShape& s : p.shapes) shapes.push_back(compiler.shape(s));

  KernelTime t;
  Die die{p,
          shapes,
          Memory(p, chip),
          mapping::block_count(p),
          std::clamp<std::int64_t>(p.resident_blocks, 1, kMaxSlots),
          to_ticks(p.block_start).count()};
  if (with_spans) die.spans = &t.spans;
  const double ticks = (limit - overhead).count() * kTicksPerSecond;
  if (ticks < 9e18) die.deadline = static_cast<Time>(ticks);
  std::vector<std::unique_ptr<Core>> cores;
  std::vector<des::Actor*> actors;
  for (std::int64_t i = 0; i < chip.cores.count; ++i) {
    cores.push_back(std::make_unique<Core>(die, with_spans && i == 0));
    if (i < p.cores) actors.push_back(cores.back().get());
  }
  des::run(actors);

  Time end = 0;
  for (const auto& core : cores) end = std::max(end, core->end());
  if (end > die.deadline) return std::nullopt;
  const mapping::ProgramTotals all = mapping::totals(p);
  t.clock = clock;
  t.flops = all.flops;
  t.hbm_bytes = die.memory.hbm_bytes();
  t.hbm_write_bytes = die.memory.hbm_write_bytes();
  t.l2_bytes = die.memory.l2_bytes();
  t.transactions = all.transactions;
  t.tiling = p.label;
  t.breakdown = average(cores, end, die.memory);
  t.breakdown[Bound::Launch] += overhead.count();
  t.total = Seconds(to_seconds(Ticks(end)).count() + overhead.count());
  return t;
}

}  // namespace xpusim::chip
