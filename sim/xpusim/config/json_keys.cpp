#include "xpusim/config/json_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "xpusim/config/node.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

/// Enough to see what is meant; a list of a million numbers is not repeated.
std::string shown(const nlohmann::json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  return in_quotes(value.is_string() ? value.get_ref<const std::string&>()
                                     : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

/// Python writes these, though they are not JSON; no key that is read here has them.
std::string without_infinities(const std::string& text) {
  constexpr std::array<std::string_view, 3> kWords = {"-Infinity", "Infinity", "NaN"};
  std::string out;
  out.reserve(text.size());
  bool in_string = false, escaped = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto word =
        in_string ? kWords.end() : std::find_if(kWords.begin(), kWords.end(), [&](std::string_view w) {
          return text.compare(i, w.size(), w) == 0;
        });
    if (word != kWords.end()) {
      out += "null";
      i += word->size() - 1;
      continue;
    }
    if (c == '"' && !escaped) in_string = !in_string;
    escaped = in_string && !escaped && c == '\\';
    out += c;
  }
  return out;
}

/// A whole number, also one that is written 4.0; beyond what a double counts: that limit, out of every range.
std::optional<std::int64_t> whole_of(const nlohmann::json& value) {
  constexpr double kExact = 0x1p53;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(kExact))
    return std::int64_t{1} << 53;
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double real = value.get<double>();
  if (real != std::floor(real)) return std::nullopt;
  return static_cast<std::int64_t>(std::clamp(real, -kExact, kExact));
}

constexpr std::size_t kMostMistakes = 100;

}  // namespace

JsonKeys::JsonKeys(const std::string& text, const std::string& file) : file_(file) {
  const auto refuse_file = [&](Place at, const std::string& what, const std::string& hint) {
    throw ConfigError(Diagnostic{{file, at.line, at.column}, "", what, hint});
  };
  if (text.size() > kMostBytes)
    refuse_file({}, fmt::format("more than {} MiB", kMostBytes >> 20), "a config.json has a few KiB");
  scan(text);
  try {
    root_ = Json::parse(without_infinities(text));
  } catch (const Json::parse_error& e) {
    Place at{1, 1};
    for (std::size_t i = 0; i + 1 < e.byte && i < text.size(); ++i) {
      ++at.column;
      if (text[i] == '\n') at = {at.line + 1, 1};
    }
    refuse_file(at, "not readable as JSON", "a config.json is one object of keys");
  } catch (const Json::exception&) {  // a number that no double holds
    refuse_file({}, "a number is out of range", "a config.json is one object of keys");
  }
  if (!root_.is_object()) refuse_file({}, "not an object of keys", "a config.json is one object of keys");
  scopes_.push_back({"", &root_});
}

/// Notes where the keys of the two outermost objects stand, and refuses deep nesting before the parser meets
/// it.
void JsonKeys::scan(const std::string& text) {
  struct Level {
    bool is_object;
    std::string key;  ///< the last one
  };
  std::vector<Level> levels;
  Place at{1, 0}, begin;
  std::string string;
  bool in_string = false, escaped = false;
  for (const char c : text) {
    ++at.column;
    if (c == '\n') at = {at.line + 1, 0};
    if (in_string) {
      in_string = escaped || c != '"';
      escaped = !escaped && c == '\\';
      if (in_string && levels.size() <= 2) string += c;
      continue;
    }
    if (c == '"') {
      in_string = true;
      string.clear();
      begin = at;
    } else if (c == '{' || c == '[') {
      if (levels.size() >= static_cast<std::size_t>(kMostDepth))
        throw ConfigError(Diagnostic{{file_, at.line, at.column},
                                     "",
                                     fmt::format("nesting deeper than {} levels", kMostDepth),
                                     "a config.json has three or four"});
      levels.push_back({c == '{', {}});
    } else if ((c == '}' || c == ']') && !levels.empty()) {
      levels.pop_back();
    } else if (c == ':' && !levels.empty() && levels.size() <= 2 && levels.back().is_object) {
      levels.back().key = string;
      if (levels.front().is_object)
        note_key(levels.size() == 2 ? levels.front().key + "." + string : string, begin);
    }
  }
}

void JsonKeys::note_key(const std::string& path, Place at) {
  if (!places_.emplace(path, at).second && mistakes_.size() < kMostMistakes)
    mistakes_.push_back({{file_, at.line, at.column}, printable(path), "duplicate key", "once each"});
}

void JsonKeys::enter(std::string_view key) {
  const auto inner = root_.find(key);
  if (inner == root_.end() || inner->is_null()) return;
  used_.insert(std::string(key));
  if (inner->is_object())
    scopes_.insert(scopes_.begin(), Scope{std::string(key) + ".", &*inner});
  else
    refuse_value({std::string(key), &*inner}, "an object of keys");
}

void JsonKeys::spread(std::string_view key) {
  const Found found = find(key);
  if (found.value == nullptr || !found.value->is_object()) return;
  scopes_.push_back({found.path + ".", found.value, true});
}

JsonKeys::Found JsonKeys::find(std::string_view key) const {
  for (const Scope& s : scopes_)
    if (const auto value = s.object->find(key); value != s.object->end() && !value->is_null())
      return {s.prefix + std::string(key), &*value};
  return {std::string(key), nullptr};
}

JsonKeys::Found JsonKeys::take(Names names, std::string_view gives) {
  Found first;
  for (const std::string_view name : names) {
    Found found = find(name);
    if (found.value == nullptr || used_.contains(found.path)) {
      if (found.value != nullptr && first.value == nullptr) first = std::move(found);
      continue;
    }
    used_.insert(found.path);
    taken_.push_back({found.path, std::string(gives)});
    if (first.value == nullptr)
      first = std::move(found);
    else if (*found.value != *first.value)
      refuse(found.path,
             fmt::format("{} is not {} of {}", shown(*found.value), shown(*first.value), first.path),
             "they mean the same");
  }
  return first;
}

void JsonKeys::refuse(std::string_view key, const std::string& message, const std::string& hint) {
  if (mistakes_.size() >= kMostMistakes) return;
  const std::string path = find(key).path;
  const auto place = places_.find(path);
  const Place at = place == places_.end() ? Place{} : place->second;
  mistakes_.push_back({{file_, at.line, at.column}, printable(path), message, hint});
}

void JsonKeys::refuse_value(const Found& found, const std::string& expected) {
  refuse(found.path, "cannot read " + shown(*found.value), "write " + expected);
}

void JsonKeys::missing(Names names, std::string_view meaning) {
  const std::vector<std::string_view> others(names.begin() + 1, names.end());
  refuse(*names.begin(), "missing key",
         std::string(meaning) + (others.empty() ? "" : fmt::format("; also named {}", join(others))));
}

std::optional<std::int64_t> JsonKeys::whole(Names names, std::string_view gives, std::int64_t low,
                                            std::int64_t high) {
  const Found found = take(names, gives);
  if (found.value == nullptr) return std::nullopt;
  const auto value = whole_of(*found.value);
  if (value && *value >= low && *value <= high) return value;
  if (value)
    refuse(found.path, shown(*found.value) + " is out of range",
           fmt::format("at least {}, at most {}", low, high));
  else
    refuse_value(found, "a whole number");
  return std::nullopt;
}

std::optional<double> JsonKeys::real(Names names, std::string_view gives, double low, double high) {
  const Found found = take(names, gives);
  if (found.value == nullptr) return std::nullopt;
  if (!found.value->is_number()) {
    refuse_value(found, "a number");
    return std::nullopt;
  }
  const double value = found.value->get<double>();
  if (value >= low && value <= high) return value;
  refuse(found.path, shown(*found.value) + " is out of range",
         fmt::format("at least {}, at most {}", low, high));
  return std::nullopt;
}

std::optional<bool> JsonKeys::flag(Names names, std::string_view gives) {
  const Found found = take(names, gives);
  if (found.value == nullptr) return std::nullopt;
  if (found.value->is_boolean()) return found.value->get<bool>();
  refuse_value(found, "true or false");
  return std::nullopt;
}

std::optional<std::string> JsonKeys::word(Names names, std::string_view gives) {
  const Found found = take(names, gives);
  if (found.value == nullptr) return std::nullopt;
  if (found.value->is_string()) return found.value->get<std::string>();
  refuse_value(found, "a text");
  return std::nullopt;
}

std::vector<std::string> JsonKeys::words(Names names, std::string_view gives) {
  const Found found = take(names, gives);
  if (found.value == nullptr) return {};
  std::vector<std::string> list;
  if (found.value->is_array())
    for (const Json& item : *found.value)
      if (item.is_string()) list.push_back(item.get<std::string>());
  if (found.value->is_array() && list.size() == found.value->size()) return list;
  refuse_value(found, "a list of texts");
  return {};
}

std::vector<std::int64_t> JsonKeys::wholes(Names names, std::string_view gives) {
  const Found found = take(names, gives);
  if (found.value == nullptr) return {};
  std::vector<std::int64_t> list;
  if (found.value->is_array())
    for (const Json& item : *found.value)
      if (const auto value = whole_of(item)) list.push_back(*value);
  if (found.value->is_array() && list.size() == found.value->size()) return list;
  refuse_value(found, "a list of whole numbers");
  return {};
}

std::vector<Diagnostic> JsonKeys::mistakes() const {
  std::vector<Diagnostic> sorted = mistakes_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.where.line, a.where.column) < std::tie(b.where.line, b.where.column);
  });
  return sorted;
}

std::vector<std::pair<std::string, const JsonKeys::Json*>> JsonKeys::unused() const {
  std::vector<std::pair<std::string, const Json*>> list;
  for (const Scope& s : scopes_)
    if (!s.is_spread)
      for (const auto& [key, value] : s.object->items())
        if (!used_.contains(s.prefix + key)) list.emplace_back(s.prefix + key, &value);
  return list;
}

}  // namespace xpusim::config
