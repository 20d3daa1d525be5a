#include <fmt/format.h>

#include <algorithm>

#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::mapping {
namespace {

/// Buffer slots on each side of the vector engine.
constexpr double kSlots = 2;
/// Blocks a core gets at least, so that loads, computation and stores overlap.
constexpr double kBlocksPerCore = 4;
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

std::int64_t blocks_of(double moved, const ChipSpec& chip) {
  const double units = static_cast<double>(chip.vector.units_per_core);
  const double room = static_cast<double>(chip.vector.buffer.count()) * units / kSlots;
  const double wanted =
      std::max(moved / (static_cast<double>(chip.cores.count) * kBlocksPerCore), kLeastBlockBytes * units);
  const auto blocks = static_cast<std::int64_t>(std::ceil(moved / std::min(room, wanted)));
  // Whole waves: smaller blocks rather than cores that idle while a few others take one more.
  return blocks > chip.cores.count ? round_up(blocks, chip.cores.count) : blocks;
}

}  // namespace

TileProgram rowwise_program(const RowwiseShape& o, const ChipSpec& chip) {
  const Cost c = cost(o);
  const double reads = c.input_bytes + c.weight_bytes;
  const double moved = reads + c.output_bytes;
  const double units = static_cast<double>(chip.vector.units_per_core);
  const double l2 = static_cast<double>(chip.l2.capacity.count());
  const Habit habit = habit_of(o.kind);
  const std::int64_t blocks = habit.one_core ? 1 : blocks_of(moved, chip);
  const std::int64_t steps = habit.serial ? o.rows : 1;
  const double n = static_cast<double>(blocks) * static_cast<double>(steps);

  Builder b;
  b.program.label = fmt::format("{} blocks of {:.0f} B", blocks, moved / static_cast<double>(blocks));
  b.program.primary = Engine::Vector;
  if (habit.by_index) b.program.hbm_fraction = chip.moe.gather_fraction;
  const auto state = b.operand({.name = "state"});
  const bool in_l2 = !o.cold && !habit.by_index && c.input_bytes <= l2 / 2;
  const auto input = b.operand({.name = "input", .resident = in_l2 ? 1.0 : 0.0});
  const auto output =
      b.operand({.name = "output", .write = true, .hbm_share = habit.by_index || moved > l2 ? 1.0 : 0.0});
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
