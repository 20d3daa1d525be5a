#include "xpusim/graph/emitter.h"

/// Backward passes: of each product that the forward pass has, the input's and the weight's gradient.
namespace xpusim::graph {

/// dX = dY W.
void Emitter::input_gradient(const Projection& p, std::int64_t rows) {
  if (!p.wide) quantize("quantize_" + p.name + "_gradient", rows, p.n);
  multiply(p.name + "_dgrad", rows, p.k, p.n, true, p.wide);
}

void Emitter::quantize_again(const Projection& p, std::int64_t rows) {
  if (!kernels_.block_scales || p.wide) return;
  quantize("quantize_" + p.name + "_input_again", rows, p.k);
  quantize("quantize_" + p.name + "_gradient_again", rows, p.n);
}

/// dW = dY^T X, added to the sum over micro-batches.
void Emitter::weight_gradient(const Projection& p, std::int64_t rows) {
  quantize_again(p, rows);
  multiply(p.name + "_wgrad", p.n, p.k, rows, false, p.wide).accumulate = kernels_.fused_accumulation;
  if (!kernels_.fused_accumulation)
    rowwise("accumulate_" + p.name, RowwiseKind::Add, p.n, p.k, Pass::Forward, false, stack_.gradients);
}

/// Products whose columns are spread: the input is gathered anew beside the input's gradient, whose sum over
/// the group runs beside the weights'.
void Emitter::column_backward(const std::string& block, const std::vector<Projection>& list,
                              bool with_weights) {
  const bool beside = with_weights && plan_.overlap.tensor_backward && tp_ > 1;
  const std::string gathered = "gather_" + block + "_again", summed = "reduce_" + block + "_gradient";
  const bool gathers = with_weights && tp_ > 1 && plan_.sequence_parallel;
  if (gathers) gather(gathered, beside);
  for (const Projection& p : list) input_gradient(p, tokens_);
  const std::string last = section().operators.back().name;
  sum_up(summed, beside);
  if (!with_weights) return;
  if (gathers && beside) joined_ = {last, gathered};
  for (const Projection& p : list) weight_gradient(p, tokens_);
  join_with(summed, beside);
}

void Emitter::residual_backward(const std::string& name) {
  if (kernels_.dropout) rowwise(name + "_dropout_backward", RowwiseKind::Add, own_tokens_, m_.hidden);
}

// ---- embedding and head

void Emitter::embedding_backward() {
  begin("embedding_backward", 1);
  gather("gather_embedding_gradient", false);
  if (m_.patch > 0) return weight_gradient(patch_projection(), tokens_);
  rowwise("embed_backward", RowwiseKind::Embedding, tokens_, m_.hidden, Pass::Backward);
}

void Emitter::head_backward(std::int64_t predictions) {
  begin("head_backward", predictions);
  const bool beside = !plan_.splits_backward && plan_.overlap.tensor_backward;
  loss(Pass::Backward);
  input_gradient(head_projection(), tokens_);
  sum_up("reduce_head_gradient", beside);
  weight_gradient(head_projection(), tokens_);
  join_with("reduce_head_gradient", beside);
  norm("final_norm_backward", false, Pass::Backward);
}

// ---- layers

void Emitter::layers_backward(const LayerType& type, std::int64_t count, std::int64_t again,
                              bool with_weights) {
  for (const bool recomputes : {true, false}) {
    begin(recomputes ? "recomputed_layer_backward" : "layer_backward", recomputes ? again : count - again);
    if (section().repeat == 0) continue;
    prefetch(type);
    if (recomputes) {
      layer_forward(type);
    } else if (plan_.recompute == Recompute::Selective) {
      attention_again();
    }
    layer_backward(type, with_weights);
    reduce_shard(type);
  }
}

void Emitter::layers_weight(const LayerType& type, std::int64_t count) {
  begin("layer_weight_gradients", count);
  feed_forward_weight(type);
  attention_weight();
}

void Emitter::layer_backward(const LayerType& type, bool with_weights) {
  if (m_.parallel_block) return parallel_block_backward(with_weights);
  feed_forward_backward(type, with_weights);
  attention_backward(with_weights);
}

// ---- attention

/// Selective recomputation: the scores, where a kernel leaves them in memory (arXiv 2205.05198); of latent
/// attention the norms and what the latents expand to (arXiv 2412.19437, section 3.2.3).
void Emitter::attention_again() {
  if (m_.latent) {
    norm("attention_norm_again", false);
    norm("ffn_norm_again", false);
    for (Projection p : attention_inputs()) {
      if (p.k == m_.hidden) continue;
      p.name += "_again";
      product(p, tokens_);
    }
  }
  if (kernels_.attention == AttentionKernel::Unfused && plan_.groups.context == 1) scores("again_");
}

void Emitter::scores_backward() {
  const std::int64_t own = plan_.sequence(), rows = plan_.micro_batch() * heads_ * own;
  batched("values_gradient", plan_.sequence(), value_dim(), own);
  batched("probabilities_gradient", own, plan_.sequence(), value_dim());
  if (kernels_.dropout) rowwise("score_dropout_backward", RowwiseKind::Copy, rows, plan_.sequence());
  rowwise("softmax_backward", RowwiseKind::Softmax, rows, plan_.sequence(), Pass::Backward);
  if (!kernels_.fused_softmax) rowwise("scale_scores_backward", RowwiseKind::Copy, rows, plan_.sequence());
  batched("query_gradient", own, query_dim(), plan_.sequence());
  batched("key_gradient", plan_.sequence(), query_dim(), own);
}

void Emitter::attention_backward(bool with_weights) {
  residual_backward("attention_residual");
  gather("gather_attention_gradient", false);
  input_gradient(attention_output(), tokens_);
  if (with_weights) weight_gradient(attention_output(), tokens_);
  attention("attention_backward", Pass::Backward);
  rope("rope_backward", Pass::Backward);
  if (m_.qk_norm)
    rowwise("qk_norm_backward", RowwiseKind::RmsNorm, tokens_ * (heads_ + kv_heads_), m_.head_dim,
            Pass::Backward);
  column_backward("attention", attention_inputs(), with_weights);
  norm("attention_norm_backward", true, Pass::Backward);
}

void Emitter::attention_weight() {
  weight_gradient(attention_output(), tokens_);
  for (const Projection& p : attention_inputs()) weight_gradient(p, tokens_);
}

// ---- feed-forward

void Emitter::feed_forward_backward(const LayerType& type, bool with_weights) {
  residual_backward("ffn_residual");
  if (type.experts) {
    experts_backward(with_weights);
  } else {
    gather("gather_ffn_gradient", false);
    input_gradient(ffn_output(), tokens_);
    if (with_weights) weight_gradient(ffn_output(), tokens_);
    activation("activation_backward", ffn_, Pass::Backward);
    column_backward("ffn", {ffn_input()}, with_weights);
  }
  norm("ffn_norm_backward", true, Pass::Backward);
}

void Emitter::feed_forward_weight(const LayerType& type) {
  if (type.experts) return experts_weight();
  weight_gradient(ffn_output(), tokens_);
  weight_gradient(ffn_input(), tokens_);
}

void Emitter::parallel_block_backward(bool with_weights) {
  residual_backward("block_residual");
  gather("gather_block_gradient", false);
  for (const Projection& p : {attention_output(), ffn_output()}) {
    input_gradient(p, tokens_);
    if (with_weights) weight_gradient(p, tokens_);
  }
  activation("activation_backward", ffn_, Pass::Backward);
  attention("attention_backward", Pass::Backward);
  rope("rope_backward", Pass::Backward);
  std::vector<Projection> inputs = attention_inputs();
  inputs.push_back(ffn_input());
  column_backward("block", inputs, with_weights);
  norm("block_norm_backward", true, Pass::Backward);
}

// ---- experts

void Emitter::grouped(const std::string& name, std::int64_t n, std::int64_t k) {
  GroupedGemmShape g;
  g.groups = std::max<std::int64_t>(experts_.local, 2);
  g.m = experts_.rows;
  g.n = n;
  g.k = k;
  g.active = experts_.active;
  g.dtype = g.weight_dtype = is_8bit() ? plan_.precision.activations : type_;
  add(name, g);
}

void Emitter::experts_backward(bool with_weights) {
  exchange("combine_backward", CollectiveKind::Dispatch);
  if (plan_.sequence_parallel) share_rows("gather_row_gradients", CollectiveKind::AllGather);
  quantize("quantize_expert_gradient", experts_.rows, m_.hidden);
  grouped("expert_down_dgrad", experts_.ffn, m_.hidden);
  rowwise("expert_activation_backward", activation_kind(), experts_.rows, experts_.ffn, Pass::Backward);
  quantize("quantize_expert_activation", experts_.rows, up() * experts_.ffn);
  grouped("expert_up_dgrad", m_.hidden, up() * experts_.ffn);
  if (with_weights) routed_weight();
  rowwise("permute_backward", RowwiseKind::MoePermute, experts_.rows, m_.hidden);
  share_rows("sum_row_gradients", CollectiveKind::ReduceScatter);
  exchange("dispatch_backward", CollectiveKind::Combine);
  input_gradient(router(), own_tokens_);
  if (with_weights) weight_gradient(router(), own_tokens_);
  if (shared_ffn() == 0) return;
  input_gradient({"shared_down", m_.hidden, shared_ffn()}, tokens_);
  activation("shared_activation_backward", shared_ffn(), Pass::Backward);
  input_gradient({"shared_up", up() * shared_ffn(), m_.hidden}, tokens_);
  if (with_weights) shared_weight();
}

void Emitter::routed_weight() {
  const std::int64_t rows = ceil_div(experts_.rows, experts_.local);
  const std::size_t first = section().operators.size();
  weight_gradient({"expert_down", m_.hidden, experts_.ffn}, rows);
  weight_gradient({"expert_up", up() * experts_.ffn, m_.hidden}, rows);
  as_one_of_each_expert(first);
}

/// The weight gradient just added, with what belongs to it, of all experts of this rank.
void Emitter::as_one_of_each_expert(std::size_t first) {
  for (std::size_t i = first; i < section().operators.size(); ++i) {
    Operator& o = section().operators[i];
    if (auto* g = std::get_if<GemmShape>(&o.work))
      g->batch = experts_.local;
    else
      o.as<RowwiseShape>().rows *= experts_.local;
  }
}

void Emitter::shared_weight() {
  weight_gradient({"shared_down", m_.hidden, shared_ffn()}, tokens_);
  weight_gradient({"shared_up", up() * shared_ffn(), m_.hidden}, tokens_);
}

void Emitter::experts_weight() {
  routed_weight();
  weight_gradient(router(), own_tokens_);
  if (shared_ffn() > 0) shared_weight();
}

}  // namespace xpusim::graph
