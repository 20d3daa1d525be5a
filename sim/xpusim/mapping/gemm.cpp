#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "xpusim/core/error.h"
#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::mapping {
namespace {

double d(std::int64_t x) { return static_cast<double>(x); }

/// Everything that a tiling decides, in elements and slots.
struct Plan {
  std::int64_t m_tiles, n_tiles, splits, k_blocks;  ///< k_blocks: staging blocks along k, all splits together
  std::int64_t blocks_per_split;
  double tile_m, tile_n;         ///< computed (padded) extents of a block
  double block_k;                ///< elements along k of one staging block, on average
  double padded_block_k;         ///< what the matrix engine computes of it
  std::int64_t feeds_per_block;  ///< operand-buffer loads of one staging block
  std::int64_t staging_slots, operand_slots, accumulator_slots;
  bool needs_feed;
};

[[noreturn]] void does_not_fit(const ChipSpec& chip, const GemmTiling& t, std::string_view buffer,
                               std::int64_t need, std::int64_t have) {
  throw InfeasibleError(
      fmt::format("{}: tile {}x{} needs {} B of {}, {} B more than its {} B; take a smaller tile", chip.id,
                  t.m, t.n, need, buffer, need - have, have));
}

/// Depth of a staging block: as deep as leaves four stages, so that copies, feeds and products overlap; two
/// at least.
std::int64_t staging_depth(const ChipSpec& chip, const GemmTiling& t, std::int64_t a_size,
                           std::int64_t b_size, std::int64_t k) {
  const std::int64_t bytes_per_k = t.m * a_size + t.n * b_size;
  const std::int64_t unit = std::max<std::int64_t>(chip.matrix.granularity.k.count() / a_size, 1);
  const auto fits = [&](std::int64_t depth, std::int64_t slots) {
    return depth * bytes_per_k * slots <= chip.staging.capacity.count();
  };
  std::int64_t depth = unit;
  if (!fits(unit, 2))
    does_not_fit(chip, t, chip.staging.name, unit * bytes_per_k * 2, chip.staging.capacity.count());
  while (depth < 512 && depth < k && fits(2 * depth, 4)) depth *= 2;
  return depth;
}

Plan plan(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  const MatrixGranularity& grain = chip.matrix.granularity;
  const std::int64_t a_size = size_of(g.dtype);
  const std::int64_t b_size = size_of(g.b_is_weight ? g.weight_dtype : g.dtype);
  Plan p{};
  p.m_tiles = ceil_div(g.m, t.m);
  p.n_tiles = ceil_div(g.n, t.n);
  const bool even = chip.matrix.tile_shapes == TileShapes::Flexible;
  p.tile_m = d(even ? round_up(ceil_div(g.m, p.m_tiles), grain.m) : t.m);
  p.tile_n = d(even ? round_up(ceil_div(g.n, p.n_tiles), grain.n) : t.n);

  const std::int64_t depth = staging_depth(chip, t, a_size, b_size, g.k);
  p.k_blocks = ceil_div(g.k, depth);
  p.splits = std::min(t.split_k, p.k_blocks);
  p.blocks_per_split = ceil_div(p.k_blocks, p.splits);
  p.k_blocks = p.blocks_per_split * p.splits;
  p.block_k = d(g.k) / d(p.k_blocks);
  p.padded_block_k = std::max(p.block_k, d(std::max<std::int64_t>(grain.k.count() / a_size, 1)));
  p.staging_slots =
      std::max<std::int64_t>(chip.staging.capacity.count() / (depth * (t.m * a_size + t.n * b_size)), 2);

  const std::int64_t sums = t.m * t.n * 4;
  if (sums > chip.accumulator.capacity.count())
    does_not_fit(chip, t, chip.accumulator.name, sums, chip.accumulator.capacity.count());
  p.accumulator_slots = chip.accumulator.capacity.count() / sums;

  p.needs_feed = chip.operand_feed.a_capacity.count() > 0 && chip.operand_feed.b_capacity.count() > 0;
  p.operand_slots = 2;
  p.feeds_per_block = 1;
  if (p.needs_feed) {
    const double a_slot = d(chip.operand_feed.a_capacity.count()) / 2 / (d(t.m) * d(a_size));
    const double b_slot = d(chip.operand_feed.b_capacity.count()) / 2 / (d(t.n) * d(a_size));
    const double deepest = std::min(a_slot, b_slot);
    if (deepest < 1)
      does_not_fit(chip, t, "operand buffers", std::max(t.m, t.n) * a_size * 2,
                   std::min(chip.operand_feed.a_capacity.count(), chip.operand_feed.b_capacity.count()));
    p.feeds_per_block = static_cast<std::int64_t>(std::ceil(p.padded_block_k / deepest));
  }
  return p;
}

/// Rows of tiles that one wave works on: chosen so that the wave touches the fewest operand bytes.
std::int64_t raster_group(const Plan& p, const ChipSpec& chip) {
  const double at_once = d(std::min(chip.cores.count, p.m_tiles * p.n_tiles));
  const auto rows = static_cast<std::int64_t>(std::llround(std::sqrt(at_once * p.tile_n / p.tile_m)));
  return std::clamp<std::int64_t>(rows, 1, p.m_tiles);
}

/// Closed-form HBM reads: compulsory where the operands fit L2; else one pass over the operands of each wave.
double hbm_reads(const Plan& p, const ChipSpec& chip, double a_bytes, double b_bytes, bool a_resident,
                 std::int64_t group_m) {
  const double compulsory = (a_resident ? 0 : a_bytes) + b_bytes;
  if (a_bytes + b_bytes <= d(chip.l2.capacity.count())) return compulsory;
  const double tiles = d(p.m_tiles * p.n_tiles);
  const double at_once = std::min(d(chip.cores.count) / d(p.splits), tiles);
  const double rows = std::min(d(group_m), d(p.m_tiles));
  const double cols = std::min(std::max(at_once / rows, 1.0), d(p.n_tiles));
  const double per_wave = a_bytes * rows / d(p.m_tiles) + b_bytes * cols / d(p.n_tiles);
  // Inside a group the rows of A stay in L2 from wave to wave when they fit.
  const double a_rows = a_bytes * rows / d(p.m_tiles);
  const double groups = std::ceil(d(p.m_tiles) / rows);
  if (a_rows + b_bytes * cols / d(p.n_tiles) <= d(chip.l2.capacity.count()))
    return std::max(compulsory, a_bytes + b_bytes * groups);
  return std::max(compulsory, per_wave * tiles / at_once);
}

}  // namespace

TileProgram gemm_program(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  const Plan p = plan(g, chip, t);
  const double a_size = d(size_of(g.dtype));
  const double b_size = d(size_of(g.b_is_weight ? g.weight_dtype : g.dtype));
  const double a_bytes = d(g.m) * d(g.k) * a_size;
  const double b_bytes = d(g.n) * d(g.k) * b_size;
  const double c_bytes = d(g.m) * d(g.n) * 2;
  const double l2 = d(chip.l2.capacity.count());
  const std::int64_t tiles = p.m_tiles * p.n_tiles;

  Builder b;
  b.program.label = fmt::format("{}x{}x{:.0f}{}", t.m, t.n, p.block_k,
                                p.splits > 1 ? fmt::format(" split {}", p.splits) : "");
  const double total_bytes = (a_bytes + b_bytes + c_bytes) * d(g.batch);
  const double a_tile = a_bytes / d(p.m_tiles * p.k_blocks);
  const double b_tile = b_bytes / d(p.n_tiles * p.k_blocks);
  // Activations were written by the kernel before: in L2 while they leave room for what streams past them.
  const bool a_resident = a_bytes * d(g.batch) <= l2 / 2;
  const auto a = b.operand({"A", p.m_tiles * p.k_blocks * g.batch, a_tile, a_resident});
  const auto w = b.operand(
      {"B", p.n_tiles * p.k_blocks * g.batch, b_tile, !g.b_is_weight && b_bytes * d(g.batch) <= l2 / 2});
  const auto c = b.operand({.name = "C", .write = true, .hbm_share = total_bytes > l2 ? 1.0 : 0.0});

  const auto staging = b.buffer(chip.staging.name, p.staging_slots);
  const auto sums = b.buffer(chip.accumulator.name, p.accumulator_slots);
  const auto operands = p.needs_feed ? b.buffer("operand buffers", p.operand_slots) : kNone;

  // One multicast read serves neighbouring cores: of the larger tile, where several blocks want it at once.
  const double multicast = d(chip.cores.multicast_cores);
  const bool share_a =
      p.tile_m >= p.tile_n ? p.n_tiles >= chip.cores.multicast_cores : p.m_tiles < chip.cores.multicast_cores;
  const bool can_share = (share_a ? p.n_tiles : p.m_tiles) >= chip.cores.multicast_cores;
  const double a_share = can_share && share_a ? 1 / multicast : 1;
  const double b_share = can_share && !share_a ? 1 / multicast : 1;

  const double feeds = d(p.feeds_per_block);
  const double product_flops =
      2 * d(g.m) * d(g.n) * d(g.k) * d(g.batch) / (d(tiles * p.k_blocks) * feeds * d(g.batch));
  double product_cycles = 2 * p.tile_m * p.tile_n * p.padded_block_k / feeds /
                          (matrix_rate(chip, g.dtype).count() * chip.matrix.issue_efficiency);
  // Weights of another type are converted on their way through the vector engine's registers or the feed.
  const double feed_cycles = (p.tile_m * a_size / chip.operand_feed.a_rate.count() +
                              p.tile_n * a_size / chip.operand_feed.b_rate.count()) *
                             p.padded_block_k / feeds;
  if (!p.needs_feed) product_cycles = std::max(product_cycles, feed_cycles);

  ShapeBuilder s(tiles * p.splits * g.batch);
  s.step(load(Engine::CopyIn, (a_tile + b_tile) / chip.copy_in.port.count(), staging,
              {Access{a, a_tile, a_share}, Access{w, b_tile, b_share}}));
  for (std::int64_t i = 0; i < p.feeds_per_block; ++i) {
    const bool last = i + 1 == p.feeds_per_block;
    if (p.needs_feed) {
      s.step(compute(Engine::Feed, feed_cycles, {Input{staging, last}}, {operands}));
      s.step(compute(Engine::Matrix, product_cycles, {Input{operands}}, {sums, true}, Flops(product_flops)));
    } else {
      s.step(compute(Engine::Matrix, product_cycles, {Input{staging}}, {sums, true}, Flops(product_flops)));
    }
  }
  s.loop(p.blocks_per_split);

  const double c_tile = c_bytes / d(tiles);
  if (p.splits == 1) {
    s.step(post(Engine::Store, c_tile / chip.store.rate.count(), {sums}, kNone, {c, c_tile}));
  } else {  // fp32 partial sums meet in L2; each block of a tile then adds up and writes its slice of it
    const auto partial = b.operand({.name = "partial sums", .write = true, .hbm_share = 0});
    const auto partial_in = b.operand({.name = "partial sums", .resident = true});
    const auto gathered = b.buffer("partial sums", 2);
    const auto slice = b.buffer("slice", 2);
    const double bytes = 2 * c_tile;
    const auto met = b.buffer("partial sums in L2", 2);
    s.step(post(Engine::Store, bytes / chip.store.rate.count(), {sums}, met, {partial, bytes}));
    s.step(load(Engine::VectorIn, bytes / d(chip.vector.units_per_core) / chip.vector.read_port.count(),
                gathered, {Access{partial_in, bytes}}, Input{met}));
    s.step(compute(Engine::Vector,
                   bytes / 4 / d(chip.vector.units_per_core) / chip.vector.ops_per_cycle.count(),
                   {Input{gathered}}, {slice}));
    s.step(post(Engine::Store, c_tile / d(p.splits) / chip.store.rate.count(), {slice}, kNone,
                {c, c_tile / d(p.splits)}));
  }
  s.loop(1);
  b.program.shapes.push_back(std::move(s.shape));

  RasterSpec& r = b.program.raster;
  r.kind = Raster::Grid;
  r.m_tiles = p.m_tiles;
  r.n_tiles = p.n_tiles;
  r.splits = p.splits;
  r.batch = g.batch;
  r.group_m = raster_group(p, chip);
  r.k_tiles = p.k_blocks;
  r.k_tiles_per_split = p.blocks_per_split;
  b.program.hbm_read_bytes = hbm_reads(p, chip, a_bytes, b_bytes, a_resident, r.group_m) * d(g.batch);
  if (b.program.operands[1].resident)
    b.program.hbm_read_bytes = std::max(0.0, b.program.hbm_read_bytes - b_bytes * d(g.batch));
  b.program.hbm_write_bytes = b.program.operands[2].hbm_share * c_bytes * d(g.batch);
  return std::move(b.program);
}

}  // namespace xpusim::mapping
