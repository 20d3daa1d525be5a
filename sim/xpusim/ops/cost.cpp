#include "xpusim/ops/cost.h"

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
  c.output_bytes = d(g.m) * d(g.n) * d(g.batch) * 2;  // 16-bit results, also of 8-bit operands
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

Cost rowwise_op_cost(const Operator& o) {
  RowwiseCost r = rowwise_cost(o.kind, o.rowwise.pass);
  if (o.rowwise.residual) {
    ++r.reads;
    ++r.writes;
    ++r.ops;
  }
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
    case OpKind::Copy:
      return {.ops = 1};
    default:
      throw ModelError("rowwise_cost: not a row-wise operator");
  }
}

Cost cost(const Operator& o) {
  if (o.kind == OpKind::Gemm) return gemm_cost(o.gemm);
  if (o.kind == OpKind::Attention) return attention_cost(o.attention);
  if (is_rowwise(o.kind)) return rowwise_op_cost(o);
  return {};
}

}  // namespace xpusim::ops
