#pragma once
#include <vector>

#include "xpusim/frontend/runs.h"
#include "xpusim/result/scaling.h"

namespace xpusim::frontend {

/// Runs the scenario at each number of chips. What does not divide or fit is a point without a result.
[[nodiscard]] result::ScaleCurve scale(const ScenarioInputs&, const std::vector<std::int64_t>& chips,
                                       result::Scaling, const Options&);

}  // namespace xpusim::frontend
