#pragma once
#include <map>
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

/// Layers whose attention is not over all tokens before. Layer i is one of them where i modulo `every` lies
/// in [from, from + take). Exactly one of window, chunk and linear says how it differs.
struct AttentionLayersSpec {
  std::int64_t window = 0;  ///< a token sees so many tokens, itself among them
  std::int64_t chunk = 0;   ///< a token sees those before it in its chunk of so many
  bool linear = false;      ///< a state of constant size stands for the tokens before (LinearAttentionSpec)
  std::int64_t take = 1, every = 1, from = 0;
};

/// Gated delta nets (arXiv 2412.06464): each head keeps a state of key_dim x value_dim.
struct LinearAttentionSpec {
  std::int64_t key_heads = 1, value_heads = 1;  ///< states: value_heads
  std::int64_t key_dim = 1, value_dim = 1;
  std::int64_t conv = 4;  ///< taps of the causal convolution before it
};

/// Attention over the tokens that an indexer picks (DeepSeek-V3.2): it scores every cached token by `heads`
/// short products, of which the best `topk` are attended to.
struct SparseAttentionSpec {
  std::int64_t heads = 1, dim = 1;
  std::int64_t topk = 1;
};

/// Layers whose feed-forward block is a mixture of experts.
struct ExpertsSpec {
  std::int64_t count = 1;         ///< routed experts of a layer
  std::int64_t per_token = 1;     ///< experts that each token goes to
  std::int64_t ffn = 1;           ///< width of one expert
  std::int64_t shared = 0;        ///< experts that every token goes to
  std::int64_t shared_ffn = 0;    ///< width of one of them; 0: as a routed one
  std::int64_t dense_layers = 0;  ///< leading layers with the dense block instead
  std::int64_t every = 1;         ///< of so many layers the last has experts, the others the dense block
  std::int64_t max_nodes = 0;     ///< nodes that the experts of a token are on at most; 0: any
  [[nodiscard]] std::int64_t shared_width() const { return shared * (shared_ffn > 0 ? shared_ffn : ffn); }
};

/// A text that is part of the sequence of images or video (MMDiT, arXiv 2403.03206).
struct JointTextSpec {
  std::int64_t tokens = 1;
  std::int64_t separate_layers = 0;  ///< leading layers with weights of their own for the text
};

/// A recommender (DLRM, arXiv 1906.00091): rows of embedding tables are summed, and go with dense features
/// through two stacks of products.
struct RecommenderSpec {
  std::int64_t tables = 1, rows = 1, dim = 1;  ///< rows of one table on average
  std::int64_t lookups = 1;                    ///< of a sample, over all tables
  std::int64_t dense_features = 1;
  std::vector<std::int64_t> bottom, top;  ///< widths of the products before and after the interaction
};

/// Convolutions of one shape.
struct ConvolutionSpec {
  std::string name;
  std::int64_t repeat = 1;
  std::int64_t in_channels = 1, out_channels = 1;
  std::int64_t kernel = 1, stride = 1;
  std::int64_t out_size = 1;  ///< height and width of the result
};

/// A transformer (decoder, encoder or diffusion), a convolutional network, or a recommender.
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
  std::int64_t rotary_dim = 0;  ///< elements of a head that are rotated; 0: all
  std::int64_t max_position = 1;
  bool causal = true;           ///< a token sees those before it; false: all (encoders, diffusion)
  bool parallel_block = false;  ///< attention and feed-forward read one norm and add up (GPT-J, Falcon)
  bool output_gate = false;     ///< attention's result is gated by a projection as wide (Qwen3-Next)
  bool sinks = false;           ///< every head has a learned score that takes a part of the softmax (gpt-oss)
  std::int64_t patch = 0;       ///< numbers of a patch that is embedded by a product; 0: tokens, looked up
  std::int64_t cross_tokens = 0;  ///< of a text that every layer also attends to (diffusion); 0: none
  std::int64_t mtp_layers = 0;    ///< further layers, each with its own head, that predict later tokens
  std::vector<AttentionLayersSpec> attention_layers;  ///< the first that a layer fits decides
  std::optional<LatentAttentionSpec> latent;
  std::optional<LinearAttentionSpec> linear;
  std::optional<SparseAttentionSpec> sparse;
  std::optional<ExpertsSpec> experts;
  std::optional<JointTextSpec> joint_text;
  std::vector<ConvolutionSpec> convolutions;   ///< of a convolutional network, instead of layers
  std::optional<RecommenderSpec> recommender;  ///< instead of layers
  [[nodiscard]] std::int64_t expert_layers() const;
  [[nodiscard]] std::int64_t dense_layers() const { return layers - expert_layers(); }
};

/// What one layer is made of.
struct LayerType {
  bool experts = false;         ///< the feed-forward block is a mixture
  bool separate_text = false;   ///< the text has weights of its own
  std::int64_t attention = -1;  ///< place in attention_layers; -1: over all tokens before
  auto operator<=>(const LayerType&) const = default;
};
[[nodiscard]] LayerType layer_type(const ModelSpec&, std::int64_t layer);
/// Of the layers after the last (multi-token prediction).
[[nodiscard]] LayerType mtp_layer_type(const ModelSpec&);
/// How many layers of each type there are in [first, last).
[[nodiscard]] std::map<LayerType, std::int64_t> layer_types(const ModelSpec&, std::int64_t first,
                                                            std::int64_t last);
/// How the attention of a layer differs; nothing: it is over all tokens before.
[[nodiscard]] const AttentionLayersSpec* special_attention(const ModelSpec&, const LayerType&);

void describe(Fields&, LatentAttentionSpec&);
void describe(Fields&, AttentionLayersSpec&);
void describe(Fields&, LinearAttentionSpec&);
void describe(Fields&, SparseAttentionSpec&);
void describe(Fields&, ExpertsSpec&);
void describe(Fields&, JointTextSpec&);
void describe(Fields&, RecommenderSpec&);
void describe(Fields&, ConvolutionSpec&);
void describe(Fields&, ModelSpec&);

/// Parameters of one layer without its routed experts, norms included, biases left out.
[[nodiscard]] double layer_parameters(const ModelSpec&, const LayerType&);
/// Parameters of the routed experts of one layer.
[[nodiscard]] double expert_parameters(const ModelSpec&);
/// Parameters of the embedding table and, unless tied, of the output head.
[[nodiscard]] double embedding_parameters(const ModelSpec&);
[[nodiscard]] double total_parameters(const ModelSpec&);
/// Parameters that one token meets: routed experts count as many as it goes to.
[[nodiscard]] double active_parameters(const ModelSpec&);

/// Numbers that a recommender's interaction hands on: the dense vector, and the product of each pair.
[[nodiscard]] double interaction_width(const RecommenderSpec&);

}  // namespace xpusim
