#pragma once
#include <cstdint>

/// A long job that fails, and what that leaves of its time: step/goodput.h.
namespace xpusim::result {

/// A job that writes a checkpoint after every `interval` of work, and falls back to the last one when a chip
/// fails. Seconds.
struct FailingJob {
  double mtbf = 1;      ///< mean time between failures of the whole job, exponentially distributed
  double write = 0;     ///< of a checkpoint
  double interval = 1;  ///< work between two checkpoints
  double restart = 0;   ///< may itself be hit by a failure, and begins anew then
};

/// Shares of a long job's time. They add up to 1.
struct Goodput {
  double work = 0;         ///< that is not lost
  double checkpoints = 0;  ///< writing those that are not lost
  double lost = 0;         ///< since the last checkpoint before a failure
  double restarts = 0;
};

/// The same by drawing failures, day by day.
struct GoodputRun {
  Goodput mean;
  double standard_error = 0;  ///< of mean.work, from the spread over days
  double worst_day = 0, best_day = 0;
  std::int64_t failures = 0;
};

}  // namespace xpusim::result
