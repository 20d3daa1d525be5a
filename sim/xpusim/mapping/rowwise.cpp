#include <fmt/format.h>

#include <algorithm>

#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::mapping {
namespace {

/// Buffer slots on each side of the vector engine.
constexpr double kSlots = 2;
/// Smallest block worth a transfer of its own.
constexpr double kLeastBlockBytes = 4096;

/// How a kind departs from a stream of equal blocks over all cores.
struct Habit {
  bool one_core = false;  ///< sums over all pairs, each behind the one before
  bool serial = false;    ///< each row waits for the one before, a trip to L2; on one core
  bool by_index = false;  ///< rows come from and go to scattered places, as fast as memory gives them
};
Habit habit_of(RowwiseKind kind) {
  if (kind == RowwiseKind::MoeSort) return {.one_core = true};
  if (kind == RowwiseKind::MoeDescribe) return {.one_core = true, .serial = true};
  return {.by_index = kind == RowwiseKind::MoePermute || kind == RowwiseKind::MoeFinalize};
}

}  // namespace

RowwiseCuts cuts_of(const RowwiseShape& o, const ChipSpec& chip) {
  if (habit_of(o.kind).one_core) return {1, 1};
  const Cost c = cost(o);
  const double moved = c.input_bytes + c.weight_bytes + c.output_bytes;
  const double room = d(chip.vector.buffer.count()) * d(chip.vector.units_per_core) / kSlots;
  const auto fewest = static_cast<std::int64_t>(std::ceil(moved / room));
  return {fewest, std::max(fewest, static_cast<std::int64_t>(moved / kLeastBlockBytes))};
}

TileProgram rowwise_program(const RowwiseShape& o, const ChipSpec& chip, std::int64_t blocks) {
  const Cost c = cost(o);
  const double reads = c.input_bytes + c.weight_bytes;
  const double moved = reads + c.output_bytes;
  const double units = static_cast<double>(chip.vector.units_per_core);
  const Habit habit = habit_of(o.kind);
  const std::int64_t steps = habit.serial ? o.rows : 1;
  const double n = static_cast<double>(blocks) * static_cast<double>(steps);

  Builder b;
  b.program.label = fmt::format("{} blocks of {:.0f} B", blocks, moved / static_cast<double>(blocks));
  b.program.primary = Engine::Vector;
  if (habit.by_index) b.program.hbm_fraction = chip.moe.gather_fraction;
  const auto state = b.operand({.name = "state"});
  const bool fresh = !o.cold && !habit.by_index;
  const auto input = b.operand({.name = "input", .resident = fresh ? held_share(c.input_bytes, chip.l2) : 0});
  const double kept = habit.by_index ? 0 : held_share(moved, chip.l2);
  const auto output = b.operand({.name = "output", .write = true, .hbm_share = 1 - kept});
  const auto in = b.buffer("loaded", habit.serial ? 1 : static_cast<std::int64_t>(kSlots));
  const auto out = b.buffer("results", static_cast<std::int64_t>(kSlots));

  const double cycles =
      vector_cycles(chip.vector, c.vector_ops / n, c.special_ops / n) / chip.vector.kernel_efficiency;
  const double passes = rowwise_cost(o.kind, o.pass).passes;
  b.step(load(Engine::VectorIn, passes * reads / n / units / chip.vector.read_port.count(), in,
              {Access{state, c.weight_bytes / n}, Access{input, c.input_bytes / n, passes}}));
  b.step(compute(Engine::Vector, cycles, {Input{in}}, {out}));
  b.step(post(Engine::VectorOut, c.output_bytes / n / units / chip.vector.write_port.count(), {out}, kNone,
              {output, c.output_bytes / n}));
  BlockShape block(blocks);
  block.run(b.body(), steps);
  b.program.shapes.push_back(block);
  b.program.raster.kind = Raster::Rows;
  b.program.hbm_read_bytes = c.weight_bytes + c.input_bytes * (1 - b.program.operands[1].resident);
  b.program.hbm_write_bytes = b.program.operands[2].hbm_share * c.output_bytes;
  return std::move(b.program);
}

}  // namespace xpusim::mapping
