#include "xpusim/result/curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace xpusim::result {
namespace {

constexpr double kWidth = 720, kHeight = 420, kMargin = 56;  ///< pixels

/// The powers of `base` that enclose what the values span.
struct Axis {
  double base, low, high, from, to;  ///< low and high: exponents; from and to: pixels
  [[nodiscard]] double at(double value) const {
    return from + (std::log(value) / std::log(base) - low) / (high - low) * (to - from);
  }
};

Axis axis_of(double base, double least, double most, double from, double to) {
  const double low = std::floor(std::log(least) / std::log(base) + 1e-9);
  const double high = std::ceil(std::log(most) / std::log(base) - 1e-9);
  return {base, low, std::max(high, low + 1), from, to};
}

std::string size_text(double bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return fmt::format("{:g} {}", bytes, kUnits[unit]);
}

std::string grid(const Axis& x, const Axis& y) {
  std::string svg;
  for (double e = x.low; e <= x.high; e += std::max(1.0, std::ceil((x.high - x.low) / 8))) {
    const double at = x.at(std::pow(x.base, e));
    svg += fmt::format("<line x1='{0:.1f}' y1='{1:.1f}' x2='{0:.1f}' y2='{2:.1f}' class='grid'/>", at, y.from,
                       y.to) +
           fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle'>{}</text>", at, y.from + 16,
                       size_text(std::pow(x.base, e)));
  }
  for (double e = y.low; e <= y.high; ++e) {
    const double at = y.at(std::pow(y.base, e));
    svg += fmt::format("<line x1='{1:.1f}' y1='{0:.1f}' x2='{2:.1f}' y2='{0:.1f}' class='grid'/>", at, x.from,
                       x.to) +
           fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='end'>{:g}</text>", x.from - 6, at + 4,
                       std::pow(y.base, e));
  }
  return svg;
}

}  // namespace

std::string curve_html(const std::string& title, const std::vector<CurvePoint>& points) {
  double least = points.front().gb_per_s, most = least;
  for (const CurvePoint& p : points) {
    least = std::min(least, p.gb_per_s);
    most = std::max(most, p.gb_per_s);
  }
  const Axis x = axis_of(2, points.front().bytes, points.back().bytes, kMargin, kWidth - kMargin);
  const Axis y = axis_of(10, least, most, kHeight - kMargin, kMargin / 2);
  std::string line, dots;
  for (const CurvePoint& p : points) {
    line += fmt::format("{}{:.1f},{:.1f}", line.empty() ? "" : " ", x.at(p.bytes), y.at(p.gb_per_s));
    dots += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3'><title>{}: {:.4g} GB/s, {}</title></circle>",
                        x.at(p.bytes), y.at(p.gb_per_s), size_text(p.bytes), p.gb_per_s, p.label);
  }
  return fmt::format(
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>{0}</title><style>body{{font:14px/1.5 "
      "system-ui,sans-serif;margin:2em auto;max-width:60em;color:#222}}svg{{font-size:11px}}"
      ".grid{{stroke:#e4e4e4}}polyline{{fill:none;stroke:#0072b2}}circle{{fill:#0072b2}}</style><h1>{0}</h1>"
      "<p>bus bandwidth [GB/s] over message size</p><svg width='{1}' height='{2}' role='img' "
      "aria-label='bus bandwidth over message size'>{3}<polyline points='{4}'/>{5}</svg></html>\n",
      title, kWidth, kHeight, grid(x, y), line, dots);
}

}  // namespace xpusim::result
