#pragma once
#include <cstdint>

/// What failures leave of a long job's time. Formulas and sources: docs/model.md#failures.
namespace xpusim::cluster {

/// A job that writes a checkpoint after every `interval` of work, and falls back to the last one when a chip
/// fails. Seconds.
struct FailingJob {
  double mtbf = 1;      ///< mean time between failures of the whole job, exponentially distributed
  double write = 0;     ///< of a checkpoint
  double interval = 1;  ///< work between two checkpoints
  double restart = 0;   ///< may itself be hit by a failure, and begins anew then
};

/// Work between two checkpoints that loses the least time (Daly 2006, equation 37; Young 1974 to first
/// order).
[[nodiscard]] double best_interval(double mtbf, double write);

/// Shares of a long job's time. They add up to 1.
struct Goodput {
  double work = 0;         ///< that is not lost
  double checkpoints = 0;  ///< writing those that are not lost
  double lost = 0;         ///< since the last checkpoint before a failure
  double restarts = 0;
};
/// In closed form (Daly 2006, equation 20).
[[nodiscard]] Goodput goodput(const FailingJob&);

/// The same by drawing failures, day by day.
struct GoodputRun {
  Goodput mean;
  double standard_error = 0;  ///< of mean.work, from the spread over days
  double worst_day = 0, best_day = 0;
  std::int64_t failures = 0;
};
[[nodiscard]] GoodputRun play_days(const FailingJob&, std::int64_t days, std::uint64_t seed);

}  // namespace xpusim::cluster
