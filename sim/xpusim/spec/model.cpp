#include "xpusim/spec/model.h"

namespace xpusim {

void describe(Fields& f, ModelSpec& c) {
  const Range count = between(1, 1 << 24);
  f.label("id", c.id, "the file's name without .yaml", true);
  f.label("name", c.name, "name in print", true);
  f.label("source", c.source, "where the architecture was read", true);
  f.required("layers", c.layers, "transformer layers", count);
  f.required("hidden", c.hidden, "width of the residual stream", count);
  f.required("heads", c.heads, "query heads", count);
  f.required("kv_heads", c.kv_heads, "key and value heads", count);
  f.required("head_dim", c.head_dim, "elements of one head", count);
  f.required("ffn", c.ffn, "width of the feed-forward block", count);
  f.required("ffn_gated", c.ffn_gated,
             "true: gate, up and down matrices (SwiGLU); false: up and down (GELU)");
  f.required("vocab", c.vocab, "tokens of the vocabulary", count);
  f.optional("tie_embeddings", c.tie_embeddings, "the output head is the embedding table");
  f.optional("qk_norm", c.qk_norm, "RMS norm of every query and key head");
  f.required("norm", c.norm, "normalisation");
  f.required("position", c.position, "position encoding");
  f.required("max_position", c.max_position, "longest sequence of the model", count);
}

double layer_parameters(const ModelSpec& m) {
  const auto d = [](std::int64_t x) { return static_cast<double>(x); };
  const double attention =
      d(m.hidden) * d(m.head_dim) * d(m.heads + 2 * m.kv_heads) + d(m.heads) * d(m.head_dim) * d(m.hidden);
  const double feed_forward = d(m.hidden) * d(m.ffn) * (m.ffn_gated ? 3 : 2);
  const double norms =
      2 * d(m.hidden) * (m.norm == NormKind::LayerNorm ? 2 : 1) + (m.qk_norm ? 2 * d(m.head_dim) : 0);
  return attention + feed_forward + norms;
}

double embedding_parameters(const ModelSpec& m) {
  const double table = static_cast<double>(m.vocab) * static_cast<double>(m.hidden);
  const double learned_positions = m.position == PositionKind::Learned
                                       ? static_cast<double>(m.max_position) * static_cast<double>(m.hidden)
                                       : 0.0;
  return table * (m.tie_embeddings ? 1 : 2) + learned_positions;
}

double total_parameters(const ModelSpec& m) {
  const double final_norm = static_cast<double>(m.hidden) * (m.norm == NormKind::LayerNorm ? 2 : 1);
  return static_cast<double>(m.layers) * layer_parameters(m) + embedding_parameters(m) + final_norm;
}

}  // namespace xpusim
