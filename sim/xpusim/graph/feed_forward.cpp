#include <algorithm>
#include <utility>

#include "xpusim/graph/emitter.h"

/// The feed-forward block of a layer: dense, or a mixture of experts.
namespace xpusim::graph {

void Emitter::activation(const std::string& name, std::int64_t cols, Pass pass) {
  rowwise(name, activation_kind(), tokens_, cols, pass);
  if (!kernels_.fused_activation) rowwise(name + "_bias", RowwiseKind::Copy, tokens_, cols * up(), pass);
}

void Emitter::feed_forward(const LayerType& type) {
  norm("ffn_norm", kernels_.fused_norm);
  if (type.experts) return experts_forward();
  gather_beside("gather_ffn", [&] { product(ffn_input(), tokens_); });
  activation("activation", ffn_, Pass::Forward);
  sum_beside("reduce_ffn", [&] { product(ffn_output(), tokens_); });
  residual("ffn_residual");
}

/// Attention and feed-forward read the same norm, and their results are summed once.
void Emitter::parallel_block() {
  norm("block_norm", kernels_.fused_norm);
  gather_beside("gather_block", [&] {
    queries_keys_values();
    product(ffn_input(), tokens_);
  });
  attention_core({});
  activation("activation", ffn_, Pass::Forward);
  sum_beside("reduce_block", [&] {
    product(attention_output(), tokens_);
    product(ffn_output(), tokens_);
  });
  residual("block_residual");
}

// ---- experts: each whole on its rank; every rank brings its own tokens

Projection Emitter::router() const { return {"router", m_.experts->count, m_.hidden, true}; }

/// Ranks that share experts gather each other's rows, and sum their parts of the results.
void Emitter::share_rows(const std::string& name, CollectiveKind kind) {
  if (plan_.groups.expert_tensor == 1) return;
  collective(name, plan_.sequence_parallel ? kind : CollectiveKind::AllReduce,
             d(experts_.rows) * d(m_.hidden) * 2, RankGroup::Tensor);
}

void Emitter::exchange(const std::string& name, CollectiveKind kind) {
  if (!plan_.exchanges_experts()) return;
  const double element = kind == CollectiveKind::Dispatch && is_8bit() && name == "dispatch" ? 1 : 2;
  const double bytes = d(own_tokens_) * d(experts_.per_token) * d(m_.hidden) * element;
  CollectiveShape& c =
      collective(name, kind, bytes * plan_.experts.imbalance, RankGroup::Expert, plan_.overlap.experts);
  c.library = stack_.expert_library;
  c.copies = experts_.per_token;
  c.max_nodes = m_.experts->max_nodes;
}

void Emitter::routed_experts() {
  MoeLayer l;
  l.tokens = own_tokens_;
  l.hidden = m_.hidden;
  l.inter = experts_.ffn;
  l.topk = m_.experts->per_token;
  l.experts = m_.experts->count;
  l.local_experts = experts_.local;
  l.rows = experts_.rows;
  l.active = experts_.active;
  l.gated = m_.ffn_gated;
  l.dtype = is_8bit() ? plan_.precision.activations : type_;
  l.weight_dtype = plan_.trains ? l.dtype : plan_.precision.expert_weights();
  for (Operator o : moe_layer(l)) {
    o.after = std::exchange(joined_, {});
    section().operators.push_back(std::move(o));
  }
}

/// Tensor ranks share their columns; where tokens are spread over the ranks, each has them whole.
std::int64_t Emitter::shared_ffn() const {
  if (experts_.shared_apart) return 0;
  const bool whole = !plan_.trains && plan_.sequence_parallel;
  return ceil_div(m_.experts->shared_width(), whole ? 1 : tp_);
}
std::int64_t Emitter::shared_rows() const {
  return !plan_.trains && plan_.sequence_parallel ? own_tokens_ : tokens_;
}

void Emitter::shared_experts() {
  if (shared_ffn() == 0) return;
  product({"shared_up", up() * shared_ffn(), m_.hidden}, shared_rows());
  rowwise("shared_activation", activation_kind(), shared_rows(), shared_ffn());
  if (!kernels_.fused_activation)
    rowwise("shared_activation_bias", RowwiseKind::Copy, shared_rows(), shared_ffn() * up());
  product({"shared_down", m_.hidden, shared_ffn()}, shared_rows());
  if (!plan_.trains) rowwise("add_shared", RowwiseKind::Add, shared_rows(), m_.hidden);
}

void Emitter::experts_forward() {
  product(router(), own_tokens_);
  exchange("dispatch", CollectiveKind::Dispatch);
  if (plan_.sequence_parallel) share_rows("gather_rows", CollectiveKind::AllGather);
  routed_experts();
  if (plan_.trains || plan_.sequence_parallel) share_rows("sum_rows", CollectiveKind::ReduceScatter);
  exchange("combine", CollectiveKind::Combine);
  shared_experts();
  // Tensor ranks that have computed their experts' parts for the same tokens add them up.
  if (!plan_.trains && !plan_.sequence_parallel) sum_up("reduce_ffn");
  residual("ffn_residual");
}

}  // namespace xpusim::graph
