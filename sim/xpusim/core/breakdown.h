#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "xpusim/core/units.h"

namespace xpusim {

/// What a moment of run time is spent on. docs/model.md#breakdown says how each is attributed.
enum class Bound : std::uint8_t {
  Matrix,         ///< matrix engines computing (padding included)
  Vector,         ///< vector engines computing, or matrix engines waiting for them
  OperandFeed,    ///< waiting for operands on their way from the staging buffer
  L2,             ///< waiting for L2: bandwidth, port or latency
  Hbm,            ///< waiting for HBM: bandwidth or latency
  Launch,         ///< between kernels
  FillDrain,      ///< pipelines filling at the start, results leaving at the end
  WaveTail,       ///< cores with nothing left to do while others finish
  Communication,  ///< collectives not hidden behind computation
  Bubble,         ///< pipeline stages waiting for others
  Host,           ///< waiting for the host, and for slower ranks
};
inline constexpr std::size_t kBounds = 11;
inline constexpr std::array<std::string_view, kBounds> kBoundNames = {
    "matrix",     "vector",    "operand_feed",  "l2",     "hbm", "launch",
    "fill_drain", "wave_tail", "communication", "bubble", "host"};

/// Seconds by cause. They add up to the total time.
struct Breakdown {
  std::array<double, kBounds> seconds{};

  double& operator[](Bound b) { return seconds[static_cast<std::size_t>(b)]; }
  double operator[](Bound b) const { return seconds[static_cast<std::size_t>(b)]; }
  [[nodiscard]] double total() const {
    double sum = 0;
    for (const double s : seconds) sum += s;
    return sum;
  }
  /// The largest part.
  [[nodiscard]] Bound largest() const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < kBounds; ++i)
      if (seconds[i] > seconds[best]) best = i;
    return static_cast<Bound>(best);
  }
  Breakdown& add(const Breakdown& other, double times = 1) {
    for (std::size_t i = 0; i < kBounds; ++i) seconds[i] += other.seconds[i] * times;
    return *this;
  }
};

}  // namespace xpusim
