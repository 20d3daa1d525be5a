#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "xpusim/core/error.h"
#include "xpusim/report/plot.h"
#include "xpusim/report/results.h"
#include "xpusim/report/table.h"
#include "xpusim/result/version.h"

namespace xpusim::report {
namespace {

using result::ScaleCurve;
using result::ScalePoint;

std::vector<std::string> cells_of(const ScalePoint& p) {
  if (!p.result) return {std::to_string(p.chips), " " + p.refused};
  const result::Result& r = *p.result;
  return {std::to_string(p.chips),
          std::to_string(r.groups.data),
          fmt::format("{:.4g}", r.total.count()),
          fmt::format("{:.5g}", r.tokens_per_s()),
          fmt::format("{:.4g}", r.tokens_per_s_per_chip()),
          percent(p.efficiency),
          percent(r.training->mfu),
          percent(p.communication()),
          percent(r.breakdown[Bound::Bubble] / r.total.count())};
}

std::string to_text(const ScaleCurve& c) {
  Table t({8, 10, 10, 12, 10, 11, 8, 10, 9});
  t.row({"chips", "replicas", "step [s]", "tokens/s", "per chip", "efficiency", "MFU", "waiting", "bubble"});
  for (const ScalePoint& p : c.points) t.row(cells_of(p));
  const std::int64_t overtakes = c.communication_overtakes();
  return fmt::format("{} x {}{}\n{}communication takes {}\n\n", c.system, c.chip,
                     c.extended ? " (outermost level extended)" : "", t.text(),
                     overtakes > 0 ? fmt::format("more than half of the step from {} chips on", overtakes)
                                   : "less than half of the step on all of them");
}

/// "N chips of A do what M of B do": for each point of the first curve, on each other one.
std::string equivalence(const std::vector<ScaleCurve>& curves) {
  const ScaleCurve& a = curves.front();
  std::string text;
  for (std::size_t i = 1; i < curves.size(); ++i) {
    const ScaleCurve& b = curves[i];
    text +=
        fmt::format("the same throughput on {} and on {} (power: chips at their caps)\n", a.system, b.system);
    for (const ScalePoint& p : a.points) {
      if (!p.result) continue;
      const auto chips = equivalent_chips(p, b);
      const double watts = a.watts_per_chip * d(p.chips);
      if (!chips) {
        text += fmt::format("{:>8} x {}: outside the curve of {}\n", p.chips, a.chip, b.system);
        continue;
      }
      text += fmt::format("{:>8} x {} ({:.4g} MW) = {:.0f} x {} ({:.4g} MW), {:.2f} chips for one\n", p.chips,
                          a.chip, watts / 1e6, *chips, b.chip, *chips * b.watts_per_chip / 1e6,
                          *chips / d(p.chips));
    }
    text += '\n';
  }
  return text;
}

}  // namespace

Json to_json(const std::vector<ScaleCurve>& curves, result::Scaling scaling) {
  Json list = Json::array();
  for (const ScaleCurve& c : curves) {
    Json points = Json::array();
    for (const ScalePoint& p : c.points) {
      Json j = {{"chips", p.chips}, {"refused", p.refused}};
      if (p.result) {
        j["efficiency"] = p.efficiency;
        j["communication_share"] = p.communication();
        j["power_w"] = c.watts_per_chip * d(p.chips);
        j.update(to_summary(*p.result));
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
          {"scaling", scaling == result::Scaling::Weak ? "weak" : "strong"},
          {"curves", std::move(list)}};
}

std::string to_text(const std::vector<ScaleCurve>& curves) {
  std::string text;
  for (const ScaleCurve& c : curves) text += to_text(c);
  return text + equivalence(curves);
}

std::string to_html(const std::string& title, const std::vector<ScaleCurve>& curves) {
  Plot plot{{"chips", 2}, {"tokens per second and chip"}, {}};
  for (const ScaleCurve& c : curves) {
    Series series{c.system, {}};
    for (const ScalePoint& p : c.points)
      if (p.result)
        series.points.push_back({d(p.chips), p.result->tokens_per_s_per_chip(),
                                 fmt::format("{:.1f} % efficiency", 100 * p.efficiency)});
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  if (plot.series.empty()) throw InfeasibleError("no number of chips has a result to draw");
  return page(title, plot);
}

}  // namespace xpusim::report
