#include "xpusim/config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "xpusim/config/scalars.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

constexpr std::array<std::string_view, 5> kLeafKeys = {"value", "basis", "source", "range", "note"};
constexpr const char* kIsUnitRight = "; is the unit right?";
constexpr std::string_view kLeafForm = "write {value: ..., basis: datasheet, source: ...}";

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

template <class List>
bool contains(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Is `path` the same as `ancestor`, or below it?
bool is_within(std::string_view path, std::string_view ancestor) {
  if (!path.starts_with(ancestor)) return false;
  return path.size() == ancestor.size() || path[ancestor.size()] == '.' || path[ancestor.size()] == '[';
}

bool stands_before(const Diagnostic& a, const Diagnostic& b) {
  return std::tie(a.where.file, a.where.line, a.where.column) <
         std::tie(b.where.file, b.where.line, b.where.column);
}

/// The text as a value of that type, if it is one.
std::optional<ScalarValue> value_of(const std::string& text, const Scalar& s) {
  switch (s.type) {
    case ScalarType::Text:
      return ScalarValue(text);
    case ScalarType::Boolean:
      if (text == "true" || text == "false") return ScalarValue(text == "true");
      break;
    case ScalarType::Integer:
      if (const auto i = parse_integer(text)) return ScalarValue(*i);
      break;
    case ScalarType::Real:
      if (const auto x = parse_real(text)) return ScalarValue(*x);
      break;
    case ScalarType::Quantity:
      if (const auto x = parse_quantity(text, *s.dimension)) return ScalarValue(*x);
      break;
    case ScalarType::Choice:
      if (contains(s.choices, text)) return ScalarValue(text);
      break;
  }
  return std::nullopt;
}

bool is_number(ScalarType type) {
  return type == ScalarType::Integer || type == ScalarType::Real || type == ScalarType::Quantity;
}

double number_in(const ScalarValue& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return static_cast<double>(*i);
  if (const auto* x = std::get_if<double>(&value)) return *x;
  return 0;
}

/// The keys of the members that a description visits.
class KeyCollector : public Fields {
 public:
  std::vector<std::string> keys;

 protected:
  void scalar(const FieldInfo& info, const Scalar&) override { keys.emplace_back(info.key); }
  void group(const FieldInfo& info, const Describe&) override { keys.emplace_back(info.key); }
  void optional_group(const FieldInfo& info, bool, const std::function<void()>&, const Describe&) override {
    keys.emplace_back(info.key);
  }
  void sequence(const FieldInfo& info, const Sequence&) override { keys.emplace_back(info.key); }
  void dictionary(const FieldInfo& info, const Dictionary&) override { keys.emplace_back(info.key); }
};

/// Of a word that is the end of several known ones, those: which is meant cannot be told.
std::string endings(std::string_view word, std::span<const std::string_view> known) {
  std::vector<std::string_view> list;
  for (const std::string_view candidate : known)
    if (candidate.ends_with(word)) list.push_back(candidate);
  return list.size() > 1 && word.size() > 1 ? "one of " + join(list) : std::string();
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known,
                         std::string_view otherwise) {
  if (std::string several = endings(word, known); !several.empty()) return several;
  const auto near = nearest(word, known);
  return near.empty() ? fmt::format("{} {}", otherwise, join(known))
                      : fmt::format("did you mean '{}'?", near);
}

}  // namespace

Reader::Reader(const Node& root, std::string path, Provenance provenance)
    : provenance_(provenance), path_(std::move(path)) {
  stack_.push_back({&root, nullptr, root.where});
}

void Reader::report(const Mark& where, const std::string& path, std::string message, std::string hint) {
  found_.push_back({where.location(), path, std::move(message), std::move(hint)});
}

void Reader::report_conflict(const std::vector<std::string>& paths, const std::string& message,
                             const std::string& hint) {
  for (const Diagnostic& d : found_.listed())
    for (const std::string& path : paths)
      if (is_within(d.path, path) || is_within(path, d.path)) return;
  const auto leaf = leaves_.lower_bound(paths.front());  // the value itself, or the first within it
  const bool written = leaf != leaves_.end() && is_within(leaf->first, paths.front());
  report(written ? leaf->second.where : stack_.front().where, paths.front(), message, hint);
}

void Reader::finish() {
  const Frame& root = stack_.front();
  check_keys(*root.map, path_, root.known, root.knows_all);
  std::stable_sort(found_.listed().begin(), found_.listed().end(), stands_before);
  found_.raise();
}

std::string Reader::child(std::string_view key) const {
  if (key.empty()) return path_;
  return path_.empty() ? printable(key) : path_ + "." + printable(key);
}

std::optional<Reader::Member> Reader::enter(const FieldInfo& info) {
  Frame& frame = stack_.back();
  frame.known.push_back(info.key);
  Member member{frame.element, frame.where};
  if (frame.map != nullptr) {
    const auto& entries = frame.map->entries;
    const auto entry =
        std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == info.key; });
    if (entry != entries.end()) member = {&entry->value, entry->where};
  }
  if (member.node != nullptr && member.node->kind != Node::Kind::Null) return member;
  if (!info.required) return std::nullopt;
  const bool is_empty = member.node != nullptr;
  report(is_empty && member.node->is_override ? member.node->where : member.where, child(info.key),
         is_empty ? "has no value" : "missing required key", std::string(info.help));
  return std::nullopt;
}

void Reader::scalar(const FieldInfo& info, const Scalar& handle) {
  if (const auto member = enter(info)) read_leaf(*member->node, child(info.key), info, handle);
}

void Reader::alternatives(const FieldInfo& info, const Scalar& choice, const Describe& describe_chosen) {
  scalar(info, choice);
  if (!leaves_.contains(child(info.key))) {
    stack_.back().knows_all = false;
    return;
  }
  describe_chosen(*this);
  if (stack_.size() == 1) note_keys_of_others(info, choice, describe_chosen);
}

/// Of the root's unknown keys, those that another choice has: the mistake is one of the two.
void Reader::note_keys_of_others(const FieldInfo& info, const Scalar& choice,
                                 const Describe& describe_chosen) {
  const Frame& root = stack_.back();
  const auto& entries = root.map->entries;
  if (std::all_of(entries.begin(), entries.end(),
                  [&](const Entry& e) { return contains(root.known, e.key); }))
    return;
  const ScalarValue chosen = choice.get();
  for (const std::string_view other : choice.choices) {
    choice.set(std::string(other));
    KeyCollector members;
    describe_chosen(members);
    for (const std::string& key : members.keys)
      keys_of_others_.try_emplace(key, fmt::format("{}: {}", info.key, other));
  }
  choice.set(chosen);
}

void Reader::read_leaf(const Node& node, const std::string& path, const FieldInfo& info,
                       const Scalar& handle) {
  const bool has_provenance = provenance_ == Provenance::Required && !info.plain && !node.is_override;
  if (has_provenance && !node.is_map()) {
    report(node.where, path,
           node.kind == Node::Kind::Scalar
               ? in_quotes(node.text) + " has no source"
               : fmt::format("expected a value with its source, found {}", kind_name(node)),
           std::string(kLeafForm));
    return;
  }
  Leaf leaf{node.where, "", node.is_override ? "set" : "", "", ""};
  const Node* value = &node;
  if (has_provenance) {
    leaf = read_provenance(node, path, info, handle);
    value = node.find("value");
    if (value == nullptr || value->kind == Node::Kind::Null)
      return report(node.where, path, "missing value", std::string(kLeafForm));
  }
  const auto parsed = parse(*value, path, info, handle);
  if (!parsed) return;
  handle.set(*parsed);
  leaf.text = value->text;
  if (handle.dimension != nullptr && !info.range.is_known(number_in(*parsed)))
    notes_.push_back({value->where.location(), path, leaf.text + " is beyond what devices have",
                      format_known(info.range, *handle.dimension) + kIsUnitRight});
  leaves_.emplace(path, std::move(leaf));
}

Leaf Reader::read_provenance(const Node& leaf, const std::string& path, const FieldInfo& info,
                             const Scalar& handle) {
  check_keys(leaf, path, kLeafKeys, true);
  Leaf read{leaf.where, "", read_text(leaf, path, "basis", "one of " + join(kBases)),
            read_text(leaf, path, "source", "where was the number read?"), ""};
  static_cast<void>(read_text(leaf, path, "note", ""));
  if (!read.basis.empty() && !contains(kBases, read.basis))
    report(leaf.find("basis")->where, path + ".basis", "unknown basis " + in_quotes(read.basis),
           did_you_mean(read.basis, kBases, "one of"));
  if (const Node* range = leaf.find("range")) read.range = read_range(*range, path + ".range", info, handle);
  return read;
}

std::string Reader::read_text(const Node& leaf, const std::string& path, std::string_view key,
                              const std::string& hint_if_missing) {
  const Node* n = leaf.find(key);
  const bool is_missing =
      n == nullptr || n->kind == Node::Kind::Null || (n->kind == Node::Kind::Scalar && n->text.empty());
  if (is_missing && !hint_if_missing.empty())
    report(leaf.where, path, fmt::format("missing {}", key), hint_if_missing);
  if (!is_missing && n->kind != Node::Kind::Scalar)
    report(n->where, fmt::format("{}.{}", path, key), fmt::format("expected text, found {}", kind_name(*n)));
  return n == nullptr ? std::string() : n->text;
}

std::string Reader::read_range(const Node& range, const std::string& path, const FieldInfo& info,
                               const Scalar& handle) {
  if (range.kind != Node::Kind::List || range.items.size() != 2) {
    report(range.where, path, "expected two values", "write [low, high]");
    return {};
  }
  if (!is_number(handle.type)) {
    report(range.where, path, "only numbers have a range", "leave it out");
    return {};
  }
  const auto low = parse(range.items[0], path + "[0]", info, handle);
  const auto high = parse(range.items[1], path + "[1]", info, handle);
  if (!low || !high) return {};
  if (*low > *high) report(range.where, path, "the low end is above the high end", "write [low, high]");
  return fmt::format("[{}, {}]", range.items[0].text, range.items[1].text);
}

std::optional<ScalarValue> Reader::parse(const Node& node, const std::string& path, const FieldInfo& info,
                                         const Scalar& s) {
  if (node.kind != Node::Kind::Scalar) {
    report(node.where, path, fmt::format("expected a value, found {}", kind_name(node)), expected(s));
    return std::nullopt;
  }
  const auto value = value_of(node.text, s);
  if (!value) {
    std::string hint = expected(s);
    if (s.type == ScalarType::Choice) {
      if (std::string several = endings(node.text, s.choices); !several.empty())
        hint = std::move(several);
      else if (const auto near = nearest(node.text, s.choices); !near.empty())
        hint = fmt::format("did you mean '{}'? {}", near, hint);
    }
    if (is_beyond_reading(node.text, s)) {
      report_range(node, path, info, s);
      return std::nullopt;
    }
    const std::string what = s.dimension != nullptr ? fmt::format(" as {}", s.dimension->name) : "";
    report(node.where, path, fmt::format("cannot read {}{}", in_quotes(node.text), what), hint);
    return std::nullopt;
  }
  if (!is_number(s.type) || info.range.contains(number_in(*value))) return value;
  report_range(node, path, info, s);
  return std::nullopt;
}

void Reader::report_range(const Node& node, const std::string& path, const FieldInfo& info, const Scalar& s) {
  report(node.where, path, in_quotes(node.text) + " is out of range",
         format(info.range, s.dimension) + (s.dimension != nullptr ? kIsUnitRight : ""));
}

void Reader::members(const Member& member, const std::string& path, const Describe& describe_members) {
  if (!member.node->is_map())
    return report(member.node->where, path,
                  fmt::format("expected a map of keys, found {}", kind_name(*member.node)));
  const std::string outer = std::exchange(path_, path);
  stack_.push_back({member.node, nullptr, member.where});
  describe_members(*this);
  const Frame frame = std::move(stack_.back());
  stack_.pop_back();
  check_keys(*frame.map, path, frame.known, frame.knows_all);
  path_ = outer;
}

void Reader::check_keys(const Node& map, const std::string& path, std::span<const std::string_view> known,
                        bool knows_all) {
  std::map<std::string_view, int> first_line;
  for (const Entry& e : map.entries) {
    const auto [first, is_new] = first_line.emplace(e.key, e.where.line);
    const bool is_unknown = is_new && knows_all && !contains(known, e.key);
    if (is_new && !is_unknown) continue;
    if (found_.are_many()) {  // spares the search for the nearest of a million keys
      found_.push_back({});
      continue;
    }
    const std::string key_path = path.empty() ? printable(e.key) : path + "." + printable(e.key);
    const auto other = stack_.size() == 1 ? keys_of_others_.find(e.key) : keys_of_others_.end();
    if (is_unknown && other != keys_of_others_.end())
      report(e.where, key_path, "not read here", "a key of " + other->second);
    else if (is_unknown)
      report(e.where, key_path, "unknown key", did_you_mean(e.key, known, "known:"));
    else
      report(e.where, key_path, "duplicate key", fmt::format("first at line {}", first->second));
  }
}

void Reader::group(const FieldInfo& info, const Describe& describe_members) {
  if (const auto member = enter(info)) members(*member, child(info.key), describe_members);
}

void Reader::optional_group(const FieldInfo& info, bool present, const std::function<void()>& emplace,
                            const Describe& describe_members) {
  const auto member = enter(info);
  if (!member) return;
  if (!present) emplace();
  members(*member, child(info.key), describe_members);
}

/// Visits one element of a list or map, which stands for the next member that is asked for.
void Reader::element(const Member& member, const FieldInfo& info,
                     const std::function<void(const FieldInfo&)>& visit) {
  stack_.push_back({nullptr, member.node, member.where});
  visit({info.key, info.help, true, info.range, info.plain});
  stack_.pop_back();
}

void Reader::sequence(const FieldInfo& info, const Sequence& handle) {
  const auto member = enter(info);
  if (!member) return;
  const std::string path = child(info.key);
  const Node& list = *member->node;
  if (list.kind != Node::Kind::List)
    return report(list.where, path, fmt::format("expected a list, found {}", kind_name(list)),
                  "write [...], or lines that begin with a dash");
  if (list.items.empty() && info.required)
    report(list.where, path, "the list is empty", "at least one element");
  handle.resize(list.items.size());
  const std::string outer = path_;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    path_ = fmt::format("{}[{}]", path, i);
    element({&list.items[i], list.items[i].where}, {"", info.help, true, info.range, info.plain},
            [&](const FieldInfo& e) { handle.visit(*this, i, e); });
  }
  path_ = outer;
}

void Reader::dictionary(const FieldInfo& info, const Dictionary& handle) {
  const auto member = enter(info);
  if (!member) return;
  const std::string path = child(info.key);
  const Node& map = *member->node;
  if (!map.is_map())
    return report(map.where, path, fmt::format("expected a map of keys, found {}", kind_name(map)));
  if (map.entries.empty() && info.required) report(map.where, path, "the map is empty", "at least one entry");
  check_keys(map, path, handle.key_choices, !handle.key_choices.empty());
  const std::string outer = std::exchange(path_, path);
  for (const Entry& e : map.entries)
    if ((handle.key_choices.empty() || contains(handle.key_choices, e.key)) && map.find(e.key) == &e.value)
      element({&e.value, e.where}, {e.key, info.help, true, info.range, info.plain},
              [&](const FieldInfo& f) { handle.visit(*this, e.key, f); });
  path_ = outer;
}

}  // namespace xpusim::config
