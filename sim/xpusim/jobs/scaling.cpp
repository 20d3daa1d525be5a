#include <algorithm>
#include <cmath>

#include "xpusim/core/error.h"
#include "xpusim/jobs/sound.h"
#include "xpusim/step/step.h"

namespace xpusim::jobs {
namespace {

/// The batch that keeps each replica's share; rounded to whole micro-batches of whole replicas.
std::int64_t weak_batch(const ScenarioSpec& s, std::int64_t described, std::int64_t chips) {
  return std::max<std::int64_t>(1, std::llround(d(s.batch) * d(chips) / d(described)));
}

}  // namespace

result::ScaleCurve scale(const ScenarioJob& in, const std::vector<std::int64_t>& chips,
                         result::Scaling scaling, const Options& options) {
  Request q = in.request();
  if (q.scenario.phase != Phase::Training)
    throw InfeasibleError("scale takes a training scenario; its phase is " +
                          std::string(enum_name(q.scenario.phase)));
  result::ScaleCurve curve;
  curve.system = q.system.id;
  curve.chip = q.chip.id;
  curve.watts_per_chip = q.chip.power.cap.count() * d(q.chip.dies);
  const std::int64_t described = chips_of(q.scenario, chips.front());
  const std::int64_t most = *std::max_element(chips.begin(), chips.end());
  curve.extended = most > q.system.chips;
  q.system = with_chips(q.system, std::max(q.system.chips, most), q.chip.dies);
  q.scenario.failures.reset();
  step::OperatorTimer timer(q.chip, &q.system, q.scenario.launch, options, step::long_kernels_of(q.scenario));
  const ScenarioSpec scenario = q.scenario;
  for (const std::int64_t n : chips) {
    result::ScalePoint point;
    point.chips = n;
    q.scenario = scenario;
    q.scenario.chips = n;
    q.scenario.parallelism.dp = 0;  // what the other groups leave
    if (scaling == result::Scaling::Weak) q.scenario.batch = weak_batch(scenario, described, n);
    try {
      point.result = simulate(q, options, timer);
    } catch (const InfeasibleError& e) {
      point.refused = e.what();
    }
    curve.points.push_back(std::move(point));
  }
  const auto first = std::find_if(curve.points.begin(), curve.points.end(),
                                  [](const result::ScalePoint& p) { return p.result.has_value(); });
  for (result::ScalePoint& p : curve.points)
    if (p.result) p.efficiency = p.result->tokens_per_s_per_chip() / first->result->tokens_per_s_per_chip();
  check_sound(curve);
  return curve;
}

}  // namespace xpusim::jobs
