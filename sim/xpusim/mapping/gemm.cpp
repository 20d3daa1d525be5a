#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "xpusim/core/error.h"
#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::mapping {
namespace {

/// Bytes of an element, its part of a scale included: of A, and of B. Weights may be stored in another type;
/// they are converted on their way into the matrix engine.
double a_size(const GemmShape& g) { return size_of(g.dtype); }
double b_size(const GemmShape& g) { return size_of(g.b_is_weight ? g.weight_dtype : g.dtype); }
bool unpacks(const GemmShape& g) { return g.b_is_weight && is_unpacked(g.weight_dtype, g.dtype); }
/// Vector units that reach the matrix engine by way of L2 only unpack weights before they are staged.
bool unpacks_through_l2(const GemmShape& g, const ChipSpec& chip) {
  return unpacks(g) && chip.vector.exchange == Exchange::L2;
}
double staged_b_size(const GemmShape& g, const ChipSpec& chip) {
  return unpacks_through_l2(g, chip) ? a_size(g) : b_size(g);
}
/// Bytes of an operand's element inside the core: scales have places of their own.
double operand_size(const GemmShape& g) { return bare_size_of(g.dtype); }
bool needs_feed(const ChipSpec& c) {
  return c.operand_feed.a_capacity.count() > 0 && c.operand_feed.b_capacity.count() > 0;
}
}  // namespace

Grain gemm_grain(const ChipSpec& chip, bool swapped) {
  const MatrixGranularity& grain = chip.matrix.granularity;
  return swapped ? Grain{grain.n, grain.m} : Grain{grain.m, grain.n};
}

namespace {

std::int64_t grain_k(const GemmShape& g, const ChipSpec& chip) {
  return std::max<std::int64_t>(chip.matrix.granularity.k.count() * 8 / layout_of(g.dtype).bits, 1);
}

/// Depth along k that one slot of the operand buffers holds: they are double-buffered.
double operand_depth(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  const auto depth = [&](Bytes capacity, std::int64_t extent) {
    return d(capacity.count()) / 2 / (d(extent) * operand_size(g));
  };
  return std::min(depth(chip.operand_feed.a_capacity, t.m), depth(chip.operand_feed.b_capacity, t.n));
}

/// Bytes of a staging block of a tile, for each element of its depth along k.
double stage_bytes_per_k(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  return d(t.m) * a_size(g) + d(t.n) * staged_b_size(g, chip);
}

/// Depth of a staging block: a line of memory from each row, as the kernels of libraries have it, or less
/// where two blocks would not fit. More room holds more blocks, not deeper ones, whose first product waits
/// longer.
std::int64_t staging_depth(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  constexpr std::int64_t kLineBits = 128 * 8;
  const std::int64_t grain = grain_k(g, chip);
  std::int64_t depth = round_up(kLineBits / layout_of(g.dtype).bits, grain);
  while (depth >= 2 * grain &&
         2 * d(depth) * stage_bytes_per_k(g, chip, t) > d(chip.staging.capacity.count()))
    depth /= 2;
  return depth;
}

/// Products of equally many rows, each with a weight of its own.
struct Products {
  std::int64_t m = 1, count = 1;
  std::int64_t m_tiles = 1, tiles = 1;
  double tile_m = 1;  ///< what a block computes, padding included
  double a_bytes = 0, c_bytes = 0, a_tile = 0;
};

/// Writes the program of one tiling: of a GEMM's equal products, or of groups that differ in their rows.
class GemmTemplate {
 public:
  GemmTemplate(const GemmShape& g, std::vector<Products> products, const ChipSpec& chip, const GemmTiling& t)
      : g_(g), products_(std::move(products)), chip_(chip) {
    cut(t);
    b_.program.label = fmt::format("{}x{}x{:.0f}", t.m, t.n, block_k_);
    if (splits_ > 1) b_.program.label += fmt::format(" split {}", splits_);
    declare_operands();
    declare_buffers(t);
  }

  TileProgram write() {
    if (unpacks(g_)) declare_unpacking();
    if (splits_ > 1) declare_partial_sums();
    for (const Products& p : products_) {
      BlockShape block(p.tiles * splits_ * p.count);
      if (unpacks_through_l2(g_, chip_)) {
        run_behind_vector_units(p, block);
      } else {
        product(p);
        block.run(b_.body(), blocks_per_split_);
      }
      splits_ == 1 ? store(p) : store_split(p);
      block.run(b_.body(), 1);
      b_.program.shapes.push_back(block);
    }
    set_raster();
    return std::move(b_.program);
  }

 private:
  void cut(const GemmTiling& t) {
    n_tiles_ = ceil_div(g_.n, t.n);
    const Grain grain = gemm_grain(chip_, t.swapped);
    const bool even = chip_.matrix.tile_shapes == TileShapes::Flexible;
    for (Products& p : products_) {
      p.m_tiles = ceil_div(p.m, t.m);
      p.tiles = p.m_tiles * n_tiles_;
      p.tile_m = d(even ? round_up(ceil_div(p.m, p.m_tiles), grain.m) : t.m);
    }
    tile_n_ = d(even ? round_up(ceil_div(g_.n, n_tiles_), grain.n) : t.n);

    depth_ = staging_depth(g_, chip_, t);
    const std::int64_t k_blocks = ceil_div(g_.k, depth_);
    splits_ = std::min(t.split_k, k_blocks);
    blocks_per_split_ = ceil_div(k_blocks, splits_);
    k_blocks_ = blocks_per_split_ * splits_;
    block_k_ = d(g_.k) / d(k_blocks_);
    padded_block_k_ = std::max(block_k_, d(grain_k(g_, chip_)));
    feeds_ = needs_feed(chip_)
                 ? static_cast<std::int64_t>(std::ceil(padded_block_k_ / operand_depth(g_, chip_, t)))
                 : 1;
  }

  void declare_operands() {
    b_bytes_ = d(g_.n) * b_size(g_) * d(g_.k);
    double all_a = 0, all_c = 0;
    std::int64_t m_tiles = 0, weights = 0;
    for (Products& p : products_) {
      p.a_bytes = d(p.m) * a_size(g_) * d(g_.k);
      p.c_bytes = d(p.m) * d(g_.n) * d(g_.output_bytes_per_element());
      p.a_tile = p.a_bytes / d(p.m_tiles * k_blocks_);
      all_a += p.a_bytes * d(p.count);
      all_c += p.c_bytes * d(p.count);
      m_tiles += p.m_tiles * p.count;
      weights += p.count;
    }
    const double all_b = b_bytes_ * d(weights);
    // Activations were written just before; weights that come round soon enough are still there.
    const double between_uses = all_a + all_c + all_b * d(g_.weight_copies);
    const double a_resident = held_share(all_a + (g_.b_is_weight ? 0 : all_b), chip_.l2);
    double b_resident = a_resident;
    if (g_.b_is_weight) b_resident = g_.weight_copies > 0 ? held_share(between_uses, chip_.l2) : 0;
    b_tile_ = b_bytes_ / d(n_tiles_ * k_blocks_);
    a_ = b_.operand({"A", m_tiles * k_blocks_, all_a / d(m_tiles * k_blocks_), a_resident});
    w_ = b_.operand({"B", n_tiles_ * k_blocks_ * weights, b_tile_, b_resident});
    const double passing = all_a + all_b + all_c;
    c_ = b_.operand({.name = "C", .write = true, .hbm_share = 1 - held_share(passing, chip_.l2)});
  }

  void declare_buffers(const GemmTiling& t) {
    const double stages = d(chip_.staging.capacity.count()) / (d(depth_) * stage_bytes_per_k(g_, chip_, t));
    staging_ = b_.buffer(chip_.staging.name, static_cast<std::int64_t>(stages));
    sums_ = b_.buffer(chip_.accumulator.name, chip_.accumulator.capacity.count() / (t.m * t.n * 4));
    if (needs_feed(chip_)) fed_ = b_.buffer("operand buffers", 2);
  }

  /// One multicast read serves neighbouring cores that want the same tile at once: the tile by which it saves
  /// more.
  void set_multicast(const Products& p, Access& a, Access& w) const {
    const double a_share = 1 / d(std::min(chip_.cores.multicast_cores, n_tiles_));
    const double w_share = 1 / d(std::min(chip_.cores.multicast_cores, p.m_tiles));
    if (p.tile_m * (1 - a_share) >= tile_n_ * (1 - w_share))
      a.l2_share = a_share;
    else
      w.l2_share = w_share;
  }

  /// One staging block's share of a tile.
  void product(const Products& p) {
    Access a{a_, p.a_tile}, w{w_, b_tile_};
    Input after;
    if (unpacks_through_l2(g_, chip_)) {
      w = {tiles_in_, unpacked_tile()};
      after = {passed_};
    } else {
      set_multicast(p, a, w);
    }
    b_.step(load(Engine::CopyIn, (a.bytes + w.bytes) / chip_.copy_in.port.count(), staging_, {a, w}, after));
    const bool beside = unpacks(g_) && !unpacks_through_l2(g_, chip_);
    if (beside) b_.step(compute(Engine::Vector, unpack_cycles(), {Input{staging_, false}}, {unpacked_}));

    const double feeds = d(feeds_);
    const double rate = matrix_rate(chip_, g_.dtype).count() * chip_.matrix.issue_efficiency;
    const double depth = padded_block_k_ / feeds;
    const double cycles = 2 * p.tile_m * tile_n_ * depth / rate;
    const double feed =
        (p.tile_m / chip_.operand_feed.a_rate.count() + tile_n_ / chip_.operand_feed.b_rate.count()) *
        operand_size(g_) * depth;
    const Flops flops(2 * d(p.m) * d(g_.n) * d(g_.k) / (d(p.tiles * k_blocks_) * feeds));
    for (std::int64_t i = 0; i < feeds_; ++i) {
      const bool last = i + 1 == feeds_;
      const Input wide = beside ? Input{unpacked_, last} : Input{};
      if (needs_feed(chip_)) {
        b_.step(compute(Engine::Feed, feed, {Input{staging_, last}, wide}, {fed_}));
        b_.step(compute(Engine::Matrix, cycles, {Input{fed_}}, {sums_, true}, flops));
      } else {  // the matrix engine reads the staging buffer as it computes
        b_.step(
            compute(Engine::Matrix, std::max(cycles, feed), {Input{staging_}, wide}, {sums_, true}, flops));
      }
    }
  }

  void declare_unpacking() {
    static_cast<void>(unpack_rate(chip_, g_.weight_dtype, g_.dtype));
    unpacked_ = b_.buffer("unpacked weights", 2);
    if (!unpacks_through_l2(g_, chip_)) return;
    declare_tiles_in_l2();
    packed_ = b_.buffer("packed weights", kAhead);
    passed_ = b_.buffer("unpacked weights in L2", kAhead + 1);
  }
  void declare_tiles_in_l2() {
    if (tiles_out_ != kNone) return;
    tiles_out_ = b_.operand({.name = "tiles into L2", .write = true, .hbm_share = 0});
    tiles_in_ = b_.operand({.name = "tiles from L2", .resident = 1});
  }
  [[nodiscard]] double unpack_cycles() const {
    return tile_n_ * padded_block_k_ / unpack_rate(chip_, g_.weight_dtype, g_.dtype).count();
  }
  /// Bytes of a staging block's weights in the operands' type.
  [[nodiscard]] double unpacked_tile() const { return b_tile_ / b_size(g_) * a_size(g_); }

  /// The vector units take a tile of the weights, unpack it and put it into L2.
  void unpack(std::int64_t ahead) {
    const double units = d(chip_.vector.units_per_core);
    b_.step(load(Engine::VectorIn, b_tile_ / units / chip_.vector.read_port.count(), packed_,
                 {Access{w_, b_tile_, 1, d(ahead)}}));
    b_.step(compute(Engine::Vector, unpack_cycles(), {Input{packed_}}, {unpacked_}));
    b_.step(post(Engine::VectorOut, unpacked_tile() / units / chip_.vector.write_port.count(), {unpacked_},
                 passed_, {tiles_out_, unpacked_tile()}));
  }

  /// The vector units run some staging blocks ahead of the products.
  void run_behind_vector_units(const Products& p, BlockShape& block) {
    const std::int64_t ahead = std::min(kAhead, blocks_per_split_);
    unpack(0);
    block.run(b_.body(), ahead);
    unpack(ahead);
    product(p);
    block.run(b_.body(), blocks_per_split_ - ahead);
    product(p);
    block.run(b_.body(), ahead, blocks_per_split_ - ahead);
  }

  void store(const Products& p) {
    const double bytes = p.c_bytes / d(p.tiles);
    b_.step(post(Engine::Store, bytes / chip_.store.rate.count(), {sums_}, kNone, {c_, bytes}));
  }

  void declare_partial_sums() {
    declare_tiles_in_l2();
    met_ = b_.buffer("partial sums in L2", 2);
    synchronised_ = b_.buffer("sums of all splits", 2);
    gathered_ = b_.buffer("gathered sums", 2);
    slice_ = b_.buffer("slice of the tile", 2);
  }

  /// The fp32 sums of a tile's splits meet in L2; each split's block then adds up and writes its slice of the
  /// tile.
  void store_split(const Products& p) {
    const double c_tile = p.c_bytes / d(p.tiles);
    const double partial = c_tile * 4 / d(g_.output_bytes_per_element());  // fp32
    const double slice_bytes = c_tile / d(splits_);
    const double units = d(chip_.vector.units_per_core);
    b_.step(post(Engine::Store, partial / chip_.store.rate.count(), {sums_}, met_, {tiles_out_, partial}));
    b_.step(synchronise(chip_, {met_}, {synchronised_}));
    b_.step(load(Engine::VectorIn, partial / units / chip_.vector.read_port.count(), gathered_,
                 {Access{tiles_in_, partial}}, Input{synchronised_}));
    b_.step(compute(Engine::Vector, partial / 4 / units / chip_.vector.ops_per_cycle.count(),
                    {Input{gathered_}}, {slice_}));
    b_.step(post(Engine::Store, slice_bytes / chip_.store.rate.count(), {slice_}, kNone, {c_, slice_bytes}));
  }

  void set_raster() {
    RasterSpec& r = b_.program.raster;
    r.kind = Raster::Grid;
    r.n_tiles = n_tiles_;
    r.splits = splits_;
    r.k_tiles = k_blocks_;
    r.k_tiles_per_split = blocks_per_split_;
    const double written = b_.program.operands[static_cast<std::size_t>(c_)].hbm_share;
    GridRows rows;
    for (const Products& p : products_) {
      rows.m_tiles = p.m_tiles;
      // A wave of r rows and c columns of tiles (r c = cores) reads r tile_m + c tile_n: least where the two
      // are equal.
      const double at_once = d(std::min(chip_.cores.count, p.tiles));
      rows.group_m =
          std::clamp<std::int64_t>(std::llround(std::sqrt(at_once * tile_n_ / p.tile_m)), 1, p.m_tiles);
      b_.program.grids.push_back(rows);
      rows.first_row += p.m_tiles * p.count;
      rows.first_product += p.count;
      b_.program.hbm_read_bytes += hbm_reads(p, d(b_.program.grids.back().group_m)) * d(p.count);
      b_.program.hbm_write_bytes += written * p.c_bytes * d(p.count);
    }
  }

  /// Closed-form HBM reads of one product. As far as L2 holds both operands, each is read once. Else the rows
  /// of a raster group stay while its columns pass, as far as a group's rows are held; else every wave reads
  /// its operands anew.
  [[nodiscard]] double hbm_reads(const Products& p, double group_m) const {
    const double compulsory =
        p.a_bytes * (1 - b_.program.operands[0].resident) + b_bytes_ * (1 - b_.program.operands[1].resident);
    const double once = held_share(p.a_bytes + b_bytes_, chip_.l2);
    if (once == 1) return compulsory;
    const double at_once = std::min(d(chip_.cores.count) / d(splits_), d(p.tiles));
    const double columns = std::clamp(at_once / group_m, 1.0, d(n_tiles_));
    const double a_of_group = p.a_bytes * group_m / d(p.m_tiles);
    const double b_of_wave = b_bytes_ * columns / d(n_tiles_);
    const double groups = std::ceil(d(p.m_tiles) / group_m);
    const double by_group = std::max(compulsory, p.a_bytes + b_bytes_ * groups);
    const double by_wave = std::max(by_group, (a_of_group + b_of_wave) * d(p.tiles) / at_once);
    const double grouped = held_share(a_of_group + b_of_wave, chip_.l2);
    return once * compulsory + (1 - once) * (grouped * by_group + (1 - grouped) * by_wave);
  }

  const GemmShape g_;  ///< m: of the busiest product
  std::vector<Products> products_;
  const ChipSpec& chip_;
  std::int64_t n_tiles_ = 1;
  std::int64_t depth_ = 1;     ///< of a staging block at most
  std::int64_t k_blocks_ = 1;  ///< staging blocks along k, all splits together
  std::int64_t splits_ = 1, blocks_per_split_ = 1;
  std::int64_t feeds_ = 1;     ///< loads of the operand buffers from one staging block
  double tile_n_ = 1;          ///< what a block computes, padding included
  double block_k_ = 1;         ///< of a staging block on average
  double padded_block_k_ = 1;  ///< what the matrix engine computes of it
  double b_bytes_ = 0, b_tile_ = 0;
  std::int8_t a_ = kNone, w_ = kNone, c_ = kNone, staging_ = kNone, sums_ = kNone, fed_ = kNone;
  static constexpr std::int64_t kAhead = 8;  ///< staging blocks that the vector units unpack ahead
  std::int8_t packed_ = kNone, unpacked_ = kNone, passed_ = kNone;
  std::int8_t tiles_out_ = kNone, tiles_in_ = kNone, met_ = kNone, synchronised_ = kNone, gathered_ = kNone,
              slice_ = kNone;
  Builder b_;
};

}  // namespace

std::optional<Misfit> misfit(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  const auto over = [](std::string_view buffer, double need, Bytes have) -> std::optional<Misfit> {
    const auto bytes = static_cast<std::int64_t>(std::ceil(need));
    if (bytes <= have.count()) return std::nullopt;
    return Misfit{std::string(buffer), Bytes(bytes), have};
  };
  const double stage = d(grain_k(g, chip)) * stage_bytes_per_k(g, chip, t);
  if (auto m = over(chip.staging.name, 2 * stage, chip.staging.capacity)) return m;
  if (auto m = over(chip.accumulator.name, d(t.m) * d(t.n) * 4, chip.accumulator.capacity)) return m;
  if (!needs_feed(chip)) return std::nullopt;
  if (auto m = over("operand buffer A", 2 * d(t.m) * operand_size(g), chip.operand_feed.a_capacity)) return m;
  return over("operand buffer B", 2 * d(t.n) * operand_size(g), chip.operand_feed.b_capacity);
}

namespace {

/// Of the tiles of a core in a product of equal ones, or its share of them in one of unequal ones.
Cycles least_cycles_of(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t, double blocks) {
  const double product =
      2 * d(t.m) * d(t.n) / (matrix_rate(chip, g.dtype).count() * chip.matrix.issue_efficiency);
  const double feed =
      (d(t.m) / chip.operand_feed.a_rate.count() + d(t.n) / chip.operand_feed.b_rate.count()) *
      operand_size(g);
  return Cycles(blocks * std::max(product, feed) * d(g.k) / d(t.split_k));
}

}  // namespace

Cycles least_cycles(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  if (chip.matrix.tile_shapes == TileShapes::Flexible)
    return {};  // tiles may be smaller than they are called
  const std::int64_t blocks = ceil_div(g.m, t.m) * ceil_div(g.n, t.n) * g.batch * t.split_k;
  return least_cycles_of(g, chip, t, d(ceil_div(blocks, chip.cores.count)));
}

Cycles least_cycles(const GroupedGemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  if (chip.matrix.tile_shapes == TileShapes::Flexible) return {};
  std::int64_t blocks = 0;
  for (const GroupRows& rows : rows_of_groups(g))
    blocks += ceil_div(rows.rows, t.m) * ceil_div(g.n, t.n) * rows.groups;
  return least_cycles_of(busiest_product(g), chip, t, d(blocks) / d(chip.cores.count));
}

TileProgram gemm_program(const GemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  if (const auto m = misfit(g, chip, t)) throw InfeasibleError(describe_misfit(chip, t.m, t.n, *m));
  return GemmTemplate(g, {{.m = g.m, .count = g.batch}}, chip, t).write();
}

GemmShape busiest_product(const GroupedGemmShape& g) {
  return {.m = rows_of_groups(g).front().rows,
          .n = g.n,
          .k = g.k,
          .dtype = g.dtype,
          .weight_dtype = g.weight_dtype,
          .weight_copies = g.weight_copies};
}

std::optional<Misfit> misfit(const GroupedGemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  return misfit(busiest_product(g), chip, t);
}

TileProgram grouped_gemm_program(const GroupedGemmShape& g, const ChipSpec& chip, const GemmTiling& t) {
  const GemmShape busiest = busiest_product(g);
  if (const auto m = misfit(busiest, chip, t)) throw InfeasibleError(describe_misfit(chip, t.m, t.n, *m));
  std::vector<Products> products;
  for (const GroupRows& rows : rows_of_groups(g)) products.push_back({.m = rows.rows, .count = rows.groups});
  TileProgram program = GemmTemplate(busiest, std::move(products), chip, t).write();
  if (g.groups > 1) program.hbm_fraction = chip.moe.hbm_fraction;
  return program;
}

}  // namespace xpusim::mapping
