#include "xpusim/spec/accuracy.h"

#include <fmt/format.h>

#include <algorithm>

namespace xpusim {

namespace {
constexpr Range kPercent = between(0, 1e6);
}  // namespace

void describe(Fields& f, ValidatedExtent& c) {
  f.label("name", c.name, "extent", true);
  f.required("low", c.low, "smallest that was measured", between(0, 1e18));
  f.required("high", c.high, "largest that was measured", between(0, 1e18));
}

void describe(Fields& f, ClassAccuracy& c) {
  f.label("chip", c.chip, "chip that was measured", true);
  f.label("family", c.family, "its family", true);
  f.label("operators", c.operators, "class of operators", true);
  f.required("rows", c.rows, "measurements", between(1, 1e9));
  f.required("mape_pct", c.mape_pct, "mean absolute error", kPercent);
  f.required("bias_pct", c.bias_pct, "mean signed error; below 0: predicted too fast", between(-1e6, 1e6));
  f.required("p90_pct", c.p90_pct, "nine of ten rows are off by less", kPercent);
  f.optional("extents", c.extents, "measured range");
}

void describe(Fields& f, AccuracyTable& c) { f.required("classes", c.classes, "validated classes"); }

std::optional<ErrorBand> error_band(const AccuracyTable& table, std::string_view chip,
                                    std::string_view family, std::string_view operators) {
  const ClassAccuracy *of_family = nullptr, *of_any = nullptr;
  for (const ClassAccuracy& c : table.classes) {
    if (c.operators != operators) continue;
    if (c.chip == chip) return ErrorBand{c.p90_pct, fmt::format("{} measured kernels", c.rows), &c};
    if (c.family == family && (of_family == nullptr || c.p90_pct > of_family->p90_pct)) of_family = &c;
    if (of_any == nullptr || c.p90_pct > of_any->p90_pct) of_any = &c;
  }
  constexpr double kFamily = 1.5, kAny = 2;
  if (of_family != nullptr)
    return ErrorBand{kFamily * of_family->p90_pct, fmt::format("never measured; from {}", of_family->chip),
                     nullptr};
  if (of_any != nullptr)
    return ErrorBand{kAny * of_any->p90_pct, fmt::format("never measured; from {}", of_any->chip), nullptr};
  return std::nullopt;
}

std::string outside_validated(const ClassAccuracy& c, const Extents& extents) {
  std::string found;
  for (const auto& [name, value] : extents) {
    for (const ValidatedExtent& e : c.extents) {
      if (e.name != name || (value >= e.low && value <= e.high)) continue;
      found += fmt::format("{}{} {:.0f} (measured: {:.0f} to {:.0f})", found.empty() ? "" : ", ", name, value,
                           e.low, e.high);
    }
  }
  return found;
}

}  // namespace xpusim
