#include "xpusim/validation/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace xpusim::validation {
namespace {

using Json = nlohmann::ordered_json;

std::string_view largest(const Breakdown& b) { return kBoundNames[static_cast<std::size_t>(b.largest())]; }

Json json_of(const Sample& s) {
  Json breakdown = Json::object();
  for (std::size_t i = 0; i < kBounds; ++i)
    breakdown[std::string(kBoundNames[i]) + "_us"] = s.breakdown.seconds[i] * 1e6;
  return {{"line", s.line},
          {"label", s.label},
          {"measured_us", s.measured_us},
          {"predicted_us", s.predicted_us},
          {"error_pct", 100 * s.error()},
          {"tiling", s.tiling},
          {"class", s.operators},
          {"bound_by", largest(s.breakdown)},
          {"breakdown", std::move(breakdown)}};
}

}  // namespace

std::vector<Sample> worst_samples(const SetReport& r, std::size_t count) {
  std::vector<Sample> sorted = r.samples;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Sample& a, const Sample& b) {
    return std::abs(a.error()) > std::abs(b.error());
  });
  sorted.resize(std::min(sorted.size(), count));
  return sorted;
}

std::string to_table(const std::vector<SetReport>& reports, std::size_t worst) {
  std::string text = fmt::format("{:<14} {:<18} {:>6} {:>8} {:>8} {:>8} {:>8}  {:>7}\n", "chip", "op", "rows",
                                 "MAPE %", "median", "P90", "bias", "skipped");
  for (const SetReport& r : reports) {
    const std::size_t skipped = r.skipped_rows();
    const ErrorStatistics& e = r.errors;
    text += e.rows == 0
                ? fmt::format("{:<14} {:<18} {:>6} {:>8} {:>8} {:>8} {:>8}  {:>7}\n", r.chip, r.op, 0, "-",
                              "-", "-", "-", skipped)
                : fmt::format("{:<14} {:<18} {:>6} {:>8.1f} {:>8.1f} {:>8.1f} {:>+8.1f}  {:>7}\n", r.chip,
                              r.op, e.rows, e.mape_pct, e.median_ape_pct, e.p90_ape_pct, e.bias_pct, skipped);
  }
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

}  // namespace xpusim::validation
