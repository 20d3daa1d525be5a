#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "xpusim/regression/comparison.h"

/// A comparison for people, for pull requests and for other tools.
namespace xpusim::regression {

/// For a terminal: what changed and why; the rest as a count.
[[nodiscard]] std::string to_text(const Comparison&);
/// For a pull request or a CI summary: a table of what changed, attributions beneath the rows, the rest
/// folded.
[[nodiscard]] std::string to_markdown(const Comparison&);
/// JUnit XML: one test case per case.
[[nodiscard]] std::string to_junit(const Comparison&);
/// {"schema": "xpusim.check/1", ...}: all of it.
[[nodiscard]] nlohmann::ordered_json to_json(const Comparison&);

/// github-action-benchmark's customSmallerIsBetter: the metrics of which less is better.
[[nodiscard]] nlohmann::ordered_json to_github_benchmark(const Comparison&);
/// Bencher Metric Format: {case: {metric: {"value": x}}}.
[[nodiscard]] nlohmann::ordered_json to_bencher(const Comparison&);

}  // namespace xpusim::regression
