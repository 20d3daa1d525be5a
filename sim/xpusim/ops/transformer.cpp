#include "xpusim/ops/transformer.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"

namespace xpusim::ops {
namespace {

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

/// Prefill and decode know dense decoders under tensor and data parallelism.
void refuse_training_only(const ModelSpec& m, const ScenarioSpec& s) {
  const ParallelismSpec& p = s.parallelism;
  if (p.pp * p.vpp * p.cp * p.ep > 1)
    throw InfeasibleError(fmt::format(
        "scenario.parallelism: pp, vpp, cp and ep are for training, {} takes tp and dp", enum_name(s.phase)));
  if (m.latent || m.experts || !m.convolutions.empty() || !m.causal || m.cross_tokens > 0)
    throw InfeasibleError(fmt::format("{}: {} is modelled for dense decoders only; this model can be trained",
                                      m.id, enum_name(s.phase)));
}

/// Writes the sections of one rank's graph.
class TransformerBuilder {
 public:
  TransformerBuilder(const ModelSpec& m, const ScenarioSpec& s, const Parallelism& p)
      : m_(m),
        s_(s),
        p_(p),
        type_(size_of(s.precision.activations) >= 2 ? s.precision.activations : Dtype::Bf16) {
    sequences_ = s.batch / p.data;
    tokens_ = sequences_ * s.sequence;
    heads_ = m.heads / p.tensor;
    kv_heads_ = std::max<std::int64_t>(1, m.kv_heads / p.tensor);
    ffn_ = m.ffn / p.tensor;
    vocab_ = ceil_div(m.vocab, p.tensor);
    graph_.name = s.name;
    graph_.groups.tensor = p.tensor;
    graph_.groups.data = p.data;
  }

  Graph inference() {
    embedding();
    begin("layer", m_.layers);
    layer_forward();
    begin("head", 1);
    norm("final_norm", false);
    gemm("lm_head", sequences_, vocab_, m_.hidden);  // only the last token of each sequence
    if (p_.tensor > 1)
      collective("gather_logits", CollectiveKind::AllGather, sequences_ * vocab_ * p_.tensor * 2);
    rowwise("sample", RowwiseKind::Softmax, sequences_, m_.vocab);
    return std::move(graph_);
  }

 private:
  Section& section() { return graph_.sections.back(); }
  void begin(std::string name, std::int64_t repeat) {
    graph_.sections.push_back({});
    section().name = std::move(name);
    section().repeat = repeat;
  }
  Operator& add(std::string name, Work work) {
    section().operators.push_back({});
    Operator& o = section().operators.back();
    o.name = std::move(name);
    o.work = std::move(work);
    return o;
  }

  void rowwise(std::string name, RowwiseKind kind, std::int64_t rows, std::int64_t cols,
               bool residual = false) {
    add(std::move(name), RowwiseShape{kind, rows, cols, Pass::Forward, type_, residual});
  }
  void norm(std::string name, bool residual) {
    rowwise(std::move(name), m_.norm == NormKind::RmsNorm ? RowwiseKind::RmsNorm : RowwiseKind::LayerNorm,
            tokens_, m_.hidden, residual);
  }
  void gemm(const std::string& name, std::int64_t m, std::int64_t n, std::int64_t k) {
    const bool quantised = size_of(s_.precision.activations) < 2;
    if (quantised) rowwise("quantize_" + name, RowwiseKind::Quantize, m, k);
    GemmShape shape;
    shape.m = m;
    shape.n = n;
    shape.k = k;
    shape.dtype = quantised ? s_.precision.activations : type_;
    shape.weight_dtype = s_.precision.weights;
    add(name, shape);
  }
  void collective(std::string name, CollectiveKind kind, std::int64_t bytes) {
    add(std::move(name), CollectiveShape{.kind = kind, .bytes = Bytes(bytes), .library = {}});
  }
  /// Sums the partial results of a row-parallel product.
  void reduce_hidden(std::string name) {
    if (p_.tensor > 1) collective(std::move(name), CollectiveKind::AllReduce, tokens_ * m_.hidden * 2);
  }

  void attention(std::string name) {
    AttentionShape a;
    a.batch = sequences_;
    a.q_len = s_.sequence;
    a.kv_len = s_.context + s_.sequence;
    a.heads = heads_;
    a.kv_heads = kv_heads_;
    a.head_dim = m_.head_dim;
    a.dtype = type_;
    a.kv_dtype = s_.precision.kv_cache;
    add(std::move(name), a);
  }
  [[nodiscard]] std::int64_t qkv() const { return (heads_ + 2 * kv_heads_) * m_.head_dim; }
  [[nodiscard]] std::int64_t gate_up() const { return ffn_ * (m_.ffn_gated ? 2 : 1); }
  [[nodiscard]] RowwiseKind activation() const {
    return m_.ffn_gated ? RowwiseKind::SwiGlu : RowwiseKind::Gelu;
  }

  void embedding() {
    begin("embedding", 1);
    rowwise("embed", RowwiseKind::Embedding, tokens_, m_.hidden);
    if (m_.position == PositionKind::Learned) rowwise("add_positions", RowwiseKind::Add, tokens_, m_.hidden);
    reduce_hidden("reduce_embedding");  // the table is split over the vocabulary
  }

  void layer_forward() {
    norm("attention_norm", true);
    gemm("qkv", tokens_, qkv(), m_.hidden);
    if (m_.qk_norm) rowwise("qk_norm", RowwiseKind::RmsNorm, tokens_ * (heads_ + kv_heads_), m_.head_dim);
    if (m_.position == PositionKind::Rope)
      rowwise("rope", RowwiseKind::Rope, tokens_, (heads_ + kv_heads_) * m_.head_dim);
    attention("attention");
    gemm("attention_out", tokens_, m_.hidden, heads_ * m_.head_dim);
    reduce_hidden("reduce_attention");
    norm("ffn_norm", true);
    gemm("gate_up", tokens_, gate_up(), m_.hidden);
    rowwise("activation", activation(), tokens_, ffn_);
    gemm("down", tokens_, m_.hidden, ffn_);
    reduce_hidden("reduce_ffn");
  }

  const ModelSpec& m_;
  const ScenarioSpec& s_;
  Parallelism p_;
  Dtype type_;
  std::int64_t sequences_ = 1, tokens_ = 1, heads_ = 1, kv_heads_ = 1, ffn_ = 1, vocab_ = 1;
  Graph graph_;
};

}  // namespace

Parallelism resolve_parallelism(const ModelSpec& m, const ScenarioSpec& s, std::int64_t devices) {
  refuse_training_only(m, s);
  Parallelism p{s.parallelism.tp, s.parallelism.dp};
  if (p.data == 0) {
    if (devices % p.tensor != 0)
      throw InfeasibleError(
          fmt::format("scenario.parallelism.tp: {} does not divide {} devices", p.tensor, devices));
    p.data = devices / p.tensor;
  } else if (p.tensor * p.data > devices) {
    throw InfeasibleError(
        fmt::format("scenario.parallelism: tp {} x dp {} needs {} devices, the system has {}", p.tensor,
                    p.data, p.tensor * p.data, devices));
  }
  if (const std::string reasons = indivisible(m, p.tensor); !reasons.empty())
    throw InfeasibleError(
        fmt::format("scenario.parallelism.tp: {} does not divide {} of {}", p.tensor, reasons, m.id));
  if (s.batch % p.data != 0)
    throw InfeasibleError(
        fmt::format("scenario.batch: {} sequences do not divide over {} replicas", s.batch, p.data));
  if (s.context + s.sequence > m.max_position)
    throw InfeasibleError(fmt::format("scenario: {} tokens per sequence, {} takes {}", s.context + s.sequence,
                                      m.id, m.max_position));
  return p;
}

Graph build_graph(const ModelSpec& m, const ScenarioSpec& s, const Parallelism& p) {
  return TransformerBuilder(m, s, p).inference();
}

MemoryUse memory_per_rank(const ModelSpec& m, const ScenarioSpec& s, const Parallelism& p) {
  const double t = d(p.tensor);
  const double parameters =
      (d(m.layers) * layer_parameters(m, {}) + embedding_parameters(m)) / t;
  const double sequences = d(s.batch / p.data);
  MemoryUse use;
  use.weights = parameters * d(size_of(s.precision.weights));
  const double kv_heads = std::max(1.0, d(m.kv_heads) / t);
  use.kv_cache = 2 * d(m.layers) * kv_heads * d(m.head_dim) * d(s.context + s.sequence) * sequences *
                 d(size_of(s.precision.kv_cache));
  // Inputs and results of one layer's norms and products, 16-bit, per token.
  const double layer =
      8 * d(m.hidden) +
      2 * (d(2 * m.heads + 2 * m.kv_heads) * d(m.head_dim) + d(m.ffn) * (m.ffn_gated ? 3 : 2)) / t;
  use.activations = sequences * (d(s.sequence) * layer + 4 * d(m.vocab) / t);
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
    const std::int64_t data = s.parallelism.dp > 0 ? p.data : std::max<std::int64_t>(1, devices / tensor);
    if (!indivisible(m, tensor).empty() || s.batch % data != 0) continue;
    if (s.parallelism.dp == 0 && tensor <= devices && devices % tensor != 0) continue;
    if (memory_per_rank(m, s, {tensor, data}).total() > have) continue;
    advice = fmt::format("scenario.parallelism.tp={} is the least that fits", tensor);
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
