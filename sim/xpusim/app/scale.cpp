#include "xpusim/app/scale.h"

#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/frontend/scaling.h"
#include "xpusim/result/curve.h"

namespace xpusim::app {
namespace {

using frontend::ScaleCurve;
using frontend::ScalePoint;

/// "8,64,512": rising whole numbers.
std::vector<std::int64_t> read_chips(const std::string& text) {
  std::vector<std::int64_t> list;
  for (const std::string& word : split(text, ',')) {
    std::int64_t n = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), n);
    const bool ok =
        parsed.ec == std::errc() && parsed.ptr == word.data() + word.size() && n >= 1 && n <= (1 << 20);
    if (!ok || (!list.empty() && n <= list.back()))
      throw ConfigError(Diagnostic{{"--chips " + text, 0, 0},
                                   printable(word),
                                   "not a number of chips above the one before",
                                   "rising whole numbers up to 1048576, e.g. 8,64,512"});
    list.push_back(n);
  }
  return list;
}

std::string line_of(const ScalePoint& p) {
  if (!p.result) return fmt::format("{:>8}  {}\n", p.chips, p.refused);
  const result::Result& r = *p.result;
  return fmt::format(
      "{:>8} {:>10} {:>10.4g} {:>12.5g} {:>10.4g} {:>9.1f} % {:>6.1f} % {:>8.1f} % {:>7.1f} %\n", p.chips,
      fmt::format("{}", r.groups.data), r.total.count(), r.tokens_per_s(), r.tokens_per_s_per_chip(),
      100 * p.efficiency, 100 * r.training->mfu, 100 * p.communication(),
      100 * r.breakdown[Bound::Bubble] / r.total.count());
}

void print(const ScaleCurve& c) {
  std::cout << fmt::format("{} x {}{}\n{:>8} {:>10} {:>10} {:>12} {:>10} {:>11} {:>8} {:>10} {:>9}\n",
                           c.system, c.chip, c.extended ? " (outermost level extended)" : "", "chips",
                           "replicas", "step [s]", "tokens/s", "per chip", "efficiency", "MFU", "waiting",
                           "bubble");
  for (const ScalePoint& p : c.points) std::cout << line_of(p);
  const std::int64_t overtakes = c.communication_overtakes();
  std::cout << (overtakes > 0
                    ? fmt::format("communication takes more than half of the step from {} chips on\n\n",
                                  overtakes)
                    : "communication takes less than half of the step on all of them\n\n");
}

/// "N chips of A do what M of B do": for each point of the first curve, on each other one.
void print_equivalence(const std::vector<ScaleCurve>& curves) {
  const ScaleCurve& a = curves.front();
  for (std::size_t i = 1; i < curves.size(); ++i) {
    const ScaleCurve& b = curves[i];
    std::cout << fmt::format("the same throughput on {} and on {} (power: chips at their caps)\n", a.system,
                             b.system);
    for (const ScalePoint& p : a.points) {
      if (!p.result) continue;
      const auto chips = equivalent_chips(p, b);
      const double watts = a.watts_per_chip * static_cast<double>(p.chips);
      if (!chips) {
        std::cout << fmt::format("{:>8} x {}: outside the curve of {}\n", p.chips, a.chip, b.system);
        continue;
      }
      std::cout << fmt::format("{:>8} x {} ({:.4g} MW) = {:.0f} x {} ({:.4g} MW), {:.2f} chips for one\n",
                               p.chips, a.chip, watts / 1e6, *chips, b.chip, *chips * b.watts_per_chip / 1e6,
                               *chips / static_cast<double>(p.chips));
    }
    std::cout << '\n';
  }
}

/// Throughput per chip over the chips, a curve for each system.
std::string page_of(const ScaleArguments& a, const std::vector<ScaleCurve>& curves) {
  std::vector<result::Curve> list;
  for (const ScaleCurve& c : curves) {
    result::Curve curve{c.system, {}};
    for (const ScalePoint& p : c.points)
      if (p.result)
        curve.points.push_back({static_cast<double>(p.chips), p.result->tokens_per_s_per_chip(),
                                fmt::format("{:.1f} % efficiency", 100 * p.efficiency)});
    if (!curve.points.empty()) list.push_back(std::move(curve));
  }
  if (list.empty()) throw InfeasibleError("no number of chips has a result to draw");
  return result::curve_html({a.scenario, "chips", "tokens per second and chip"}, list);
}

}  // namespace

void scale(const Common& c, const ScaleArguments& a) {
  const config::Library library = open_library(c.data);
  const std::vector<std::int64_t> chips = read_chips(a.chips);
  const auto scaling = a.strong ? frontend::Scaling::Strong : frontend::Scaling::Weak;
  Options options;
  options.fidelity = fidelity_of(c);
  std::vector<ScaleCurve> curves;
  std::vector<std::string> systems = a.on;
  if (systems.empty()) systems.emplace_back();
  for (const std::string& text : systems) {
    const frontend::Column column = text.empty() ? frontend::Column{} : frontend::parse_column(text, "--on");
    config::Overrides overrides = overrides_of(c);
    overrides.insert(overrides.end(), column.overrides.begin(), column.overrides.end());
    const auto inputs = frontend::load_scenario(library, a.scenario, column.name, overrides);
    curves.push_back(frontend::scale(inputs, chips, scaling, options));
  }
  if (c.json != "-") {
    std::cout << fmt::format("{}, {} scaling ({} fidelity)\n\n", a.scenario, a.strong ? "strong" : "weak",
                             c.fidelity);
    for (const ScaleCurve& curve : curves) print(curve);
    print_equivalence(curves);
  }
  if (!a.html.empty()) result::write_file(a.html, page_of(a, curves));
  const std::string json = to_json(curves, scaling).dump(2) + "\n";
  if (c.json == "-")
    std::cout << json;
  else if (!c.json.empty())
    result::write_file(c.json, json);
}

}  // namespace xpusim::app
