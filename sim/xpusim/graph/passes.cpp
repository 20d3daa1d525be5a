#include "xpusim/graph/passes.h"

#include <algorithm>

#include "xpusim/graph/emitter.h"

namespace xpusim::graph {
namespace {

ChunkPasses passes_of_convolutions(Emitter& e, const Plan& plan) {
  ChunkPasses p;
  e.convolutions(Pass::Forward);
  p.forward = e.take();
  if (!plan.trains) return p;
  e.convolutions(Pass::Backward);
  p.backward = e.take();
  return p;
}

Graph forward_of(const Chunk& c, const ModelSpec& m, Emitter& e) {
  if (c.embedding) e.embedding();
  for (const auto& [type, count] : c.all_layers(m)) e.layers(type, count);
  if (c.head) e.head(1 + c.mtp_layers);
  return e.take();
}

}  // namespace

std::map<LayerType, std::int64_t> recomputed_layers(const Chunk& c, const ModelSpec& m, const Plan& plan) {
  const auto layers = c.all_layers(m);
  std::int64_t left = 0;
  for (const auto& [type, count] : layers) left += count;
  if (plan.recompute != Recompute::Full) left = 0;
  if (plan.recompute_layers > 0) left = std::min(left, plan.recompute_layers);
  std::map<LayerType, std::int64_t> again;
  for (const auto& [type, count] : layers) {
    again[type] = std::min(left, count);
    left -= again[type];
  }
  return again;
}

ChunkPasses passes_of(const Chunk& c, const ModelSpec& m, const Plan& plan, const StackSpec& stack) {
  Emitter e(m, plan, stack);
  if (!m.convolutions.empty()) return passes_of_convolutions(e, plan);
  ChunkPasses p;
  if (m.recommender) {
    e.recommender();
    p.forward = e.take();
    return p;
  }
  p.forward = forward_of(c, m, e);
  if (!plan.trains) return p;
  const bool with_weights = !plan.splits_backward;
  const auto layers = c.all_layers(m);
  if (c.head) e.head_backward(1 + c.mtp_layers);
  const auto again = recomputed_layers(c, m, plan);
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
    e.layers_backward(layer->first, layer->second, again.at(layer->first), with_weights);
  if (c.embedding) e.embedding_backward();
  p.backward = e.take();
  if (with_weights) return p;
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
    e.layers_weight(layer->first, layer->second);
  p.weight = e.take();
  return p;
}

Graph draft_of(const ModelSpec& m, const Plan& plan, const StackSpec& stack) {
  Plan one = plan;  // a token of each sequence
  for (SequenceGroup& g : one.shape) {
    g.cached_tokens += g.new_tokens - 1;
    g.new_tokens = g.sampled = 1;
  }
  Emitter e(m, one, stack);
  e.draft();
  return e.take();
}

ChunkParameters parameters_of(const Chunk& c, const ModelSpec& m, const Plan& plan) {
  const double tp = d(plan.groups.tensor);
  ChunkParameters p;
  if (m.recommender) return {total_parameters(m) / tp, 0};
  if (!m.convolutions.empty()) return {total_parameters(m), 0};
  const ExpertPlacement& e = plan.experts;
  const double places = plan.trains || !m.experts
                            ? 1
                            : d(m.experts->count + e.redundant + e.shared_replicas) / d(m.experts->count);
  for (const auto& [type, count] : c.all_layers(m)) {
    p.dense += d(count) * layer_parameters(m, type) / tp;
    if (type.experts &&
        !plan.trains) {  // shared experts: on places of their own, or whole where tokens are spread
      const double shared = d(m.hidden) * d(m.experts->shared_width()) * (m.ffn_gated ? 3 : 2);
      p.dense += d(count) * shared *
                 (e.shared_replicas > 0    ? -1 / tp
                  : plan.sequence_parallel ? 1 - 1 / tp
                                           : 0);
    }
    if (type.experts)
      p.experts +=
          d(count) * expert_parameters(m) * places / d(plan.groups.expert * plan.groups.expert_tensor);
  }
  const double table = d(m.vocab) * d(m.hidden) / tp;
  if (c.embedding) p.dense += embedding_parameters(m) / tp - (m.tie_embeddings ? 0 : table);
  const bool own_head = c.head && (!m.tie_embeddings || plan.groups.pipeline > 1);
  if (own_head) p.dense += table;
  return p;
}

double transfer_bytes(const ModelSpec& m, const Plan& plan) {
  const double tokens = d(new_tokens(plan.shape)) / d(plan.groups.context);
  // Each tensor rank sends its own part; the next stage's ranks gather inside the node where they need all.
  return tokens * d(m.hidden) * 2 / d(plan.groups.tensor);
}

}  // namespace xpusim::graph
