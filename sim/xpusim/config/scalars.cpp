#include "xpusim/config/scalars.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

struct Leading {
  double number;
  std::string_view rest;
};

/// The number that the text begins with, and what follows it: infinite where a double cannot hold it.
std::optional<Leading> leading_number(std::string_view text) {
  if (text.starts_with('+')) {  // from_chars knows no plus
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  double number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  const bool is_beyond = parsed.ec == std::errc::result_out_of_range;
  if (!is_beyond && (parsed.ec != std::errc() || !std::isfinite(number))) return std::nullopt;
  return Leading{is_beyond ? HUGE_VAL : number, {parsed.ptr, static_cast<std::size_t>(end - parsed.ptr)}};
}

/// What one of the unit after a number is in SI base units; nullopt: the dimension has no such unit.
std::optional<double> scale_of(std::string_view unit, const Dimension& dimension) {
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  for (const UnitName& u : dimension.units)
    if (u.text == unit) return u.scale;
  return std::nullopt;
}

/// Words that YAML readers take for something else than text.
bool is_reserved(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  static constexpr std::array<std::string_view, 9> kWords = {"true", "false", "null", "yes", "no",
                                                             "on",   "off",   "y",    "n"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

std::string unit_names(const Dimension& dimension) {
  std::vector<std::string_view> names;
  for (const UnitName& u : dimension.units) names.push_back(u.text);
  return join(names);
}

}  // namespace

std::string yaml_text(const std::string& text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_plain = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') ||
           std::string_view(" _./()+-").find(c) != std::string::npos;
  };
  const bool plain = !text.empty() && is_letter(text.front()) && text.back() != ' ' &&
                     std::all_of(text.begin(), text.end(), is_plain) && !parse_real(text) &&
                     !is_reserved(text);
  return plain ? text : nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<double> parse_real(std::string_view text) {
  const auto parsed = leading_number(text);
  const bool is_whole = parsed && parsed->rest.empty() && std::isfinite(parsed->number);
  return is_whole ? std::optional(parsed->number) : std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) return value;
  const auto real = parse_real(text);  // 1e6 is a whole number too
  if (real && *real == std::floor(*real) && std::abs(*real) < 0x1p53) return static_cast<std::int64_t>(*real);
  return std::nullopt;
}

std::optional<double> parse_quantity(std::string_view text, const Dimension& dimension) {
  const auto parsed = leading_number(text);
  const auto scale = parsed ? scale_of(parsed->rest, dimension) : std::nullopt;
  if (!scale) return std::nullopt;
  const double si = parsed->number * *scale;
  if (!std::isfinite(si)) return std::nullopt;
  return dimension.is_whole ? std::round(si) : si;
}

bool is_beyond_reading(std::string_view text, const Scalar& s) {
  const auto parsed = leading_number(text);
  if (!parsed) return false;
  if (s.type == ScalarType::Quantity) {
    const auto scale = scale_of(parsed->rest, *s.dimension);
    return scale && !std::isfinite(parsed->number * *scale);
  }
  if (!parsed->rest.empty()) return false;
  if (s.type == ScalarType::Integer)
    return parsed->number == std::floor(parsed->number) && std::abs(parsed->number) >= 0x1p53;
  return s.type == ScalarType::Real && !std::isfinite(parsed->number);
}

std::string format_quantity(double si, const Dimension& dimension) {
  if (si == 0) return fmt::format("0 {}", dimension.units.front().text);
  std::string best;
  // Reads back as the same; no binary fraction's tail; at least one of the unit; few digits; a small number.
  constexpr std::size_t kTail = 14;
  std::tuple<bool, bool, bool, std::size_t, double> best_rank;
  for (const UnitName& u : dimension.units) {
    std::string text = fmt::format("{} {}", si / u.scale, u.text);
    const double shown = std::abs(si / u.scale);
    const std::tuple rank{parse_quantity(text, dimension) != si, text.size() > kTail, shown < 1, text.size(),
                          shown};
    if (!best.empty() && rank >= best_rank) continue;
    best = std::move(text);
    best_rank = rank;
  }
  return best;
}

std::string format(const Scalar& s) {
  const ScalarValue v = s.get();
  switch (s.type) {
    case ScalarType::Integer:
      return fmt::format("{}", std::get<std::int64_t>(v));
    case ScalarType::Real:
      return fmt::format("{}", std::get<double>(v));
    case ScalarType::Boolean:
      return std::get<bool>(v) ? "true" : "false";
    case ScalarType::Quantity:
      return format_quantity(std::get<double>(v), *s.dimension);
    case ScalarType::Choice:
      return std::get<std::string>(v);
    case ScalarType::Text:
      return yaml_text(std::get<std::string>(v));
  }
  return {};
}

std::string expected(const Scalar& s) {
  switch (s.type) {
    case ScalarType::Quantity:
      return fmt::format("write a number with its unit, e.g. {}; units: {}", s.dimension->example,
                         unit_names(*s.dimension));
    case ScalarType::Integer:
      return "write a whole number";
    case ScalarType::Real:
      return "write a number";
    case ScalarType::Boolean:
      return "write true or false";
    case ScalarType::Choice:
      return "one of " + join(s.choices);
    case ScalarType::Text:
      return "write text";
  }
  return {};
}

std::string format(const Range& r, const Dimension* dimension) {
  const auto show = [&](double x) {
    return dimension != nullptr ? format_quantity(x, *dimension) : fmt::format("{}", x);
  };
  std::string text = r.or_zero ? show(0) + ", or " : "";
  if (std::isfinite(r.low)) text += fmt::format("{} {}", r.low_is_open ? "above" : "at least", show(r.low));
  if (std::isfinite(r.high)) text += fmt::format("{}at most {}", text.empty() ? "" : ", ", show(r.high));
  return text;
}

std::string format_known(const Range& r, const Dimension& d) {
  if (!std::isfinite(r.known_low)) return {};
  return fmt::format("{} to {}", format_quantity(r.known_low, d), format_quantity(r.known_high, d));
}

}  // namespace xpusim::config
