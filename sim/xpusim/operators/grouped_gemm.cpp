#include "xpusim/operators/grouped_gemm.h"

#include "xpusim/core/error.h"

namespace xpusim {

void describe(Fields& f, GroupedGemmShape& c) {
  f.required("groups", c.groups, "weights of k x n, one a group (expert)", between(1, 1 << 20));
  f.required("m", c.m, "rows of all groups together", kExtent);
  f.required("n", c.n, "columns of C and of each weight", kExtent);
  f.required("k", c.k, "depth of the products", kExtent);
  f.optional("active", c.active, "groups that have rows; 0: as many as there are rows for",
             between(0, 1 << 20));
  f.optional("imbalance", c.imbalance, "rows of the busiest group over the mean of the active ones",
             between(1, 1 << 20));
  f.optional("dtype", c.dtype, "operand type of the products");
  if (f.reads()) c.weight_dtype = c.dtype;
  f.optional("weight_dtype", c.weight_dtype, "type of the weights in memory; default: dtype");
  f.optional("weight_copies", c.weight_copies, "launches until the same weights come round; 0: never",
             between(0, 1 << 20));
}

Cost cost(const GroupedGemmShape& g) {
  Cost c;
  c.matrix_flops = Flops(2 * d(g.m) * d(g.n) * d(g.k));
  c.matrix_dtype = g.dtype;
  const double weights = d(g.active_groups()) * d(g.n) * d(g.k) * size_of(g.weight_dtype);
  (g.weight_copies == 0 ? c.weight_bytes : c.input_bytes) = weights;
  c.input_bytes += d(g.m) * d(g.k) * size_of(g.dtype);
  c.output_bytes = d(g.m) * d(g.n) * 2;
  return c;
}

std::string_view accuracy_class(const GroupedGemmShape& g) {
  const bool narrow = layout_of(g.dtype).block > 1 || layout_of(g.weight_dtype).block > 1;
  return narrow ? "grouped gemm, block scales" : "grouped gemm";
}

Extents accuracy_extents(const GroupedGemmShape& g) {
  return {{"groups", d(g.groups)}, {"m", d(g.m)}, {"n", d(g.n)}, {"k", d(g.k)}};
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

}  // namespace xpusim
