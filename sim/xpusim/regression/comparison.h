#pragma once
#include <optional>
#include <string>
#include <vector>

#include "xpusim/regression/record.h"
#include "xpusim/regression/suite.h"

/// What moved between a baseline and now, by how much, and why.
namespace xpusim::regression {

/// One metric of a case. A side that lacks it is empty.
struct Change {
  Metric metric = Metric::TimeUs;
  std::optional<double> before, now;
  double change_pct = 0;     ///< of `before`; in points, where the metric is a percentage
  double tolerance_pct = 0;  ///< that it may move by, either way
  [[nodiscard]] bool beyond() const;
};

/// What an operator, a class of them or a cause adds to a change of time.
struct Contribution {
  std::string name;
  std::string kind;                     ///< class of operators; empty: of a cause or a class itself
  std::string bound_before, bound_now;  ///< of operators
  double us = 0;
};

enum class Verdict : std::uint8_t { Same, Changed, New, Removed };
inline constexpr std::array<std::string_view, 4> kVerdictNames = {"same", "changed", "new", "removed"};
}  // namespace xpusim::regression

namespace xpusim {
template <>
struct EnumNames<regression::Verdict> {
  static constexpr std::span<const std::string_view> value = regression::kVerdictNames;
};
}  // namespace xpusim

namespace xpusim::regression {

struct CaseComparison {
  std::string id;
  Verdict verdict = Verdict::Same;
  std::string bound_before, bound_now;
  std::string refused_before, refused_now;
  std::vector<Change> changes;  ///< by falling size
  std::vector<Contribution> causes, classes,
      operators;                            ///< of the time, by falling size; causes are all of it
  bool inputs_differ = false;               ///< else a change is of the model
  std::vector<std::string> inputs;          ///< files that it reads
  std::vector<std::string> changed_inputs;  ///< those of them with other values now
  std::optional<MeasuredTime> measured;
  std::optional<double> error_before_pct, error_now_pct;  ///< signed, against measurement
  double seconds = 0;                                     ///< that the run took
  [[nodiscard]] double largest_pct() const;
};

/// A value of an input file that is another now.
struct InputChange {
  std::string input, path;
  std::string before, now;  ///< empty: not there
};

struct Comparison {
  std::string suite, file, baseline, reason;
  std::string model_before, model_now;
  std::vector<std::string> what_if;   ///< --set values of this run
  std::vector<CaseComparison> cases;  ///< changed first, by falling change; then new, removed, same
  std::vector<InputChange> inputs;
  [[nodiscard]] std::size_t count(Verdict) const;
  [[nodiscard]] bool same() const { return count(Verdict::Same) == cases.size(); }
};

/// `now` holds the suite's cases; those of the baseline that `suite` lacks are removed ones.
[[nodiscard]] Comparison compare(const Suite&, const Baseline& before, const Baseline& now);

}  // namespace xpusim::regression
