#pragma once
#include "xpusim/operators/work.h"

namespace xpusim {

/// Linear attention with a state per head: the gated delta rule (arXiv 2412.06464). A state of key_dim x
/// value_dim decays, takes each token's correction, and is read by the token's query.
struct LinearScanShape {
  std::int64_t batch = 1, q_len = 1;  ///< q_len: new tokens of a sequence
  std::int64_t key_heads = 1;         ///< of queries and keys
  std::int64_t heads = 1;             ///< of values: states
  std::int64_t key_dim = 128, value_dim = 128;
  std::int64_t chunk = 64;  ///< tokens that the chunkwise kernel turns into products together
  Dtype dtype = Dtype::Bf16;
  Dtype state_dtype = Dtype::Fp32;
  auto operator<=>(const LinearScanShape&) const = default;
};

void describe(Fields&, LinearScanShape&);
[[nodiscard]] Cost cost(const LinearScanShape&);
[[nodiscard]] inline std::string_view accuracy_class(const LinearScanShape&) { return "linear attention"; }
[[nodiscard]] Extents accuracy_extents(const LinearScanShape&);
[[nodiscard]] LinearScanShape sample_of(const LinearScanShape&);

}  // namespace xpusim
