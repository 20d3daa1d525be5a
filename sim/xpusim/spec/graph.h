#pragma once
#include <string>
#include <vector>

#include "xpusim/core/dtype.h"
#include "xpusim/core/fields.h"
#include "xpusim/core/units.h"

/// What one rank computes: operators with shapes, in sections that repeat. Built from a model and a scenario,
/// or written by hand as a workload trace; the two are one format.
namespace xpusim {

enum class OpKind : std::uint8_t {
  Gemm,
  Attention,
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
  Copy,
  AllReduce,
  AllGather,
  ReduceScatter,
  AllToAll,
  Broadcast,
  SendRecv,
  Dispatch,
  Combine,
};
inline constexpr std::array<std::string_view, 22> kOpKindNames = {
    "gemm",      "attention", "softmax",    "rmsnorm",    "layernorm",      "swiglu",
    "gelu",      "add",       "rope",       "embedding",  "cross_entropy",  "optimizer",
    "quantize",  "copy",      "all_reduce", "all_gather", "reduce_scatter", "all_to_all",
    "broadcast", "send_recv", "dispatch",   "combine"};
template <>
struct EnumNames<OpKind> {
  static constexpr std::span<const std::string_view> value = kOpKindNames;
};

enum class Pass : std::uint8_t { Forward, Backward };
inline constexpr std::array<std::string_view, 2> kPassNames = {"forward", "backward"};
template <>
struct EnumNames<Pass> {
  static constexpr std::span<const std::string_view> value = kPassNames;
};

enum class RankGroup : std::uint8_t { Tensor, Data };
inline constexpr std::array<std::string_view, 2> kRankGroupNames = {"tensor", "data"};
template <>
struct EnumNames<RankGroup> {
  static constexpr std::span<const std::string_view> value = kRankGroupNames;
};

/// C[batch][m,n] = A[batch][m,k] x B[batch][k,n].
struct GemmShape {
  std::int64_t m = 1, n = 1, k = 1;
  std::int64_t batch = 1;
  Dtype dtype = Dtype::Bf16;         ///< operand type of the product
  Dtype weight_dtype = Dtype::Bf16;  ///< type of B in memory
  bool b_is_weight = true;           ///< B comes from HBM; false: an activation just written
  std::int64_t weight_copies =
      0;  ///< launches until the same weights come round (a benchmark's rotation); 0: never
  auto operator<=>(const GemmShape&) const = default;
};

/// softmax(Q K^T) V. q_len new tokens against kv_len keys (kv_len counts the new ones).
struct AttentionShape {
  Pass pass = Pass::Forward;
  std::int64_t batch = 1, q_len = 1, kv_len = 1, heads = 1, kv_heads = 1, head_dim = 128;
  std::int64_t value_dim = 0;  ///< elements of a value; 0: head_dim, as queries and keys have
  bool latent = false;         ///< values are the first elements of the keys: memory holds both once (MLA)
  bool causal = true;
  Dtype dtype = Dtype::Bf16;
  Dtype kv_dtype = Dtype::Bf16;
  [[nodiscard]] std::int64_t value_extent() const { return value_dim > 0 ? value_dim : head_dim; }
  auto operator<=>(const AttentionShape&) const = default;
};

/// An elementwise or row-wise operator on rows x cols elements (swiglu: cols of the output; optimizer:
/// parameters).
struct RowwiseShape {
  std::int64_t rows = 1, cols = 1;
  Pass pass = Pass::Forward;
  Dtype dtype = Dtype::Bf16;
  bool residual = false;  ///< norms: a fused residual addition, one more tensor read and written
  bool cold = false;      ///< the inputs come from HBM; else from L2, if the kernel before left them there
  auto operator<=>(const RowwiseShape&) const = default;
};

/// bytes follow nccl-tests: all_reduce and broadcast the buffer; all_gather what a rank holds after;
/// reduce_scatter and all_to_all what a rank holds before; send_recv the message. Of dispatch and combine
/// (mixture of experts): all routed copies of a rank's tokens.
struct CollectiveShape {
  Bytes bytes{1};
  RankGroup group = RankGroup::Tensor;
  bool overlap = false;  ///< runs on its own stream beside computation
  auto operator<=>(const CollectiveShape&) const = default;
};

struct Operator {
  std::string name;
  OpKind kind = OpKind::Gemm;
  GemmShape gemm;
  AttentionShape attention;
  RowwiseShape rowwise;
  CollectiveShape collective;
  /// Names of operators of the same section; empty: the last one above that is not an overlapped collective.
  std::vector<std::string> after;
};

struct Section {
  std::string name;
  std::int64_t repeat = 1;
  bool barrier = false;  ///< waits for the overlapped collectives of the sections before
  std::vector<Operator> operators;
};

struct Graph {
  std::string name;
  std::string notes;
  std::int64_t tensor = 1;  ///< ranks of the tensor group
  std::int64_t data = 1;    ///< ranks of the data group
  std::vector<Section> sections;
};

void describe(Fields&, GemmShape&);
void describe(Fields&, AttentionShape&);
void describe(Fields&, RowwiseShape&);
void describe(Fields&, CollectiveShape&);
void describe(Fields&, Operator&);
void describe(Fields&, Section&);
void describe(Fields&, Graph&);

[[nodiscard]] constexpr bool is_collective(OpKind kind) { return kind >= OpKind::AllReduce; }
[[nodiscard]] constexpr bool is_rowwise(OpKind kind) {
  return kind >= OpKind::Softmax && kind <= OpKind::Copy;
}

}  // namespace xpusim
