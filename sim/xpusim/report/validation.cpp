#include "xpusim/report/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "xpusim/report/plot.h"
#include "xpusim/report/table.h"

namespace xpusim::report {
namespace {

using validation::Sample;
using validation::SetReport;

/// The samples by falling error, `count` of them at most.
std::vector<Sample> worst_samples(const SetReport& r, std::size_t count) {
  std::vector<Sample> sorted = r.samples;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Sample& a, const Sample& b) {
    return std::abs(a.error()) > std::abs(b.error());
  });
  sorted.resize(std::min(sorted.size(), count));
  return sorted;
}

Json json_of(const Sample& s) {
  return {{"line", s.line},
          {"label", s.label},
          {"measured_us", s.measured_us},
          {"predicted_us", s.predicted_us},
          {"error_pct", 100 * s.error()},
          {"tiling", s.tiling},
          {"class", s.operators},
          {"bound_by", largest(s.breakdown)},
          {"breakdown", by_cause(s.breakdown, "_us", 1e6)}};
}

/// A line per set.
Table errors_of(const std::vector<SetReport>& reports) {
  Table t({-14, -18, 6, 8, 8, 8, 8, 8});
  t.row({"chip", "op", "rows", "MAPE %", "median", "P90", "bias", "skipped"});
  for (const SetReport& r : reports) {
    const validation::ErrorStatistics& e = r.errors;
    std::vector<std::string> cells{r.chip, r.op, std::to_string(e.rows)};
    for (const double x : {e.mape_pct, e.median_ape_pct, e.p90_ape_pct})
      cells.push_back(e.rows == 0 ? "-" : fixed(x, 1));
    cells.push_back(e.rows == 0 ? "-" : fmt::format("{:+.1f}", e.bias_pct));
    cells.push_back(std::to_string(r.skipped_rows()));
    t.row(std::move(cells));
  }
  return t;
}

/// Predicted over measured time; of many samples a part.
Plot plot_of(const std::vector<Sample>& samples) {
  constexpr std::size_t kMostPoints = 4000;
  Plot plot{{"measured [us]"}, {"predicted [us]"}, {{}}, true};
  for (std::size_t i = 0; i < samples.size(); i += samples.size() / kMostPoints + 1) {
    const Sample& s = samples[i];
    plot.series.front().points.push_back(
        {s.measured_us, s.predicted_us, fmt::format("{}: {:+.1f} %", s.label, 100 * s.error())});
  }
  return plot;
}

Table worst_of(const SetReport& r, std::size_t worst) {
  Table t;
  t.row({"line", "shape", "measured [us]", "predicted [us]", "error", "most", "tiling"});
  for (const Sample& s : worst_samples(r, worst))
    t.row({std::to_string(s.line), s.label, fmt::format("{:.4g}", s.measured_us),
           fmt::format("{:.4g}", s.predicted_us), fmt::format("{:+.1f} %", 100 * s.error()),
           std::string(largest(s.breakdown)), s.tiling});
  return t;
}

}  // namespace

std::string to_table(const std::vector<SetReport>& reports, std::size_t worst) {
  std::string text = errors_of(reports).text();
  for (const SetReport& r : reports) {
    if (!r.skipped.empty()) text += fmt::format("\n{}: skipped\n", r.file);
    for (const auto& [reason, rows] : r.skipped) text += fmt::format("  {:>6}  {}\n", rows, reason);
    if (worst == 0 || r.samples.empty()) continue;
    text += fmt::format("\n{}: worst\n", r.file);
    for (const Sample& s : worst_samples(r, worst))
      text += fmt::format(
          "  line {:<6} {:+7.1f} %  measured {:.4g} us, predicted {:.4g} us, most: {} ({}; {})\n", s.line,
          100 * s.error(), s.measured_us, s.predicted_us, largest(s.breakdown), s.label, s.tiling);
  }
  return text;
}

Json to_json(const std::vector<SetReport>& reports, std::size_t worst) {
  Json sets = Json::array();
  for (const SetReport& r : reports) {
    Json samples = Json::array(), skipped = Json::object();
    for (const Sample& s : worst_samples(r, worst)) samples.push_back(json_of(s));
    for (const auto& [reason, rows] : r.skipped) skipped[reason] = rows;
    Json classes = Json::object();
    for (const auto& [name, extents] : r.classes) {
      Json ranges = Json::object();
      for (const ValidatedExtent& e : extents) ranges[e.name] = {e.low, e.high};
      classes[name] = std::move(ranges);
    }
    sets.push_back({{"file", r.file},
                    {"chip", r.chip},
                    {"op", r.op},
                    {"family", r.family},
                    {"classes", std::move(classes)},
                    {"rows", r.errors.rows},
                    {"skipped", std::move(skipped)},
                    {"mape_pct", r.errors.mape_pct},
                    {"median_ape_pct", r.errors.median_ape_pct},
                    {"p90_ape_pct", r.errors.p90_ape_pct},
                    {"bias_pct", r.errors.bias_pct},
                    {"worst", std::move(samples)}});
  }
  return {{"schema", "xpusim.validation/1"}, {"sets", std::move(sets)}};
}

std::string to_html(const std::vector<SetReport>& reports, std::size_t worst) {
  std::string body = errors_of(reports).html();
  for (const SetReport& r : reports) {
    body += fmt::format("<h2>{} {}</h2><p>{}</p>", escaped(r.chip), escaped(r.op), escaped(r.file));
    for (const auto& [reason, rows] : r.skipped)
      body += fmt::format("<p>{} rows skipped: {}</p>", rows, escaped(reason));
    if (r.samples.empty()) continue;
    body += svg(plot_of(r.samples));
    if (worst > 0) body += worst_of(r, worst).html();
  }
  return page("Predicted against measured", body);
}

}  // namespace xpusim::report
