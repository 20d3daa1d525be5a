#pragma once
#include <optional>
#include <string>
#include <vector>

#include "xpusim/core/fields.h"

namespace xpusim {

enum class NormKind : std::uint8_t { RmsNorm, LayerNorm };
inline constexpr std::array<std::string_view, 2> kNormKindNames = {"rmsnorm", "layernorm"};
template <>
struct EnumNames<NormKind> {
  static constexpr std::span<const std::string_view> value = kNormKindNames;
};
enum class PositionKind : std::uint8_t { Rope, Learned };
inline constexpr std::array<std::string_view, 2> kPositionKindNames = {"rope", "learned"};
template <>
struct EnumNames<PositionKind> {
  static constexpr std::span<const std::string_view> value = kPositionKindNames;
};

/// Latent attention (MLA): queries and keys come from low-rank projections; heads share one rotated key part.
struct LatentAttentionSpec {
  std::int64_t q_rank = 0;    ///< of the query projection; 0: queries are projected at once
  std::int64_t kv_rank = 1;   ///< of the shared latent of keys and values
  std::int64_t nope_dim = 1;  ///< elements of a head's key that are not rotated
  std::int64_t rope_dim = 1;  ///< rotated elements, one set for all heads
  std::int64_t value_dim = 1;
};

/// Layers whose feed-forward block is a mixture of experts.
struct ExpertsSpec {
  std::int64_t count = 1;         ///< routed experts of a layer
  std::int64_t per_token = 1;     ///< experts that each token goes to
  std::int64_t ffn = 1;           ///< width of one expert
  std::int64_t shared = 0;        ///< experts of the same width that every token goes to
  std::int64_t dense_layers = 0;  ///< leading layers with the dense block instead
  std::int64_t max_nodes = 0;     ///< nodes that the experts of a token are on at most; 0: any
};

/// Convolutions of one shape.
struct ConvolutionSpec {
  std::string name;
  std::int64_t repeat = 1;
  std::int64_t in_channels = 1, out_channels = 1;
  std::int64_t kernel = 1, stride = 1;
  std::int64_t out_size = 1;  ///< height and width of the result
};

/// A transformer (decoder, encoder or diffusion), or a convolutional network.
struct ModelSpec {
  std::string id;
  std::string name;
  std::string source;
  std::int64_t layers = 1;
  std::int64_t hidden = 1;
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 1;
  std::int64_t ffn = 1;
  bool ffn_gated = true;  ///< gate, up and down matrices (SwiGLU); false: up and down (GELU)
  std::int64_t vocab = 1;
  bool tie_embeddings = false;
  bool qk_norm = false;
  NormKind norm = NormKind::RmsNorm;
  PositionKind position = PositionKind::Rope;
  std::int64_t max_position = 1;
  bool causal = true;             ///< a token sees those before it; false: all (encoders, diffusion)
  std::int64_t cross_tokens = 0;  ///< of a text that every layer also attends to (diffusion); 0: none
  std::int64_t mtp_layers = 0;    ///< further layers, each with its own head, that predict later tokens
  std::optional<LatentAttentionSpec> latent;
  std::optional<ExpertsSpec> experts;
  std::vector<ConvolutionSpec> convolutions;  ///< of a convolutional network, instead of layers
  [[nodiscard]] std::int64_t expert_layers() const { return experts ? layers - experts->dense_layers : 0; }
  [[nodiscard]] std::int64_t dense_layers() const { return layers - expert_layers(); }
};

/// What a layer's feed-forward block is.
enum class LayerKind : std::uint8_t { Dense, Experts };

void describe(Fields&, LatentAttentionSpec&);
void describe(Fields&, ExpertsSpec&);
void describe(Fields&, ConvolutionSpec&);
void describe(Fields&, ModelSpec&);

/// Parameters of one layer without its routed experts, norms included, biases left out.
[[nodiscard]] double layer_parameters(const ModelSpec&, LayerKind);
/// Parameters of the routed experts of one layer.
[[nodiscard]] double expert_parameters(const ModelSpec&);
/// Parameters of the embedding table and, unless tied, of the output head.
[[nodiscard]] double embedding_parameters(const ModelSpec&);
[[nodiscard]] double total_parameters(const ModelSpec&);
/// Parameters that one token meets: routed experts count as many as it goes to.
[[nodiscard]] double active_parameters(const ModelSpec&);

}  // namespace xpusim
