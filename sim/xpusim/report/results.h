#pragma once
#include <string>
#include <vector>

#include "xpusim/report/format.h"
#include "xpusim/result/scaling.h"
#include "xpusim/step/search.h"

namespace xpusim::report {

/// {"schema": "xpusim.result/1", "version": ..., "results": [...]}; numbers in SI base units with the unit in
/// the key.
[[nodiscard]] Json to_json(const std::vector<result::Result>&);

/// What a result comes to, without its operators: the members that are in its element of "results", too.
[[nodiscard]] Json to_summary(const result::Result&);

/// Chrome trace event JSON: a process per result; a lane per stream, and one per engine of core 0 where
/// recorded.
[[nodiscard]] std::string to_chrome_trace(const std::vector<result::Result>&);

/// Results side by side as a text table, with ratios to the first.
[[nodiscard]] std::string to_table(const std::vector<result::Result>&);

/// What was searched, and the best plans, a line each.
[[nodiscard]] std::string to_text(const step::PlanSearch&);
/// The same; the plan that is taken, the first, is the result that this belongs to, "plans" are the others.
[[nodiscard]] Json to_json(const step::PlanSearch&);

/// {"schema": "xpusim.scale/1", ...}.
[[nodiscard]] Json to_json(const std::vector<result::ScaleCurve>&, result::Scaling);

/// A table for each curve, and how many chips of the others do what those of the first do.
[[nodiscard]] std::string to_text(const std::vector<result::ScaleCurve>&);

/// A page: throughput per chip over the chips. Throws InfeasibleError where no point has a result.
[[nodiscard]] std::string to_html(const std::string& title, const std::vector<result::ScaleCurve>&);

}  // namespace xpusim::report
