#include "xpusim/graph/emitter.h"

#include <algorithm>
#include <utility>

namespace xpusim::graph {
namespace {

/// Of inference engines: attention in one kernel, norms with the residual addition before them.
StackKernels serving_kernels() {
  StackKernels k;
  k.fused_norm = true;
  return k;
}

Dtype sixteen_bits(Dtype wanted) { return size_of(wanted) >= 2 ? wanted : Dtype::Bf16; }

}  // namespace

Emitter::Emitter(const ModelSpec& m, const Plan& plan, const StackSpec& stack)
    : m_(m),
      plan_(plan),
      stack_(stack),
      kernels_(plan.trains ? stack.kernels : serving_kernels()),
      experts_(m, plan),
      type_(sixteen_bits(plan.trains ? plan.precision.weights : plan.precision.activations)),
      weight_type_(plan.precision.weights),
      tp_(plan.groups.tensor),
      tokens_(tokens_of_rank(plan)),
      own_tokens_(own_tokens_of_rank(plan)),
      heads_(ceil_div(m.heads, tp_)),
      kv_heads_(std::max<std::int64_t>(1, m.kv_heads / tp_)),
      ffn_(ceil_div(m.ffn, tp_)),
      vocab_(ceil_div(m.vocab, tp_)) {
  sampled_ = 0;
  for (const SequenceGroup& g : plan.shape) sampled_ += g.sequences * g.sampled;
  if (plan.trains || !plan.samples) sampled_ = tokens_;
}

Graph Emitter::take() {
  Graph g = std::exchange(graph_, {});
  std::erase_if(g.sections, [](const Section& s) { return s.operators.empty() || s.repeat == 0; });
  g.groups = plan_.groups;
  return g;
}

// ---- sections and operators

void Emitter::begin(std::string name, std::int64_t repeat) {
  graph_.sections.push_back({});
  section().name = std::move(name);
  section().repeat = repeat;
}

Operator& Emitter::add(std::string name, Work work) {
  section().operators.push_back({std::move(name), std::move(work), std::exchange(joined_, {})});
  return section().operators.back();
}

void Emitter::rowwise(std::string name, RowwiseKind kind, std::int64_t rows, std::int64_t cols, Pass pass,
                      bool residual, Dtype dtype) {
  add(std::move(name), RowwiseShape{kind, rows, cols, pass, size_of(dtype) == 2 ? type_ : dtype, residual});
}

CollectiveShape& Emitter::collective(std::string name, CollectiveKind kind, double bytes, RankGroup group,
                                     bool overlap) {
  const std::vector<std::string> joined = joined_;
  const CollectiveShape c{.kind = kind,
                          .bytes = Bytes(std::max<std::int64_t>(1, static_cast<std::int64_t>(bytes))),
                          .group = group,
                          .overlap = overlap,
                          .library = {}};
  Operator& o = add(std::move(name), c);
  if (overlap) joined_ = joined;  // what follows waits for it all the same
  return o.as<CollectiveShape>();
}

void Emitter::join_with(const std::string& name, bool overlapped) {
  if (!overlapped || tp_ == 1) return;
  joined_ = {section().operators.back().name, name};
}

// ---- tensor parallelism

double Emitter::hidden_bytes() const { return d(tokens_) * d(m_.hidden) * 2; }

void Emitter::gather(std::string name, bool overlap) {
  if (tp_ > 1 && plan_.sequence_parallel)
    collective(std::move(name), CollectiveKind::AllGather, hidden_bytes(), RankGroup::Tensor, overlap);
}

void Emitter::sum_up(std::string name, bool overlap) {
  if (tp_ > 1)
    collective(std::move(name),
               plan_.sequence_parallel ? CollectiveKind::ReduceScatter : CollectiveKind::AllReduce,
               hidden_bytes(), RankGroup::Tensor, overlap);
}

/// All but the last of tp pieces; returns the bytes of the whole.
std::int64_t Emitter::begin_sum(const std::string& name) {
  sum_up(name, true);
  auto& first = section().operators.back().as<CollectiveShape>();
  const std::int64_t whole = first.bytes.count();
  const double share = 1 - 1 / d(tp_);
  first.bytes = Bytes(std::max<std::int64_t>(1, static_cast<std::int64_t>(d(whole) * share)));
  return whole;
}

void Emitter::end_sum(const std::string& name, std::int64_t whole) {
  const auto begun = std::find_if(section().operators.rbegin(), section().operators.rend(),
                                  [&](const Operator& o) { return o.name == name; });
  CollectiveShape last = begun->as<CollectiveShape>();
  last.bytes = Bytes(std::max<std::int64_t>(1, whole - last.bytes.count()));
  last.overlap = false;
  section().operators.push_back({name + "_last", last, {section().operators.back().name, name}});
}

// ---- products

void Emitter::quantize(const std::string& name, std::int64_t rows, std::int64_t cols) {
  if (is_8bit()) rowwise(name, RowwiseKind::Quantize, rows, cols);
}

/// `wide`: operands in 16 bits whatever the others are in. A weight is kept in memory in the operands' type
/// where it is trained; a served one in a type of its own, unless it is wide.
GemmShape& Emitter::multiply(std::string name, std::int64_t m, std::int64_t n, std::int64_t k,
                             bool b_is_weight, bool wide) {
  GemmShape g{.m = m, .n = n, .k = k};
  g.dtype = !wide && is_8bit() ? plan_.precision.activations : type_;
  g.weight_dtype = b_is_weight && !wide && !plan_.trains ? weight_type_ : g.dtype;
  g.b_is_weight = b_is_weight;
  return add(std::move(name), g).as<GemmShape>();
}

void Emitter::product(const Projection& p, std::int64_t rows) {
  if (text_tokens_ > 0 && rows == tokens_) {
    const std::int64_t text = std::exchange(text_tokens_, 0);
    product(p, rows - text);
    product({"text_" + p.name, p.n, p.k, p.wide}, text);
    text_tokens_ = text;
    return;
  }
  if (!p.wide) quantize("quantize_" + p.name, rows, p.k);
  multiply(p.name, rows, p.n, p.k, true, p.wide);
}

/// The head is trained in 16 bits, as are attention and routers.
Projection Emitter::head_projection() const { return {"lm_head", vocab_, m_.hidden, plan_.trains}; }

// ---- norms and residuals

void Emitter::norm(std::string name, bool residual, Pass pass) {
  rowwise(std::move(name), m_.norm == NormKind::RmsNorm ? RowwiseKind::RmsNorm : RowwiseKind::LayerNorm,
          own_tokens_, m_.hidden, pass, residual);
}

/// Bias, dropout and the residual addition after a block; in one kernel, several, or in the next norm's.
void Emitter::residual(const std::string& name) {
  if (kernels_.fused_norm) return;
  rowwise(name, RowwiseKind::Add, own_tokens_, m_.hidden);
  if (kernels_.fused_residual) return;
  if (m_.norm == NormKind::LayerNorm) rowwise(name + "_bias", RowwiseKind::Add, own_tokens_, m_.hidden);
  if (kernels_.dropout) rowwise(name + "_dropout", RowwiseKind::Add, own_tokens_, m_.hidden);
}

// ---- before and after the layers

void Emitter::embedding() {
  begin("embedding", 1);
  if (m_.patch > 0)
    product(patch_projection(), tokens_);
  else
    rowwise("embed", RowwiseKind::Embedding, tokens_, m_.hidden);
  if (m_.position == PositionKind::Learned) rowwise("add_positions", RowwiseKind::Add, tokens_, m_.hidden);
  if (m_.patch == 0) sum_up("reduce_embedding");  // the table is split over the vocabulary
}

void Emitter::head(std::int64_t predictions) {
  if (sampled_ == 0) return;  // pieces of prompts before their last
  begin("head", predictions);
  norm("final_norm", false);
  gather("gather_head", false);
  product(head_projection(), sampled_);
  if (plan_.trains) {
    loss(Pass::Forward);
    if (tp_ > 1)
      collective("reduce_loss", CollectiveKind::AllReduce, d(tokens_) * 8);  // maximum and sum of each row
    return;
  }
  if (tp_ > 1) collective("gather_logits", CollectiveKind::AllGather, d(sampled_ * vocab_ * tp_ * 2));
  if (plan_.samples) rowwise("sample", RowwiseKind::Softmax, sampled_, m_.vocab);
}

/// One of the layers that join the hidden state with a later token's embedding, and its head.
void Emitter::draft() {
  begin("draft", 1);
  rowwise("embed", RowwiseKind::Embedding, tokens_, m_.hidden);
  norm("draft_norm", false);
  product({"join", m_.hidden, 2 * m_.hidden}, tokens_);
  layer_forward(mtp_layer_type(m_));
  norm("final_norm", false);
  product(head_projection(), sampled_);
  if (tp_ > 1) collective("gather_logits", CollectiveKind::AllGather, d(sampled_ * vocab_ * tp_ * 2));
  rowwise("sample", RowwiseKind::Softmax, sampled_, m_.vocab);
}

// ---- whole layers

void Emitter::layers(const LayerType& type, std::int64_t count) {
  begin(type.experts ? "expert_layer" : "layer", count);
  if (type.attention >= 0) section().name += special_attention(m_, type)->linear ? "_linear" : "_local";
  if (type.separate_text) section().name += "_separate_text";
  prefetch(type);
  layer_forward(type);
}

void Emitter::modulation(const LayerType& type) {
  // Two blocks of three vectors each for either stream; one block of three where they are joined.
  const std::int64_t vectors = type.separate_text ? 12 : 3;
  product({"modulation", ceil_div(vectors * m_.hidden, tp_), m_.hidden, true}, sequences(plan_.shape));
}

void Emitter::layer_forward(const LayerType& type) {
  if (m_.joint_text) modulation(type);
  if (type.separate_text)
    text_tokens_ = sequences(plan_.shape) * ceil_div(m_.joint_text->tokens, plan_.groups.context);
  if (m_.parallel_block && !type.separate_text) return parallel_block();
  attention_block(type);
  feed_forward(type);
  text_tokens_ = 0;
}

double Emitter::weight_bytes(const LayerType& type) const {
  double parameters = layer_parameters(m_, type) / d(tp_);
  if (type.experts) parameters += expert_parameters(m_) / d(plan_.groups.expert * plan_.groups.expert_tensor);
  return parameters * 2;
}

/// The next layer's weights are gathered beside this layer's computation.
void Emitter::prefetch(const LayerType& type) {
  if (plan_.sharding != Sharding::Zero3 || plan_.groups.extent(RankGroup::Shard).ranks == 1) return;
  collective("gather_weights", CollectiveKind::AllGather, weight_bytes(type), RankGroup::Shard,
             plan_.overlap.parameters);
  if (plan_.overlap.parameters) section().awaited.emplace_back("gather_weights");
}

void Emitter::reduce_shard(const LayerType& type) {
  if (plan_.sharding != Sharding::Zero3 || plan_.groups.extent(RankGroup::Shard).ranks == 1) return;
  const double bytes = weight_bytes(type) / 2 * d(size_of(stack_.reduction));
  collective("reduce_weight_gradients", CollectiveKind::ReduceScatter, bytes, RankGroup::Shard,
             plan_.overlap.gradients);
}

/// Unfused: fp32 copies of the logits, of which the maximum is taken off, and the exponentials over their
/// sum kept for the backward pass; a kernel each.
void Emitter::loss(Pass pass) {
  const auto pass_over = [&](std::string name, RowwiseKind kind) {
    rowwise(std::move(name), kind, tokens_, vocab_, Pass::Forward, false, Dtype::Fp32);
  };
  if (kernels_.fused_cross_entropy) {
    const bool back = pass == Pass::Backward;
    return rowwise(back ? "cross_entropy_backward" : "cross_entropy", RowwiseKind::CrossEntropy, tokens_,
                   vocab_, pass);
  }
  if (pass == Pass::Backward) {
    pass_over("scale_logits_gradient", RowwiseKind::Copy);
    return pass_over("convert_logits_gradient", RowwiseKind::Copy);
  }
  pass_over("convert_logits", RowwiseKind::Copy);
  pass_over("maximum_logits", RowwiseKind::CrossEntropy);
  pass_over("subtract_maximum", RowwiseKind::Copy);
  pass_over("exponentials", RowwiseKind::Softmax);
  pass_over("sum_exponentials", RowwiseKind::CrossEntropy);
  pass_over("divide_exponentials", RowwiseKind::Copy);
}

// ---- other networks

void Emitter::convolutions(Pass pass) {
  for (const ConvolutionSpec& c : m_.convolutions) {
    begin(c.name, c.repeat);
    convolution(c, pass);
  }
}

/// As a product of image patches with the kernels, with the normalisation and the rectifier after it.
void Emitter::convolution(const ConvolutionSpec& c, Pass pass) {
  const std::int64_t pixels = sequences(plan_.shape) * c.out_size * c.out_size;
  const std::int64_t depth = c.in_channels * c.kernel * c.kernel;
  const bool wide = plan_.trains;
  if (pass == Pass::Forward) {
    multiply("product", pixels, c.out_channels, depth, true, wide);
    rowwise("normalise", RowwiseKind::LayerNorm, pixels, c.out_channels);
    rowwise("rectify", RowwiseKind::Copy, pixels, c.out_channels);
    return;
  }
  rowwise("rectify_backward", RowwiseKind::Add, pixels, c.out_channels);
  rowwise("normalise_backward", RowwiseKind::LayerNorm, pixels, c.out_channels, Pass::Backward);
  multiply("product_dgrad", pixels * c.stride * c.stride, c.in_channels,
           ceil_div(c.out_channels * c.kernel * c.kernel, c.stride * c.stride), true, wide);
  multiply("product_wgrad", c.out_channels, depth, pixels, false, wide);
}

/// Tensor ranks share the tables, each looks its own up for all samples of the group, and hands each rank the
/// sums of its samples (DLRM, arXiv 1906.00091, section 4.1); the products run on a rank's own samples.
void Emitter::recommender() {
  const RecommenderSpec& r = *m_.recommender;
  const std::int64_t samples = sequences(plan_.shape), own = ceil_div(samples, tp_);
  begin("recommender", 1);
  rowwise("embedding_bags", RowwiseKind::Embedding, samples * ceil_div(r.lookups, tp_), r.dim);
  if (tp_ > 1)
    collective("exchange_sums", CollectiveKind::AllToAll, d(samples * ceil_div(r.tables, tp_) * r.dim) * 2);
  const auto stack = [&](const char* name, std::int64_t width, const std::vector<std::int64_t>& widths) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string layer = name + std::to_string(i);
      product({layer, widths[i], width}, own);
      rowwise(layer + "_rectify", RowwiseKind::Copy, own, widths[i]);
      width = widths[i];
    }
  };
  stack("bottom", r.dense_features, r.bottom);
  const std::int64_t vectors = r.tables + 1;
  GemmShape& pairs = multiply("interaction", vectors, vectors, r.dim, false, true);
  pairs.batch = own;
  stack("top", static_cast<std::int64_t>(interaction_width(r)), r.top);
}

}  // namespace xpusim::graph
