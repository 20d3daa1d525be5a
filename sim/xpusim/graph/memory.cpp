#include "xpusim/graph/memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/graph/experts.h"
#include "xpusim/graph/passes.h"

/// What a rank of a training job holds. Formulas: docs/model.md#memory.
namespace xpusim::graph {
namespace {

/// Bytes of one layer's activations that the backward pass needs, per token of a micro-batch, in 16 bits
/// (Korthikanti et al., arXiv 2205.05198, section 4, with masks only where there is dropout).
double saved_per_token(const ModelSpec& m, const Plan& plan, const StackSpec& stack, const LayerType& type) {
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
    bytes += (stack.kernels.dropout ? 5 : 4) * d(m.heads) / tp * d(plan.sequence());
  const double widths = m.ffn_gated ? 3 : 2;  // the products' results and the activation's
  if (!type.experts) return bytes + 2 * widths * d(m.ffn) / tp;
  const double copies = d(m.experts->per_token) * plan.experts.imbalance / spread;
  // Inputs of 8-bit products stay in 8 bits; selective recomputation takes the activations again, too.
  const double element = size_of(plan.precision.activations) < 2 ? 1 : 2;
  const double kept = widths - (m.latent && plan.recompute == Recompute::Selective ? 1 : 0);
  return bytes + copies * element * (kept * d(m.experts->ffn) + hidden) +
         element * kept * d(m.experts->shared_width()) / tp;
}

/// Of one image: each convolution's result, and what its normalisation makes of it, in 16 bits.
double saved_per_image(const ModelSpec& m) {
  double bytes = 0;
  for (const ConvolutionSpec& c : m.convolutions)
    bytes += 2 * 2 * d(c.repeat) * d(c.out_size * c.out_size) * d(c.out_channels);
  return bytes;
}

MemoryUse training_memory(const ModelSpec& m, const Plan& plan, const StackSpec& stack,
                          const std::vector<Chunk>& stage, double in_flight) {
  MemoryUse use;
  ChunkParameters held;
  double saved = 0, logits = 0, largest = 0;
  for (const Chunk& c : stage) {
    const ChunkParameters p = parameters_of(c, m, plan);
    held.dense += p.dense;
    held.experts += p.experts;
    const auto recomputed = recomputed_layers(c, m, plan);
    for (const auto& [type, count] : c.all_layers(m)) {
      const double whole = saved_per_token(m, plan, stack, type);
      const double entry = 2 * d(m.hidden) / (plan.sequence_parallel ? d(plan.groups.tensor) : 1);
      const std::int64_t again = recomputed.at(type);
      saved += d(again) * entry + d(count - again) * whole;
      largest = std::max(largest, again > 0 ? whole : 0);
    }
    if (c.head) logits = 4 * d(ceil_div(m.vocab, plan.groups.tensor));
  }
  const double tokens = d(plan.micro_batch()) * d(plan.sequence()) / d(plan.groups.context);
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
  if (!m.convolutions.empty()) use.activations = d(plan.micro_batch()) * saved_per_image(m);
  return use;
}

/// Elements of keys and values that a rank keeps of a token, or of a sequence (states), in one layer.
struct Cached {
  double per_token = 0, tokens = 0, per_sequence = 0;
};
Cached cached(const ModelSpec& m, const Plan& plan, const LayerType& type, std::int64_t seen) {
  const double tp = d(plan.groups.tensor);
  const AttentionLayersSpec* special = special_attention(m, type);
  if (special != nullptr && special->linear && m.linear) {
    const LinearAttentionSpec& l = *m.linear;
    const double state = d(l.value_heads) * d(l.key_dim) * d(l.value_dim) * 2;  // fp32: two of 16 bits
    const double taps = d(l.conv) * (2 * d(l.key_heads) * d(l.key_dim) + d(l.value_heads) * d(l.value_dim));
    return {0, 0, (state + taps) / tp};
  }
  Cached c;
  c.tokens = d(seen);
  if (special != nullptr && special->window > 0) c.tokens = d(std::min(seen, special->window));
  if (special != nullptr && special->chunk > 0) c.tokens = d(std::min(seen, special->chunk));
  // Every tensor rank keeps the whole latent, which all its heads read.
  c.per_token = m.latent ? d(m.latent->kv_rank + m.latent->rope_dim)
                         : 2 * std::max(1.0, d(m.kv_heads) / tp) * d(m.head_dim);
  if (m.sparse) c.per_token += d(m.sparse->dim);
  return c;
}

double kv_cache_of(const ModelSpec& m, const Plan& plan, const std::vector<Chunk>& stage) {
  double bytes = 0;
  for (const Chunk& c : stage)
    for (const auto& [type, count] : c.layers)
      for (const SequenceGroup& g : plan.shape) {
        const Cached k = cached(m, plan, type, g.seen());
        const double tokens = k.per_token * k.tokens / d(plan.groups.context);
        bytes +=
            d(count) * d(g.sequences) * (tokens * d(size_of(plan.precision.kv_cache)) + k.per_sequence * 2);
      }
  return bytes * d(plan.micro_batches);
}

MemoryUse serving_memory(const ModelSpec& m, const Plan& plan, const std::vector<Chunk>& stage) {
  MemoryUse use;
  double experts = 0, dense = 0;
  bool head = false;
  for (const Chunk& c : stage) {
    const ChunkParameters p = parameters_of(c, m, plan);
    dense += p.dense;
    experts += p.experts;
    head = head || c.head;
  }
  use.weights =
      dense * d(size_of(plan.precision.weights)) + experts * d(size_of(plan.precision.expert_weights()));
  if (m.causal && m.convolutions.empty() && !m.recommender) use.kv_cache = kv_cache_of(m, plan, stage);
  // Inputs and results of one layer's norms and products, 16-bit, per token.
  const double t = d(plan.groups.tensor), tokens = d(tokens_of_rank(plan));
  const ExpertShare e(m, plan);
  const double ffn = (m.experts ? std::max(d(m.ffn) / t, d(e.rows) / tokens * d(e.ffn)) : d(m.ffn) / t);
  const double layer = 8 * d(m.hidden) + 2 * (d(2 * m.heads + 2 * m.kv_heads) * d(m.head_dim) / t +
                                              ffn * (m.ffn_gated ? 3 : 2));
  double sampled = 0;
  for (const SequenceGroup& g : plan.shape) sampled += d(g.sequences) * d(g.sampled);
  use.activations = tokens * layer + (head ? sampled * 4 * d(m.vocab) / t : 0);
  if (!m.convolutions.empty()) use.activations = d(sequences(plan.shape)) * saved_per_image(m);
  return use;
}

}  // namespace

MemoryUse memory_of(const ModelSpec& m, const Plan& plan, const StackSpec& stack,
                    const std::vector<Chunk>& stage, double in_flight) {
  return plan.trains ? training_memory(m, plan, stack, stage, in_flight) : serving_memory(m, plan, stage);
}

void check_training_memory(const ModelSpec& m, const Plan& plan, const MemoryUse& use, Bytes capacity,
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
  if (plan.micro_batch() > 1) suggest(fmt::format("micro_batch: {}", plan.micro_batch() / 2));
  if (advice.empty()) suggest(fmt::format("parallelism.tp: {}", 2 * plan.groups.tensor));
  throw InfeasibleError(
      fmt::format("{} does not fit {}: the fullest rank needs {:.1f} GiB of its {:.1f} GiB (weights {:.1f}, "
                  "gradients {:.1f}, "
                  "optimizer {:.1f}, activations {:.1f}; {})",
                  m.id, chip, need / gib, have / gib, use.weights / gib, use.gradients / gib,
                  use.optimizer / gib, use.activations / gib, advice));
}

MemoryUse fullest_of_serving(const ModelSpec& m, const Plan& plan) {
  MemoryUse fullest;
  for (const Chunk& stage : chunks_of(m, plan)) {
    const MemoryUse use = serving_memory(m, plan, {stage});
    if (use.total() > fullest.total()) fullest = use;
  }
  return fullest;
}

namespace {

/// The least tensor parallelism of the scenario that fits, on the `devices` there are or on more.
std::string least_that_fits(const ModelSpec& m, const ScenarioSpec& s, std::int64_t devices, double have) {
  for (std::int64_t tensor = s.parallelism.tp + 1; tensor <= m.heads; ++tensor) {
    ScenarioSpec wider = s;
    wider.parallelism.tp = tensor;
    const std::int64_t used = wider.parallelism.dp * tensor * s.parallelism.pp * s.parallelism.cp;
    const std::int64_t there = std::max(devices, std::max(used, tensor));
    try {
      const Plan plan = resolve(m, wider, {}, there);
      if (fullest_of_serving(m, plan).total() > have) continue;
    } catch (const InfeasibleError&) {
      continue;
    }
    std::string advice = fmt::format("scenario.parallelism.tp={} is the least that fits", tensor);
    if (there > devices) advice += fmt::format(", on {} devices instead of {}", there, devices);
    return advice;
  }
  return "no tensor parallelism of this batch fits";
}

}  // namespace

void check_serving_memory(const ModelSpec& m, const ScenarioSpec& s, const MemoryUse& use,
                          std::int64_t devices, Bytes capacity, std::string_view chip) {
  const double have = d(capacity.count()), need = use.total(), gib = 0x1p30;
  if (need <= have) return;
  throw InfeasibleError(fmt::format(
      "{} does not fit {}: a rank needs {:.1f} GiB, {:.1f} GiB more than its {:.1f} GiB ({})", m.id, chip,
      need / gib, (need - have) / gib, have / gib, least_that_fits(m, s, devices, have)));
}

}  // namespace xpusim::graph
