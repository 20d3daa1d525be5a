#pragma once
#include <string>
#include <utility>
#include <vector>

#include "xpusim/report/comparison.h"

/// What the formats of a comparison say alike.
namespace xpusim::report {

using regression::CaseComparison;
using regression::Change;
using regression::Comparison;
using regression::Verdict;

struct MetricWords {
  std::string_view title, unit;
  bool less_is_better = false;
};
[[nodiscard]] const MetricWords& words_of(Metric);

/// A metric's value for people, with its unit.
[[nodiscard]] std::string value_text(Metric, const std::optional<double>&);
[[nodiscard]] std::string change_text(const Change&);
[[nodiscard]] std::string tolerance_text(const Change&);
[[nodiscard]] std::string before_after(const std::string& before, const std::string& now);
/// Against measurement, before and now.
[[nodiscard]] std::string error_text(const CaseComparison&);
/// Why a case moved, a line each: the heading and what follows it.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> reasons(const CaseComparison&);
/// All of a case, for a terminal.
[[nodiscard]] std::string to_text(const CaseComparison&);

/// The absolute error over the cases that were measured, before and now.
struct MeanError {
  std::size_t cases = 0;
  double before_pct = 0, now_pct = 0;
};
[[nodiscard]] MeanError mean_error(const Comparison&);
[[nodiscard]] std::string counts_text(const Comparison&);
/// What was compared with, after its file's name.
[[nodiscard]] std::string baseline_text(const Comparison&);
[[nodiscard]] std::string measured_line(const Comparison&);
/// The inputs' values that are others now: those that are listed, and how many are not.
[[nodiscard]] std::vector<std::string> input_lines(const Comparison&);

}  // namespace xpusim::report
