#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "xpusim/core/error.h"
#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::mapping {
namespace {

/// Of a state's element and token in the recurrence: decay, S k, the update, S q; a fused multiply-add each.
constexpr double kRecurrentOps = 4;
/// Of a score: decay, step and mask of K K^T; decay and mask of Q K^T.
constexpr double kScoreOps = 5;
/// Of an element of the state and of the output, chunk by chunk: scale and convert.
constexpr double kScaleOps = 2;
/// Rows of the diagonal blocks that are inverted by substitution; products do the rest of the solve.
constexpr double kSubstituted = 16;

/// What blocks have in common, whichever kernel runs: they take a head of a sequence, or some columns of its
/// values and of its state, from its first token to its last.
class ScanTemplate {
 public:
  ScanTemplate(const LinearScanShape& o, const ChipSpec& chip, const ScanTiling& t)
      : o_(o),
        chip_(chip),
        parts_(d(t.value_parts)),
        keys_(d(o.key_dim)),
        values_(d(o.value_dim) / d(t.value_parts)),
        element_(size_of(o.dtype)),
        through_l2_(chip.vector.exchange == Exchange::L2) {
    const Cost c = cost(o);
    state_in_ = b_.operand({.name = "state"});
    const double resident = held_share(c.input_bytes, chip.l2);
    input_ = b_.operand({.name = "input", .resident = resident});
    const double share = 1 - held_share(c.input_bytes + c.output_bytes, chip.l2);
    o_out_ = b_.operand({.name = "O", .write = true, .hbm_share = share});
    state_out_ = b_.operand({.name = "state out", .write = true});
    put_ = b_.operand({.name = "tiles into L2", .write = true, .hbm_share = 0});
    get_ = b_.operand({.name = "tiles from L2", .resident = 1});
    b_.program.label = t.recurrent ? "token by token" : fmt::format("chunks of {}", o.chunk);
    if (t.value_parts > 1) b_.program.label += fmt::format(", values in {}", t.value_parts);
    b_.program.hbm_read_bytes = c.weight_bytes + (1 - resident) * c.input_bytes;
    b_.program.hbm_write_bytes = c.weight_bytes + share * (c.output_bytes - c.weight_bytes);
  }

  /// One token after the other, on the vector units.
  TileProgram token_by_token() {
    b_.program.primary = Engine::Vector;
    state_ = b_.buffer("state", 2);
    loaded_ = b_.buffer("tokens", 2);
    out_ = b_.buffer("outputs", 2);
    const double units = d(chip_.vector.units_per_core);
    const double read = units * chip_.vector.read_port.count();
    const double write = units * chip_.vector.write_port.count();
    b_.step(load(Engine::VectorIn, state_bytes() / read, state_, {Access{state_in_, state_bytes()}}));
    const std::uint8_t begin = b_.body();
    const double tokens = key_bytes(1) + value_bytes(1);
    b_.step(
        load(Engine::VectorIn, tokens / read, loaded_, inputs(own_key_bytes(1) + value_bytes(1), tokens)));
    const double cycles =
        vector_cycles(chip_.vector, kRecurrentOps * keys_ * values_ + keys_ + 2 * values_, 1) /
        chip_.vector.kernel_efficiency;
    b_.step(compute(Engine::Vector, cycles, {Input{loaded_}, Input{state_, false}}, {out_},
                    Flops(6 * keys_ * values_)));
    b_.step(post(Engine::VectorOut, value_bytes(1) / write, {out_}, kNone, {o_out_, value_bytes(1)}));
    const std::uint8_t token = b_.body();
    b_.step(post(Engine::VectorOut, state_bytes() / write, {state_}, kNone, {state_out_, state_bytes()}));
    const std::uint8_t end = b_.body();
    BlockShape block(blocks());
    block.run(begin, 1);
    block.run(token, o_.q_len);
    block.run(end, 1);
    return finish(block);
  }

  /// Chunk by chunk (flash-linear-attention). Only the state goes from chunk to chunk: what scores give alone
  /// runs up to two chunks ahead, beside the state's way.
  TileProgram chunk_by_chunk() {
    const std::int64_t chunks = ceil_div(o_.q_len, o_.chunk);
    tokens_ = d(o_.q_len) / d(chunks);
    padded_ = d(std::min(o_.chunk, o_.q_len));
    declare_buffers();
    b_.step(load(Engine::CopyIn, state_bytes() / chip_.copy_in.port.count(), state_,
                 {Access{state_in_, state_bytes()}}));
    scores();
    solve();
    const std::uint8_t first = b_.body();
    scores();
    const std::uint8_t second = b_.body();
    update();
    scores();
    solve();
    const std::uint8_t steady = b_.body();
    update();
    solve();
    const std::uint8_t last_solve = b_.body();
    update();
    const Engine writer = through_l2_ ? Engine::VectorOut : Engine::Store;
    b_.step(post(writer, state_bytes() / write_rate(writer), {state_}, kNone, {state_out_, state_bytes()}));
    const std::uint8_t last = b_.body();
    BlockShape block(blocks());
    block.run(first, 1);
    block.run(second, chunks > 1 ? 1 : 0);
    block.run(steady, chunks - 2);
    block.run(last_solve, chunks > 1 ? 1 : 0);
    block.run(last, 1);
    return finish(block);
  }

  /// Of a block, in the accumulators and in the staging buffer.
  [[nodiscard]] double accumulated() const {
    const double c = d(o_.chunk), scores = 2 * c * c, state = keys_ * values_, out = c * values_;
    return 4 * (through_l2_ ? std::max({scores, state, out}) : scores + state + out);
  }
  [[nodiscard]] double staged() const {
    const double c = d(o_.chunk);
    // Two chunks of tokens; scores, corrected keys and values; the state as an operand.
    return 2 * (key_bytes(c) + value_bytes(c)) +
           (2 * c * c + c * (keys_ + values_) + keys_ * values_) * element_;
  }

 private:
  [[nodiscard]] std::int64_t blocks() const {
    return o_.batch * o_.heads * static_cast<std::int64_t>(parts_);
  }
  TileProgram finish(const BlockShape& block) {
    b_.program.shapes.push_back(block);
    b_.program.raster.kind = Raster::Rows;
    return std::move(b_.program);
  }

  [[nodiscard]] double state_bytes() const { return keys_ * values_ * size_of(o_.state_dtype); }
  /// Queries, keys, decays and steps of so many tokens, as a block takes them; and its part of them where
  /// each is counted once: heads of a key head, and parts of the values, take the same ones.
  [[nodiscard]] double key_bytes(double tokens) const { return tokens * (2 * keys_ * element_ + 8); }
  [[nodiscard]] double own_key_bytes(double tokens) const {
    return tokens * (2 * keys_ * element_ * d(o_.key_heads) / d(o_.heads) + 8) / parts_;
  }
  [[nodiscard]] double value_bytes(double tokens) const { return tokens * values_ * element_; }
  /// `own` bytes of an input, the rest of `all` for the second time.
  [[nodiscard]] std::array<Access, 2> inputs(double own, double all) const {
    return {Access{input_, own}, Access{get_, all - own}};
  }

  void declare_buffers() {
    const double stage = key_bytes(d(o_.chunk)) + value_bytes(d(o_.chunk));
    const double room = d(chip_.staging.capacity.count()) - staged() + 2 * stage;
    const auto stages = std::clamp<std::int64_t>(static_cast<std::int64_t>(room / stage), 2, kMaxSlots);
    loaded_ = b_.buffer("queries and keys", stages);
    loaded_values_ = b_.buffer("values", stages);
    scores_ = b_.buffer("scores", 2);
    masked_ = b_.buffer("masked scores", 2);
    prepared_ = b_.buffer("corrected keys and values", 2);
    // One thing that goes round: from the products to the vector units, and back. Two slots, of which one is
    // empty, because each step takes it out and puts it in again.
    state_ = b_.buffer("state", 2);
    out_ = b_.buffer("outputs", 2);
    if (!through_l2_) return;
    passed_scores_ = b_.buffer("scores in L2", 2);
    taken_ = b_.buffer("scores in the vector units", 2);
    passed_masked_ = b_.buffer("masked scores in L2", 2);
  }

  /// Cycles of an m x n product of depth k. Libraries swap operands where that pads less.
  [[nodiscard]] double product(double m, double n, double k) const {
    const MatrixGranularity& g = chip_.matrix.granularity;
    const auto up = [](double x, std::int64_t grain) { return std::ceil(x / d(grain)) * d(grain); };
    const double rate = matrix_rate(chip_, o_.dtype).count() * chip_.attention.matrix_efficiency;
    return 2 * std::min(up(m, g.m) * up(n, g.n), up(n, g.m) * up(m, g.n)) * k / rate;
  }
  [[nodiscard]] double write_rate(Engine e) const {
    return e == Engine::Store ? chip_.store.rate.count()
                              : chip_.vector.write_port.count() * d(chip_.vector.units_per_core);
  }
  void pass(Engine e, double bytes, std::int8_t from, std::int8_t into) {
    b_.step(post(e, bytes / write_rate(e), {from}, into, {put_, bytes}));
  }
  void take(double bytes, std::int8_t from, std::int8_t into) {
    const double port = chip_.vector.read_port.count() * d(chip_.vector.units_per_core);
    b_.step(post(Engine::VectorIn, bytes / port, {from}, into, {get_, bytes}));
  }

  /// K K^T and Q K^T, decayed and masked; keys and values scaled by their steps.
  void scores() {
    const double c = padded_;
    b_.step(load(Engine::CopyIn, key_bytes(tokens_) / chip_.copy_in.port.count(), loaded_,
                 inputs(own_key_bytes(tokens_), key_bytes(tokens_))));
    b_.step(load(Engine::CopyIn, value_bytes(tokens_) / chip_.copy_in.port.count(), loaded_values_,
                 {Access{input_, value_bytes(tokens_)}}));
    b_.step(compute(Engine::Matrix, 2 * product(c, c, keys_), {Input{loaded_}}, {scores_}));
    if (through_l2_) {
      pass(Engine::Store, 2 * c * c * 4, scores_, passed_scores_);
      take(2 * c * c * 4, passed_scores_, taken_);
    }
    const double substitution = c * kSubstituted * kSubstituted / 6;
    const double ops = kScoreOps * c * c + substitution + c * (keys_ + values_);
    b_.step(compute(Engine::Vector, vector_cycles(chip_.vector, ops, c * c),
                    {Input{through_l2_ ? taken_ : scores_}}, {masked_}));
    if (through_l2_) pass(Engine::VectorOut, prepared_bytes(), masked_, passed_masked_);
  }
  /// Masked scores, and scaled keys and values, as operands.
  [[nodiscard]] double prepared_bytes() const {
    return (2 * padded_ * padded_ + padded_ * (keys_ + values_)) * element_;
  }

  /// The inverse of the triangle, block by block, and by it the corrected keys and values.
  void solve() {
    const double c = padded_;
    const double cycles = product(c, c, c / 2) + product(c, keys_, c) + product(c, values_, c);
    const double way_in = through_l2_ ? prepared_bytes() / chip_.copy_in.port.count() : 0;
    b_.step(compute(Engine::Matrix, std::max(cycles, way_in),
                    {Input{through_l2_ ? passed_masked_ : masked_}, Input{loaded_values_}}, {prepared_}));
  }

  /// The state corrects the values, is read, and takes the chunk.
  void update() {
    const double c = padded_, state = keys_ * values_;
    const double cycles =
        2 * product(c, values_, keys_) + product(c, values_, c) + product(keys_, values_, c);
    const double way_in = through_l2_ ? state * element_ / chip_.copy_in.port.count() : 0;
    b_.step(compute(Engine::Matrix, std::max(cycles, way_in), {Input{prepared_}, Input{state_}}, {state_},
                    Flops(6 * tokens_ * state)));
    if (through_l2_) {
      pass(Engine::Store, (state + c * values_) * 4, state_, state_);
      take((state + c * values_) * 4, state_, state_);
    }
    b_.step(compute(Engine::Vector, vector_cycles(chip_.vector, kScaleOps * c * values_, 0),
                    {Input{state_, false}}, {out_}));
    b_.step(compute(Engine::Vector, vector_cycles(chip_.vector, kScaleOps * state, 0), {Input{state_}},
                    {state_}));
    if (through_l2_) pass(Engine::VectorOut, state * element_, state_, state_);
    const Engine writer = through_l2_ ? Engine::VectorOut : Engine::Store;
    b_.step(post(writer, value_bytes(tokens_) / write_rate(writer), {out_}, kNone,
                 {o_out_, value_bytes(tokens_)}));
  }

  const LinearScanShape& o_;
  const ChipSpec& chip_;
  double parts_, keys_, values_, element_;  ///< values_: of a block's part
  bool through_l2_;
  double tokens_ = 0, padded_ = 0;  ///< of a chunk: on average, and as computed
  std::int8_t state_in_ = kNone, input_ = kNone, o_out_ = kNone, state_out_ = kNone, put_ = kNone,
              get_ = kNone;
  std::int8_t loaded_ = kNone, loaded_values_ = kNone, scores_ = kNone, masked_ = kNone, prepared_ = kNone;
  std::int8_t state_ = kNone, out_ = kNone, passed_scores_ = kNone, taken_ = kNone, passed_masked_ = kNone;
  Builder b_;
};

}  // namespace

std::optional<Misfit> misfit(const LinearScanShape& o, const ChipSpec& chip, const ScanTiling& t) {
  if (t.recurrent) return std::nullopt;
  const ScanTemplate s(o, chip, t);
  const auto bytes = [](double x) { return Bytes(static_cast<std::int64_t>(std::ceil(x))); };
  if (bytes(s.staged()) > chip.staging.capacity)
    return Misfit{chip.staging.name, bytes(s.staged()), chip.staging.capacity};
  if (bytes(s.accumulated()) > chip.accumulator.capacity)
    return Misfit{chip.accumulator.name, bytes(s.accumulated()), chip.accumulator.capacity};
  return std::nullopt;
}

TileProgram linear_scan_program(const LinearScanShape& o, const ChipSpec& chip, const ScanTiling& t) {
  if (const auto m = misfit(o, chip, t))
    throw InfeasibleError(fmt::format("{} (linear_scan of key_dim {}, value_dim {}, chunk {})",
                                      describe_misfit(chip, o.key_dim, o.value_dim / t.value_parts, *m),
                                      o.key_dim, o.value_dim, o.chunk));
  ScanTemplate s(o, chip, t);
  return t.recurrent ? s.token_by_token() : s.chunk_by_chunk();
}

}  // namespace xpusim::mapping
