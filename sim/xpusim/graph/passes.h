#pragma once
#include "xpusim/graph/plan.h"

/// What one rank computes and sends in a step.
namespace xpusim::graph {

/// Of one micro-batch on one chunk. Graphs without sections: nothing.
struct ChunkPasses {
  Graph forward;
  Graph backward;  ///< with weight gradients, unless they are a pass of their own
  Graph weight;    ///< weight gradients, where the plan splits them off
};
[[nodiscard]] ChunkPasses passes_of(const Chunk&, const ModelSpec&, const Plan&, const StackSpec&);

/// Layers of a chunk that the backward pass computes again: the plan's number of them, the first ones.
[[nodiscard]] std::map<LayerType, std::int64_t> recomputed_layers(const Chunk&, const ModelSpec&,
                                                                  const Plan&);

/// A pass of the layers that draft a token.
[[nodiscard]] Graph draft_of(const ModelSpec&, const Plan&, const StackSpec&);

/// Parameters of a chunk on one rank: those that all replicas hold, and those of its experts.
struct ChunkParameters {
  double dense = 0, experts = 0;
};
[[nodiscard]] ChunkParameters parameters_of(const Chunk&, const ModelSpec&, const Plan&);

/// What follows the passes on one rank: the optimizer's kernels on its share of the state.
[[nodiscard]] Graph optimizer_graph(const ChunkParameters& stage, const Plan&, const StackSpec&);
/// Replicas combine the gradients of `parameters`, or hand out the updated weights. Bytes, as of
/// CollectiveShape; kinds that the plan's sharding does not need have none.
struct GradientExchange {
  std::vector<Operator> gradients, weights;
};
[[nodiscard]] GradientExchange gradient_exchange(const ChunkParameters&, const Plan&, const StackSpec&);

/// Bytes of one micro-batch's activations between two stages, per rank.
[[nodiscard]] double transfer_bytes(const ModelSpec&, const Plan&);

/// FLOP of one training step, of all devices together: forward and backward products with every token seeing
/// all others (the convention of published MFU), and what is recomputed on top of it.
struct StepFlops {
  double model = 0, recomputed = 0;
};
[[nodiscard]] StepFlops step_flops(const ModelSpec&, const Plan&);

}  // namespace xpusim::graph
