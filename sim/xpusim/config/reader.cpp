#include "xpusim/config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>

#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

std::string_view kind_name(const Node& n) {
  switch (n.kind) {
    case Node::Kind::Null:
      return "nothing";
    case Node::Kind::Scalar:
      return "a value";
    case Node::Kind::List:
      return "a list";
    case Node::Kind::Map:
      return "a map";
  }
  return "";
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 60;  // a mistaken paragraph is not repeated whole
  std::string shown;
  for (const char c : text.substr(0, kMost)) shown += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return fmt::format("'{}{}'", shown, text.size() > kMost ? "..." : "");
}

std::string range_text(const Range& r, const Dimension* dimension) {
  const auto show = [&](double x) {
    return dimension != nullptr ? format_quantity(x, *dimension) : fmt::format("{}", x);
  };
  if (std::isfinite(r.low) && std::isfinite(r.high))
    return fmt::format("{} {} to {}", r.low_is_open ? "above" : "from", show(r.low), show(r.high));
  if (std::isfinite(r.high)) return fmt::format("at most {}", show(r.high));
  return fmt::format("{} {}", r.low_is_open ? "above" : "at least", show(r.low));
}

std::string expected(const Scalar& s) {
  switch (s.type) {
    case ScalarType::Quantity:
      return fmt::format("write a number with a unit, e.g. {}", s.dimension->example);
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

}  // namespace

std::optional<double> parse_real(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(value))
    return std::nullopt;
  return value;
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
  double number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || !std::isfinite(number)) return std::nullopt;
  std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  for (const UnitName& u : dimension.units)
    if (u.text == unit && std::isfinite(number * u.scale)) return number * u.scale;
  return std::nullopt;
}

std::string format_quantity(double si, const Dimension& dimension) {
  if (si == 0) return fmt::format("0 {}", dimension.units.front().text);
  std::string best;
  for (const UnitName& u : dimension.units) {
    std::string text = fmt::format("{} {}", si / u.scale, u.text);
    const double shown = std::abs(si / u.scale);
    if (best.empty() || (shown >= 1 && text.size() < best.size())) best = std::move(text);
  }
  return best;
}

void Reader::report(const Mark& where, const std::string& path, std::string message, std::string hint) {
  found_.push_back({where.location(), path, std::move(message), std::move(hint)});
}

void Reader::report_at(const std::string& path, const std::string& message, const std::string& hint) {
  const auto leaf = leaves_.find(path);
  report(leaf == leaves_.end() ? stack_.front().node->where : leaf->second.where, path, message, hint);
}

void Reader::finish() {
  report_unknown_keys(stack_.front(), path_);
  if (found_.empty()) return;
  std::stable_sort(found_.begin(), found_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.where.file, a.where.line, a.where.column) <
           std::tie(b.where.file, b.where.line, b.where.column);
  });
  throw ConfigError(std::move(found_));
}

const Node* Reader::enter(const FieldInfo& info) {
  Frame& frame = stack_.back();
  frame.known.push_back(info.key);
  const Node* node = frame.node->find(info.key);
  if (node != nullptr && node->kind == Node::Kind::Null) node = nullptr;
  if (node == nullptr && info.required)
    report(frame.node->where, child(info.key), "missing required key", std::string(info.help));
  return node;
}

void Reader::scalar(const FieldInfo& info, const Scalar& handle) {
  if (const Node* node = enter(info)) read_leaf(*node, child(info.key), info, handle);
}

void Reader::read_leaf(const Node& node, const std::string& path, const FieldInfo& info,
                       const Scalar& handle) {
  const Node* value = &node;
  Leaf leaf{node.where, node.text, node.is_override ? "set" : "", "", ""};
  if (provenance_ == Provenance::Required && !info.plain && !node.is_override) {
    const auto found = provenance_of(node, path, value);
    if (!found) return;
    leaf = *found;
  }
  const auto parsed = parse(*value, path, info, handle);
  leaf.text = value->text;
  if (parsed) handle.set(*parsed);
  leaves_.emplace(path, std::move(leaf));
}

std::optional<Leaf> Reader::provenance_of(const Node& node, const std::string& path, const Node*& value) {
  if (!node.is_map()) {
    report(node.where, path,
           node.kind == Node::Kind::Scalar ? quoted(node.text) + " has no source"
                                           : "expected a value with its source",
           "write {value: ..., basis: datasheet, source: ...}");
    return std::nullopt;
  }
  static constexpr std::array<std::string_view, 5> kKeys = {"value", "basis", "source", "range", "note"};
  for (const Entry& e : node.entries)
    if (std::find(kKeys.begin(), kKeys.end(), e.key) == kKeys.end())
      report(e.where, path + "." + e.key, "unknown key", "a value has " + join(kKeys));
  const auto text = [&](std::string_view key) {
    const Node* n = node.find(key);
    return n != nullptr && n->kind == Node::Kind::Scalar ? n->text : std::string();
  };
  Leaf leaf{node.where, "", text("basis"), text("source"), ""};
  value = node.find("value");
  if (value == nullptr || value->kind != Node::Kind::Scalar)
    report(node.where, path, "missing value", "write {value: ..., basis: ..., source: ...}");
  if (leaf.basis.empty())
    report(node.where, path, "missing basis", "one of " + join(kBases));
  else if (std::find(kBases.begin(), kBases.end(), leaf.basis) == kBases.end())
    report(node.find("basis")->where, path + ".basis", "unknown basis " + quoted(leaf.basis),
           "one of " + join(kBases));
  if (leaf.source.empty()) report(node.where, path, "missing source", "where was the number read?");
  if (const Node* range = node.find("range")) {
    if (range->kind != Node::Kind::List || range->items.size() != 2)
      report(range->where, path + ".range", "expected two values", "write [low, high]");
    else
      leaf.range = fmt::format("[{}, {}]", range->items[0].text, range->items[1].text);
  }
  if (value == nullptr || value->kind != Node::Kind::Scalar) return std::nullopt;
  return leaf;
}

std::optional<ScalarValue> Reader::parse(const Node& node, const std::string& path, const FieldInfo& info,
                                         const Scalar& s) {
  if (node.kind != Node::Kind::Scalar) {
    report(node.where, path, fmt::format("expected a value, found {}", kind_name(node)), expected(s));
    return std::nullopt;
  }
  std::optional<ScalarValue> value;
  std::optional<double> number;
  switch (s.type) {
    case ScalarType::Text:
      return ScalarValue(node.text);
    case ScalarType::Boolean:
      if (node.text == "true" || node.text == "false") value = ScalarValue(node.text == "true");
      break;
    case ScalarType::Integer:
      if (const auto i = parse_integer(node.text)) {
        value = ScalarValue(*i);
        number = static_cast<double>(*i);
      }
      break;
    case ScalarType::Real:
      if ((number = parse_real(node.text))) value = ScalarValue(*number);
      break;
    case ScalarType::Quantity:
      if ((number = parse_quantity(node.text, *s.dimension))) value = ScalarValue(*number);
      break;
    case ScalarType::Choice:
      if (std::find(s.choices.begin(), s.choices.end(), node.text) != s.choices.end())
        value = ScalarValue(node.text);
      break;
  }
  if (!value) {
    std::string hint = expected(s);
    if (s.type == ScalarType::Choice)
      if (const auto near = nearest(node.text, s.choices); !near.empty())
        hint = fmt::format("did you mean '{}'? {}", near, hint);
    report(node.where, path, fmt::format("cannot read {}", quoted(node.text)), hint);
  } else if (number && !info.range.contains(*number)) {
    report(node.where, path, fmt::format("{} is out of range", quoted(node.text)),
           range_text(info.range, s.dimension));
    return std::nullopt;
  } else if (number && s.type == ScalarType::Quantity && std::abs(*number) > 0x1p62) {
    report(node.where, path, fmt::format("{} is out of range", quoted(node.text)), "is the unit right?");
    return std::nullopt;
  }
  return value;
}

void Reader::members(const Node& node, const std::string& path, const Describe& describe_members) {
  if (!node.is_map()) {
    report(node.where, path, fmt::format("expected a map of keys, found {}", kind_name(node)));
    return;
  }
  std::string outer = std::exchange(path_, path);
  stack_.push_back({&node, {}});
  describe_members(*this);
  const Frame frame = std::move(stack_.back());
  stack_.pop_back();
  report_unknown_keys(frame, path);
  path_ = std::move(outer);
}

void Reader::report_unknown_keys(const Frame& frame, const std::string& path) {
  for (const Entry& e : frame.node->entries) {
    if (std::find(frame.known.begin(), frame.known.end(), e.key) != frame.known.end()) continue;
    const auto near = nearest(e.key, frame.known);
    report(e.where, path.empty() ? e.key : path + "." + e.key, "unknown key",
           near.empty() ? "known: " + join(frame.known) : fmt::format("did you mean '{}'?", near));
  }
}

void Reader::group(const FieldInfo& info, const Describe& describe_members) {
  if (const Node* node = enter(info)) members(*node, child(info.key), describe_members);
}

void Reader::optional_group(const FieldInfo& info, bool present, const std::function<void()>& emplace,
                            const Describe& describe_members) {
  const Node* node = enter(info);
  if (node == nullptr) return;
  if (!present) emplace();
  members(*node, child(info.key), describe_members);
}

/// Visits one element of a list or map, which stands under an artificial key in a frame of its own.
void Reader::element(const Node& node, const std::string& path, const FieldInfo& info,
                     const std::function<void(const FieldInfo&)>& visit) {
  Node holder;
  holder.kind = Node::Kind::Map;
  holder.where = node.where;
  const std::size_t dot = path.rfind('.');
  const std::string key = dot == std::string::npos ? path : path.substr(dot + 1);
  holder.entries.push_back({key, node.where, node});
  std::string outer = std::exchange(path_, dot == std::string::npos ? std::string() : path.substr(0, dot));
  stack_.push_back({&holder, {}});
  visit(FieldInfo{key, info.help, true, info.range, info.plain});
  stack_.pop_back();
  path_ = std::move(outer);
}

void Reader::sequence(const FieldInfo& info, const Sequence& handle) {
  const Node* node = enter(info);
  if (node == nullptr) return;
  const std::string path = child(info.key);
  if (node->kind != Node::Kind::List) {
    report(node->where, path, fmt::format("expected a list, found {}", kind_name(*node)));
    return;
  }
  if (node->items.empty() && info.required)
    report(node->where, path, "the list is empty", "at least one element");
  handle.resize(node->items.size());
  for (std::size_t i = 0; i < node->items.size(); ++i)
    element(node->items[i], fmt::format("{}[{}]", path, i), info,
            [&](const FieldInfo& e) { handle.visit(*this, i, e); });
}

void Reader::dictionary(const FieldInfo& info, const Dictionary& handle) {
  const Node* node = enter(info);
  if (node == nullptr) return;
  const std::string path = child(info.key);
  if (!node->is_map()) {
    report(node->where, path, fmt::format("expected a map of keys, found {}", kind_name(*node)));
    return;
  }
  if (node->entries.empty() && info.required)
    report(node->where, path, "the map is empty", "at least one entry");
  for (const Entry& e : node->entries) {
    const auto& keys = handle.key_choices;
    if (!keys.empty() && std::find(keys.begin(), keys.end(), e.key) == keys.end()) {
      const auto near = nearest(e.key, keys);
      report(e.where, path + "." + e.key, "unknown key",
             near.empty() ? "one of " + join(keys) : fmt::format("did you mean '{}'?", near));
      continue;
    }
    element(e.value, path + "." + e.key, info, [&](const FieldInfo& f) { handle.visit(*this, e.key, f); });
  }
}

}  // namespace xpusim::config
