#pragma once
#include <optional>
#include <string>
#include <vector>

#include "xpusim/result/result.h"

/// A training scenario on more and more chips: throughput, efficiency, and how many chips of one kind stand
/// for how many of another.
namespace xpusim::result {

/// Weak: the batch grows with the chips; the scenario's belongs to its number of chips or, where it names
/// none, to the first. Strong: it stays.
enum class Scaling : std::uint8_t { Weak, Strong };

struct ScalePoint {
  std::int64_t chips = 1;
  std::optional<Result> result;
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

/// Chips of `b` with the throughput of the given point of `a`: on the straight line between two points of b's
/// curve in logarithms. Nothing: outside the curve.
[[nodiscard]] std::optional<double> equivalent_chips(const ScalePoint& a, const ScaleCurve& b);

}  // namespace xpusim::result
