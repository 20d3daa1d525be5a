#pragma once
#include <string>

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

/// A dense decoder-only transformer.
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
};

void describe(Fields&, ModelSpec&);

/// Parameters of one layer, norms included, biases left out.
[[nodiscard]] double layer_parameters(const ModelSpec&);
/// Parameters of the embedding table and, unless tied, of the output head.
[[nodiscard]] double embedding_parameters(const ModelSpec&);
[[nodiscard]] double total_parameters(const ModelSpec&);

}  // namespace xpusim
