#pragma once
#include <string>
#include <vector>

#include "xpusim/report/format.h"
#include "xpusim/result/scaling.h"

namespace xpusim::report {

/// {"schema": "xpusim.scale/1", ...}.
[[nodiscard]] Json to_json(const std::vector<result::ScaleCurve>&, result::Scaling);

/// A table for each curve, and how many chips of the others do what those of the first do.
[[nodiscard]] std::string to_text(const std::vector<result::ScaleCurve>&);

/// A page: throughput per chip over the chips. Throws InfeasibleError where no point has a result.
[[nodiscard]] std::string to_html(const std::string& title, const std::vector<result::ScaleCurve>&);

}  // namespace xpusim::report
