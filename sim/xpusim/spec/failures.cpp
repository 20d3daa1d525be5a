#include "xpusim/spec/failures.h"

namespace xpusim {

void describe(Fields& f, FailureSpec& c) {
  f.required("mtbf_per_chip", c.mtbf_per_chip,
             "mean time between failures that stop the job, times the chips in it", between(3600, 1e12));
  f.required("checkpoint_write", c.checkpoint_write, "that the job stands still for a checkpoint",
             between(1e-3, 86400));
  f.optional("checkpoint_interval", c.checkpoint_interval,
             "work between two checkpoints; 0: the best interval", between(0, 30 * 86400));
  f.required("restart", c.restart, "from a failure until work goes on: detection, new nodes, loading",
             between(0, 86400));
  f.optional("seed", c.seed, "of the simulated days", between(0, 1LL << 32));
}

}  // namespace xpusim
