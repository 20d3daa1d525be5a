#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "xpusim/core/error.h"
#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::mapping {
namespace {

/// Vector operations per score of the forward and the backward pass (cost counts the same).
constexpr double kForwardOps = 5, kBackwardOps = 7;
/// Vector operations per element of O when a new key tile rescales it, and when partial results are merged.
constexpr double kRescaleOps = 2;

/// How the keys of a token are found, where it picks them.
struct Picks {
  double keys = 1;      ///< that a token attends to on average, over the extent of its block
  double resident = 0;  ///< share that is in L2: picked by another token before, or just written
};
Picks picks_of(const AttentionShape& a, const ChipSpec& chip) {
  const double all = keys_of_rows(a, d(a.q_len));
  const double row = d(a.head_dim + (a.latent ? 0 : a.value_extent())) * size_of(a.kv_dtype);
  const bool fresh = a.q_len == a.kv_len;
  const double held = fresh ? held_share(d(a.batch * a.kv_heads * a.kv_len) * row, chip.l2) : 0;
  return {all / d(a.q_len) / d(one_token(a).kv_len), std::max(held, 1 - keys_read(a) / all)};
}

/// Does the decode kernel run?
bool decodes(const AttentionShape& a, const AttentionTiling& t) { return a.decodes() || t.drafts; }
HeadPacks packs_of(const AttentionShape& a, const ChipSpec& chip, const AttentionTiling& t) {
  return head_packs(a, chip, decodes(a, t));
}

/// Extents of a tiling on a chip, padding included.
struct Geometry {
  std::int64_t kv_tiles, kv_tiles_per_block;
  double rows, columns;        ///< of a score tile, as the matrix engine computes it
  double keys;                 ///< of its columns, those that go on: swapped products pad the scores alone
  double head_dim, value_dim;  ///< value_dim: of a block's part
  double k_tile_bytes, v_tile_bytes;  ///< one tile; V has none of its own where it is part of K
  double query_bytes;                 ///< Q of a block; backward: Q and dO
  double element;                     ///< bytes of the products' operands
  bool backward, through_l2, fed;
};

Geometry geometry(const AttentionShape& a, const ChipSpec& chip, const AttentionTiling& t) {
  const MatrixGranularity& grain = chip.matrix.granularity;
  Geometry g{};
  g.backward = a.pass == Pass::Backward;
  g.through_l2 = chip.vector.exchange == Exchange::L2;
  g.fed = chip.operand_feed.a_capacity.count() > 0 && chip.operand_feed.b_capacity.count() > 0;
  g.kv_tiles_per_block = ceil_div(ceil_div(a.seen_keys(), t.kv), t.splits);
  g.kv_tiles = g.kv_tiles_per_block * t.splits;
  g.rows = d(round_up(std::min(t.q, a.q_len * packs_of(a, chip, t).heads), t.swapped ? grain.n : grain.m));
  g.columns = d(round_up(std::min(t.kv, a.seen_keys()), t.swapped ? grain.m : grain.n));
  g.keys = t.swapped ? d(round_up(std::min(t.kv, a.seen_keys()), grain.n)) : g.columns;
  g.head_dim = d(a.head_dim);
  g.value_dim = d(a.value_extent()) / d(t.value_parts);
  g.element = size_of(a.dtype);
  const double key_bytes = d(a.seen_keys()) / d(g.kv_tiles) * size_of(a.kv_dtype);
  g.k_tile_bytes = key_bytes * g.head_dim;
  g.v_tile_bytes = a.latent ? 0 : key_bytes * g.value_dim;
  g.query_bytes = g.rows * (g.head_dim + (g.backward ? g.value_dim : 0)) * g.element;
  return g;
}

double kv_tile_bytes(const Geometry& g) { return g.k_tile_bytes + g.v_tile_bytes; }

/// Bytes of accumulators that one score tile takes. Where products reach the vector engine through L2, a tile
/// of the output passes through the same slots.
double score_slot(const Geometry& g) {
  return g.rows * (g.through_l2 ? std::max(g.columns, g.value_dim) : g.columns) * 4;
}
double output_sums(const Geometry& g) { return g.through_l2 ? 0 : g.rows * g.value_dim * 4; }
double probability_stages(const Geometry& g) { return g.through_l2 ? 2 * g.rows * g.keys * g.element : 0; }

/// Writes a flash-attention program: Q stays in a core, K and V stream past it.
class AttentionTemplate {
 public:
  AttentionTemplate(const AttentionShape& a, const ChipSpec& chip, const AttentionTiling& t,
                    std::optional<Picks> picks = {})
      : a_(a), chip_(chip), t_(t), g_(geometry(a, chip, t)), picks_(picks), preload_(g_.through_l2 ? 2 : 1) {
    b_.program.label = fmt::format("{}x{}", t.q, t.kv);
    if (t.splits > 1) b_.program.label += fmt::format(" split {}", t.splits);
    if (t.value_parts > 1) b_.program.label += fmt::format(" values in {}", t.value_parts);
    if (t.swapped) b_.program.label += " swapped";
    declare_operands();
    declare_buffers();
    b_.program.resident_blocks = chip.attention.resident_blocks;
    b_.program.block_start = block_start();
    b_.program.in_flight = preload_ + 1;
    if (picks_) b_.program.hbm_fraction = chip.moe.gather_fraction;
  }

  TileProgram write() {
    const HeadPacks packs = packs_of(a_, chip_, t_);
    const std::int64_t heads = a_.batch * a_.kv_heads * packs.parts;  // blocks of rows, packed as they are
    const std::int64_t q_tiles = ceil_div(a_.q_len * packs.heads, t_.q);
    const double tile_rows = d(a_.q_len) * d(a_.heads / a_.kv_heads) / d(packs.parts * q_tiles);
    // The decode kernel takes all keys for all rows: only the last few are masked.
    const bool triangular = a_.causal && a_.q_len > 1 && !t_.drafts;
    key_gradient_bytes_ =
        d(a_.batch * a_.kv_heads * g_.kv_tiles) * kv_tile_bytes(g_) / d(heads * q_tiles * t_.splits);
    const std::vector<KeySpan> spans =
        triangular
            ? causal_spans(q_tiles, tile_rows)
            : std::vector<KeySpan>{{g_.kv_tiles_per_block, q_tiles * t_.splits,
                                    d(q_tiles) * d(a_.kv_len) * (picks_ ? picks_->keys : causal_share(a_))}};
    write_bodies(tile_rows, mean_keys_per_tile(spans));
    b_.program.shapes.reserve(spans.size());
    for (const KeySpan& span : spans)
      add_blocks(heads * span.q_tiles * t_.value_parts, span.kv_tiles, span.first_tile);

    RasterSpec& r = b_.program.raster;
    r.kind = Raster::Heads;
    r.splits = t_.splits;
    r.m_tiles = triangular ? 1 : q_tiles;
    r.batch = heads;
    r.heads_at_once = heads_at_once(heads, heads * q_tiles * t_.splits * t_.value_parts);
    r.value_parts = t_.value_parts;
    r.k_tiles = g_.kv_tiles;
    r.k_tiles_per_split = g_.kv_tiles_per_block;
    r.heads_per_kv = packs.parts;
    const auto operand = [this](std::int8_t i) -> const Operand& {
      return b_.program.operands[static_cast<std::size_t>(i)];
    };
    b_.program.hbm_read_bytes =
        (1 - operand(k_).resident) * d(a_.batch * a_.kv_heads * g_.kv_tiles) * all_kv_tile_bytes() +
        (1 - operand(q_).resident) * query_bytes();
    b_.program.hbm_write_bytes = operand(o_).hbm_share * output_bytes();
    return std::move(b_.program);
  }

 private:
  /// Of a key tile: its keys, and all parts of its values.
  [[nodiscard]] double all_kv_tile_bytes() const {
    return g_.k_tile_bytes + g_.v_tile_bytes * d(t_.value_parts);
  }

  /// Heads that run side by side: as many as L2 holds the keys and values of, but all cores busy.
  [[nodiscard]] std::int64_t heads_at_once(std::int64_t heads, std::int64_t blocks) const {
    const double bytes =
        d(g_.kv_tiles) * all_kv_tile_bytes() * d(a_.kv_heads) / d(a_.heads);  // of one query head
    const auto fit = static_cast<std::int64_t>(d(chip_.l2.capacity.count()) * chip_.l2.held_fraction / bytes);
    const std::int64_t busy = ceil_div(2 * chip_.cores.count * heads, blocks);
    return std::clamp(fit, std::min(busy, heads), heads);
  }

  /// In decoding, half of it is latency; the other half goes with the output (16 rows of 128 in the chip
  /// file's constant), which the warps of a block add up.
  [[nodiscard]] Seconds block_start() const {
    const AttentionSpec& k = chip_.attention;
    const std::int64_t packed = packed_heads(a_, chip_);
    if (t_.drafts) return decode_start(std::min(t_.q, a_.q_len * packed));
    if (a_.decodes()) return decode_start(packed);
    // Neither kernel starts several tokens sooner than one.
    return a_.drafts() ? std::max(k.prefill_block, decode_start(packed)) : k.prefill_block;
  }
  [[nodiscard]] Seconds decode_start(std::int64_t rows) const {
    const AttentionSpec& k = chip_.attention;
    if (a_.latent) return k.decode_block;
    const double output = d(ceil_div(rows, 16)) * g_.value_dim / 128;
    const bool packs = packed_heads(a_, chip_) > 1;
    const Seconds start = packs && layout_of(a_.kv_dtype).bits > 8 ? k.decode_block : k.head_block;
    return start * ((1 + output) / 2);
  }

  /// Of all blocks: Q, backward dO too; O, or the gradients of Q, K and V.
  [[nodiscard]] double query_bytes() const {
    return query_rows() * (g_.head_dim + (g_.backward ? g_.value_dim : 0)) * g_.element;
  }
  [[nodiscard]] double output_bytes() const {
    const double gradients = g_.backward ? d(a_.batch * a_.kv_heads * g_.kv_tiles) * kv_tile_bytes(g_) : 0;
    return query_rows() * (g_.backward ? g_.head_dim : d(a_.value_extent())) * g_.element + gradients;
  }
  [[nodiscard]] double query_rows() const { return d(a_.batch * a_.heads) * d(a_.q_len); }

  void declare_operands() {
    const std::int64_t tiles = g_.kv_tiles * a_.batch * a_.kv_heads;
    const bool fresh = a_.q_len == a_.kv_len;  // keys just written, not from a cache
    const double held = fresh ? held_share(d(tiles) * all_kv_tile_bytes(), chip_.l2) : 0;
    const double in_l2 = picks_ ? picks_->resident : held;
    k_ = b_.operand({"K", tiles, g_.k_tile_bytes, in_l2});
    v_ = b_.operand({"V", tiles * t_.value_parts, g_.v_tile_bytes, in_l2});
    q_ = b_.operand({.name = "Q", .resident = held_share(query_bytes(), chip_.l2)});
    const double kept = held_share(query_bytes() + output_bytes(), chip_.l2);
    o_ = b_.operand({.name = "O", .write = true, .hbm_share = 1 - kept});
    // Tiles that live only inside the kernel: L2 carries them, HBM never sees them.
    put_ = b_.operand({.name = "tiles into L2", .write = true, .hbm_share = 0});
    get_ = b_.operand({.name = "tiles from L2", .resident = 1});
  }

  void declare_buffers() {
    const double staging = d(chip_.staging.capacity.count()) - g_.query_bytes - probability_stages(g_);
    const double sums = d(chip_.accumulator.capacity.count()) - output_sums(g_);
    const auto slots = [](double room, double tile, std::int64_t least, std::int64_t most) {
      return std::clamp(static_cast<std::int64_t>(room / tile), least, most);
    };
    query_ = b_.buffer("query tile", 2);
    const std::int64_t stages = slots(staging, kv_tile_bytes(g_), 2, kMaxSlots);
    keys_ = b_.buffer("key stages", stages);
    values_ = b_.buffer("value stages", stages);
    scores_ = b_.buffer("score tiles", slots(sums, score_slot(g_), 1, 4));
    probabilities_ = b_.buffer("probability tiles", 2);
    output_ = b_.buffer("output tile", g_.through_l2 ? 2 : 1);
    if (g_.through_l2) {
      passed_scores_ = b_.buffer("score tiles in L2", preload_ + 1);
      taken_ = b_.buffer("tiles in the vector units", 2);
      passed_probabilities_ = b_.buffer("probability tiles in L2", preload_ + 1);
      passed_output_ = b_.buffer("output tiles in L2", 2);
    }
    if (t_.splits > 1) {
      merge_ = b_.buffer("partial results", 2);
      synchronised_ = b_.buffer("results of all splits", 2);
      merged_ = b_.buffer("gathered results", 2);
    }
  }

  /// Query tiles (of one head, splits counted) that run over the same key tiles, and the keys that a row of
  /// theirs sees, summed over these tiles.
  struct KeySpan {
    std::int64_t kv_tiles, q_tiles;
    double keys;
    std::int64_t first_tile = 0;  ///< of the keys
  };

  /// Longest rows first: the short ones fill the cores at the end.
  [[nodiscard]] std::vector<KeySpan> causal_spans(std::int64_t q_tiles, double tile_rows) const {
    const double tile = d(a_.seen_keys()) / d(g_.kv_tiles), before = d(a_.seen_keys() - a_.q_len);
    const bool windowed = a_.is_windowed();
    std::vector<KeySpan> spans;
    for (std::int64_t i = q_tiles; i-- > 0;) {
      const double last_row = before + tile_rows * d(i + 1);
      const auto end = std::clamp<std::int64_t>(static_cast<std::int64_t>(std::ceil(last_row / tile - 1e-9)),
                                                1, g_.kv_tiles);
      const std::int64_t first = windowed ? first_key_tile(last_row - tile_rows + 1, tile, end) : 0;
      const std::int64_t tiles = end - first;
      if (spans.empty() || spans.back().kv_tiles != tiles || spans.back().first_tile != first)
        spans.push_back({tiles, 0, 0, first});
      ++spans.back().q_tiles;
      spans.back().keys +=
          windowed ? (keys_of_rows(a_, tile_rows * d(i + 1)) - keys_of_rows(a_, tile_rows * d(i))) / tile_rows
                   : last_row - (tile_rows - 1) / 2;
    }
    return spans;
  }

  /// The tile of the first key that a window leaves to the row that sees `keys` without one.
  [[nodiscard]] std::int64_t first_key_tile(double keys, double tile, std::int64_t end) const {
    const double skipped = std::max(0.0, keys - d(a_.window));
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(skipped / tile + 1e-9), 0, end - 1);
  }

  static double mean_keys_per_tile(const std::vector<KeySpan>& spans) {
    double keys = 0, tiles = 0;
    for (const KeySpan& s : spans) {
      keys += s.keys;
      tiles += d(s.q_tiles * s.kv_tiles);
    }
    return keys / tiles;
  }

  /// `rows` query rows a block; a row sees `keys` keys of a key tile on average.
  void write_bodies(double rows, double keys) {
    useful_ = rows * keys;
    const double extent = g_.head_dim + (g_.backward ? 2 * g_.value_dim : 0);  // Q; backward also O and dO
    const double q_bytes = rows * extent * g_.element;
    b_.step(load(Engine::CopyIn, q_bytes / chip_.copy_in.port.count(), query_, {Access{q_, q_bytes}}));
    begin_ = b_.body();
    scores(0);
    first_scores_ = b_.body();
    scores(preload_);
    next_scores_ = b_.body();
    softmax();
    values();
    first_values_ = b_.body();  // no output before it to rescale
    scores(preload_);
    softmax();
    values();
    rescale();
    steady_ = b_.body();
    softmax();
    values();
    rescale();
    last_values_ = b_.body();
    rescale();
    finish(rows);
    end_ = b_.body();
  }

  /// Blocks over so many key tiles. The scores run `preload` tiles ahead, so that the matrix engine has work
  /// while the vector engine has its own.
  void add_blocks(std::int64_t count, std::int64_t kv_tiles, std::int64_t first) {
    const std::int64_t ahead = std::min(preload_, kv_tiles);
    const std::int64_t last = std::max<std::int64_t>(1, kv_tiles - ahead);
    BlockShape block(count);
    block.run(begin_, 1);
    block.run(first_scores_, ahead, first);
    block.run(next_scores_, kv_tiles > ahead ? 1 : 0, first);
    block.run(first_values_, 1, first);
    block.run(steady_, kv_tiles - ahead - 1, first + 1);
    block.run(last_values_, kv_tiles - last, first + last);
    block.run(end_, 1);
    b_.program.shapes.push_back(block);
  }

  /// S = Q K^T; backward: also dP = dO V^T.
  void scores(std::int64_t ahead) {
    const double extent = g_.head_dim + (g_.backward ? g_.value_dim : 0);
    b_.step(load(Engine::CopyIn, g_.k_tile_bytes / chip_.copy_in.port.count(), keys_,
                 {Access{k_, g_.k_tile_bytes, 1, d(ahead)}}));
    b_.step(
        product(extent, g_.columns, {Input{keys_}, Input{query_, false}}, {scores_}, 0, exposed_softmax()));
    b_.program.steps.back().flops = b_.program.steps.back().flops * (1 / d(t_.value_parts));  // once counts
    in_turn();
    if (!g_.through_l2) return;
    pass(Engine::Store, chip_.store.rate.count(), g_.rows * g_.keys * 4, scores_, passed_scores_);
    in_turn();
  }

  [[nodiscard]] double softmax_cycles() const {
    const double elements = g_.rows * g_.keys;
    return vector_cycles(chip_.vector, (g_.backward ? kBackwardOps : kForwardOps) * elements, elements);
  }
  /// Where both engines are fed by the same warps, the matrix engine idles for a part of the softmax.
  [[nodiscard]] double exposed_softmax() const {
    return g_.through_l2 ? 0 : (1 - chip_.attention.softmax_overlap) * softmax_cycles();
  }

  void softmax() {
    const double elements = g_.rows * g_.keys;
    const double cycles = softmax_cycles();
    if (!g_.through_l2) {
      b_.step(compute(Engine::Vector, cycles, {Input{scores_}}, {probabilities_}));
      in_turn();
      return;
    }
    take(elements * 4, passed_scores_);
    in_turn();
    b_.step(compute(Engine::Vector, cycles, {Input{taken_}}, {probabilities_}));
    in_turn();
    pass(Engine::VectorOut, chip_.vector.write_port.count() * units(), elements * g_.element, probabilities_,
         passed_probabilities_);
    in_turn();
  }
  /// The last step is one of those that a tile of scores passes before its place can be taken by another.
  void in_turn() { b_.program.steps.back().in_turn = true; }

  /// O += P V; backward: dV, dQ and dK.
  void values() {
    const double extent = g_.value_dim + (g_.backward ? 2 * g_.head_dim : 0);
    const double sums = g_.rows * g_.value_dim * 4;
    if (a_.latent)
      b_.step(compute(Engine::CopyIn, 0, {}, {values_}));  // they came with the keys
    else
      b_.step(load(Engine::CopyIn, g_.v_tile_bytes / chip_.copy_in.port.count(), values_,
                   {Access{v_, g_.v_tile_bytes}}));
    if (g_.through_l2) {
      const double bytes = g_.rows * g_.keys * g_.element;
      b_.step(product(extent, g_.keys, {Input{values_}, Input{passed_probabilities_}}, {output_},
                      bytes / chip_.copy_in.port.count()));
      in_turn();
      pass(Engine::Store, chip_.store.rate.count(), sums, output_, passed_output_);
    } else {
      b_.step(product(extent, g_.keys, {Input{values_}, Input{probabilities_}}, {output_, true}));
      in_turn();
    }
    if (g_.backward) pass(Engine::Store, chip_.store.rate.count(), sums, kNone, kNone);  // dQ is summed in L2
  }

  /// Where products reach the vector engine through L2, it keeps the running output and adds each partial
  /// product, one tile later: its softmax need not wait for the product of the same tile.
  void rescale() {
    if (!g_.through_l2) return;
    const double sums = g_.rows * g_.value_dim * 4;
    take(sums, passed_output_);
    b_.step(compute(Engine::Vector, kRescaleOps * sums / 4 / vector_ops(), {Input{taken_}}, {}));
  }

  /// Scales the output and writes it. The blocks that share a head merge their results, each a slice.
  void finish(double rows) {
    const double elements = rows * (g_.backward ? g_.head_dim : g_.value_dim);  // dQ, or O
    const double bytes = elements * g_.element / d(t_.splits) + (g_.backward ? key_gradient_bytes_ : 0);
    const Input sums = g_.through_l2 ? Input{} : Input{output_};
    const Engine writer = g_.through_l2 ? Engine::VectorOut : Engine::Store;
    const double port = g_.through_l2 ? chip_.vector.write_port.count() * units() : chip_.store.rate.count();
    b_.step(compute(Engine::Vector, kRescaleOps * elements / vector_ops(), {sums, Input{query_}},
                    {probabilities_}));
    if (t_.splits == 1) {
      b_.step(post(writer, bytes / port, {probabilities_}, kNone, {o_, bytes}));
      return;
    }
    pass(writer, port, elements * 4, probabilities_, merge_);
    b_.step(synchronise(chip_, {merge_}, {synchronised_}));
    b_.step(load(Engine::VectorIn, elements * 4 / (chip_.vector.read_port.count() * units()), merged_,
                 {Access{get_, elements * 4}}, Input{synchronised_}));
    b_.step(
        compute(Engine::Vector, kRescaleOps * elements / vector_ops(), {Input{merged_}}, {probabilities_}));
    b_.step(post(writer, bytes / port, {probabilities_}, kNone, {o_, bytes}));
  }

  /// Products of one score tile, `extent` elements of heads together. Where operands are fed by an engine of
  /// their own, the slower of the two sets the pace (the operand buffers let them overlap); `least` bounds it
  /// from below too. `idle`: cycles in which the engine waits for its own core.
  [[nodiscard]] Step product(double extent, double columns, std::array<Input, 3> inputs, Output output,
                             double least = 0, double idle = 0) const {
    const double rate = matrix_rate(chip_, a_.dtype).count() * chip_.attention.matrix_efficiency;
    const double cycles = 2 * g_.rows * columns * extent / rate;
    const double feed =
        extent * g_.element *
        (g_.rows / chip_.operand_feed.a_rate.count() + columns / chip_.operand_feed.b_rate.count());
    return compute(Engine::Matrix, std::max({cycles, g_.fed ? feed : 0, least}) + idle, inputs, output,
                   Flops(2 * useful_ * extent));
  }

  void pass(Engine engine, double port, double bytes, std::int8_t from, std::int8_t into) {
    b_.step(post(engine, bytes / port, {from}, into, {put_, bytes}));
  }
  void take(double bytes, std::int8_t from) {
    b_.step(post(Engine::VectorIn, bytes / (chip_.vector.read_port.count() * units()), {from}, taken_,
                 {get_, bytes}));
  }
  [[nodiscard]] double units() const { return d(chip_.vector.units_per_core); }
  [[nodiscard]] double vector_ops() const { return chip_.vector.ops_per_cycle.count() * units(); }

  const AttentionShape& a_;
  const ChipSpec& chip_;
  const AttentionTiling& t_;
  Geometry g_;
  std::optional<Picks> picks_;
  std::int64_t preload_;
  double useful_ = 0;              ///< scores of a tile that the mask leaves, on average
  double key_gradient_bytes_ = 0;  ///< a block's part of dK and dV
  std::int8_t k_ = kNone, v_ = kNone, q_ = kNone, o_ = kNone, put_ = kNone, get_ = kNone;
  std::int8_t query_ = kNone, keys_ = kNone, values_ = kNone, scores_ = kNone, probabilities_ = kNone;
  std::int8_t output_ = kNone, merge_ = kNone, synchronised_ = kNone, merged_ = kNone;
  std::int8_t passed_scores_ = kNone, taken_ = kNone, passed_probabilities_ = kNone, passed_output_ = kNone;
  std::uint8_t begin_ = 0, first_scores_ = 0, next_scores_ = 0, first_values_ = 0, steady_ = 0;
  std::uint8_t last_values_ = 0, end_ = 0;
  Builder b_;
};

}  // namespace

HeadPacks head_packs(const AttentionShape& a, const ChipSpec& chip, bool by_decode_kernel) {
  const std::int64_t group = a.heads / a.kv_heads;
  if (!by_decode_kernel) return {1, group};
  const std::int64_t parts = a.latent ? 1 : ceil_div(group, chip.attention.packed_heads);
  return {ceil_div(group, parts), parts};
}

AttentionShape one_token(const AttentionShape& a) {
  AttentionShape token = a;
  token.batch = a.batch * a.q_len;
  token.kv_len = static_cast<std::int64_t>(std::ceil(keys_of_rows(a, d(a.q_len)) / d(a.q_len)));
  token.q_len = 1;
  token.picked = token.window = 0;
  token.prompt = false;
  return token;
}

std::optional<Misfit> misfit(const AttentionShape& a, const ChipSpec& chip, const AttentionTiling& t) {
  if (a.is_picked()) return misfit(one_token(a), chip, t);
  const Geometry g = geometry(a, chip, t);
  const double staged =
      g.query_bytes + probability_stages(g) + 2 * kv_tile_bytes(g);  // two stages of K and V each
  const double sums = score_slot(g) + output_sums(g);
  const auto bytes = [](double x) { return Bytes(static_cast<std::int64_t>(std::ceil(x))); };
  if (bytes(staged) > chip.staging.capacity)
    return Misfit{chip.staging.name, bytes(staged), chip.staging.capacity};
  if (bytes(sums) > chip.accumulator.capacity)
    return Misfit{chip.accumulator.name, bytes(sums), chip.accumulator.capacity};
  return std::nullopt;
}

TileProgram attention_program(const AttentionShape& a, const ChipSpec& chip, const AttentionTiling& t) {
  if (const auto m = misfit(a, chip, t))
    throw InfeasibleError(fmt::format("{} (attention of head_dim {}, value_dim {})",
                                      describe_misfit(chip, t.q, t.kv, *m), a.head_dim, a.value_extent()));
  if (a.is_picked()) return AttentionTemplate(one_token(a), chip, t, picks_of(a, chip)).write();
  return AttentionTemplate(a, chip, t).write();
}

}  // namespace xpusim::mapping
