#pragma once
#include "xpusim/graph/plan.h"
#include "xpusim/step/request.h"
#include "xpusim/step/timer.h"

namespace xpusim::step {

/// Runs one step of a scenario on `devices` devices: an optimizer step, or one pass of what is served, which
/// is a pipeline's forward passes without an update. Equal ranks are computed once. Throws InfeasibleError
/// where it does not divide or fit.
[[nodiscard]] result::Result run(const Request&, std::int64_t devices, const Options&, OperatorTimer&);

/// The operators of one rank and micro-batch, as a workload trace; of a pipeline those of its first stage.
[[nodiscard]] Graph graph_of(const Request&, std::int64_t devices);

/// The names of a chip's engines, as drawings have them.
[[nodiscard]] std::vector<std::string> engine_names(const ChipSpec&);

}  // namespace xpusim::step
