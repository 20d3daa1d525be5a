#pragma once
#include <algorithm>

#include "xpusim/operators/work.h"

namespace xpusim {

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

void describe(Fields&, GroupedGemmShape&);
[[nodiscard]] Cost cost(const GroupedGemmShape&);
[[nodiscard]] std::string_view accuracy_class(const GroupedGemmShape&);
[[nodiscard]] Extents accuracy_extents(const GroupedGemmShape&);
/// Grouped products are played whole.
[[nodiscard]] inline GroupedGemmShape sample_of(const GroupedGemmShape& g) { return g; }

/// Groups that have equally many rows.
struct GroupRows {
  std::int64_t rows = 0, groups = 0;
};
/// The rows of the active groups, busiest first: they add up to the operator's. An even spread leaves groups
/// that differ by one row; imbalance gives one group more and leaves the others even.
[[nodiscard]] std::vector<GroupRows> rows_of_groups(const GroupedGemmShape&);

}  // namespace xpusim
