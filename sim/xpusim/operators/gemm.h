#pragma once
#include "xpusim/operators/work.h"

namespace xpusim {

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

void describe(Fields&, GemmShape&);
[[nodiscard]] Cost cost(const GemmShape&);
[[nodiscard]] std::string_view accuracy_class(const GemmShape&);
[[nodiscard]] Extents accuracy_extents(const GemmShape&);
[[nodiscard]] GemmShape sample_of(const GemmShape&);

}  // namespace xpusim
