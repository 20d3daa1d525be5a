#include <fmt/format.h>

#include <algorithm>

#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"
#include "xpusim/ops/cost.h"

namespace xpusim::mapping {
namespace {

/// Buffer slots on each side of the vector engine.
constexpr double kSlots = 2;
/// Blocks a core gets at least, so that loads, computation and stores overlap.
constexpr double kBlocksPerCore = 4;
/// Smallest block worth a transfer of its own.
constexpr double kLeastBlockBytes = 4096;

/// Kernels that one core runs: sums over all pairs that each need the one before, or descriptors written one
/// after the other.
bool on_one_core(OpKind kind) { return kind == OpKind::MoeSort || kind == OpKind::MoeDescribe; }

}  // namespace

TileProgram rowwise_program(const Operator& o, const ChipSpec& chip) {
  const ops::Cost c = ops::cost(o);
  const double reads = c.input_bytes + c.weight_bytes;
  const double moved = reads + c.output_bytes;
  const double cores = static_cast<double>(chip.cores.count);
  const double units = static_cast<double>(chip.vector.units_per_core);
  const double l2 = static_cast<double>(chip.l2.capacity.count());

  const double room = static_cast<double>(chip.vector.buffer.count()) * units / kSlots;
  const double wanted = std::max(moved / (cores * kBlocksPerCore), kLeastBlockBytes * units);
  auto blocks = static_cast<std::int64_t>(std::ceil(moved / std::min(room, wanted)));
  if (on_one_core(o.kind)) blocks = 1;
  // Each row waits for the one before, a trip to L2.
  const bool serial = o.kind == OpKind::MoeDescribe;
  const std::int64_t steps = serial ? o.rowwise.rows : 1;
  // Whole waves: smaller blocks rather than cores that idle while a few others take one more.
  if (blocks > chip.cores.count) blocks = round_up(blocks, chip.cores.count);
  const double n = static_cast<double>(blocks) * static_cast<double>(steps);

  Builder b;
  b.program.label = fmt::format("{} blocks of {:.0f} B", blocks, moved / static_cast<double>(blocks));
  b.program.primary = Engine::Vector;
  if (o.kind == OpKind::MoePermute || o.kind == OpKind::MoeFinalize)
    b.program.hbm_fraction = chip.moe.gather_fraction;
  const auto state = b.operand({.name = "state"});
  const auto input = b.operand({.name = "input", .resident = !o.rowwise.cold && c.input_bytes <= l2 / 2 ? 1.0 : 0.0});
  const auto output = b.operand({.name = "output", .write = true, .hbm_share = moved > l2 ? 1.0 : 0.0});
  const auto in = b.buffer("loaded", serial ? 1 : static_cast<std::int64_t>(kSlots));
  const auto out = b.buffer("results", static_cast<std::int64_t>(kSlots));

  const double cycles =
      vector_cycles(chip.vector, c.vector_ops / n, c.special_ops / n) / chip.vector.kernel_efficiency;
  b.step(load(Engine::VectorIn, reads / n / units / chip.vector.read_port.count(), in,
              {Access{state, c.weight_bytes / n}, Access{input, c.input_bytes / n}}));
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
