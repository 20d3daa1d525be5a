#pragma once
#include "xpusim/operators/work.h"

namespace xpusim {

enum class RowwiseKind : std::uint8_t {
  Softmax,
  RmsNorm,
  LayerNorm,
  SwiGlu,
  Gelu,
  Add,
  Rope,
  Embedding,
  CrossEntropy,
  Optimizer,
  Quantize,
  MoeRoute,
  MoeSort,
  MoeFinalize,
  MoePermute,
  MoeDescribe,
  TopK,
  ShortConv,
  Gate,
  Copy,
};
inline constexpr std::array<std::string_view, 20> kRowwiseKindNames = {
    "softmax",     "rmsnorm",       "layernorm", "swiglu",     "gelu",      "add",      "rope",
    "embedding",   "cross_entropy", "optimizer", "quantize",   "moe_route", "moe_sort", "moe_finalize",
    "moe_permute", "moe_describe",  "top_k",     "short_conv", "gate",      "copy"};
template <>
struct EnumNames<RowwiseKind> {
  static constexpr std::span<const std::string_view> value = kRowwiseKindNames;
};

/// An elementwise or row-wise operator on rows x cols elements (swiglu: cols of the output; optimizer:
/// parameters).
struct RowwiseShape {
  RowwiseKind kind = RowwiseKind::Copy;
  std::int64_t rows = 1, cols = 1;
  Pass pass = Pass::Forward;
  Dtype dtype = Dtype::Bf16;
  bool residual = false;   ///< norms: a fused residual addition, one more tensor read and written
  bool cold = false;       ///< the inputs come from HBM; else from L2, if the kernel before left them there
  std::int64_t pairs = 1;  ///< kinds that has_pairs names: of a token and one of its experts, or picked keys
  auto operator<=>(const RowwiseShape&) const = default;
};

/// Kinds whose work goes with pairs of a token and an expert, or a key.
[[nodiscard]] bool has_pairs(RowwiseKind);

void describe(Fields&, RowwiseShape&);
[[nodiscard]] Cost cost(const RowwiseShape&);
[[nodiscard]] std::string_view accuracy_class(const RowwiseShape&);
[[nodiscard]] Extents accuracy_extents(const RowwiseShape&);
[[nodiscard]] RowwiseShape sample_of(const RowwiseShape&);

/// Per element: bytes of state beside the elements themselves, and operations. The operation counts are those
/// of the straightforward fused kernel.
struct RowwiseCost {
  double reads = 1;       ///< tensors read, in elements of the operator's dtype
  double writes = 1;      ///< tensors written
  double state_read = 0;  ///< further bytes read (optimizer state), per element
  double state_write = 0;
  double ops = 1;
  double special = 0;
  double passes = 1;  ///< over what is read: from memory once, then from L2
};
[[nodiscard]] RowwiseCost rowwise_cost(RowwiseKind, Pass);

}  // namespace xpusim
