#include "xpusim/result/curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

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

/// Okabe and Ito's colours, which colour-blind readers tell apart.
constexpr std::array<const char*, 6> kColours = {"#0072b2", "#d55e00", "#009e73",
                                                 "#cc79a7", "#e69f00", "#56b4e9"};

std::string x_text(double x, bool is_bytes) { return is_bytes ? size_text(x) : fmt::format("{:g}", x); }

std::string grid(const Axis& x, const Axis& y, bool x_is_bytes) {
  std::string svg;
  for (double e = x.low; e <= x.high; e += std::max(1.0, std::ceil((x.high - x.low) / 8))) {
    const double at = x.at(std::pow(x.base, e));
    svg += fmt::format("<line x1='{0:.1f}' y1='{1:.1f}' x2='{0:.1f}' y2='{2:.1f}' class='grid'/>", at, y.from,
                       y.to) +
           fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle'>{}</text>", at, y.from + 16,
                       x_text(std::pow(x.base, e), x_is_bytes));
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

std::string drawn(const Curve& c, const char* colour, const Axis& x, const Axis& y, const CurvePage& page) {
  std::string line, dots;
  for (const CurvePoint& p : c.points) {
    line += fmt::format("{}{:.1f},{:.1f}", line.empty() ? "" : " ", x.at(p.x), y.at(p.y));
    dots += fmt::format(
        "<circle cx='{:.1f}' cy='{:.1f}' r='3' fill='{}'><title>{}{}{}: {:.4g}, {}</title></circle>",
        x.at(p.x), y.at(p.y), colour, c.name, c.name.empty() ? "" : ", ", x_text(p.x, page.x_is_bytes), p.y,
        p.label);
  }
  return fmt::format("<polyline points='{}' stroke='{}'/>{}", line, colour, dots);
}

/// The least and the most of a coordinate over all points.
template <class Get>
std::pair<double, double> extremes(const std::vector<Curve>& curves, const Get& get) {
  std::pair<double, double> range{std::numeric_limits<double>::infinity(), 0};
  for (const Curve& c : curves)
    for (const CurvePoint& p : c.points)
      range = {std::min(range.first, get(p)), std::max(range.second, get(p))};
  return range;
}

}  // namespace

std::string curve_html(const CurvePage& page, const std::vector<Curve>& curves) {
  const auto [left, right] = extremes(curves, [](const CurvePoint& p) { return p.x; });
  const auto [least, most] = extremes(curves, [](const CurvePoint& p) { return p.y; });
  const Axis x = axis_of(2, left, right, kMargin, kWidth - kMargin);
  const Axis y = axis_of(10, least, most, kHeight - kMargin, kMargin / 2);
  std::string lines, legend;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    lines += drawn(curves[i], colour, x, y, page);
    if (!curves[i].name.empty())
      legend += fmt::format("<span style='color:{}'>&#9679;</span> {} ", colour, curves[i].name);
  }
  return fmt::format(
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>{0}</title><style>body{{font:14px/1.5 "
      "system-ui,sans-serif;margin:2em auto;max-width:60em;color:#222}}svg{{font-size:11px}}"
      ".grid{{stroke:#e4e4e4}}polyline{{fill:none}}</style><h1>{0}</h1>"
      "<p>{5} over {6} {7}</p><svg width='{1}' height='{2}' role='img' "
      "aria-label='{5} over {6}'>{3}{4}</svg></html>\n",
      page.title, kWidth, kHeight, grid(x, y, page.x_is_bytes), lines, page.y_name, page.x_name, legend);
}

}  // namespace xpusim::result
