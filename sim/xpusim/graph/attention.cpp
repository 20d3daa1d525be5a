#include <algorithm>

#include "xpusim/graph/emitter.h"

/// The attention block of a layer.
namespace xpusim::graph {

std::int64_t Emitter::query_dim() const {
  return m_.latent ? m_.latent->nope_dim + m_.latent->rope_dim : m_.head_dim;
}
std::int64_t Emitter::value_dim() const { return m_.latent ? m_.latent->value_dim : m_.head_dim; }
std::int64_t Emitter::qkv_columns() const {
  return (heads_ * (m_.output_gate ? 2 : 1) + 2 * kv_heads_) * m_.head_dim;
}

/// The products before the attention core. A served latent goes up only where its keys are expanded
/// (expanded_latent).
std::vector<Projection> Emitter::attention_inputs() const {
  if (!m_.latent) return {{"qkv", qkv_columns(), m_.hidden}};
  const LatentAttentionSpec& l = *m_.latent;
  std::vector<Projection> list;
  if (l.q_rank > 0) list.push_back({"query_down", l.q_rank, m_.hidden});
  list.push_back({"query_up", heads_ * query_dim(), l.q_rank > 0 ? l.q_rank : m_.hidden});
  list.push_back({"latent_down", l.kv_rank + l.rope_dim, m_.hidden});
  if (plan_.trains) list.push_back({"latent_up", heads_ * (l.nope_dim + l.value_dim), l.kv_rank});
  return list;
}

Projection Emitter::attention_output() const { return {"attention_out", m_.hidden, heads_ * value_dim()}; }

void Emitter::attention_block(const LayerType& type) {
  norm("attention_norm", kernels_.fused_norm);
  self_attention(type);
  residual("attention_residual");
  if (m_.cross_tokens > 0) cross_attention();
}

void Emitter::self_attention(const LayerType& type) {
  const AttentionLayersSpec* special = special_attention(m_, type);
  if (special != nullptr && special->linear) return linear_attention();
  gather_beside("gather_attention", [&] { queries_keys_values(); });
  attention_core(type);
  if (m_.output_gate) rowwise("output_gate", RowwiseKind::Gate, tokens_, heads_ * value_dim());
  sum_beside("reduce_attention", [&] { product(attention_output(), tokens_); });
}

/// Gated delta nets (arXiv 2412.06464, figure 1; Qwen3-Next): queries, keys, values and the output's gate
/// from one product, the rates of decay and update from a narrow one, a short convolution, the scan, a gated
/// norm.
void Emitter::linear_attention() {
  const LinearAttentionSpec& l = *m_.linear;
  const std::int64_t states = ceil_div(l.value_heads, tp_);
  const std::int64_t key_heads = std::max<std::int64_t>(1, l.key_heads / tp_);
  const std::int64_t keys = key_heads * l.key_dim, values = states * l.value_dim;
  gather_beside("gather_attention", [&] {
    product({"linear_in", 2 * keys + 2 * values, m_.hidden}, tokens_);
    product({"linear_rates", 2 * states, m_.hidden, true}, tokens_);
  });
  rowwise("short_conv", RowwiseKind::ShortConv, tokens_, 2 * keys + values);
  for (std::size_t i = 0; i < plan_.shape.size(); ++i) {
    const SequenceGroup& g = plan_.shape[i];
    LinearScanShape s;
    s.batch = g.sequences;
    s.q_len = g.new_tokens;
    s.key_heads = key_heads;
    s.heads = states;
    s.key_dim = l.key_dim;
    s.value_dim = l.value_dim;
    s.dtype = type_;
    add(i == 0 ? "linear_scan" : "linear_scan_" + std::to_string(i + 1), s);
  }
  rowwise("gated_norm", RowwiseKind::RmsNorm, tokens_ * states, l.value_dim, Pass::Forward, true);
  sum_beside("reduce_attention", [&] { product({"attention_out", m_.hidden, values}, tokens_); });
}

void Emitter::queries_keys_values() {
  if (m_.latent && !plan_.trains) return latent_inputs();
  for (const Projection& p : attention_inputs()) product(p, tokens_);
}

/// Engines take both products of the hidden state as one, norm what they make, and put the latent of the new
/// tokens into the cache.
void Emitter::latent_inputs() {
  const LatentAttentionSpec& l = *m_.latent;
  const std::int64_t latent = l.kv_rank + l.rope_dim;
  product({"latent_down", l.q_rank + latent, m_.hidden}, tokens_);
  rowwise("latent_norm", RowwiseKind::RmsNorm, tokens_, l.q_rank + l.kv_rank);
  product({"query_up", heads_ * query_dim(), l.q_rank > 0 ? l.q_rank : m_.hidden}, tokens_);
  rowwise("write_cache", RowwiseKind::Copy, tokens_, latent);
}

void Emitter::attention_core(const LayerType& type) {
  if (m_.qk_norm) rowwise("qk_norm", RowwiseKind::RmsNorm, tokens_ * (heads_ + kv_heads_), m_.head_dim);
  rope("rope", Pass::Forward);
  if (plan_.trains) return attention("attention", Pass::Forward);
  for (std::size_t i = 0; i < plan_.shape.size(); ++i)
    served_attention(type, plan_.shape[i], i == 0 ? "attention" : "attention_" + std::to_string(i + 1));
}

// ---- served: keys and values from a cache

/// The attention of one group of equal sequences.
void Emitter::served_attention(const LayerType& type, const SequenceGroup& g, const std::string& name) {
  const AttentionLayersSpec* special = special_attention(m_, type);
  if (!m_.latent) {
    AttentionShape a;
    a.batch = g.sequences;
    a.q_len = g.new_tokens;
    a.kv_len = g.seen();
    a.heads = heads_;
    a.kv_heads = kv_heads_;
    a.head_dim = m_.head_dim;
    a.causal = m_.causal;
    a.dtype = type_;
    a.kv_dtype = plan_.precision.kv_cache;
    if (special != nullptr && special->chunk > 0) return chunked_attention(a, special->chunk, g, name);
    if (special != nullptr) a.window = special->window;
    return shared_attention(a, g, name);
  }
  // Keys of every cached token go up to all heads, or queries come down to the latent: what computes less
  // (DeepSeek-V2, arXiv 2405.04434, section 2.1.2).
  const LatentAttentionSpec& l = *m_.latent;
  if (m_.sparse) {
    indexer(g, name);
    return absorbed_latent(g, name);
  }
  const double up = d(l.kv_rank) * d(l.nope_dim + l.value_dim), seen = d(g.seen()), fresh = d(g.new_tokens);
  const double expanded = seen * up + fresh * seen * d(query_dim() + value_dim());
  const double absorbed = fresh * up + fresh * seen * d(2 * l.kv_rank + l.rope_dim);
  expanded < absorbed ? expanded_latent(g, name) : absorbed_latent(g, name);
}

/// New tokens in as many pieces as chunks that they fall into: the rest of the first, whole ones, the last.
void Emitter::chunked_attention(const AttentionShape& whole, std::int64_t chunk, const SequenceGroup& g,
                                const std::string& name) {
  std::int64_t place = g.cached_tokens, pieces = 0;
  while (place < g.seen()) {
    AttentionShape a = whole;
    const std::int64_t before = place % chunk;
    const std::int64_t whole_chunks = before == 0 ? (g.seen() - place) / chunk : 0;
    a.batch *= std::max<std::int64_t>(1, whole_chunks);
    a.q_len = whole_chunks > 0 ? chunk : std::min(chunk - before, g.seen() - place);
    a.kv_len = before + a.q_len;
    const SequenceGroup part{a.batch, a.q_len, before, 0};
    shared_attention(a, part, pieces++ == 0 ? name : name + "_piece_" + std::to_string(pieces));
    place += a.q_len * std::max<std::int64_t>(1, whole_chunks);
  }
}

void Emitter::expanded_latent(const SequenceGroup& g, const std::string& name) {
  const LatentAttentionSpec& l = *m_.latent;
  product({name + "_latent_up", heads_ * (l.nope_dim + l.value_dim), l.kv_rank}, g.sequences * g.seen());
  AttentionShape a;
  a.batch = g.sequences;
  a.q_len = g.new_tokens;
  a.kv_len = g.seen();
  a.heads = a.kv_heads = heads_;
  a.head_dim = query_dim();
  a.value_dim = value_dim();
  a.causal = m_.causal;
  a.dtype = a.kv_dtype = type_;
  shared_attention(a, g, name);
}

/// Scores every seen token by short products in 8 bits, and picks the best (DeepSeek-V3.2's report,
/// section 2.1): its queries come from the query's latent, its keys have a cache of their own.
void Emitter::indexer(const SequenceGroup& g, const std::string& name) {
  const SparseAttentionSpec& s = *m_.sparse;
  const LatentAttentionSpec& l = *m_.latent;
  const std::int64_t rows = g.tokens();
  product({name + "_index_query", s.heads * s.dim, l.q_rank > 0 ? l.q_rank : m_.hidden}, rows);
  product({name + "_index_key", s.dim + s.heads, m_.hidden}, rows);
  rowwise(name + "_index_rope", RowwiseKind::Rope, rows, s.heads * s.dim);
  GemmShape& scores = multiply(name + "_index_scores", g.new_tokens * s.heads, g.seen(), s.dim, true, false);
  scores.batch = g.sequences;
  scores.weight_dtype = scores.dtype;
  RowwiseShape pick{RowwiseKind::TopK, rows, g.seen()};
  pick.dtype = Dtype::Fp32;
  pick.pairs = rows * std::min(s.topk, g.seen());
  add(name + "_pick", pick);
}

void Emitter::absorbed_latent(const SequenceGroup& g, const std::string& name) {
  const LatentAttentionSpec& l = *m_.latent;
  const std::int64_t rows = g.tokens();
  multiply(name + "_query", rows, l.kv_rank, l.nope_dim, true, true).batch = heads_;
  AttentionShape a;
  a.batch = g.sequences;
  a.q_len = g.new_tokens;
  a.kv_len = g.seen();
  a.heads = heads_;
  a.kv_heads = 1;
  a.head_dim = l.kv_rank + l.rope_dim;
  a.value_dim = l.kv_rank;
  a.latent = true;
  if (m_.sparse) a.picked = m_.sparse->topk;
  a.causal = m_.causal;
  a.dtype = type_;
  a.kv_dtype = plan_.precision.kv_cache;
  shared_attention(a, g, name);
  multiply(name + "_values", rows, l.value_dim, l.kv_rank, true, true).batch = heads_;
}

/// Over ranks that share a sequence. Images and prompts: by heads (ulysses), and with keys that go round.
/// Generation: each rank keeps a part of the keys, all queries go to all, and their results are merged.
void Emitter::shared_attention(AttentionShape a, const SequenceGroup& g, const std::string& name) {
  const std::int64_t ranks = plan_.groups.context;
  if (ranks == 1) {
    add(name, a);
    return;
  }
  const double element = d(size_of(a.dtype));
  if (!plan_.shares_tokens(g)) {
    const double rows = d(g.tokens() * a.heads);
    collective("gather_queries_" + name, CollectiveKind::AllGather, rows * d(a.head_dim) * element,
               RankGroup::Context);
    a.kv_len = std::max(ceil_div(a.kv_len, ranks), a.q_len);
    add(name, a);
    collective("merge_" + name, CollectiveKind::ReduceScatter, rows * d(a.value_extent() + 1) * 4,
               RankGroup::Context);
    return;
  }
  const std::int64_t own = ceil_div(a.q_len, ranks), ring = ranks / plan_.ulysses;
  const double width = d(a.heads * a.head_dim + a.kv_heads * (a.head_dim + a.value_extent()));
  if (plan_.ulysses > 1)
    collective("scatter_heads_" + name, CollectiveKind::AllToAll, d(g.sequences * own) * width * element,
               RankGroup::Context);
  a.heads = ceil_div(a.heads, plan_.ulysses);
  a.kv_heads = std::max<std::int64_t>(1, a.kv_heads / plan_.ulysses);
  a.q_len = own * plan_.ulysses;
  const double keys =
      d(g.sequences) * d(a.kv_len) * d(a.kv_heads) * d(a.head_dim + a.value_extent()) * element;
  if (g.cached_tokens > 0) {  // a piece of a prompt: its tokens see all keys before them
    if (ring > 1) collective("ring_" + name, CollectiveKind::AllGather, keys, RankGroup::Context, true);
    add(name, a);
    if (ring > 1) joined_ = {name, "ring_" + name};
    return;
  }
  a.kv_len = a.q_len;
  if (ring > 1) collective("ring_" + name, CollectiveKind::AllGather, keys, RankGroup::Context, true);
  add(name, a);
  if (ring > 1) {
    // Half of a causal mask is balanced by giving every rank an early and a late piece.
    AttentionShape others = a;
    others.kv_len = (ring - 1) * a.q_len;
    others.causal = false;
    if (a.causal) others.q_len = ceil_div(a.q_len, 2);
    add(name + "_of_others", others);
    joined_ = {name + "_of_others", "ring_" + name};
  }
  if (plan_.ulysses > 1)
    collective("gather_heads_" + name, CollectiveKind::AllToAll,
               d(g.sequences * own) * d(a.heads * plan_.ulysses * a.value_extent()) * element,
               RankGroup::Context);
}

// ---- trained: keys and values of the same pass

void Emitter::attend(const std::string& name, Pass pass, std::int64_t kv_len, bool causal) {
  AttentionShape a;
  a.pass = pass;
  a.batch = plan_.micro_batch();
  a.q_len = plan_.sequence() / plan_.groups.context;
  a.kv_len = kv_len;
  a.heads = heads_;
  a.kv_heads = m_.latent ? heads_ : kv_heads_;
  a.head_dim = query_dim();
  a.value_dim = m_.latent ? value_dim() : 0;
  a.causal = causal;
  a.dtype = a.kv_dtype = type_;
  add(name, a);
}

/// Over ranks that share a sequence, keys and values go round: each rank attends to its own part, and half
/// of its tokens to each of the others' (causal masks are balanced by giving every rank an early and a late
/// piece).
void Emitter::attention(const std::string& name, Pass pass) {
  const std::int64_t ranks = plan_.groups.context, own = plan_.sequence() / ranks;
  if (ranks == 1 && kernels_.attention == AttentionKernel::Unfused) {
    if (pass == Pass::Forward) return scores("");
    return scores_backward();
  }
  const double keys = d(plan_.micro_batch()) * d(plan_.sequence()) * d(m_.latent ? heads_ : kv_heads_) *
                      d(query_dim() + value_dim()) * 2;
  if (ranks > 1) collective("ring_" + name, CollectiveKind::AllGather, keys, RankGroup::Context, true);
  attend(name, pass, own, m_.causal);
  if (ranks == 1) return;
  attend(name + "_of_others", pass, (ranks - 1) * own, false);
  if (m_.causal) section().operators.back().as<AttentionShape>().q_len = ceil_div(own, 2);
  joined_ = {name + "_of_others", "ring_" + name};
  if (pass == Pass::Forward) return;
  collective("ring_gradients_" + name, CollectiveKind::ReduceScatter, keys, RankGroup::Context);
}

void Emitter::batched(const std::string& name, std::int64_t m, std::int64_t n, std::int64_t k) {
  multiply(name, m, n, k, false, true).batch = plan_.micro_batch() * heads_;
}

/// Scores, softmax and their product with the values, as kernels that pass the scores through memory.
void Emitter::scores(const std::string& prefix) {
  const std::int64_t own = plan_.sequence(), rows = plan_.micro_batch() * heads_ * own;
  batched(prefix + "scores", own, plan_.sequence(), query_dim());
  if (!kernels_.fused_softmax) {
    rowwise(prefix + "scale_scores", RowwiseKind::Copy, rows, plan_.sequence());
    rowwise(prefix + "mask_scores", RowwiseKind::Copy, rows, plan_.sequence());
  }
  rowwise(prefix + "softmax", RowwiseKind::Softmax, rows, plan_.sequence());
  if (kernels_.dropout) rowwise(prefix + "score_dropout", RowwiseKind::Copy, rows, plan_.sequence());
  batched(prefix + "weigh_values", own, value_dim(), plan_.sequence());
}

void Emitter::rope(const std::string& name, Pass pass) {
  if (m_.position != PositionKind::Rope) return;
  const std::int64_t turned = m_.latent           ? m_.latent->rope_dim
                              : m_.rotary_dim > 0 ? m_.rotary_dim
                                                  : m_.head_dim;
  const std::int64_t width = (heads_ + (m_.latent ? 1 : kv_heads_)) * turned;
  rowwise(name, RowwiseKind::Rope, tokens_, width, pass);
  if (kernels_.fused_rope) return;  // else: products with cosines and sines, halves swapped, a sum
  rowwise(name + "_swap", RowwiseKind::Copy, tokens_, width, pass);
  rowwise(name + "_sum", RowwiseKind::Add, tokens_, width, pass);
}

/// To the text: queries of all tokens, keys and values of the text's.
void Emitter::cross_attention() {
  norm("cross_norm", false);
  product({"cross_query", heads_ * m_.head_dim, m_.hidden}, tokens_);
  AttentionShape a;
  a.batch = sequences(plan_.shape);
  const std::int64_t own = tokens_ / a.batch;
  a.q_len = std::min(own, m_.cross_tokens);
  a.kv_len = std::max(own, m_.cross_tokens);
  a.heads = heads_;
  a.kv_heads = kv_heads_;
  a.head_dim = m_.head_dim;
  a.causal = false;
  a.dtype = a.kv_dtype = type_;
  add("cross_attention", a);
  product({"cross_out", m_.hidden, heads_ * m_.head_dim}, tokens_);
  residual("cross_residual");
}

}  // namespace xpusim::graph
