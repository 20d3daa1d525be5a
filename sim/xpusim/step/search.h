#pragma once
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "xpusim/core/fields.h"
#include "xpusim/result/result.h"
#include "xpusim/step/request.h"

namespace xpusim::step {

/// What of a plan a search may vary. The rest is as the scenario has it.
enum class PlanKey : std::uint8_t { Tp, Cp, Pp, Vpp, Ep, Dp, Etp, MicroBatch, Recompute, Schedule };
using PlanKeys = std::set<PlanKey>;
/// Of all keys, what a search never tries; for its report.
inline constexpr std::array<std::string_view, 5> kNeverSearched = {
    "schedules but auto and the scenario's", "etp but tp and the scenario's", "sharding, overlap and stack",
    "recompute_layers", "batch and precision"};

/// A way to spread a training step over devices.
struct PlanCandidate {
  ParallelismSpec parallelism;
  std::int64_t micro_batch = 1;
  Recompute recompute = Recompute::Auto;
  std::int64_t recompute_layers = 0;
  PipelineSchedule schedule = PipelineSchedule::Auto;
  bool is_stated = false;                ///< the scenario's own
  Seconds bound;                         ///< step time, closed form
  std::optional<result::Result> played;  ///< at the options' fidelity; of the best ones
};

/// The training scenario, spread that way.
[[nodiscard]] ScenarioSpec with_plan(ScenarioSpec, const PlanCandidate&);

struct PlanSearch {
  std::vector<PlanCandidate> best;  ///< the fastest first; the scenario's own among them, if it fits
  std::size_t tried = 0;            ///< plans that divide, fit and were timed
  std::size_t refused = 0;          ///< plans that do not divide or do not fit
  PlanKeys searched;
  std::string stated_refused;  ///< why the scenario's own plan cannot run; empty: it can
};

/// Looks for the fastest plan of a training scenario on `devices` devices: its own, and what the searched
/// keys make of it. Tensor and expert groups are powers of two, tensor groups inside a node; pipelines divide
/// the devices, chunks the layers of a stage, schedules are auto or the scenario's; contexts are split from
/// 8,192 tokens a rank on; micro-batches are 1, 2, 4 and 8, without a pipeline also halves of a replica's
/// batch; recomputation is the least that fits. All are timed in closed form, the best `confirmed` and the
/// scenario's own once more at the options' fidelity. Throws InfeasibleError when none fits.
[[nodiscard]] PlanSearch search_plans(const Request&, std::int64_t devices, const PlanKeys& searched,
                                      std::size_t confirmed, const Options&);

}  // namespace xpusim::step

template <>
struct xpusim::EnumNames<xpusim::step::PlanKey> {
  static constexpr std::array<std::string_view, 10> value = {
      "tp", "cp", "pp", "vpp", "ep", "dp", "etp", "micro_batch", "recompute", "schedule"};
};
