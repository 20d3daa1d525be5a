#pragma once
#include "xpusim/graph/passes.h"
#include "xpusim/step/pipeline.h"
#include "xpusim/step/request.h"
#include "xpusim/step/timer.h"

/// What follows the passes of a training step: gradients between replicas, the optimizer, new weights.
namespace xpusim::step {

/// How the layers of a plan lie on its stages, and how long each takes.
struct Stages {
  const graph::Plan& plan;
  const std::vector<graph::Chunk>& chunks;  ///< by virtual stage
  const Pipeline& pipeline;

  [[nodiscard]] std::int64_t count() const { return pipeline.stages; }
  /// The virtual stages on a stage: dualpipe's from both ends.
  [[nodiscard]] std::vector<std::int64_t> virtual_stages_of(std::int64_t stage) const;
  [[nodiscard]] std::vector<graph::Chunk> chunks_on(std::int64_t stage) const;
};

struct Update {
  double gradients_end = 0;  ///< seconds from the begin of the step
  double optimizer = 0, weights = 0;
  std::vector<result::OperatorRow> rows;  ///< the optimizer's, of the stage that takes longest
};
[[nodiscard]] Update time_update(const Stages&, const PipelineRun&, const Request&, OperatorTimer&);

}  // namespace xpusim::step
