#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "xpusim/core/breakdown.h"
#include "xpusim/spec/accuracy.h"
#include "xpusim/spec/chip.h"
#include "xpusim/spec/fidelity.h"
#include "xpusim/validation/measured_set.h"

/// Runs measured sets through the model and says how far off it is.
namespace xpusim::validation {

/// One row that was predicted.
struct Sample {
  int line = 0;
  std::string label;
  double measured_us = 0, predicted_us = 0;
  Breakdown breakdown;
  std::string tiling;
  std::string operators;                                                         ///< accuracy class
  [[nodiscard]] double error() const { return predicted_us / measured_us - 1; }  ///< signed, relative
};

struct ErrorStatistics {
  std::size_t rows = 0;
  double mape_pct = 0, median_ape_pct = 0, p90_ape_pct = 0, bias_pct = 0;
};
[[nodiscard]] ErrorStatistics statistics(const std::vector<Sample>&);

struct SetReport {
  std::string file, chip, op;
  std::string family;  ///< of the chip
  std::map<std::string, std::vector<ValidatedExtent>, std::less<>>
      classes;  ///< of operators: what was measured
  ErrorStatistics errors;
  std::vector<Sample> samples;                 ///< in file order
  std::map<std::string, std::size_t> skipped;  ///< rows by reason

  [[nodiscard]] std::size_t skipped_rows() const;
};

/// Called with (rows done, rows in all).
using Progress = std::function<void(std::size_t, std::size_t)>;

[[nodiscard]] SetReport replay(const MeasuredSet&, const ChipSpec&, Fidelity, const Progress& = {});

}  // namespace xpusim::validation
