#include "xpusim/operators/gemm.h"

#include <algorithm>

#include "xpusim/operators/sampling.h"

namespace xpusim {

void describe(Fields& f, GemmShape& c) {
  f.required("m", c.m, "rows of A and C", kExtent);
  f.required("n", c.n, "columns of B and C", kExtent);
  f.required("k", c.k, "depth of the product", kExtent);
  f.optional("batch", c.batch, "independent products", kExtent);
  f.optional("dtype", c.dtype, "operand type of the product");
  if (f.reads()) c.weight_dtype = c.dtype;
  f.optional("weight_dtype", c.weight_dtype, "type of B in memory; default: dtype");
  f.optional("weight_copies", c.weight_copies, "launches until the same weights come round; 0: never",
             between(0, 1 << 20));
  f.optional("b_is_weight", c.b_is_weight, "B is read from HBM; false: an activation just written");
  f.optional("accumulate", c.accumulate, "adds to an fp32 sum in memory (weight gradients)");
}

Cost cost(const GemmShape& g) {
  Cost c;
  c.matrix_flops = Flops(2 * d(g.m) * d(g.n) * d(g.k) * d(g.batch));
  c.matrix_dtype = g.dtype;
  const double b_bytes = d(g.n) * d(g.k) * d(g.batch) * size_of(g.b_is_weight ? g.weight_dtype : g.dtype);
  const bool cold = g.b_is_weight && g.weight_copies == 0;  // rotated weights may still be in L2
  (cold ? c.weight_bytes : c.input_bytes) = b_bytes;
  c.input_bytes += d(g.m) * d(g.k) * d(g.batch) * size_of(g.dtype);
  c.output_bytes = d(g.m) * d(g.n) * d(g.batch) * d(g.output_bytes_per_element());  // 16 bits, also of 8-bit
  return c;
}

std::string_view accuracy_class(const GemmShape& g) {
  const std::int64_t narrowest = std::min(layout_of(g.dtype).bits, layout_of(g.weight_dtype).bits);
  if (narrowest == 4) return "gemm 4-bit";
  const DtypeLayout l = layout_of(g.dtype);
  if (l.block > 1) return "gemm 8-bit, block scales";
  return l.bits == 8 ? "gemm 8-bit" : l.bits == 16 ? "gemm 16-bit" : "gemm 32-bit";
}

Extents accuracy_extents(const GemmShape& g) { return {{"m", d(g.m)}, {"n", d(g.n)}, {"k", d(g.k)}}; }

/// Fewer products first, then fewer tiles.
GemmShape sample_of(const GemmShape& whole) {
  GemmShape g = whole;
  double work = cost(g).matrix_flops.count() / 2;
  cut_extent(g.batch, work, kSampledMacs, 1);
  cut_extent(g.m > g.n ? g.m : g.n, work, kSampledMacs, kSampledTiles);
  cut_extent(g.m > g.n ? g.m : g.n, work, kSampledMacs, kSampledTiles);
  return g;
}

}  // namespace xpusim
