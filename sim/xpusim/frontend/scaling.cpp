#include "xpusim/frontend/scaling.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "xpusim/core/error.h"
#include "xpusim/result/version.h"
#include "xpusim/step/step.h"

namespace xpusim::frontend {
namespace {

/// The batch that keeps each replica's share; rounded to whole micro-batches of whole replicas.
std::int64_t weak_batch(const ScenarioSpec& s, std::int64_t described, std::int64_t chips) {
  return std::max<std::int64_t>(1, std::llround(d(s.batch) * d(chips) / d(described)));
}

}  // namespace

double ScalePoint::communication() const {
  if (!result) return 0;
  return result->breakdown[Bound::Communication] / result->total.count();
}

std::int64_t ScaleCurve::communication_overtakes() const {
  for (const ScalePoint& p : points)
    if (p.communication() > 0.5) return p.chips;
  return 0;
}

ScaleCurve scale(const ScenarioInputs& in, const std::vector<std::int64_t>& chips, Scaling scaling,
                 const Options& options) {
  Request q = in.request();
  if (q.scenario.phase != Phase::Training)
    throw InfeasibleError("scale takes a training scenario; its phase is " +
                          std::string(enum_name(q.scenario.phase)));
  ScaleCurve curve;
  curve.system = q.system.id;
  curve.chip = q.chip.id;
  curve.watts_per_chip = q.chip.power.cap.count() * d(q.chip.dies);
  const std::int64_t described = q.scenario.chips == 0 ? chips.front() : q.scenario.chips;
  const std::int64_t most = *std::max_element(chips.begin(), chips.end());
  curve.extended = most > q.system.chips;
  q.system = with_chips(q.system, std::max(q.system.chips, most), q.chip.dies);
  const SystemSpec joined = with_package_level(q.system, q.chip);
  q.scenario.failures.reset();
  step::OperatorTimer timer(q.chip, &joined, q.scenario.launch, options, step::long_kernels_of(q.scenario));
  const ScenarioSpec scenario = q.scenario;
  for (const std::int64_t n : chips) {
    ScalePoint point;
    point.chips = n;
    q.scenario = scenario;
    q.scenario.chips = n;
    q.scenario.parallelism.dp = 0;  // what the other groups leave
    if (scaling == Scaling::Weak) q.scenario.batch = weak_batch(scenario, described, n);
    try {
      point.result = simulate(q, options, timer);
    } catch (const InfeasibleError& e) {
      point.refused = e.what();
    }
    curve.points.push_back(std::move(point));
  }
  const auto first = std::find_if(curve.points.begin(), curve.points.end(),
                                  [](const ScalePoint& p) { return p.result.has_value(); });
  for (ScalePoint& p : curve.points)
    if (p.result) p.efficiency = p.result->tokens_per_s_per_chip() / first->result->tokens_per_s_per_chip();
  return curve;
}

std::optional<double> equivalent_chips(const ScalePoint& a, const ScaleCurve& b) {
  if (!a.result) return std::nullopt;
  const double wanted = std::log(a.result->tokens_per_s());
  const ScalePoint* before = nullptr;
  for (const ScalePoint& p : b.points) {
    if (!p.result) continue;
    const double here = std::log(p.result->tokens_per_s());
    if (std::abs(here - wanted) < 1e-12) return d(p.chips);
    if (before != nullptr && here > wanted) {
      const double there = std::log(before->result->tokens_per_s());
      if (there > wanted) return std::nullopt;
      const double share = (wanted - there) / (here - there);
      return std::exp(std::log(d(before->chips)) +
                      share * (std::log(d(p.chips)) - std::log(d(before->chips))));
    }
    if (here > wanted) return std::nullopt;
    before = &p;
  }
  return std::nullopt;
}

nlohmann::ordered_json to_json(const std::vector<ScaleCurve>& curves, Scaling scaling) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const ScaleCurve& c : curves) {
    Json points = Json::array();
    for (const ScalePoint& p : c.points) {
      Json j = {{"chips", p.chips}, {"refused", p.refused}};
      if (p.result) {
        j["efficiency"] = p.efficiency;
        j["communication_share"] = p.communication();
        j["power_w"] = c.watts_per_chip * d(p.chips);
        j.update(result::to_summary(*p.result));
      }
      if (const auto chips = equivalent_chips(p, curves.front())) j["equivalent_chips_of_first"] = *chips;
      points.push_back(std::move(j));
    }
    list.push_back({{"system", c.system},
                    {"chip", c.chip},
                    {"watts_per_chip", c.watts_per_chip},
                    {"extended", c.extended},
                    {"communication_overtakes_at_chips", c.communication_overtakes()},
                    {"points", std::move(points)}});
  }
  return {{"schema", "xpusim.scale/1"},
          {"version", result::version()},
          {"scaling", scaling == Scaling::Weak ? "weak" : "strong"},
          {"curves", std::move(list)}};
}

}  // namespace xpusim::frontend
