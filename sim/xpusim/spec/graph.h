#pragma once
#include <algorithm>
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
  GroupedGemm,
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
inline constexpr std::array<std::string_view, 28> kOpKindNames = {
    "gemm",         "attention", "grouped_gemm", "softmax",    "rmsnorm",        "layernorm",
    "swiglu",       "gelu",      "add",          "rope",       "embedding",      "cross_entropy",
    "optimizer",    "quantize",  "moe_route",    "moe_sort",   "moe_finalize",   "moe_permute",
    "moe_describe", "copy",      "all_reduce",   "all_gather", "reduce_scatter", "all_to_all",
    "broadcast",    "send_recv", "dispatch",     "combine"};
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

/// Ranks that communicate: sharers of a layer, of a sequence (context), of a layer's experts, neighbouring
/// pipeline stages; replicas (of sequences: with context), those that share one copy of the weights (shard)
/// and those that hold the same part of it (copy), and the replicas of experts.
enum class RankGroup : std::uint8_t { Tensor, Data, Context, Expert, Pipeline, Shard, Copy, ExpertData };
inline constexpr std::array<std::string_view, 8> kRankGroupNames = {
    "tensor", "data", "context", "expert", "pipeline", "shard", "copy", "expert_data"};
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
      0;                    ///< launches until the same weights come round (a benchmark's rotation); 0: never
  bool accumulate = false;  ///< C += A B in fp32 (weight gradients): the sum is read and written
  [[nodiscard]] std::int64_t output_bytes_per_element() const { return accumulate ? 8 : 2; }
  auto operator<=>(const GemmShape&) const = default;
};

/// C_i[m_i,n] = A_i[m_i,k] x B_i[k,n] for each group i that has rows: the experts of a mixture.
struct GroupedGemmShape {
  std::int64_t groups = 1;           ///< weights of [k,n]
  std::int64_t m = 1, n = 1, k = 1;  ///< m: rows of all groups together
  std::int64_t active = 0;           ///< groups that have rows; 0: as many as there are rows for
  double imbalance = 1;              ///< rows of the busiest group over the mean of the active ones
  Dtype dtype = Dtype::Bf16;
  Dtype weight_dtype = Dtype::Bf16;
  std::int64_t weight_copies = 0;  ///< as of GemmShape
  [[nodiscard]] std::int64_t active_groups() const { return active > 0 ? active : std::min(groups, m); }
  auto operator<=>(const GroupedGemmShape&) const = default;
};

/// softmax(Q K^T) V. q_len new tokens against kv_len keys (kv_len counts the new ones).
struct AttentionShape {
  Pass pass = Pass::Forward;
  std::int64_t batch = 1, q_len = 1, kv_len = 1, heads = 1, kv_heads = 1, head_dim = 128;
  std::int64_t value_dim = 0;  ///< elements of a value; 0: head_dim, as queries and keys have
  bool latent = false;         ///< values are the first elements of the keys: memory holds both once (MLA)
  bool prompt = false;         ///< one token that is a whole prompt: prefill's kernel runs it, not decode's
  bool causal = true;
  Dtype dtype = Dtype::Bf16;
  Dtype kv_dtype = Dtype::Bf16;
  [[nodiscard]] bool decodes() const { return q_len == 1 && !prompt; }
  [[nodiscard]] std::int64_t value_extent() const { return value_dim > 0 ? value_dim : head_dim; }
  auto operator<=>(const AttentionShape&) const = default;
};

/// An elementwise or row-wise operator on rows x cols elements (swiglu: cols of the output; optimizer:
/// parameters).
struct RowwiseShape {
  std::int64_t rows = 1, cols = 1;
  Pass pass = Pass::Forward;
  Dtype dtype = Dtype::Bf16;
  bool residual = false;   ///< norms: a fused residual addition, one more tensor read and written
  bool cold = false;       ///< the inputs come from HBM; else from L2, if the kernel before left them there
  std::int64_t pairs = 1;  ///< kinds that has_pairs names: of a token and one of its experts
  auto operator<=>(const RowwiseShape&) const = default;
};

/// bytes follow nccl-tests: all_reduce and broadcast the buffer; all_gather what a rank holds after;
/// reduce_scatter and all_to_all what a rank holds before; send_recv the message. Of dispatch and combine
/// (mixture of experts): all routed copies of a rank's tokens.
struct CollectiveShape {
  Bytes bytes{1};
  RankGroup group = RankGroup::Tensor;
  bool overlap = false;        ///< runs on its own stream beside computation
  std::string library;         ///< of the system; empty: its first
  std::int64_t copies = 1;     ///< dispatch, combine: experts of a token
  std::int64_t max_nodes = 0;  ///< dispatch, combine: that a token's experts are on at most; 0: any
  auto operator<=>(const CollectiveShape&) const = default;
};

struct Operator {
  std::string name;
  OpKind kind = OpKind::Gemm;
  GemmShape gemm;
  AttentionShape attention;
  GroupedGemmShape grouped;
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
  /// Overlapped collectives that the next run of the section, or the next section, waits for (prefetches).
  std::vector<std::string> awaited;
};

/// How many ranks each kind of group has. Neighbours first: tensor, context, data, pipeline.
struct RankGroups {
  std::int64_t tensor = 1, context = 1, data = 1, pipeline = 1;
  std::int64_t expert = 1;         ///< of one pipeline stage, expert_tensor apart
  std::int64_t expert_tensor = 1;  ///< neighbours that share every expert
  std::int64_t shard = 0;          ///< replicas that share one copy of the weights, neighbours; 0: all
  struct Extent {
    std::int64_t ranks = 1, stride = 1;
  };
  [[nodiscard]] Extent extent(RankGroup) const;
  [[nodiscard]] std::int64_t devices() const { return tensor * context * data * pipeline; }
};

struct Graph {
  std::string name;
  std::string notes;
  RankGroups groups;
  std::vector<Section> sections;
};

void describe(Fields&, GemmShape&);
void describe(Fields&, AttentionShape&);
void describe(Fields&, GroupedGemmShape&);
void describe(Fields&, RowwiseShape&);
void describe(Fields&, CollectiveShape&);
void describe(Fields&, Operator&);
void describe(Fields&, RankGroups&);
void describe(Fields&, Section&);
void describe(Fields&, Graph&);

[[nodiscard]] constexpr bool is_collective(OpKind kind) { return kind >= OpKind::AllReduce; }
/// Row-wise kinds whose work goes with pairs of a token and an expert.
[[nodiscard]] constexpr bool has_pairs(OpKind kind) {
  return kind >= OpKind::MoeRoute && kind <= OpKind::MoeFinalize;
}
[[nodiscard]] constexpr bool is_rowwise(OpKind kind) {
  return kind >= OpKind::Softmax && kind <= OpKind::Copy;
}

}  // namespace xpusim
