#include "xpusim/mapping/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "xpusim/core/error.h"
#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"
#include "xpusim/ops/cost.h"

namespace xpusim::mapping {
namespace {

double d(std::int64_t x) { return static_cast<double>(x); }

/// Score tiles that the matrix engine runs ahead of the vector engine.
constexpr std::int64_t kPreload = 1;
/// Vector operations per score of the forward and the backward pass (ops::cost counts the same).
constexpr double kForwardOps = 5, kBackwardOps = 7;
/// Vector operations per element of O when a new key tile rescales it, and when partial results are merged.
constexpr double kRescaleOps = 2;

/// The engines' times of one iteration and of a block's ends, in cycles; all shapes share them.
struct Rates {
  double matrix;      ///< FLOP per cycle
  double vector_ops;  ///< of the core's units together
  double special_ops;
  double read_port, write_port;
};

Rates rates(const AttentionShape& a, const ChipSpec& chip) {
  const double units = d(chip.vector.units_per_core);
  return {matrix_rate(chip, a.dtype).count() * chip.matrix.issue_efficiency,
          chip.vector.ops_per_cycle.count() * units, chip.vector.special_per_cycle.count() * units,
          chip.vector.read_port.count() * units, chip.vector.write_port.count() * units};
}

/// One flash-attention block: Q stays, K and V stream past it. Writes the loops of one shape.
class AttentionBlock {
 public:
  AttentionBlock(const AttentionShape& a, const ChipSpec& chip, const AttentionTiling& t)
      : a_(a),
        chip_(chip),
        t_(t),
        r_(rates(a, chip)),
        backward_(a.pass == Pass::Backward),
        via_l2_(chip.vector.exchange == Exchange::L2),
        fed_(chip.operand_feed.a_capacity.count() > 0 && chip.operand_feed.b_capacity.count() > 0) {
    const MatrixGranularity& grain = chip.matrix.granularity;
    rows_ = d(round_up(std::min(t.q, packed_rows(a)), grain.m));
    cols_ = d(round_up(std::min(t.kv, a.kv_len), grain.n));
    q_size_ = d(size_of(a.dtype));
    kv_per_block_ = ceil_div(ceil_div(a.kv_len, t.kv), t.splits);
    kv_tiles_ = kv_per_block_ * t.splits;
    kv_tile_ = d(a.kv_len) / d(kv_tiles_) * d(a.head_dim) * d(size_of(a.kv_dtype));
    check_fit();
    declare();
  }

  /// `count` blocks of `rows` useful query rows over `kv_tiles` key tiles, each row seeing `keys` of them on
  /// average.
  void add(std::int64_t count, double rows, std::int64_t kv_tiles, double keys) {
    ShapeBuilder s(count);
    useful_ = rows * keys / d(kv_tiles);
    const double q_bytes = rows * d(a_.head_dim) * q_size_ * (backward_ ? 2 : 1);
    s.step(load(Engine::CopyIn, q_bytes / chip_.copy_in.port.count(), query_, {Access{q_, q_bytes}}));
    s.loop(1);
    const std::int64_t ahead = std::min(kPreload, kv_tiles);
    scores(s, 0);
    s.loop(ahead);
    scores(s, kPreload);
    softmax(s);
    values(s);
    s.loop(kv_tiles - ahead);
    softmax(s);
    values(s);
    s.loop(ahead, kv_tiles - ahead);
    finish(s, rows);
    s.loop(1);
    builder_.program.shapes.push_back(std::move(s.shape));
  }

  Builder& builder() { return builder_; }
  [[nodiscard]] std::int64_t kv_tiles() const { return kv_tiles_; }
  [[nodiscard]] std::int64_t kv_tiles_per_block() const { return kv_per_block_; }

 private:
  void check_fit() const {
    const double q = d(t_.q) * d(a_.head_dim) * q_size_ * (backward_ ? 2 : 1);
    const double stages = 2 * 2 * kv_tile_;
    const double need = q + stages + (via_l2_ ? 2 * rows_ * cols_ * 2 : 0);
    if (need > d(chip_.staging.capacity.count())) too_big(chip_.staging.name, need, chip_.staging.capacity);
    const double sums =
        via_l2_ ? rows_ * std::max(cols_, d(a_.head_dim)) * 4 * 1 : rows_ * (cols_ + d(a_.head_dim)) * 4;
    if (sums > d(chip_.accumulator.capacity.count()))
      too_big(chip_.accumulator.name, sums, chip_.accumulator.capacity);
  }

  [[noreturn]] void too_big(std::string_view buffer, double need, Bytes have) const {
    throw InfeasibleError(fmt::format(
        "{}: attention tile {}x{} needs {:.0f} B of {}, {:.0f} B more than its {} B; take a smaller tile",
        chip_.id, t_.q, t_.kv, need, buffer, need - d(have.count()), have.count()));
  }

  void declare() {
    const std::int64_t heads = a_.batch * a_.kv_heads;
    const bool fresh = a_.q_len == a_.kv_len;  // keys just written, not from a cache
    const double kv_total = d(heads) * d(a_.kv_len) * d(a_.head_dim) * d(size_of(a_.kv_dtype));
    const bool resident = fresh && 2 * kv_total <= d(chip_.l2.capacity.count()) / 2;
    k_ = builder_.operand({"K", kv_tiles_ * heads, kv_tile_, resident});
    v_ = builder_.operand({"V", kv_tiles_ * heads, kv_tile_, resident});
    q_ = builder_.operand({.name = "Q", .resident = true});
    o_ = builder_.operand({.name = "O", .write = true, .hbm_share = 0});
    through_l2_ = q_;  // like Q, such tiles are in L2 and not looked up

    query_ = builder_.buffer("query tile", 2);
    const double stage_room = d(chip_.staging.capacity.count()) - 2 * d(t_.q) * d(a_.head_dim) * q_size_;
    const auto stages = std::max<std::int64_t>(2, static_cast<std::int64_t>(stage_room / (2 * kv_tile_)));
    keys_ = builder_.buffer("key stages", stages);
    values_ = builder_.buffer("value stages", stages);
    const double sums_room = d(chip_.accumulator.capacity.count()) / 4 / rows_;
    const double score_slots =
        via_l2_ ? sums_room / std::max(cols_, d(a_.head_dim)) : (sums_room - d(a_.head_dim)) / cols_;
    scores_ = builder_.buffer("score tiles",
                              std::clamp<std::int64_t>(static_cast<std::int64_t>(score_slots), 1, 4));
    probabilities_ = builder_.buffer("probability tiles", 2);
    output_ = builder_.buffer("output tile", 1);
    if (via_l2_) {
      in_l2_ = builder_.buffer("score tiles in L2", kPreload + 1);
      in_unit_ = builder_.buffer("score tiles in the vector unit", 2);
      back_in_l2_ = builder_.buffer("probability tiles in L2", kPreload + 1);
    }
    if (t_.splits > 1) {
      merge_ = builder_.buffer("partial results in L2", 2);
      merged_ = builder_.buffer("partial results", 2);
      slice_ = builder_.buffer("slice", 2);
    }
  }

  double product_cycles(double products) const {
    return products * 2 * rows_ * cols_ * d(a_.head_dim) / r_.matrix;
  }
  /// The time to bring both operands of `products` products from the staging buffer, where that is an engine
  /// of its own.
  double feed_cycles(double products) const {
    if (!fed_) return 0;
    return products * d(a_.head_dim) * q_size_ *
           (rows_ / chip_.operand_feed.a_rate.count() + cols_ / chip_.operand_feed.b_rate.count());
  }
  /// Where the feed is slower than the product, it sets the pace: the operand buffers let the two overlap.
  double matrix_cycles(double products) const {
    return std::max(product_cycles(products), feed_cycles(products));
  }

  void scores(ShapeBuilder& s, std::int64_t tiles_ahead) {
    const double products = backward_ ? 2 : 1;
    s.step(load(Engine::CopyIn, kv_tile_ / chip_.copy_in.port.count(), keys_,
                {Access{k_, kv_tile_, 1, d(tiles_ahead)}}));
    s.step(compute(Engine::Matrix, matrix_cycles(products), {Input{keys_}, Input{query_, false}}, {scores_},
                   Flops(products * 2 * useful_ * d(a_.head_dim))));
    if (via_l2_) {
      const double bytes = rows_ * cols_ * 4;
      s.step(exchange(Engine::Store, bytes, chip_.store.rate.count(), scores_, in_l2_));
    }
  }

  void softmax(ShapeBuilder& s) {
    const double elements = rows_ * cols_;
    const double cycles = std::max((backward_ ? kBackwardOps : kForwardOps) * elements / r_.vector_ops,
                                   elements / r_.special_ops);
    if (!via_l2_) {
      s.step(compute(Engine::Vector, cycles, {Input{scores_}}, {probabilities_}));
      return;
    }
    s.step(exchange(Engine::VectorIn, elements * 4, r_.read_port, in_l2_, in_unit_));
    s.step(compute(Engine::Vector, cycles, {Input{in_unit_}}, {probabilities_}));
    s.step(exchange(Engine::VectorOut, elements * q_size_, r_.write_port, probabilities_, back_in_l2_));
  }

  void values(ShapeBuilder& s) {
    const double products = backward_ ? 3 : 1;
    s.step(load(Engine::CopyIn, kv_tile_ / chip_.copy_in.port.count(), values_, {Access{v_, kv_tile_}}));
    const auto from = via_l2_ ? back_in_l2_ : probabilities_;
    s.step(compute(Engine::Matrix, matrix_cycles(products), {Input{values_}, Input{from}}, {output_, true},
                   Flops(products * 2 * useful_ * d(a_.head_dim))));
    if (via_l2_) {  // the vector engine keeps the running output: each partial product passes through L2
      const double bytes = rows_ * d(a_.head_dim) * 4;
      s.step(exchange(Engine::VectorIn, bytes, r_.read_port, kNone, kNone));
      s.step(compute(Engine::Vector, kRescaleOps * bytes / 4 / r_.vector_ops, {}, {}));
    }
    if (backward_)  // dQ is summed in L2, in fp32
      s.step(exchange(Engine::Store, rows_ * d(a_.head_dim) * 4, chip_.store.rate.count(), kNone, kNone));
  }

  void finish(ShapeBuilder& s, double rows) {
    const double elements = rows * d(a_.head_dim);
    const double bytes = elements * q_size_ * (backward_ ? 3 : 1);
    s.step(compute(Engine::Vector, kRescaleOps * elements / r_.vector_ops, {Input{output_}, Input{query_}},
                   {probabilities_}));
    if (t_.splits == 1) {
      s.step(post(Engine::Store, bytes / chip_.store.rate.count(), {probabilities_}, kNone, {o_, bytes}));
      return;
    }
    // Partial results of the blocks that share a head meet in L2; each block merges its slice.
    const double partial = elements * 4;
    s.step(post(Engine::Store, partial / chip_.store.rate.count(), {probabilities_}, merge_,
                {through_l2_, partial}));
    s.step(load(Engine::VectorIn, partial / r_.read_port, merged_, {Access{through_l2_, partial}},
                Input{merge_}));
    s.step(compute(Engine::Vector, kRescaleOps * elements / r_.vector_ops, {Input{merged_}}, {slice_}));
    s.step(post(Engine::Store, bytes / d(t_.splits) / chip_.store.rate.count(), {slice_}, kNone,
                {o_, bytes / d(t_.splits)}));
  }

  /// Transfers of tiles that live only inside the kernel: L2 carries them, HBM never sees them.
  Step exchange(Engine engine, double bytes, double port, std::int8_t from, std::int8_t into) {
    return post(engine, bytes / port, {from}, into, {through_l2_, bytes});
  }

  const AttentionShape& a_;
  const ChipSpec& chip_;
  const AttentionTiling& t_;
  Rates r_;
  bool backward_, via_l2_, fed_;
  std::int64_t kv_tiles_ = 1, kv_per_block_ = 1;
  double rows_ = 0, cols_ = 0, q_size_ = 2, kv_tile_ = 0, useful_ = 0;
  std::int8_t k_ = kNone, v_ = kNone, q_ = kNone, o_ = kNone;
  std::int8_t through_l2_ = kNone;
  std::int8_t query_ = kNone, keys_ = kNone, values_ = kNone, scores_ = kNone, probabilities_ = kNone,
              output_ = kNone;
  std::int8_t in_l2_ = kNone, in_unit_ = kNone, back_in_l2_ = kNone, merge_ = kNone, merged_ = kNone,
              slice_ = kNone;
  Builder builder_;
};

}  // namespace

std::int64_t packed_rows(const AttentionShape& a) {
  const std::int64_t group = a.heads / a.kv_heads;
  return a.q_len == 1 ? group : a.q_len;
}

TileProgram attention_program(const AttentionShape& a, const ChipSpec& chip, const AttentionTiling& t) {
  AttentionBlock block(a, chip, t);
  const bool packed = a.q_len == 1;  // the heads of a group share one block
  const std::int64_t heads = a.batch * (packed ? a.kv_heads : a.heads);
  const std::int64_t rows = packed_rows(a);
  const std::int64_t q_tiles = ceil_div(rows, t.q);
  const double rows_per_tile = d(rows) / d(q_tiles);
  if (a.causal && !packed) {  // longest rows first: the short ones fill the cores at the end
    for (std::int64_t i = q_tiles; i-- > 0;) {
      const double last_row = d(a.kv_len - a.q_len) + rows_per_tile * d(i + 1);
      const double keys = last_row - (rows_per_tile - 1) / 2;
      const double tile = d(a.kv_len) / d(block.kv_tiles());
      const auto tiles = static_cast<std::int64_t>(std::ceil(last_row / tile - 1e-9));
      block.add(heads, rows_per_tile, std::clamp<std::int64_t>(tiles, 1, block.kv_tiles()), keys);
    }
  } else {
    block.add(heads * q_tiles * t.splits, rows_per_tile, block.kv_tiles_per_block(),
              d(a.kv_len) / d(t.splits));
  }
  TileProgram& p = block.builder().program;
  p.label = fmt::format("{}x{}{}", t.q, t.kv, t.splits > 1 ? fmt::format(" split {}", t.splits) : "");
  p.raster.kind = Raster::Heads;
  p.raster.splits = t.splits;
  p.raster.m_tiles = a.causal && !packed ? 1 : q_tiles;
  p.raster.k_tiles = block.kv_tiles();
  p.raster.k_tiles_per_split = block.kv_tiles_per_block();
  p.raster.heads_per_kv = packed ? 1 : a.heads / a.kv_heads;
  const double kv_bytes = 2 * d(a.batch * a.kv_heads) * d(a.kv_len) * d(a.head_dim) * d(size_of(a.kv_dtype));
  p.hbm_read_bytes = p.operands[0].resident ? 0 : kv_bytes;
  return std::move(p);
}

}  // namespace xpusim::mapping
