#include "xpusim/report/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace xpusim::report {

std::string fixed(double x, int decimals) { return fmt::format("{:.{}f}", x, decimals); }

std::string number(double x) {
  const double a = std::abs(x);
  if (x == 0) return "0";
  if (a < 1) return fmt::format("{:.3g}", x);
  return fixed(x, a >= 1000 ? 0 : a >= 100 ? 1 : 2);
}

std::string percent(double share, int decimals) { return fixed(100 * share, decimals) + " %"; }

std::string_view largest(const Breakdown& b) { return kBoundNames[static_cast<std::size_t>(b.largest())]; }

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
  }
  return safe;
}

std::string escaped_markdown(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (std::string_view("\\`*[]<|!").find(c) != std::string_view::npos) safe += '\\';
    safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    if (c == '@' || c == '#') safe += "<!-- -->";  // a backslash does not keep a forge from its references
  }
  return safe;
}

std::string markdown_code(std::string_view text) {
  std::size_t longest = 0, run = 0;
  std::string line;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
    line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  const std::string fence(longest + 1, '`'), gap = longest > 0 ? " " : "";
  return fence + gap + line + gap + fence;
}

std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json or_null(const std::optional<double>& x) { return x ? Json(*x) : Json(); }

Json by_cause(const Breakdown& b, const char* unit, double per_second) {
  Json j = Json::object();
  for (std::size_t i = 0; i < kBounds; ++i) j[std::string(kBoundNames[i]) + unit] = b.seconds[i] * per_second;
  return j;
}

std::string text_of(const Json& j) { return j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace xpusim::report
