#pragma once
#include <string_view>
#include <vector>

#include "xpusim/operators/graph.h"
#include "xpusim/ops/memory.h"
#include "xpusim/spec/model.h"
#include "xpusim/spec/scenario.h"
#include "xpusim/spec/stack.h"

/// From a model and a scenario to what one rank does in a training step. Formulas: docs/model.md#training.
namespace xpusim::ops {

/// A training step with every choice made.
struct TrainingPlan {
  RankGroups groups;
  std::int64_t chunks = 1;         ///< of layers, on each pipeline stage (vpp)
  std::int64_t micro_batch = 1;    ///< sequences
  std::int64_t micro_batches = 1;  ///< of one replica in a step
  std::int64_t sequence = 1;
  bool sequence_parallel = false;
  PipelineSchedule schedule = PipelineSchedule::OneFOneB;
  Sharding sharding = Sharding::None;
  Recompute recompute = Recompute::None;
  std::int64_t recompute_layers = 0;  ///< of each chunk; 0: all
  PrecisionSpec precision;
  StackOverlaps overlap;
  double expert_imbalance = 1;
  bool splits_backward = false;  ///< weight gradients are a pass of their own
};

/// Makes the choices that the scenario leaves open, by the rules of docs/model.md#training. Throws
/// InfeasibleError that names every field that does not divide, with the numbers and the nearest that work.
[[nodiscard]] TrainingPlan resolve_training(const ModelSpec&, const ScenarioSpec&, const StackSpec&,
                                            std::int64_t devices);

/// What a layer's feed-forward block is.
enum class LayerKind : std::uint8_t { Dense, Experts };

/// A run of layers of one pipeline stage.
struct Chunk {
  std::int64_t dense_layers = 0, expert_layers = 0;
  std::int64_t mtp_layers = 0;
  bool embedding = false, head = false;
  auto operator<=>(const Chunk&) const = default;
};

/// The chunks of the pipeline, in the order in which a micro-batch passes them (virtual stages). Layers are
/// spread evenly, the head, or the embedding and the head, counted as a layer where that divides; those left
/// over go to the first chunks.
[[nodiscard]] std::vector<Chunk> chunks_of(const ModelSpec&, const TrainingPlan&);

/// What one rank computes and sends for one micro-batch on one chunk. Graphs without sections: nothing.
struct ChunkPasses {
  Graph forward;
  Graph backward;  ///< with weight gradients, unless they are a pass of their own
  Graph weight;    ///< weight gradients, where the plan splits them off
};
[[nodiscard]] ChunkPasses passes_of(const Chunk&, const ModelSpec&, const TrainingPlan&, const StackSpec&);

/// Parameters of a chunk on one rank: those that all replicas hold, and those of its experts.
struct ChunkParameters {
  double dense = 0, experts = 0;
};
[[nodiscard]] ChunkParameters parameters_of(const Chunk&, const ModelSpec&, const TrainingPlan&);

/// What follows the passes on one rank: the optimizer's kernels on its share of the state.
[[nodiscard]] Graph optimizer_graph(const ChunkParameters& stage, const TrainingPlan&, const StackSpec&);
/// Replicas combine the gradients of `parameters`, or hand out the updated weights. Bytes, as of
/// CollectiveShape; kinds that the plan's sharding does not need have none.
struct GradientExchange {
  std::vector<Operator> gradients, weights;
};
[[nodiscard]] GradientExchange gradient_exchange(const ChunkParameters&, const TrainingPlan&,
                                                 const StackSpec&);

/// Bytes of one micro-batch's activations between two stages, per rank.
[[nodiscard]] double transfer_bytes(const ModelSpec&, const TrainingPlan&);

/// FLOP of one step, of all devices together: forward and backward products with every token seeing all
/// others (the convention of published MFU), and what is recomputed on top of it.
struct StepFlops {
  double model = 0, recomputed = 0;
};
[[nodiscard]] StepFlops step_flops(const ModelSpec&, const TrainingPlan&);

/// Bytes that a rank holds whose stage has these chunks, with `in_flight` micro-batches under way.
[[nodiscard]] MemoryUse training_memory(const ModelSpec&, const TrainingPlan&, const StackSpec&,
                                        const std::vector<Chunk>& stage, double in_flight);
/// Throws InfeasibleError when that is more than there is: by kind, and what would help.
void check_training_memory(const ModelSpec&, const TrainingPlan&, const MemoryUse&, Bytes capacity,
                           std::string_view chip);

}  // namespace xpusim::ops
