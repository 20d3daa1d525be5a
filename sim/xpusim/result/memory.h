#pragma once

namespace xpusim::result {

/// Bytes that one rank holds. Formulas: docs/model.md#memory.
struct MemoryUse {
  double weights = 0;
  double gradients = 0;
  double optimizer = 0;
  double kv_cache = 0;
  double activations = 0;
  [[nodiscard]] double total() const { return weights + gradients + optimizer + kv_cache + activations; }
};

}  // namespace xpusim::result
