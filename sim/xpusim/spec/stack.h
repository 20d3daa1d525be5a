#pragma once
#include <map>
#include <string>
#include <vector>

#include "xpusim/core/dtype.h"
#include "xpusim/core/fields.h"
#include "xpusim/core/units.h"
#include "xpusim/spec/scenario.h"

/// A training framework, as far as it decides how fast the same step runs on the same chips: what it fuses,
/// what it overlaps, and what its host costs.
namespace xpusim {

/// Flash: one kernel that keeps the scores on the chip. Unfused: two batched products and a softmax between.
enum class AttentionKernel : std::uint8_t { Flash, Unfused };
inline constexpr std::array<std::string_view, 2> kAttentionKernelNames = {"flash", "unfused"};
template <>
struct EnumNames<AttentionKernel> {
  static constexpr std::span<const std::string_view> value = kAttentionKernelNames;
};

struct StackKernels {
  AttentionKernel attention = AttentionKernel::Flash;
  /// Of its attention kernel over the chip's best, by the chip's family; others: 1.
  std::map<std::string, double> attention_rate;
  double rate_8bit = 1;  ///< of its 8-bit products (with block scales) over the chip's best
  double rate = 1;  ///< of all kernels in a long run over the same in a benchmark: heat, power, memory in use
  bool fused_softmax = true;        ///< unfused attention: scale, mask and softmax in one kernel
  bool fused_residual = true;       ///< bias, dropout and residual addition in one kernel
  bool fused_norm = false;          ///< ... and the norm after it as well
  bool fused_activation = true;     ///< bias and activation in one kernel
  bool fused_rope = true;           ///< rotates queries and keys in one pass
  bool fused_cross_entropy = true;  ///< loss without fp32 copies of the logits
  bool fused_accumulation = true;   ///< weight gradients added to the sum by the product itself
  bool block_scales = false;  ///< 8-bit products scale blocks of operands: transposed ones are quantised anew
  bool dropout = false;       ///< masks are drawn and stored
};

struct StackOverlaps {
  bool tensor = false, tensor_backward = true, gradients = false, parameters = false, pipeline = true,
       experts = false;
};

struct StackHost {
  Seconds kernel;  ///< to launch one kernel: below it the device waits for the host
  Seconds step;    ///< once a step that nothing hides: data, logging, checks
};

struct StackSpec {
  std::string id;
  std::string name;
  std::string notes;
  /// What the source and note of a measured run contain that used it: parts joined by '+', all of them.
  std::vector<std::string> measured_as;
  std::vector<std::string> default_for;  ///< families of chips whose runs with unknown software it stands for
  StackKernels kernels;
  Dtype gradients = Dtype::Fp32;  ///< that are summed over micro-batches and replicas
  Dtype reduction = Dtype::Fp32;  ///< type of gradients on the network
  StackOverlaps overlap;
  StackHost host;
  Recompute recompute = Recompute::Auto;  ///< where the scenario leaves it open
  bool broadcasts_weights = false;  ///< updated weights go out from each owner in turn, not in one gather
  std::string expert_library;       ///< of the system, for dispatch and combine; empty: an all-to-all
  double core_share = 0;  ///< of the chip's cores that collectives take from the kernels beside them
  /// Standard deviation of the ranks' speeds. All wait for the slowest of n: sqrt(2 ln n) deviations behind.
  double spread = 0;
};

void describe(Fields&, StackKernels&);
void describe(Fields&, StackOverlaps&);
void describe(Fields&, StackHost&);
void describe(Fields&, StackSpec&);

}  // namespace xpusim
