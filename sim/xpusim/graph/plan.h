#pragma once
#include <map>
#include <vector>

#include "xpusim/operators/graph.h"
#include "xpusim/spec/model.h"
#include "xpusim/spec/scenario.h"
#include "xpusim/spec/stack.h"

/// From a model and a scenario to how a step is spread over devices. Formulas: docs/model.md#training.
namespace xpusim::graph {

/// What a step computes: equal sequences together.
using StepShape = std::vector<SequenceGroup>;
[[nodiscard]] std::int64_t new_tokens(const StepShape&);
[[nodiscard]] std::int64_t sequences(const StepShape&);

/// A step with every choice made. One replica's micro-batch passes all stages of the pipeline.
struct Plan {
  bool trains = false;
  RankGroups groups;
  StepShape shape;                 ///< of one micro-batch of one replica, its context ranks together
  std::int64_t micro_batches = 1;  ///< of one replica in a step
  std::int64_t chunks = 1;         ///< of layers, on each pipeline stage (vpp)
  bool sequence_parallel = false;
  PipelineSchedule schedule = PipelineSchedule::OneFOneB;
  PrecisionSpec precision;
  ExpertPlacement experts;
  bool samples = true;       ///< picks a token of each row of the head; false: hands it on (diffusion)
  std::int64_t ulysses = 1;  ///< of the context ranks: those that share a sequence by heads
  /// Context ranks share the new tokens of a prompt, but not the few of generation.
  [[nodiscard]] bool shares_tokens(const SequenceGroup& g) const {
    return g.cached_tokens == 0 || g.new_tokens >= 16 * groups.context;
  }
  [[nodiscard]] bool exchanges_experts() const {  ///< tokens go to experts of other replicas
    return groups.expert > 1 && (trains || groups.expert * groups.expert_tensor > groups.tensor);
  }

  // Training.
  Sharding sharding = Sharding::None;
  Recompute recompute = Recompute::None;
  std::int64_t recompute_layers = 0;  ///< of each chunk; 0: all
  StackOverlaps overlap;
  bool splits_backward = false;  ///< weight gradients are a pass of their own
  [[nodiscard]] std::int64_t micro_batch() const { return shape.front().sequences; }
  [[nodiscard]] std::int64_t sequence() const { return shape.front().new_tokens; }
};

/// Makes the choices that the scenario leaves open. Throws InfeasibleError that names every field that does
/// not divide, with the numbers and the nearest that work.
[[nodiscard]] Plan resolve(const ModelSpec&, const ScenarioSpec&, const StackSpec&, std::int64_t devices);

/// A run of layers of one pipeline stage.
struct Chunk {
  std::map<LayerType, std::int64_t> layers;  ///< how many of each type
  std::int64_t mtp_layers = 0;
  bool embedding = false, head = false;
  /// With the MTP layers, which come after the last.
  [[nodiscard]] std::map<LayerType, std::int64_t> all_layers(const ModelSpec&) const;
  auto operator<=>(const Chunk&) const = default;
};

/// The chunks of the pipeline, in the order in which a micro-batch passes them (virtual stages). Layers are
/// spread evenly, the head, or the embedding and the head, counted as a layer where that divides; those left
/// over go to the first chunks.
[[nodiscard]] std::vector<Chunk> chunks_of(const ModelSpec&, const Plan&);

}  // namespace xpusim::graph
