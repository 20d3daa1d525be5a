#include "xpusim/operators/rowwise.h"

#include "xpusim/operators/sampling.h"

namespace xpusim {
namespace {

/// Bytes of a pair in memory: the number of its expert and its weight, or its place.
constexpr double kPairBytes = 8;
constexpr double kKeyBytes = 4;  ///< of a pair while it is sorted: its expert, or its place

/// Route: reads the router's scores of each row, takes the best and writes them as pairs. Sort: counts the
/// pairs of each expert and gives them places by expert. Finalize: reads each pair's row, once, and writes
/// the weighted sum of a token's rows. Top k: reads fp32 scores and writes the places of the picked ones.
Cost cost_of_pairs(const RowwiseShape& o, const RowwiseCost& r) {
  const double pairs = d(o.pairs);
  const double rows = d(o.rows) * d(o.cols) * size_of(o.dtype);
  Cost c;
  if (o.kind == RowwiseKind::MoeFinalize) {
    c.vector_ops = pairs * d(o.cols) * r.ops;
    c.input_bytes = pairs * (d(o.cols) * size_of(o.dtype) + kPairBytes);
    c.output_bytes = rows;
  } else if (o.kind == RowwiseKind::MoeRoute) {
    c.vector_ops = d(o.rows) * d(o.cols) * r.ops;
    c.special_ops = d(o.rows) * d(o.cols) * r.special;
    c.input_bytes = rows;
    c.output_bytes = pairs * kPairBytes;
  } else if (o.kind == RowwiseKind::TopK) {
    c.vector_ops = d(o.rows) * d(o.cols) * r.ops;
    c.input_bytes = d(o.rows) * d(o.cols) * size_of(Dtype::Fp32);
    c.output_bytes = pairs * kKeyBytes;
  } else {
    c.vector_ops = pairs * r.ops;
    c.input_bytes = c.output_bytes = pairs * kKeyBytes;
  }
  return c;
}

}  // namespace

bool has_pairs(RowwiseKind kind) {
  return kind == RowwiseKind::TopK || kind == RowwiseKind::MoeRoute || kind == RowwiseKind::MoeSort ||
         kind == RowwiseKind::MoeFinalize;
}

void describe(Fields& f, RowwiseShape& c) {
  f.required("rows", c.rows, "rows (tokens)", kExtent);
  f.required("cols", c.cols, "elements of a row (swiglu: of the output)", kExtent);
  f.optional("pass", c.pass, "forward or backward");
  f.optional("dtype", c.dtype, "element type in memory");
  f.optional("residual", c.residual, "norms: a fused residual addition, one more tensor read and written");
  f.optional("cold", c.cold, "inputs come from HBM; false: from L2, if they fit and were just written");
  if (has_pairs(c.kind))
    f.required("pairs", c.pairs, "pairs of a row (token) and an expert; top_k: picks of all rows", kExtent);
}

RowwiseCost rowwise_cost(RowwiseKind kind, Pass pass) {
  const bool back = pass == Pass::Backward;
  switch (kind) {
    case RowwiseKind::Softmax:
      return back ? RowwiseCost{.reads = 2, .ops = 4} : RowwiseCost{.ops = 5, .special = 1};
    // Forward: square and add, scale, weight, two conversions. Backward: two row sums, then dx.
    case RowwiseKind::RmsNorm:
      return back ? RowwiseCost{.reads = 2, .ops = 9} : RowwiseCost{.ops = 5};
    case RowwiseKind::LayerNorm:
      return back ? RowwiseCost{.reads = 2, .ops = 11} : RowwiseCost{.ops = 7};
    case RowwiseKind::SwiGlu:
      return back ? RowwiseCost{.reads = 3, .writes = 2, .ops = 10, .special = 2}
                  : RowwiseCost{.reads = 2, .ops = 5, .special = 2};
    case RowwiseKind::Gelu:
      return back ? RowwiseCost{.reads = 2, .ops = 12, .special = 2} : RowwiseCost{.ops = 8, .special = 2};
    case RowwiseKind::Add:
      return {.reads = 2, .ops = 3};
    case RowwiseKind::Rope:
      return {.ops = 5};
    case RowwiseKind::Embedding:
      return back ? RowwiseCost{.reads = 1, .writes = 1, .state_read = 0, .ops = 2} : RowwiseCost{.ops = 1};
    case RowwiseKind::CrossEntropy:
      return back ? RowwiseCost{.ops = 4, .special = 1} : RowwiseCost{.writes = 0, .ops = 4, .special = 1};
    // Adam on fp32 master weights: reads master, m, v (the elements are the gradients); writes them and the
    // weights.
    case RowwiseKind::Optimizer:
      return {.reads = 1, .writes = 1, .state_read = 12, .state_write = 12, .ops = 12, .special = 2};
    case RowwiseKind::Quantize:
      return {.ops = 4};
    case RowwiseKind::MoeRoute:  // softmax, and a comparison of each score with the best so far
      return {.ops = 6, .special = 1};
    case RowwiseKind::MoeSort:  // per pair: compare, count, add the places before, store
      return {.ops = 4};
    case RowwiseKind::MoeFinalize:  // a conversion and a fused multiply-add of each source's element
      return {.ops = 2};
    // Radix select of 32-bit keys by digits of 11 bits: three passes, each takes the digit, compares it with
    // the one found so far and counts (AIR top-k; Zhang et al., SC 2023).
    case RowwiseKind::TopK:
      return {.ops = 9, .passes = 3};
    case RowwiseKind::ShortConv:  // causal, depthwise, 4 taps; the weights' gradient is one more product a
                                  // tap
      return back ? RowwiseCost{.reads = 2, .ops = 16} : RowwiseCost{.ops = 8};
    case RowwiseKind::Gate:  // a sigmoid (exp, reciprocal), its product with the value, conversions
      return back ? RowwiseCost{.reads = 3, .writes = 2, .ops = 8, .special = 2}
                  : RowwiseCost{.reads = 2, .ops = 4, .special = 2};
    case RowwiseKind::MoePermute:
    case RowwiseKind::MoeDescribe:
    case RowwiseKind::Copy:
      break;
  }
  return {.ops = 1};
}

Cost cost(const RowwiseShape& o) {
  RowwiseCost r = rowwise_cost(o.kind, o.pass);
  if (o.residual) {
    ++r.reads;
    ++r.writes;
    ++r.ops;
  }
  if (has_pairs(o.kind)) return cost_of_pairs(o, r);
  const double elements = d(o.rows) * d(o.cols);
  const double bytes = size_of(o.dtype);
  Cost c;
  c.vector_ops = elements * r.ops;
  c.special_ops = elements * r.special;
  c.input_bytes = elements * r.reads * bytes;
  c.weight_bytes = elements * r.state_read;
  c.output_bytes = elements * (r.writes * bytes + r.state_write);
  if (o.kind == RowwiseKind::Embedding && o.pass == Pass::Forward) std::swap(c.weight_bytes, c.input_bytes);
  if (o.kind == RowwiseKind::Quantize) c.output_bytes = elements;
  return c;
}

std::string_view accuracy_class(const RowwiseShape&) { return "row-wise"; }

Extents accuracy_extents(const RowwiseShape& r) { return {{"elements", d(r.rows) * d(r.cols)}}; }

RowwiseShape sample_of(const RowwiseShape& whole) {
  RowwiseShape r = whole;
  if (has_pairs(r.kind)) return r;
  double work = d(r.rows) * d(r.cols);
  cut_extent(r.rows > 1 ? r.rows : r.cols, work, kSampledElements, 1);
  return r;
}

}  // namespace xpusim
