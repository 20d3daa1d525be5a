#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "xpusim/config/library.h"
#include "xpusim/regression/record.h"
#include "xpusim/spec/suite.h"

/// From a suite's file to cases that can be run.
namespace xpusim::regression {

/// One case on one chip or system, read and checked.
struct Case {
  std::string id;  ///< NAME, or NAME/SYSTEM
  std::map<Metric, double> tolerance_pct;
  std::optional<MeasuredTime> measured;
  /// Metrics are those that are guarded. Throws what a simulation throws, but for InfeasibleError: that is an
  /// outcome.
  std::function<CaseRecord()> run;
};

struct Suite {
  std::string name, file;
  std::string baseline;     ///< file
  std::vector<Case> cases;  ///< by id
  std::map<std::string, InputValues> inputs;
};

/// Reads a suite and all that its cases name. Paths in it start in its folder. `overrides` come on top of
/// those of the cases. Throws ConfigError with every mistake of every case.
[[nodiscard]] Suite load_suite(const config::Library&, const std::string& id_or_path,
                               const config::Overrides& overrides);

/// Keeps the cases of these names (NAME or NAME/SYSTEM). Throws ConfigError with what is unknown.
void keep_only(Suite&, const std::vector<std::string>& names);

}  // namespace xpusim::regression
