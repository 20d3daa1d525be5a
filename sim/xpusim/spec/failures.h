#pragma once
#include "xpusim/core/fields.h"
#include "xpusim/core/units.h"

namespace xpusim {

/// How often chips fail, and what a failure and the checkpoints against it cost.
struct FailureSpec {
  Seconds mtbf_per_chip{1};     ///< mean time between failures that stop the job, by chips in it
  Seconds checkpoint_write{0};  ///< that the job stands still for a checkpoint
  Seconds checkpoint_interval;  ///< work between two; 0: the best
  Seconds restart;              ///< from a failure until work goes on: detection, new nodes, loading
  std::int64_t seed = 1;        ///< of the simulated days
};

void describe(Fields&, FailureSpec&);

}  // namespace xpusim
