#include "xpusim/mapping/tile_program.h"

#include <algorithm>

namespace xpusim::mapping {
namespace {

/// Rows of tiles in groups of group_m, column by column inside a group: neighbours in time share operands in
/// L2.
struct TilePlace {
  std::int64_t m, n;
};
TilePlace tile_place(const GridRows& r, std::int64_t n_tiles, std::int64_t tile) {
  const std::int64_t group_size = r.group_m * n_tiles;
  const std::int64_t first_m = tile / group_size * r.group_m;
  const std::int64_t rows = std::min(r.group_m, r.m_tiles - first_m);
  tile %= group_size;
  return {first_m + tile % rows, tile / rows};
}

/// The shape that holds block `index`, which becomes its number in that shape.
std::uint32_t shape_of(const TileProgram& p, std::int64_t& index) {
  std::uint32_t shape = 0;
  for (; index >= p.shapes[shape].count; ++shape) index -= p.shapes[shape].count;
  return shape;
}

Block grid_block(const TileProgram& p, std::int64_t index) {
  const RasterSpec& r = p.raster;
  GridRows rows{r.m_tiles, r.group_m};
  Block b;
  if (!p.grids.empty()) {
    b.shape = shape_of(p, index);
    rows = p.grids[b.shape];
  }
  const std::int64_t split = index % r.splits;
  const std::int64_t tiles = rows.m_tiles * r.n_tiles;
  const TilePlace at = tile_place(rows, r.n_tiles, index / r.splits % tiles);
  const std::int64_t product = index / (r.splits * tiles);
  const std::int64_t k0 = split * r.k_tiles_per_split;
  b.first_tile[0] = (rows.first_row + product * rows.m_tiles + at.m) * r.k_tiles + k0;
  b.first_tile[1] = ((rows.first_product + product) * r.n_tiles + at.n) * r.k_tiles + k0;
  return b;
}

Block heads_block(const TileProgram& p, std::int64_t index) {
  const RasterSpec& r = p.raster;
  const std::int64_t group_blocks = block_count(p) / r.batch * r.heads_at_once;
  const std::int64_t group = index / group_blocks;
  const std::int64_t heads = std::min(r.heads_at_once, r.batch - group * r.heads_at_once);
  index %= group_blocks;
  const auto blocks = [&](const BlockShape& shape) { return shape.count / r.batch * heads; };
  Block b;
  for (; index >= blocks(p.shapes[b.shape]); ++b.shape) index -= blocks(p.shapes[b.shape]);
  const std::int64_t split = index % r.splits;
  const std::int64_t part = index / r.splits % r.value_parts;
  const std::int64_t head = group * r.heads_at_once + index / (r.splits * r.value_parts) / r.m_tiles % heads;
  const std::int64_t kv_head = head / r.heads_per_kv;
  const std::int64_t first = kv_head * r.k_tiles + split * r.k_tiles_per_split;
  b.first_tile[0] = first;
  b.first_tile[1] = first + part * (r.batch / r.heads_per_kv * r.k_tiles);
  return b;
}

}  // namespace

std::int64_t block_count(const TileProgram& p) {
  std::int64_t n = 0;
  for (const BlockShape& s : p.shapes) n += s.count;
  return n;
}

Block block_at(const TileProgram& p, std::int64_t index) {
  switch (p.raster.kind) {
    case Raster::Grid:
      return grid_block(p, index);
    case Raster::Heads:
      return heads_block(p, index);
    case Raster::Rows:
      break;
  }
  Block b;
  b.shape = shape_of(p, index);
  return b;
}

ProgramTotals totals(const TileProgram& p) {
  std::vector<std::int64_t> runs(p.bodies.size());  // of each body, all blocks together
  for (const BlockShape& shape : p.shapes)
    for (const Loop& loop : shape.loops()) runs[loop.body] += loop.repeat * shape.count;
  ProgramTotals t;
  for (std::size_t b = 0; b < p.bodies.size(); ++b) {
    const auto times = static_cast<double>(runs[b]);
    for (const Step& step : steps_of(p, p.bodies[b])) {
      t.flops += step.flops * times;
      t.busy_cycles[static_cast<std::size_t>(step.engine)] += step.busy.count() * times;
      if (step.kind == StepKind::Compute) t.transactions += runs[b];
      for (const Access& a : step.accesses) {
        if (a.operand == kNone) continue;
        const bool write = p.operands[static_cast<std::size_t>(a.operand)].write;
        (write ? t.store_bytes : t.load_bytes) += a.bytes * times;
        (write ? t.l2_write_bytes : t.l2_read_bytes) += a.bytes * a.l2_share * times;
        t.transactions += runs[b];
      }
    }
  }
  return t;
}

}  // namespace xpusim::mapping
