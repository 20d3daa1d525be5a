#pragma once
#include <vector>

#include "xpusim/core/units.h"
#include "xpusim/spec/graph.h"

namespace xpusim::ops {

/// What an operator has to compute and move, whatever the chip: closed forms, docs/model.md#operators.
struct Cost {
  Flops matrix_flops;  ///< of matrix products
  Dtype matrix_dtype = Dtype::Bf16;
  double vector_ops = 0;    ///< fp32 element operations, an FMA is one
  double special_ops = 0;   ///< exp, reciprocal, square root
  double weight_bytes = 0;  ///< read, and sure to come from HBM (weights, KV cache, optimizer state)
  double input_bytes = 0;   ///< read, written by an operator before
  double output_bytes = 0;  ///< written
};
[[nodiscard]] Cost cost(const Operator&);

/// Groups of a grouped GEMM that have equally many rows.
struct GroupRows {
  std::int64_t rows = 0, groups = 0;
};
/// The rows of the active groups, busiest first: they add up to the operator's. An even spread leaves groups
/// that differ by one row; imbalance gives one group more and leaves the others even.
[[nodiscard]] std::vector<GroupRows> rows_of_groups(const GroupedGemmShape&);

/// Per element of a row-wise operator: bytes of state beside the elements themselves, and operations. The
/// operation counts are those of the straightforward fused kernel.
struct RowwiseCost {
  double reads = 1;       ///< tensors read, in elements of the operator's dtype
  double writes = 1;      ///< tensors written
  double state_read = 0;  ///< further bytes read (optimizer state), per element
  double state_write = 0;
  double ops = 1;
  double special = 0;
};
[[nodiscard]] RowwiseCost rowwise_cost(OpKind, Pass);

/// Share of the q_len x kv_len score matrix that a causal mask leaves.
[[nodiscard]] double causal_share(const AttentionShape&);

}  // namespace xpusim::ops
