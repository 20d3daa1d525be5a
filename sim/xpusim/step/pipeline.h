#pragma once
#include <cstdint>
#include <vector>

#include "xpusim/result/timeline.h"
#include "xpusim/spec/scenario.h"

/// When the stages of a pipeline run their passes. Formulas and sources: docs/model.md#pipelines.
namespace xpusim::step {

using result::kPassKindNames;
using result::kPassKinds;
using result::PassKind;
using result::PassSpan;
using result::PassTimes;

/// A pipeline: micro-batches pass `stages` x `chunks` virtual stages, there and back.
struct Pipeline {
  PipelineSchedule schedule = PipelineSchedule::OneFOneB;
  std::int64_t stages = 1;
  std::int64_t chunks = 1;
  std::int64_t micro_batches = 1;
  std::vector<PassTimes> times;   ///< of each virtual stage
  double transfer = 0;            ///< seconds from one stage to the next
  bool transfers_overlap = true;  ///< else a stage waits until what it sends has arrived
  bool forward_only = false;      ///< there is no way back
  [[nodiscard]] std::int64_t virtual_stages() const { return stages * chunks; }
  /// The stage that a micro-batch's pass runs on: round robin; there and back (zb_v); from both ends
  /// (dualpipe).
  [[nodiscard]] std::int64_t stage_of(std::int64_t virtual_stage, std::int64_t micro_batch) const;
};

struct PipelineRun {
  double total = 0;                   ///< to the end of the last pass
  double longest = 0;                 ///< from the first to the last pass of one stage: the step, where
                                      ///< nothing brings the stages together after it
  std::vector<double> busy;           ///< seconds, of each stage
  std::vector<double> last_backward;  ///< when a virtual stage's gradients are complete
  std::vector<PassSpan> spans;        ///< in the order of their begin; only when asked for
};

/// Plays the schedule pass by pass. Stages take their passes in the schedule's order; each begins when its
/// stage is free and the data of its predecessor has come. Schedules that do not split the backward pass run
/// weight gradients with it. Dualpipe needs an even number of stages and of micro-batches, two for each
/// stage.
[[nodiscard]] PipelineRun play(const Pipeline&, bool with_spans = false);

/// The same in closed form: the busiest stage's work, and what filling and draining leaves idle.
[[nodiscard]] double closed_form(const Pipeline&);

/// Micro-batches whose activations on all its chunks the first stage holds at most.
[[nodiscard]] double most_in_flight(PipelineSchedule, std::int64_t stages, std::int64_t chunks,
                                    std::int64_t micro_batches);

}  // namespace xpusim::step
