#include "xpusim/spec/model.h"

#include <utility>

namespace xpusim {
namespace {
constexpr Range kCount = between(1, 1 << 24);
}  // namespace

void describe(Fields& f, LatentAttentionSpec& c) {
  f.required("q_rank", c.q_rank, "rank of the query projection; 0: no such projection", between(0, 1 << 24));
  f.required("kv_rank", c.kv_rank, "rank of the latent that keys and values share", kCount);
  f.required("nope_dim", c.nope_dim, "elements of a head's key that are not rotated", kCount);
  f.required("rope_dim", c.rope_dim, "rotated elements, one set for all heads", kCount);
  f.required("value_dim", c.value_dim, "elements of a head's value", kCount);
}

void describe(Fields& f, AttentionLayersSpec& c) {
  f.optional("window", c.window, "a token sees so many tokens, itself among them", between(0, 1 << 24));
  f.optional("chunk", c.chunk, "a token sees those before it in its chunk of so many", between(0, 1 << 24));
  f.optional("linear", c.linear, "a state of constant size stands for the tokens before");
  f.optional("every", c.every, "layers of a period", kCount);
  f.optional("take", c.take, "layers of each period that are so", kCount);
  f.optional("from", c.from, "the first of them in a period", between(0, 1 << 24));
}

void describe(Fields& f, LinearAttentionSpec& c) {
  f.required("key_heads", c.key_heads, "query and key heads", kCount);
  f.required("value_heads", c.value_heads, "value heads; each keeps a state", kCount);
  f.required("key_dim", c.key_dim, "elements of a query and of a key", between(1, 1024));
  f.required("value_dim", c.value_dim, "elements of a value", between(1, 1024));
  f.optional("conv", c.conv, "taps of the causal convolution before it", between(1, 64));
}

void describe(Fields& f, SparseAttentionSpec& c) {
  f.required("heads", c.heads, "heads of the indexer", kCount);
  f.required("dim", c.dim, "elements of an indexer's head", between(1, 1024));
  f.required("topk", c.topk, "tokens that each token attends to", kCount);
}

void describe(Fields& f, ExpertsSpec& c) {
  f.required("count", c.count, "routed experts of a layer", kCount);
  f.required("per_token", c.per_token, "experts that each token goes to", kCount);
  f.required("ffn", c.ffn, "width of one expert", kCount);
  f.optional("shared", c.shared, "experts that every token goes to", between(0, 1 << 10));
  f.optional("shared_ffn", c.shared_ffn, "width of one shared expert; 0: ffn", between(0, 1 << 24));
  f.optional("dense_layers", c.dense_layers, "leading layers without experts", between(0, 1 << 24));
  f.optional("every", c.every, "of so many layers the last has experts", kCount);
  f.optional("max_nodes", c.max_nodes, "nodes that the experts of a token are on at most; 0: any",
             between(0, 1 << 16));
}

void describe(Fields& f, JointTextSpec& c) {
  f.required("tokens", c.tokens, "tokens of the text, in the sequence", kCount);
  f.optional("separate_layers", c.separate_layers, "leading layers with weights of their own for the text",
             between(0, 1 << 24));
}

void describe(Fields& f, RecommenderSpec& c) {
  f.required("tables", c.tables, "embedding tables", kCount);
  f.required("rows", c.rows, "rows of a table, on average", between(1, 1LL << 40));
  f.required("dim", c.dim, "elements of a row", kCount);
  f.required("lookups", c.lookups, "rows that a sample reads, over all tables", kCount);
  f.required("dense_features", c.dense_features, "numbers of a sample that no table holds", kCount);
  f.required("bottom", c.bottom, "widths of the products on the dense features", kCount);
  f.required("top", c.top, "widths of the products after the interaction", kCount);
}

void describe(Fields& f, ConvolutionSpec& c) {
  f.label("name", c.name, "name in print", true);
  f.optional("repeat", c.repeat, "convolutions of this shape", kCount);
  f.required("in_channels", c.in_channels, "channels read", kCount);
  f.required("out_channels", c.out_channels, "channels written", kCount);
  f.required("kernel", c.kernel, "height and width of the kernel", between(1, 64));
  f.optional("stride", c.stride, "step in the input", between(1, 64));
  f.required("out_size", c.out_size, "height and width of the result", between(1, 1 << 16));
}

void describe(Fields& f, ModelSpec& c) {
  f.label("id", c.id, "the file's name without .yaml", true);
  f.label("name", c.name, "name in print", true);
  f.label("source", c.source, "where the architecture was read", true);
  f.required("layers", c.layers, "transformer layers", kCount);
  f.required("hidden", c.hidden, "width of the residual stream", kCount);
  f.required("heads", c.heads, "query heads", kCount);
  f.required("kv_heads", c.kv_heads, "key and value heads", kCount);
  f.required("head_dim", c.head_dim, "elements of one head", kCount);
  f.required("ffn", c.ffn, "width of the feed-forward block", kCount);
  f.required("ffn_gated", c.ffn_gated,
             "true: gate, up and down matrices (SwiGLU); false: up and down (GELU)");
  f.required("vocab", c.vocab, "tokens of the vocabulary", kCount);
  f.optional("tie_embeddings", c.tie_embeddings, "the output head is the embedding table");
  f.optional("qk_norm", c.qk_norm, "RMS norm of every query and key head");
  f.required("norm", c.norm, "normalisation");
  f.required("position", c.position, "position encoding");
  f.optional("rotary_dim", c.rotary_dim, "elements of a head that are rotated; 0: all", between(0, 1 << 24));
  f.required("max_position", c.max_position, "longest sequence of the model", kCount);
  f.optional("causal", c.causal, "a token sees those before it; false: all (encoders, diffusion)");
  f.optional("parallel_block", c.parallel_block, "attention and feed-forward read one norm and add up");
  f.optional("output_gate", c.output_gate, "attention's result is gated by a projection as wide");
  f.optional("sinks", c.sinks, "every head has a learned score that takes a part of the softmax");
  f.optional("patch", c.patch, "numbers of a patch that a product embeds; 0: tokens, looked up",
             between(0, 1 << 24));
  f.optional("cross_tokens", c.cross_tokens, "tokens of a text that every layer also attends to; 0: none",
             between(0, 1 << 24));
  f.optional("mtp_layers", c.mtp_layers, "further layers, each with a head, that predict later tokens",
             between(0, 64));
  f.optional(
      "attention_layers", c.attention_layers,
      "layers whose attention is not over all tokens before; the first entry that a layer fits decides");
  f.optional("latent", c.latent, "latent attention (MLA); kv_heads is then heads");
  f.optional("linear", c.linear, "gated delta nets, in layers that attention_layers calls linear");
  f.optional("sparse", c.sparse, "attention over the tokens that an indexer picks (DSA)");
  f.optional("experts", c.experts, "a mixture of experts in the feed-forward blocks");
  f.optional("joint_text", c.joint_text, "a text that is part of the sequence (MMDiT)");
  f.optional("convolutions", c.convolutions, "of a convolutional network; its layers are then unused");
  f.optional("recommender", c.recommender, "embedding tables and products (DLRM); layers are then unused");
}

std::int64_t ModelSpec::expert_layers() const {
  if (!experts) return 0;
  // Whole periods end with a layer of experts; those of the leading dense layers have none.
  return layers / experts->every - experts->dense_layers / experts->every;
}

LayerType layer_type(const ModelSpec& m, std::int64_t layer) {
  LayerType type;
  if (m.experts)
    type.experts = layer >= m.experts->dense_layers && layer % m.experts->every == m.experts->every - 1;
  if (m.joint_text) type.separate_text = layer < m.joint_text->separate_layers;
  for (std::size_t i = 0; i < m.attention_layers.size() && type.attention < 0; ++i) {
    const AttentionLayersSpec& a = m.attention_layers[i];
    const std::int64_t place = layer % a.every - a.from;
    if (place >= 0 && place < a.take) type.attention = static_cast<std::int64_t>(i);
  }
  return type;
}

LayerType mtp_layer_type(const ModelSpec& m) { return {.experts = m.experts.has_value()}; }

std::map<LayerType, std::int64_t> layer_types(const ModelSpec& m, std::int64_t first, std::int64_t last) {
  std::map<LayerType, std::int64_t> counts;
  for (std::int64_t layer = first; layer < last; ++layer) ++counts[layer_type(m, layer)];
  return counts;
}

const AttentionLayersSpec* special_attention(const ModelSpec& m, const LayerType& type) {
  return type.attention < 0 ? nullptr : &m.attention_layers[static_cast<std::size_t>(type.attention)];
}

namespace {

double latent_parameters(const ModelSpec& m, const LatentAttentionSpec& l) {
  const double hidden = d(m.hidden), query = d(m.heads) * d(l.nope_dim + l.rope_dim);
  return (l.q_rank > 0 ? d(l.q_rank) * (hidden + query) : hidden * query) +
         hidden * d(l.kv_rank + l.rope_dim) + d(l.kv_rank) * d(m.heads) * d(l.nope_dim + l.value_dim) +
         d(m.heads) * d(l.value_dim) * hidden;
}

/// Queries, keys, values and gates; the gates' rates; the convolution; the way out.
double linear_parameters(const ModelSpec& m, const LinearAttentionSpec& l) {
  const double keys = d(l.key_heads) * d(l.key_dim), values = d(l.value_heads) * d(l.value_dim);
  return d(m.hidden) * (2 * keys + 2 * values + 2 * d(l.value_heads)) + (2 * keys + values) * d(l.conv) +
         values * d(m.hidden);
}

double attention_parameters(const ModelSpec& m, const LayerType& type) {
  const AttentionLayersSpec* special = special_attention(m, type);
  if (special != nullptr && special->linear && m.linear) return linear_parameters(m, *m.linear);
  const double hidden = d(m.hidden), width = d(m.heads) * d(m.head_dim);
  double sum = m.latent ? latent_parameters(m, *m.latent)
                        : hidden * d(m.head_dim) * d(m.heads + 2 * m.kv_heads) + width * hidden;
  if (m.output_gate) sum += hidden * width;
  if (m.sinks) sum += d(m.heads);
  if (m.sparse) {
    const double query = m.latent && m.latent->q_rank > 0 ? d(m.latent->q_rank) : hidden;
    sum += query * d(m.sparse->heads) * d(m.sparse->dim) + hidden * d(m.sparse->dim + m.sparse->heads);
  }
  return m.cross_tokens > 0 ? 2 * sum : sum;
}

}  // namespace

double layer_parameters(const ModelSpec& m, const LayerType& type) {
  const double hidden = d(m.hidden);
  const double matrices = m.ffn_gated ? 3 : 2;
  const double feed_forward =
      type.experts ? hidden * d(m.experts->count) + hidden * d(m.experts->shared_width()) * matrices
                   : hidden * d(m.ffn) * matrices;
  const double norms =
      2 * hidden * (m.norm == NormKind::LayerNorm ? 2 : 1) + (m.qk_norm ? 2 * d(m.head_dim) : 0);
  const double products = attention_parameters(m, type) + feed_forward;
  // Shift, scale and gate of each block, made of the time step (Emitter::modulation).
  const double modulation = m.joint_text ? hidden * hidden * (type.separate_text ? 12 : 3) : 0;
  return products * (type.separate_text ? 2 : 1) + norms + modulation;
}

double expert_parameters(const ModelSpec& m) {
  return m.experts ? d(m.experts->count) * d(m.hidden) * d(m.experts->ffn) * (m.ffn_gated ? 3 : 2) : 0;
}

double embedding_parameters(const ModelSpec& m) {
  const double table = d(m.vocab) * d(m.hidden);
  const double learned_positions =
      m.position == PositionKind::Learned ? d(m.max_position) * d(m.hidden) : 0.0;
  if (m.patch > 0) return d(m.patch) * d(m.hidden) + table + learned_positions;
  return table * (m.tie_embeddings ? 1 : 2) + learned_positions;
}

namespace {

double convolution_parameters(const ModelSpec& m) {
  double sum = 0;
  for (const ConvolutionSpec& c : m.convolutions)
    sum += d(c.repeat) * d(c.in_channels) * d(c.out_channels) * d(c.kernel * c.kernel);
  return sum;
}

double recommender_parameters(const RecommenderSpec& r) {
  double sum = d(r.tables) * d(r.rows) * d(r.dim), width = d(r.dense_features);
  for (const std::int64_t next : r.bottom) sum += std::exchange(width, d(next)) * d(next);
  width = interaction_width(r);
  for (const std::int64_t next : r.top) sum += std::exchange(width, d(next)) * d(next);
  return sum;
}

/// With `share` of each layer's routed experts.
double parameters(const ModelSpec& m, double share) {
  if (m.recommender) return recommender_parameters(*m.recommender);
  if (!m.convolutions.empty()) return convolution_parameters(m);
  const double final_norm = d(m.hidden) * (m.norm == NormKind::LayerNorm ? 2 : 1);
  double sum = embedding_parameters(m) + final_norm;
  for (const auto& [type, count] : layer_types(m, 0, m.layers))
    sum += d(count) * (layer_parameters(m, type) + (type.experts ? share * expert_parameters(m) : 0));
  return sum;
}

}  // namespace

double interaction_width(const RecommenderSpec& r) {
  const double vectors = d(r.tables) + 1;
  return d(r.dim) + vectors * (vectors - 1) / 2;
}

double total_parameters(const ModelSpec& m) { return parameters(m, 1); }

double active_parameters(const ModelSpec& m) {
  return parameters(m, m.experts ? d(m.experts->per_token) / d(m.experts->count) : 0);
}

}  // namespace xpusim
