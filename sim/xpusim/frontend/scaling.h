#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "xpusim/frontend/runs.h"

/// A training scenario on more and more chips: throughput, efficiency, and how many chips of one kind stand
/// for how many of another.
namespace xpusim::frontend {

/// Weak: the batch grows with the chips; the scenario's belongs to its number of chips or, where it names
/// none, to the first. Strong: it stays.
enum class Scaling : std::uint8_t { Weak, Strong };

struct ScalePoint {
  std::int64_t chips = 1;
  std::optional<result::Result> result;
  std::string refused;                         ///< why there is none
  double efficiency = 0;                       ///< throughput per chip over that of the curve's first point
  [[nodiscard]] double communication() const;  ///< share of the step that ranks wait for each other
};

struct ScaleCurve {
  std::string system, chip;
  double watts_per_chip = 0;  ///< of the power cap, all dies
  bool extended = false;      ///< beyond the described system: its outermost level joins more
  std::vector<ScalePoint> points;
  /// Chips from which on waiting takes more than computing; 0: never on this curve.
  [[nodiscard]] std::int64_t communication_overtakes() const;
};

/// Runs the scenario at each number of chips. What does not divide or fit is a point without a result.
[[nodiscard]] ScaleCurve scale(const ScenarioInputs&, const std::vector<std::int64_t>& chips, Scaling,
                               const Options&);

/// Chips of `b` with the throughput of the given point of `a`: on the straight line between two points of b's
/// curve in logarithms. Nothing: outside the curve.
[[nodiscard]] std::optional<double> equivalent_chips(const ScalePoint& a, const ScaleCurve& b);

/// {"schema": "xpusim.scale/1", ...}.
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<ScaleCurve>&, Scaling);

}  // namespace xpusim::frontend
