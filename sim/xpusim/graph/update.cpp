#include <algorithm>

#include "xpusim/graph/passes.h"

/// What a training step does beside its passes: gradients, optimizer, weights; and what it counts as work.
namespace xpusim::graph {
namespace {

Operator collective(std::string name, CollectiveKind kind, double bytes, RankGroup group) {
  CollectiveShape c{.kind = kind, .group = group, .library = {}};
  c.bytes = Bytes(std::max<std::int64_t>(1, static_cast<std::int64_t>(bytes)));
  return {std::move(name), c, {}};
}

Operator kernel(std::string name, RowwiseKind kind, double elements, Dtype dtype) {
  const auto cols = std::max<std::int64_t>(1, static_cast<std::int64_t>(elements));
  return {std::move(name), RowwiseShape{.kind = kind, .cols = cols, .dtype = dtype, .cold = true}, {}};
}

}  // namespace

Graph optimizer_graph(const ChunkParameters& stage, const Plan& plan, const StackSpec& stack) {
  const bool shares = plan.sharding != Sharding::None;
  const double dense_owners = shares ? d(plan.groups.extent(RankGroup::Shard).ranks) : 1;
  const double expert_owners = shares ? d(plan.groups.extent(RankGroup::ExpertData).ranks) : 1;
  const double parameters = stage.dense / dense_owners + stage.experts / expert_owners;
  Graph g;
  g.groups = plan.groups;
  Section s{"optimizer", 1, false, {}, {}};
  const double gradients = plan.sharding < Sharding::Zero2 ? stage.dense + stage.experts : parameters;
  s.operators.push_back(kernel("clear_gradients", RowwiseKind::Copy, gradients, stack.gradients));
  s.operators.push_back(kernel("gradient_norm", RowwiseKind::CrossEntropy, parameters, stack.gradients));
  s.operators.push_back(kernel("clip_gradients", RowwiseKind::Copy, parameters, stack.gradients));
  s.operators.push_back(kernel("adam", RowwiseKind::Optimizer, parameters, stack.gradients));
  g.sections.push_back(std::move(s));
  return g;
}

GradientExchange gradient_exchange(const ChunkParameters& p, const Plan& plan, const StackSpec& stack) {
  GradientExchange x;
  const double gradient = d(size_of(stack.reduction)), weight = d(size_of(plan.precision.weights));
  const auto add = [&](const std::string& what, double parameters, RankGroup all, RankGroup near) {
    if (parameters <= 0) return;
    const std::int64_t replicas = plan.groups.extent(all).ranks;
    if (replicas == 1) return;
    const std::int64_t copies = all == near ? 1 : plan.groups.extent(RankGroup::Copy).ranks;
    const bool in_layers = plan.sharding == Sharding::Zero3;  // then layers exchange as they go
    if (plan.sharding == Sharding::None) {
      x.gradients.push_back(
          collective("reduce_" + what, CollectiveKind::AllReduce, parameters * gradient, all));
      return;
    }
    if (!in_layers)
      x.gradients.push_back(
          collective("scatter_" + what, CollectiveKind::ReduceScatter, parameters * gradient, near));
    if (copies > 1) {
      const double share = parameters / d(plan.groups.extent(near).ranks);
      x.gradients.push_back(
          collective("reduce_copies_" + what, CollectiveKind::AllReduce, share * gradient, RankGroup::Copy));
    }
    if (in_layers) return;
    if (!stack.broadcasts_weights) {
      x.weights.push_back(collective("gather_" + what, CollectiveKind::AllGather, parameters * weight, near));
      return;
    }
    const std::int64_t owners = plan.groups.extent(near).ranks;
    const Operator one =
        collective("broadcast_" + what, CollectiveKind::Broadcast, parameters * weight / d(owners), near);
    x.weights.insert(x.weights.end(), static_cast<std::size_t>(owners), one);
  };
  add("gradients", p.dense, RankGroup::Data, RankGroup::Shard);
  add("expert_gradients", p.experts, RankGroup::ExpertData, RankGroup::ExpertData);
  return x;
}

StepFlops step_flops(const ModelSpec& m, const Plan& plan) {
  StepFlops f;
  const double sequences = d(plan.micro_batches * plan.micro_batch() * plan.groups.data);
  if (!m.convolutions.empty()) {
    for (const ConvolutionSpec& c : m.convolutions)
      f.model += 6 * sequences * d(c.repeat) * d(c.out_size * c.out_size) * d(c.out_channels) *
                 d(c.in_channels) * d(c.kernel * c.kernel);
    return f;
  }
  const double tokens = sequences * d(plan.sequence());
  const double table = d(m.vocab) * d(m.hidden);
  // Looking a token up is no product; the head's table is.
  const double products = 2 * (active_parameters(m) - (embedding_parameters(m) - table));
  const double query = m.latent ? d(m.latent->nope_dim + m.latent->rope_dim) : d(m.head_dim);
  const double value = m.latent ? d(m.latent->value_dim) : d(m.head_dim);
  const double scores = 2 * d(m.layers) * d(m.heads) * d(plan.sequence()) * (query + value);
  f.model = 3 * tokens * (products + scores);
  if (plan.recompute == Recompute::Full) f.recomputed = tokens * (products - 2 * table + scores);
  if (plan.recompute == Recompute::Selective) f.recomputed = tokens * scores;
  return f;
}

}  // namespace xpusim::graph
