#include "xpusim/ops/transformer.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"

namespace xpusim::ops {
namespace {

double d(std::int64_t x) { return static_cast<double>(x); }

/// What divides `tensor` must, and why not; empty when all does.
std::string indivisible(const ModelSpec& m, std::int64_t tensor) {
  std::string reasons;
  const auto need = [&](std::int64_t value, std::string_view what) {
    if (value % tensor != 0) reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", value, what);
  };
  need(m.heads, "heads");
  need(m.ffn, "FFN columns");
  const bool kv_ok =
      m.kv_heads % tensor == 0 || tensor % m.kv_heads == 0;  // else each KV head is kept by several ranks
  if (!kv_ok) reasons += fmt::format("{}{} KV heads", reasons.empty() ? "" : ", ", m.kv_heads);
  return reasons;
}

/// Writes the sections of one rank's graph.
class TransformerBuilder {
 public:
  TransformerBuilder(const ModelSpec& m, const ScenarioSpec& s, const Parallelism& p)
      : m_(m),
        s_(s),
        p_(p),
        type_(size_of(s.precision.activations) >= 2 ? s.precision.activations : Dtype::Bf16) {
    sequences_ = (s.phase == Phase::Training ? s.micro_batch : s.batch / p.data);
    tokens_ = sequences_ * s.sequence;
    heads_ = m.heads / p.tensor;
    kv_heads_ = std::max<std::int64_t>(1, m.kv_heads / p.tensor);
    ffn_ = m.ffn / p.tensor;
    vocab_ = ceil_div(m.vocab, p.tensor);
    graph_.name = s.name;
    graph_.tensor = p.tensor;
    graph_.data = p.data;
  }

  Graph inference() {
    embedding();
    begin("layer", m_.layers);
    layer_forward();
    begin("head", 1);
    norm("final_norm", false);
    gemm("lm_head", sequences_, vocab_, m_.hidden);  // only the last token of each sequence
    if (p_.tensor > 1) collective("gather_logits", OpKind::AllGather, sequences_ * vocab_ * p_.tensor * 2);
    rowwise("sample", OpKind::Softmax, sequences_, m_.vocab);
    return std::move(graph_);
  }

  Graph training() {
    const std::int64_t passes = s_.batch / (p_.data * s_.micro_batch);
    for (std::int64_t i = 0; i < passes; ++i) {
      last_pass_ = i + 1 == passes;
      forward_and_loss();
      backward();
    }
    begin("optimizer", 1);
    section().barrier = true;
    const double local = (d(m_.layers) * layer_parameters(m_) + embedding_parameters(m_)) / d(p_.tensor);
    rowwise("adam", OpKind::Optimizer, 1, static_cast<std::int64_t>(local));
    return std::move(graph_);
  }

 private:
  Section& section() { return graph_.sections.back(); }
  void begin(std::string name, std::int64_t repeat) {
    graph_.sections.push_back({});
    section().name = std::move(name);
    section().repeat = repeat;
  }
  Operator& add(std::string name, OpKind kind) {
    section().operators.push_back({});
    Operator& o = section().operators.back();
    o.name = std::move(name);
    o.kind = kind;
    return o;
  }

  void rowwise(std::string name, OpKind kind, std::int64_t rows, std::int64_t cols, Pass pass = Pass::Forward,
               bool residual = false) {
    add(std::move(name), kind).rowwise = {rows, cols, pass, type_, residual, false};
  }
  void norm(std::string name, bool residual, Pass pass = Pass::Forward) {
    rowwise(std::move(name), m_.norm == NormKind::RmsNorm ? OpKind::RmsNorm : OpKind::LayerNorm, tokens_,
            m_.hidden, pass, residual);
  }
  void gemm(const std::string& name, std::int64_t m, std::int64_t n, std::int64_t k,
            bool b_is_weight = true) {
    const bool quantised = size_of(s_.precision.activations) < 2 && b_is_weight;
    if (quantised) rowwise("quantize_" + name, OpKind::Quantize, m, k);
    GemmShape shape;
    shape.m = m;
    shape.n = n;
    shape.k = k;
    shape.dtype = quantised ? s_.precision.activations : type_;
    shape.weight_dtype = s_.precision.weights;
    shape.b_is_weight = b_is_weight;
    add(name, OpKind::Gemm).gemm = shape;
  }
  void collective(std::string name, OpKind kind, std::int64_t bytes, RankGroup group = RankGroup::Tensor,
                  bool overlap = false) {
    add(std::move(name), kind).collective = {Bytes(bytes), group, overlap};
  }
  /// Sums the partial results of a row-parallel product (or of a column-parallel one's input gradient).
  void reduce_hidden(std::string name) {
    if (p_.tensor > 1) collective(std::move(name), OpKind::AllReduce, tokens_ * m_.hidden * 2);
  }

  void attention(std::string name, Pass pass) {
    AttentionShape a;
    a.pass = pass;
    a.batch = sequences_;
    a.q_len = s_.sequence;
    a.kv_len = s_.context + s_.sequence;
    a.heads = heads_;
    a.kv_heads = kv_heads_;
    a.head_dim = m_.head_dim;
    a.dtype = type_;
    a.kv_dtype = s_.phase == Phase::Training ? type_ : s_.precision.kv_cache;
    add(std::move(name), OpKind::Attention).attention = a;
  }
  [[nodiscard]] std::int64_t qkv() const { return (heads_ + 2 * kv_heads_) * m_.head_dim; }
  [[nodiscard]] std::int64_t gate_up() const { return ffn_ * (m_.ffn_gated ? 2 : 1); }
  [[nodiscard]] OpKind activation() const { return m_.ffn_gated ? OpKind::SwiGlu : OpKind::Gelu; }

  void embedding() {
    begin("embedding", 1);
    rowwise("embed", OpKind::Embedding, tokens_, m_.hidden);
    if (m_.position == PositionKind::Learned) rowwise("add_positions", OpKind::Add, tokens_, m_.hidden);
    reduce_hidden("reduce_embedding");  // the table is split over the vocabulary
  }

  void layer_forward() {
    norm("attention_norm", true);
    gemm("qkv", tokens_, qkv(), m_.hidden);
    if (m_.qk_norm) rowwise("qk_norm", OpKind::RmsNorm, tokens_ * (heads_ + kv_heads_), m_.head_dim);
    if (m_.position == PositionKind::Rope)
      rowwise("rope", OpKind::Rope, tokens_, (heads_ + kv_heads_) * m_.head_dim);
    attention("attention", Pass::Forward);
    gemm("attention_out", tokens_, m_.hidden, heads_ * m_.head_dim);
    reduce_hidden("reduce_attention");
    norm("ffn_norm", true);
    gemm("gate_up", tokens_, gate_up(), m_.hidden);
    rowwise("activation", activation(), tokens_, ffn_);
    gemm("down", tokens_, m_.hidden, ffn_);
    reduce_hidden("reduce_ffn");
  }

  void forward_and_loss() {
    embedding();
    begin("layer_forward", m_.layers);
    layer_forward();
    begin("loss", 1);
    norm("final_norm", false);
    gemm("lm_head", tokens_, vocab_, m_.hidden);
    rowwise("cross_entropy", OpKind::CrossEntropy, tokens_, vocab_);
    if (p_.tensor > 1)
      collective("reduce_loss", OpKind::AllReduce, tokens_ * 8);  // maximum and sum of each row
    rowwise("cross_entropy_backward", OpKind::CrossEntropy, tokens_, vocab_, Pass::Backward);
    gemm_backward("lm_head", vocab_, m_.hidden);
    reduce_hidden("reduce_lm_head_backward");
    norm("final_norm_backward", false, Pass::Backward);
  }

  /// dX = dY W and dW = dY^T X of a product with n x k weights.
  void gemm_backward(const std::string& name, std::int64_t n, std::int64_t k) {
    gemm(name + "_dgrad", tokens_, k, n);
    gemm(name + "_wgrad", n, k, tokens_, false);
  }

  void backward() {
    begin("layer_backward", m_.layers);
    if (s_.recompute == Recompute::Full) layer_forward();
    gemm_backward("down", m_.hidden, ffn_);
    rowwise("activation_backward", activation(), tokens_, ffn_, Pass::Backward);
    gemm_backward("gate_up", gate_up(), m_.hidden);
    reduce_hidden("reduce_ffn_backward");
    norm("ffn_norm_backward", true, Pass::Backward);
    gemm_backward("attention_out", m_.hidden, heads_ * m_.head_dim);
    attention("attention_backward", Pass::Backward);
    if (m_.position == PositionKind::Rope)
      rowwise("rope_backward", OpKind::Rope, tokens_, (heads_ + kv_heads_) * m_.head_dim, Pass::Backward);
    if (m_.qk_norm)
      rowwise("qk_norm_backward", OpKind::RmsNorm, tokens_ * (heads_ + kv_heads_), m_.head_dim,
              Pass::Backward);
    gemm_backward("qkv", qkv(), m_.hidden);
    reduce_hidden("reduce_attention_backward");
    norm("attention_norm_backward", true, Pass::Backward);
    reduce_gradients("reduce_gradients", layer_parameters(m_));
    begin("embedding_backward", 1);
    rowwise("embed_backward", OpKind::Embedding, tokens_, m_.hidden, Pass::Backward);
    reduce_gradients("reduce_embedding_gradients", embedding_parameters(m_));
  }

  /// Replicas average their gradients once a step, beside the rest of the backward pass.
  void reduce_gradients(std::string name, double parameters) {
    if (p_.data == 1 || !last_pass_) return;
    const double bytes = parameters / d(p_.tensor) * d(size_of(s_.precision.weights));
    collective(std::move(name), OpKind::AllReduce, static_cast<std::int64_t>(bytes), RankGroup::Data, true);
  }

  const ModelSpec& m_;
  const ScenarioSpec& s_;
  Parallelism p_;
  Dtype type_;
  std::int64_t sequences_ = 1, tokens_ = 1, heads_ = 1, kv_heads_ = 1, ffn_ = 1, vocab_ = 1;
  bool last_pass_ = false;
  Graph graph_;
};

}  // namespace

Parallelism resolve_parallelism(const ModelSpec& m, const ScenarioSpec& s, std::int64_t devices) {
  Parallelism p{s.parallel.tensor, s.parallel.data};
  if (p.data == 0) {
    if (devices % p.tensor != 0)
      throw InfeasibleError(
          fmt::format("scenario.parallel.tensor: {} does not divide {} devices", p.tensor, devices));
    p.data = devices / p.tensor;
  } else if (p.tensor * p.data > devices) {
    throw InfeasibleError(
        fmt::format("scenario.parallel: tensor {} x data {} needs {} devices, the system has {}", p.tensor,
                    p.data, p.tensor * p.data, devices));
  }
  if (const std::string reasons = indivisible(m, p.tensor); !reasons.empty())
    throw InfeasibleError(
        fmt::format("scenario.parallel.tensor: {} does not divide {} of {}", p.tensor, reasons, m.id));
  const std::int64_t share = p.data * (s.phase == Phase::Training ? s.micro_batch : 1);
  if (s.batch % share != 0)
    throw InfeasibleError(
        fmt::format("scenario.batch: {} sequences do not divide over {} replicas{}", s.batch, p.data,
                    s.phase == Phase::Training ? fmt::format(" x micro_batch {}", s.micro_batch) : ""));
  if (s.context + s.sequence > m.max_position)
    throw InfeasibleError(fmt::format("scenario: {} tokens per sequence, {} takes {}", s.context + s.sequence,
                                      m.id, m.max_position));
  return p;
}

Graph build_graph(const ModelSpec& m, const ScenarioSpec& s, const Parallelism& p) {
  TransformerBuilder builder(m, s, p);
  return s.phase == Phase::Training ? builder.training() : builder.inference();
}

MemoryUse memory_per_rank(const ModelSpec& m, const ScenarioSpec& s, const Parallelism& p) {
  const double t = d(p.tensor);
  const double parameters = (d(m.layers) * layer_parameters(m) + embedding_parameters(m)) / t;
  const bool training = s.phase == Phase::Training;
  const double sequences = d(training ? s.micro_batch : s.batch / p.data);
  const double tokens = sequences * d(s.sequence);
  MemoryUse use;
  use.weights = parameters * d(size_of(s.precision.weights));
  // Inputs of the norms and products that a layer's backward pass needs again, 16-bit, per token.
  const double saved =
      8 * d(m.hidden) +
      2 * (d(2 * m.heads + 2 * m.kv_heads) * d(m.head_dim) + d(m.ffn) * (m.ffn_gated ? 3 : 2)) / t;
  const double logits = 4 * d(m.vocab) / t;
  if (training) {
    use.gradients = parameters * d(size_of(s.precision.weights));
    use.optimizer = parameters * 12;  // fp32 master weights, first and second moment
    const double per_layer = s.recompute == Recompute::Full ? 2 * d(m.hidden) : saved;
    use.activations = tokens * (d(m.layers) * per_layer + saved + logits);
  } else {
    const double kv_heads = std::max(1.0, d(m.kv_heads) / t);
    use.kv_cache = 2 * d(m.layers) * kv_heads * d(m.head_dim) * d(s.context + s.sequence) * sequences *
                   d(size_of(s.precision.kv_cache));
    use.activations = tokens * saved + sequences * logits;
  }
  return use;
}

void check_memory(const ModelSpec& m, const ScenarioSpec& s, const Parallelism& p, std::int64_t devices,
                  Bytes capacity, std::string_view chip) {
  const double have = d(capacity.count());
  const double need = memory_per_rank(m, s, p).total();
  if (need <= have) return;
  std::string advice = "no tensor parallelism of this batch fits";
  for (std::int64_t tensor = p.tensor + 1; tensor <= m.heads; ++tensor) {
    // With data left to the system, more tensor parallelism means fewer replicas.
    const std::int64_t data = s.parallel.data > 0 ? p.data : std::max<std::int64_t>(1, devices / tensor);
    if (!indivisible(m, tensor).empty() || s.batch % data != 0) continue;
    if (s.parallel.data == 0 && tensor <= devices && devices % tensor != 0) continue;
    if (memory_per_rank(m, s, {tensor, data}).total() > have) continue;
    advice = fmt::format("scenario.parallel.tensor={} is the least that fits", tensor);
    if (tensor * data > devices)
      advice += fmt::format(", on {} devices instead of {}", tensor * data, devices);
    break;
  }
  const double gib = 0x1p30;
  throw InfeasibleError(
      fmt::format("{} does not fit {}: a rank needs {:.1f} GiB, {:.1f} GiB more than its {:.1f} GiB ({})",
                  m.id, chip, need / gib, (need - have) / gib, have / gib, advice));
}

double tokens_per_step(const ScenarioSpec& s) { return d(s.batch) * d(s.sequence); }

}  // namespace xpusim::ops
