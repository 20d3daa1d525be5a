#include "xpusim/report/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "xpusim/report/format.h"

namespace xpusim::report {
namespace {

constexpr double kWidth = 720, kHeight = 420, kMargin = 56;  ///< pixels

/// Okabe and Ito's colours, which colour-blind readers tell apart.
constexpr std::array<const char*, 6> kColours = {"#0072b2", "#d55e00", "#009e73",
                                                 "#cc79a7", "#e69f00", "#56b4e9"};
const char* colour_of(std::size_t series) { return kColours[series % kColours.size()]; }

/// From values to pixels.
struct Scale {
  const Axis& axis;
  double low, high, from, to;  ///< low and high: exponents; from and to: pixels
  [[nodiscard]] double at(double value) const {
    return from + (std::log(value) / std::log(axis.base) - low) / (high - low) * (to - from);
  }
  [[nodiscard]] double step() const { return std::max(1.0, std::ceil((high - low) / 8)); }
};

Scale scale_of(const Axis& axis, std::pair<double, double> range, double from, double to) {
  const double low = std::floor(std::log(range.first) / std::log(axis.base) + 1e-9);
  const double high = std::ceil(std::log(range.second) / std::log(axis.base) - 1e-9);
  return {axis, low, std::max(high, low + 1), from, to};
}

/// The least and the most of a coordinate over all points.
std::pair<double, double> range_of(const Plot& p, double Point::*coordinate) {
  std::pair<double, double> range{std::numeric_limits<double>::infinity(), 0};
  for (const Series& s : p.series)
    for (const Point& q : s.points)
      range = {std::min(range.first, q.*coordinate), std::max(range.second, q.*coordinate)};
  return range;
}

std::string value_text(const Axis& axis, double value) {
  static constexpr std::array<const char*, 5> kUnits = {" B", " KiB", " MiB", " GiB", " TiB"};
  std::size_t unit = 0;
  for (; axis.is_bytes && value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:g}{}", value, axis.is_bytes ? kUnits[unit] : "");
}

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return fmt::format("<line x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}' class='{}'/>", x1, y1, x2, y2,
                     style);
}
std::string text(double x, double y, const char* anchor, const std::string& words) {
  return fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='{}'>{}</text>", x, y, anchor, escaped(words));
}

std::string grid(const Scale& x, const Scale& y) {
  std::string svg;
  for (double e = x.low; e <= x.high; e += x.step()) {
    const double value = std::pow(x.axis.base, e), at = x.at(value);
    svg += line(at, y.from, at, y.to, "grid") + text(at, y.from + 16, "middle", value_text(x.axis, value));
  }
  for (double e = y.low; e <= y.high; e += y.step()) {
    const double value = std::pow(y.axis.base, e), at = y.at(value);
    svg += line(x.from, at, x.to, at, "grid") + text(x.from - 6, at + 4, "end", value_text(y.axis, value));
  }
  return svg + text((x.from + x.to) / 2, y.from + 34, "middle", x.axis.name) +
         fmt::format("<g transform='translate(14 {:.1f}) rotate(-90)'>{}</g>", (y.from + y.to) / 2,
                     text(0, 0, "middle", y.axis.name));
}

std::string drawn(const Series& s, const char* colour, const Scale& x, const Scale& y, bool as_cloud) {
  const char* look = as_cloud ? "r='1.8' fill-opacity='.35'" : "r='3'";
  std::string curve, dots;
  for (const Point& p : s.points) {
    curve += fmt::format("{}{:.1f},{:.1f}", curve.empty() ? "" : " ", x.at(p.x), y.at(p.y));
    const std::string values =
        fmt::format("{}{}{}: {:.4g}, ", s.name, s.name.empty() ? "" : ", ", value_text(x.axis, p.x), p.y);
    dots += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' {} fill='{}'><title>{}</title></circle>", x.at(p.x),
                        y.at(p.y), look, colour, escaped((as_cloud ? "" : values) + p.label));
  }
  return as_cloud ? dots : fmt::format("<polyline points='{}' stroke='{}'/>{}", curve, colour, dots);
}

}  // namespace

std::string svg(const Plot& p) {
  std::pair<double, double> xs = range_of(p, &Point::x), ys = range_of(p, &Point::y);
  if (p.compares) xs = ys = {std::min(xs.first, ys.first), std::max(xs.second, ys.second)};
  const double width = p.compares ? kHeight : kWidth;
  const Scale x = scale_of(p.x, xs, kMargin, width - kMargin / 2);
  const Scale y = scale_of(p.y, ys, kHeight - kMargin, kMargin / 2);
  std::string svg = fmt::format("<svg width='{}' height='{}' role='img' aria-label=\"{} over {}\">", width,
                                kHeight, escaped(p.y.name), escaped(p.x.name)) +
                    grid(x, y);
  if (p.compares) svg += line(x.from, y.from, x.to, y.to, "equal");
  for (std::size_t i = 0; i < p.series.size(); ++i) svg += drawn(p.series[i], colour_of(i), x, y, p.compares);
  return svg + "</svg>";
}

std::string page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>{0}</title><style>"
      "body{{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}}"
      "table{{border-collapse:collapse;margin:1em 0}}td,th{{padding:.15em .8em;text-align:right;"
      "border-bottom:1px solid #ddd}}td:nth-child(2),th:nth-child(2){{text-align:left}}svg{{font-size:11px}}"
      ".grid{{stroke:#e4e4e4}}.equal{{stroke:#222}}polyline{{fill:none}}</style><h1>{0}</h1>{1}</html>\n",
      escaped(title), body);
}

std::string page(const std::string& title, const Plot& p) {
  std::string legend;
  for (std::size_t i = 0; i < p.series.size(); ++i)
    if (!p.series[i].name.empty())
      legend +=
          fmt::format(" <span style='color:{}'>&#9679;</span> {}", colour_of(i), escaped(p.series[i].name));
  return page(title,
              fmt::format("<p>{} over {}{}</p>", escaped(p.y.name), escaped(p.x.name), legend) + svg(p));
}

}  // namespace xpusim::report
