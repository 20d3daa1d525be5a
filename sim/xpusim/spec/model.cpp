#include "xpusim/spec/model.h"

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

void describe(Fields& f, ExpertsSpec& c) {
  f.required("count", c.count, "routed experts of a layer", kCount);
  f.required("per_token", c.per_token, "experts that each token goes to", kCount);
  f.required("ffn", c.ffn, "width of one expert", kCount);
  f.optional("shared", c.shared, "experts of the same width that every token goes to", between(0, 1 << 10));
  f.optional("dense_layers", c.dense_layers, "leading layers without experts", between(0, 1 << 24));
  f.optional("max_nodes", c.max_nodes, "nodes that the experts of a token are on at most; 0: any",
             between(0, 1 << 16));
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
  f.required("max_position", c.max_position, "longest sequence of the model", kCount);
  f.optional("causal", c.causal, "a token sees those before it; false: all (encoders, diffusion)");
  f.optional("cross_tokens", c.cross_tokens, "tokens of a text that every layer also attends to; 0: none",
             between(0, 1 << 24));
  f.optional("mtp_layers", c.mtp_layers, "further layers, each with a head, that predict later tokens",
             between(0, 64));
  f.optional("latent", c.latent, "latent attention (MLA); kv_heads is then heads");
  f.optional("experts", c.experts, "a mixture of experts in the feed-forward blocks");
  f.optional("convolutions", c.convolutions, "of a convolutional network; its layers are then unused");
}

double layer_parameters(const ModelSpec& m, LayerKind kind) {
  const double hidden = d(m.hidden);
  double attention =
      hidden * d(m.head_dim) * d(m.heads + 2 * m.kv_heads) + d(m.heads) * d(m.head_dim) * hidden;
  if (m.latent) {
    const LatentAttentionSpec& l = *m.latent;
    const double query = d(m.heads) * d(l.nope_dim + l.rope_dim);
    attention = (l.q_rank > 0 ? d(l.q_rank) * (hidden + query) : hidden * query) +
                hidden * d(l.kv_rank + l.rope_dim) + d(l.kv_rank) * d(m.heads) * d(l.nope_dim + l.value_dim) +
                d(m.heads) * d(l.value_dim) * hidden;
  }
  if (m.cross_tokens > 0) attention *= 2;
  const double matrices = m.ffn_gated ? 3 : 2;
  const double feed_forward =
      kind == LayerKind::Dense
          ? hidden * d(m.ffn) * matrices
          : hidden * d(m.experts->count) + d(m.experts->shared) * hidden * d(m.experts->ffn) * matrices;
  const double norms =
      2 * hidden * (m.norm == NormKind::LayerNorm ? 2 : 1) + (m.qk_norm ? 2 * d(m.head_dim) : 0);
  return attention + feed_forward + norms;
}

double expert_parameters(const ModelSpec& m) {
  return m.experts ? d(m.experts->count) * d(m.hidden) * d(m.experts->ffn) * (m.ffn_gated ? 3 : 2) : 0;
}

double embedding_parameters(const ModelSpec& m) {
  const double table = d(m.vocab) * d(m.hidden);
  const double learned_positions =
      m.position == PositionKind::Learned ? d(m.max_position) * d(m.hidden) : 0.0;
  return table * (m.tie_embeddings ? 1 : 2) + learned_positions;
}

namespace {

double convolution_parameters(const ModelSpec& m) {
  double sum = 0;
  for (const ConvolutionSpec& c : m.convolutions)
    sum += d(c.repeat) * d(c.in_channels) * d(c.out_channels) * d(c.kernel * c.kernel);
  return sum;
}

/// With `share` of each layer's routed experts.
double parameters(const ModelSpec& m, double share) {
  if (!m.convolutions.empty()) return convolution_parameters(m);
  const double final_norm = d(m.hidden) * (m.norm == NormKind::LayerNorm ? 2 : 1);
  double sum =
      d(m.dense_layers()) * layer_parameters(m, LayerKind::Dense) + embedding_parameters(m) + final_norm;
  if (m.experts)
    sum += d(m.expert_layers()) * (layer_parameters(m, LayerKind::Experts) + share * expert_parameters(m));
  return sum;
}

}  // namespace

double total_parameters(const ModelSpec& m) { return parameters(m, 1); }

double active_parameters(const ModelSpec& m) {
  return parameters(m, m.experts ? d(m.experts->per_token) / d(m.experts->count) : 0);
}

}  // namespace xpusim
