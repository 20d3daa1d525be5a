#pragma once
#include <string>
#include <string_view>

#include "xpusim/graph/experts.h"

/// Measured sets of mixtures of experts: what a row stands for.
namespace xpusim::validation {

/// One row of a set of whole layers, as its columns name it.
struct MoeRow {
  std::int64_t tokens = 1, hidden = 1, inter = 1, topk = 1, experts = 1, tensor = 1, expert_parallel = 1;
  Dtype dtype = Dtype::Bf16;
};

/// Weights in four bits, or scaled by blocks: formats that have no model of their conversion.
[[nodiscard]] bool is_unmodelled_dtype(std::string_view);

/// What is inconsistent about a row; empty if nothing.
[[nodiscard]] std::string mistake(const MoeRow&);

/// The first rank's part of the layer.
[[nodiscard]] graph::MoeLayer layer_of(const MoeRow&);

}  // namespace xpusim::validation
