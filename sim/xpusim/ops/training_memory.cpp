#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/ops/training.h"

/// What a rank of a training job holds. Formulas: docs/model.md#memory.
namespace xpusim::ops {
namespace {

/// Bytes of one layer's activations that the backward pass needs, per token of a micro-batch, in 16 bits
/// (Korthikanti et al., arXiv 2205.05198, section 4, with masks only where there is dropout).
double saved_per_token(const ModelSpec& m, const TrainingPlan& plan, const StackSpec& stack, LayerKind kind) {
  const double tp = d(plan.groups.tensor), hidden = d(m.hidden);
  const double spread = plan.sequence_parallel ? tp : 1;  // of what every tensor rank would hold
  const double query = m.latent ? d(m.latent->nope_dim + m.latent->rope_dim) : d(m.head_dim);
  const double value = m.latent ? d(m.latent->value_dim) : d(m.head_dim);
  const double kv_heads = m.latent ? d(m.heads) : d(m.kv_heads);
  double bytes =
      (2 * hidden + 2 * hidden + 2 * hidden + 2 * hidden) / spread;  // inputs of norms and products
  if (stack.kernels.dropout) bytes += 2 * hidden / spread;
  bytes += 2 * (d(m.heads) * (query + value) + kv_heads * (query + value)) / tp;
  if (m.latent) bytes += 2 * d(m.latent->q_rank + m.latent->kv_rank + m.latent->rope_dim);
  if (m.latent && plan.recompute == Recompute::Selective)  // norms and up-projections come again
    bytes -= 4 * hidden / spread + 2 * d(m.heads) * (2 * query + value) / tp;
  if (stack.kernels.attention == AttentionKernel::Unfused && plan.recompute == Recompute::None)
    bytes += (stack.kernels.dropout ? 5 : 4) * d(m.heads) / tp * d(plan.sequence);
  const double widths = m.ffn_gated ? 3 : 2;  // the products' results and the activation's
  if (kind == LayerKind::Dense) return bytes + 2 * widths * d(m.ffn) / tp;
  const double copies = d(m.experts->per_token) * plan.expert_imbalance / spread;
  // Inputs of 8-bit products stay in 8 bits; selective recomputation takes the activations again, too.
  const double element = size_of(plan.precision.activations) < 2 ? 1 : 2;
  const double kept = widths - (m.latent && plan.recompute == Recompute::Selective ? 1 : 0);
  return bytes + copies * element * (kept * d(m.experts->ffn) + hidden) +
         element * kept * d(m.experts->shared * m.experts->ffn) / tp;
}

/// Of one image: each convolution's result, and what its normalisation makes of it, in 16 bits.
double saved_per_image(const ModelSpec& m) {
  double bytes = 0;
  for (const ConvolutionSpec& c : m.convolutions)
    bytes += 2 * 2 * d(c.repeat) * d(c.out_size * c.out_size) * d(c.out_channels);
  return bytes;
}

}  // namespace

MemoryUse training_memory(const ModelSpec& m, const TrainingPlan& plan, const StackSpec& stack,
                          const std::vector<Chunk>& stage, double in_flight) {
  MemoryUse use;
  ChunkParameters held;
  double saved = 0, logits = 0, largest = 0;
  for (const Chunk& c : stage) {
    const ChunkParameters p = parameters_of(c, m, plan);
    held.dense += p.dense;
    held.experts += p.experts;
    for (const LayerKind kind : {LayerKind::Dense, LayerKind::Experts}) {
      const std::int64_t count = kind == LayerKind::Dense ? c.dense_layers : c.expert_layers + c.mtp_layers;
      if (count == 0 || (kind == LayerKind::Experts && !m.experts)) continue;
      const double whole = saved_per_token(m, plan, stack, kind);
      const double entry = 2 * d(m.hidden) / (plan.sequence_parallel ? d(plan.groups.tensor) : 1);
      const std::int64_t again = plan.recompute != Recompute::Full ? 0
                                 : plan.recompute_layers > 0       ? std::min(plan.recompute_layers, count)
                                                                   : count;
      saved += d(again) * entry + d(count - again) * whole;
      largest = std::max(largest, again > 0 ? whole : 0);
    }
    if (c.head) logits = 4 * d(ceil_div(m.vocab, plan.groups.tensor));
  }
  const double tokens = d(plan.micro_batch) * d(plan.sequence) / d(plan.groups.context);
  const auto owners = [&](Sharding from, RankGroup g) {
    return plan.sharding >= from ? d(plan.groups.extent(g).ranks) : 1.0;
  };
  const auto share = [&](Sharding from) {
    return held.dense / owners(from, RankGroup::Shard) + held.experts / owners(from, RankGroup::ExpertData);
  };
  use.weights = share(Sharding::Zero3) * d(size_of(plan.precision.weights));
  use.gradients = share(Sharding::Zero2) * d(size_of(stack.gradients));
  use.optimizer = share(Sharding::Zero1) * 12;  // fp32 master weights, first and second moment
  if (plan.sharding == Sharding::Zero3)         // this layer's and the next one's weights
    use.weights += 2 * (held.dense + held.experts) / d(std::max<std::int64_t>(1, m.layers)) * 2;
  use.activations = tokens * (saved * in_flight + largest + logits);
  if (!m.convolutions.empty()) use.activations = d(plan.micro_batch) * saved_per_image(m);
  return use;
}

void check_training_memory(const ModelSpec& m, const TrainingPlan& plan, const MemoryUse& use, Bytes capacity,
                           std::string_view chip) {
  const double have = d(capacity.count()), need = use.total(), gib = 0x1p30;
  if (need <= have) return;
  std::string advice;
  const auto suggest = [&](std::string_view text) {
    advice += (advice.empty() ? "try " : ", ") + std::string(text);
  };
  if (plan.recompute == Recompute::None && use.activations > have / 4) suggest("recompute: full");
  if (plan.sharding == Sharding::None && plan.groups.data > 1) suggest("training.sharding: zero1");
  if (use.weights + use.gradients > have / 2)
    suggest(fmt::format("parallelism.pp: {}", 2 * plan.groups.pipeline));
  if (plan.micro_batch > 1) suggest(fmt::format("micro_batch: {}", plan.micro_batch / 2));
  if (advice.empty()) suggest(fmt::format("parallelism.tp: {}", 2 * plan.groups.tensor));
  throw InfeasibleError(
      fmt::format("{} does not fit {}: the fullest rank needs {:.1f} GiB of its {:.1f} GiB (weights {:.1f}, "
                  "gradients {:.1f}, "
                  "optimizer {:.1f}, activations {:.1f}; {})",
                  m.id, chip, need / gib, have / gib, use.weights / gib, use.gradients / gib,
                  use.optimizer / gib, use.activations / gib, advice));
}

}  // namespace xpusim::ops
