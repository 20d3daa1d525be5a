#pragma once
#include <vector>

#include "xpusim/result/result.h"
#include "xpusim/step/request.h"

namespace xpusim::step {

/// A way to spread a training step over devices.
struct PlanCandidate {
  ParallelismSpec parallelism;
  std::int64_t micro_batch = 1;
  Recompute recompute = Recompute::Auto;
  Seconds bound;                         ///< step time, closed form
  std::optional<result::Result> played;  ///< at the options' fidelity; of the best ones
};

/// The training scenario, spread that way.
[[nodiscard]] ScenarioSpec with_plan(ScenarioSpec, const PlanCandidate&);

struct PlanSearch {
  std::vector<PlanCandidate> best;  ///< the fastest first
  std::size_t tried = 0;            ///< plans that divide, fit and were timed
  std::size_t refused = 0;          ///< plans that do not divide or do not fit
};

/// Looks for the fastest plan of a training scenario on `devices` devices. Tensor and expert groups are
/// powers of two, tensor groups inside a node; pipelines divide the devices; contexts are split from 8,192
/// tokens a rank on; micro-batches of 1, 2, 4 and 8; recomputation is the least that fits. All are timed in
/// closed form, the best `confirmed` once more at the options' fidelity. Throws InfeasibleError when none
/// fits.
[[nodiscard]] PlanSearch search_plans(const Request&, std::int64_t devices, std::size_t confirmed,
                                      const Options&);

}  // namespace xpusim::step
