#include "xpusim/ops/cost.h"

#include <algorithm>
#include <cmath>

#include "xpusim/core/error.h"

namespace xpusim::ops {
namespace {

double d(std::int64_t x) { return static_cast<double>(x); }

Cost gemm_cost(const GemmShape& g) {
  Cost c;
  c.matrix_flops = Flops(2 * d(g.m) * d(g.n) * d(g.k) * d(g.batch));
  c.matrix_dtype = g.dtype;
  const double b_bytes = d(g.n) * d(g.k) * d(g.batch) * d(size_of(g.b_is_weight ? g.weight_dtype : g.dtype));
  const bool cold = g.b_is_weight && g.weight_copies == 0;  // rotated weights may still be in L2
  (cold ? c.weight_bytes : c.input_bytes) = b_bytes;
  c.input_bytes += d(g.m) * d(g.k) * d(g.batch) * d(size_of(g.dtype));
  c.output_bytes = d(g.m) * d(g.n) * d(g.batch) * d(g.output_bytes_per_element());  // 16 bits, also of 8-bit
  return c;
}

Cost grouped_gemm_cost(const GroupedGemmShape& g) {
  Cost c;
  c.matrix_flops = Flops(2 * d(g.m) * d(g.n) * d(g.k));
  c.matrix_dtype = g.dtype;
  const double weights = d(g.active_groups()) * d(g.n) * d(g.k) * d(size_of(g.weight_dtype));
  (g.weight_copies == 0 ? c.weight_bytes : c.input_bytes) = weights;
  c.input_bytes += d(g.m) * d(g.k) * d(size_of(g.dtype));
  c.output_bytes = d(g.m) * d(g.n) * 2;
  return c;
}

Cost attention_cost(const AttentionShape& a) {
  Cost c;
  const double scores = d(a.batch) * d(a.heads) * d(a.q_len) * d(a.kv_len) * causal_share(a);
  const bool backward = a.pass == Pass::Backward;
  // Forward: Q K^T and P V. Backward: S again, dP, dV, dQ, dK.
  c.matrix_flops =
      Flops(2 * scores *
            (backward ? 3 * d(a.head_dim) + 2 * d(a.value_extent()) : d(a.head_dim) + d(a.value_extent())));
  c.matrix_dtype = a.dtype;
  c.vector_ops = scores * (backward ? 7 : 5);
  c.special_ops = scores;
  const double rows = d(a.batch) * d(a.heads) * d(a.q_len);
  const double q_bytes = rows * d(a.head_dim) * d(size_of(a.dtype));
  const double o_bytes = rows * d(a.value_extent()) * d(size_of(a.dtype));
  const double kv_bytes = d(a.batch) * d(a.kv_heads) * d(a.kv_len) *
                          d(a.head_dim + (a.latent ? 0 : a.value_extent())) * d(size_of(a.kv_dtype));
  const bool from_cache = a.q_len < a.kv_len;
  (from_cache ? c.weight_bytes : c.input_bytes) = kv_bytes;
  c.input_bytes += q_bytes + (backward ? 2 * o_bytes : 0);   // Q; backward also O and dO
  c.output_bytes = backward ? q_bytes + kv_bytes : o_bytes;  // O; backward dQ, dK, dV
  return c;
}

/// Bytes of a pair in memory: the number of its expert and its weight, or its place.
constexpr double kPairBytes = 8;
constexpr double kKeyBytes = 4;  ///< of a pair while it is sorted: its expert, or its place

/// Route: reads the router's scores of each row, takes the best and writes them as pairs. Sort: counts the
/// pairs of each expert and gives them places by expert. Finalize: reads each pair's row, once, and writes
/// the weighted sum of a token's rows.
Cost cost_of_pairs(const Operator& o, const RowwiseCost& r) {
  const double pairs = d(o.rowwise.pairs);
  const double rows = d(o.rowwise.rows) * d(o.rowwise.cols) * d(size_of(o.rowwise.dtype));
  Cost c;
  if (o.kind == OpKind::MoeFinalize) {
    c.vector_ops = pairs * d(o.rowwise.cols) * r.ops;
    c.input_bytes = pairs * (d(o.rowwise.cols) * d(size_of(o.rowwise.dtype)) + kPairBytes);
    c.output_bytes = rows;
  } else if (o.kind == OpKind::MoeRoute) {
    c.vector_ops = d(o.rowwise.rows) * d(o.rowwise.cols) * r.ops;
    c.special_ops = d(o.rowwise.rows) * d(o.rowwise.cols) * r.special;
    c.input_bytes = rows;
    c.output_bytes = pairs * kPairBytes;
  } else {
    c.vector_ops = pairs * r.ops;
    c.input_bytes = c.output_bytes = pairs * kKeyBytes;
  }
  return c;
}

Cost rowwise_op_cost(const Operator& o) {
  RowwiseCost r = rowwise_cost(o.kind, o.rowwise.pass);
  if (o.rowwise.residual) {
    ++r.reads;
    ++r.writes;
    ++r.ops;
  }
  if (has_pairs(o.kind)) return cost_of_pairs(o, r);
  const double elements = d(o.rowwise.rows) * d(o.rowwise.cols);
  const double bytes = d(size_of(o.rowwise.dtype));
  Cost c;
  c.vector_ops = elements * r.ops;
  c.special_ops = elements * r.special;
  c.input_bytes = elements * r.reads * bytes;
  c.weight_bytes = elements * r.state_read;
  c.output_bytes = elements * (r.writes * bytes + r.state_write);
  if (o.kind == OpKind::Embedding && o.rowwise.pass == Pass::Forward)
    std::swap(c.weight_bytes, c.input_bytes);
  if (o.kind == OpKind::Quantize) c.output_bytes = elements;
  return c;
}

}  // namespace

double causal_share(const AttentionShape& a) {
  if (!a.causal) return 1;
  // Row i of the last q_len rows sees kv_len - q_len + i + 1 keys.
  return (d(a.kv_len) - (d(a.q_len) - 1) / 2) / d(a.kv_len);
}

std::vector<GroupRows> rows_of_groups(const GroupedGemmShape& g) {
  const std::int64_t active = g.active_groups();
  check_invariant(active >= 1 && active <= g.m, "each active group has a row");
  std::vector<GroupRows> list;
  const auto add_even = [&list](std::int64_t rows, std::int64_t groups) {
    if (groups == 0) return;
    const std::int64_t more = rows % groups;
    if (more > 0) list.push_back({rows / groups + 1, more});
    list.push_back({rows / groups, groups - more});
  };
  const auto busiest = std::clamp<std::int64_t>(std::llround(g.imbalance * d(g.m) / d(active)),
                                                ceil_div(g.m, active), g.m - (active - 1));
  if (g.imbalance == 1) {
    add_even(g.m, active);
  } else {
    list.push_back({busiest, 1});
    add_even(g.m - busiest, active - 1);
  }
  return list;
}

RowwiseCost rowwise_cost(OpKind kind, Pass pass) {
  const bool back = pass == Pass::Backward;
  switch (kind) {
    case OpKind::Softmax:
      return back ? RowwiseCost{.reads = 2, .ops = 4} : RowwiseCost{.ops = 5, .special = 1};
    // Forward: square and add, scale, weight, two conversions. Backward: two row sums, then dx.
    case OpKind::RmsNorm:
      return back ? RowwiseCost{.reads = 2, .ops = 9} : RowwiseCost{.ops = 5};
    case OpKind::LayerNorm:
      return back ? RowwiseCost{.reads = 2, .ops = 11} : RowwiseCost{.ops = 7};
    case OpKind::SwiGlu:
      return back ? RowwiseCost{.reads = 3, .writes = 2, .ops = 10, .special = 2}
                  : RowwiseCost{.reads = 2, .ops = 5, .special = 2};
    case OpKind::Gelu:
      return back ? RowwiseCost{.reads = 2, .ops = 12, .special = 2} : RowwiseCost{.ops = 8, .special = 2};
    case OpKind::Add:
      return {.reads = 2, .ops = 3};
    case OpKind::Rope:
      return {.ops = 5};
    case OpKind::Embedding:
      return back ? RowwiseCost{.reads = 1, .writes = 1, .state_read = 0, .ops = 2} : RowwiseCost{.ops = 1};
    case OpKind::CrossEntropy:
      return back ? RowwiseCost{.ops = 4, .special = 1} : RowwiseCost{.writes = 0, .ops = 4, .special = 1};
    // Adam on fp32 master weights: reads master, m, v (the elements are the gradients); writes them and the
    // weights.
    case OpKind::Optimizer:
      return {.reads = 1, .writes = 1, .state_read = 12, .state_write = 12, .ops = 12, .special = 2};
    case OpKind::Quantize:
      return {.ops = 4};
    case OpKind::MoeRoute:  // softmax, and a comparison of each score with the best so far
      return {.ops = 6, .special = 1};
    case OpKind::MoeSort:  // per pair: compare, count, add the places before, store
      return {.ops = 4};
    case OpKind::MoeFinalize:  // a conversion and a fused multiply-add of each source's element
      return {.ops = 2};
    case OpKind::MoePermute:
    case OpKind::MoeDescribe:
    case OpKind::Copy:
      return {.ops = 1};
    default:
      throw ModelError("rowwise_cost: not a row-wise operator");
  }
}

Cost cost(const Operator& o) {
  if (o.kind == OpKind::Gemm) return gemm_cost(o.gemm);
  if (o.kind == OpKind::Attention) return attention_cost(o.attention);
  if (o.kind == OpKind::GroupedGemm) return grouped_gemm_cost(o.grouped);
  if (is_rowwise(o.kind)) return rowwise_op_cost(o);
  return {};
}

}  // namespace xpusim::ops
