#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "xpusim/core/breakdown.h"
#include "xpusim/validation/report.h"

/// One self-contained page: a table, and per set its points as SVG. It loads nothing.
namespace xpusim::validation {
namespace {

constexpr double kSide = 420, kMargin = 48;  ///< of a plot, in pixels
constexpr std::size_t kMostPoints = 4000;

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

/// Both axes: time in us, logarithmic, over the decades that the samples span.
struct Axes {
  double low = 0, high = 1;  ///< log10
  [[nodiscard]] double x(double us) const {
    return kMargin + (std::log10(us) - low) / (high - low) * (kSide - 2 * kMargin);
  }
  [[nodiscard]] double y(double us) const { return kSide - x(us); }
};

Axes axes_of(const std::vector<Sample>& samples) {
  double low = samples.front().measured_us, high = low;
  for (const Sample& s : samples) {
    low = std::min({low, s.measured_us, s.predicted_us});
    high = std::max({high, s.measured_us, s.predicted_us});
  }
  const double first = std::floor(std::log10(low));
  return {first, std::max(first + 1, std::ceil(std::log10(high)))};
}

std::string line(double x1, double y1, double x2, double y2, std::string_view style) {
  return fmt::format("<line x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}' class='{}'/>", x1, y1, x2, y2,
                     style);
}

std::string plot(const std::vector<Sample>& samples) {
  const Axes a = axes_of(samples);
  std::string svg =
      fmt::format("<svg width='{0}' height='{0}' role='img' aria-label='predicted over measured'>", kSide);
  for (double decade = a.low; decade <= a.high; ++decade) {
    const double us = std::pow(10, decade);
    svg += line(a.x(us), kMargin, a.x(us), kSide - kMargin, "grid") +
           line(kMargin, a.y(us), kSide - kMargin, a.y(us), "grid") +
           fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='middle'>{:g}</text>", a.x(us),
                       kSide - kMargin + 16, us) +
           fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='end'>{:g}</text>", kMargin - 6, a.y(us) + 4,
                       us);
  }
  const double first = std::pow(10, a.low), last = std::pow(10, a.high);
  svg += line(a.x(first), a.y(first), a.x(last), a.y(last), "equal");
  const std::size_t step = samples.size() / kMostPoints + 1;
  for (std::size_t i = 0; i < samples.size(); i += step) {
    const Sample& s = samples[i];
    svg += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='1.8'><title>{}: {:+.1f} %</title></circle>",
                       a.x(s.measured_us), a.y(s.predicted_us), escaped(s.label), 100 * s.error());
  }
  return svg + fmt::format(
                   "<text x='{0:.0f}' y='{1:.0f}' text-anchor='middle'>measured [us]</text>"
                   "<text x='14' y='{0:.0f}' text-anchor='middle' "
                   "transform='rotate(-90 14 {0:.0f})'>predicted [us]</text></svg>",
                   kSide / 2, kSide - 8);
}

std::string worst_table(const SetReport& r, std::size_t worst) {
  std::string html =
      "<table><tr><th>line<th>shape<th>measured [us]<th>predicted [us]<th>error<th>most<th>tiling</tr>";
  for (const Sample& s : worst_samples(r, worst))
    html += fmt::format("<tr><td>{}<td>{}<td>{:.4g}<td>{:.4g}<td>{:+.1f} %<td>{}<td>{}</tr>", s.line,
                        escaped(s.label), s.measured_us, s.predicted_us, 100 * s.error(),
                        kBoundNames[static_cast<std::size_t>(s.breakdown.largest())], escaped(s.tiling));
  return html + "</table>";
}

constexpr std::string_view kHead =
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>XPUSim validation</title><style>"
    "body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.15em .8em;text-align:right;border-bottom:1px "
    "solid #ddd}td:nth-child(2),th:nth-child(2){text-align:left}svg{font-size:11px}.grid{stroke:#e4e4e4}"
    ".equal{stroke:#222}circle{fill:#0072b2;fill-opacity:.35}</style><h1>Predicted against measured</h1>";

}  // namespace

std::string to_html(const std::vector<SetReport>& reports, std::size_t worst) {
  std::string html(kHead);
  html += "<table><tr><th>chip<th>set<th>rows<th>MAPE<th>median<th>P90<th>bias<th>skipped</tr>";
  for (const SetReport& r : reports) {
    const std::size_t skipped = r.skipped_rows();
    const ErrorStatistics& e = r.errors;
    html += fmt::format("<tr><td>{}<td>{}<td>{}<td>{:.1f} %<td>{:.1f} %<td>{:.1f} %<td>{:+.1f} %<td>{}</tr>",
                        escaped(r.chip), escaped(r.op), e.rows, e.mape_pct, e.median_ape_pct, e.p90_ape_pct,
                        e.bias_pct, skipped);
  }
  html += "</table>";
  for (const SetReport& r : reports) {
    html += fmt::format("<h2>{} {}</h2><p>{}</p>", escaped(r.chip), escaped(r.op), escaped(r.file));
    for (const auto& [reason, rows] : r.skipped)
      html += fmt::format("<p>{} rows skipped: {}</p>", rows, escaped(reason));
    if (!r.samples.empty()) html += plot(r.samples) + (worst > 0 ? worst_table(r, worst) : "");
  }
  return html + "</html>\n";
}

}  // namespace xpusim::validation
