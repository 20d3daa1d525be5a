#pragma once
#include <string>

#include "xpusim/regression/comparison.h"
#include "xpusim/report/format.h"

/// A comparison for people, for pull requests and for other tools.
namespace xpusim::report {

/// For a terminal: what changed and why; the rest as a count.
[[nodiscard]] std::string to_text(const regression::Comparison&);
/// For a pull request or a CI summary: a table of what changed, attributions beneath the rows, the rest
/// folded.
[[nodiscard]] std::string to_markdown(const regression::Comparison&);
/// JUnit XML: one test case per case.
[[nodiscard]] std::string to_junit(const regression::Comparison&);
/// {"schema": "xpusim.check/1", ...}: all of it.
[[nodiscard]] Json to_json(const regression::Comparison&);

/// github-action-benchmark's customSmallerIsBetter: the metrics of which less is better.
[[nodiscard]] Json to_github_benchmark(const regression::Comparison&);
/// Bencher Metric Format: {case: {metric: {"value": x}}}.
[[nodiscard]] Json to_bencher(const regression::Comparison&);

}  // namespace xpusim::report
