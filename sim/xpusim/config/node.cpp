#include "xpusim/config/node.h"

#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

#include "xpusim/config/foreign.h"
#include "xpusim/core/file.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

/// yaml-cpp takes any bytes, and some of them for the end of the file.
void refuse_bytes_that_are_no_text(std::string_view text, const std::string& file) {
  int line = 1, column = 1;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t size = utf8_size(text.substr(i));
    if (size == 0 || is_control(text[i]))
      throw ConfigError(
          Diagnostic{{file, line, column},
                     "",
                     fmt::format("byte 0x{:02x} is not text", static_cast<unsigned char>(text[i])),
                     "a config is text in UTF-8"});
    ++column;
    if (text[i] == '\n') {
      ++line;
      column = 1;
    }
    i += size;
  }
}

/// Builds the tree from yaml-cpp's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::shared_ptr<const std::string> file) : file_(std::move(file)) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) refuse(mark, "a second document", "one document a file; is the indent right?");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add(make(Node::Kind::Null, mark));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    refuse(mark, "an alias (*name)", "write the value out, or inherit a file with base:");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (std::any_of(value.begin(), value.end(), is_control))
      refuse(mark, "a control character", "leave it out");
    Node n = make(Node::Kind::Scalar, mark);
    n.text = value;
    const bool is_quoted = tag == "!";
    if (!is_quoted && (value == "~" || value == "null")) n.kind = Node::Kind::Null;
    add(std::move(n));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    refuse_tag(mark, tag);
    open(Node::Kind::List, mark, anchor, style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    refuse_tag(mark, tag);
    open(Node::Kind::Map, mark, anchor, style);
  }
  void OnMapEnd() override { close(); }

  Node take() { return std::move(root_); }

  /// What yaml-cpp stumbled over, often far behind the mistake; and where that may stand.
  [[nodiscard]] Diagnostic unreadable(const YAML::Exception& e) const {
    return {mark(e.mark).location(), "", "not readable as YAML: " + e.msg, advice(e.msg)};
  }

 private:
  struct Open {
    Node node;
    bool is_flow = false;  ///< between brackets
    bool has_key = false;
    std::string key;
    Mark key_mark;
  };

  [[nodiscard]] std::string advice(const std::string& what) const {
    const auto open = std::find_if(open_.rbegin(), open_.rend(), [](const Open& o) { return o.is_flow; });
    if (open != open_.rend())
      return fmt::format("is the {} of line {}, column {} closed?", open->node.is_map() ? "'{'" : "'['",
                         open->node.where.line, open->node.where.column);
    if (what == YAML::ErrorMsg::EOF_IN_SCALAR) return "close the quote";
    if (what == YAML::ErrorMsg::UNKNOWN_ANCHOR) return "write the value out";
    if (what == YAML::ErrorMsg::MAP_VALUE)
      return "is the indent right? text with ': ' in it stands in quotes";
    return "is the indent right?";
  }
  [[nodiscard]] Mark mark(const YAML::Mark& m) const { return {file_, m.line + 1, m.column + 1}; }

  Node make(Node::Kind kind, const YAML::Mark& m) const {
    Node n;
    n.kind = kind;
    n.where = mark(m);
    return n;
  }

  [[noreturn]] void refuse(const YAML::Mark& m, const std::string& what, const std::string& hint) const {
    throw ConfigError(Diagnostic{mark(m).location(), "", what + " is not accepted here", hint});
  }
  void refuse_anchor(const YAML::Mark& m, YAML::anchor_t anchor) const {
    if (anchor != 0) refuse(m, "an anchor (&name)", "write the value out, or inherit a file with base:");
  }

  /// yaml-cpp's own tags are "?" for plain and "!" for quoted values, and none.
  void refuse_tag(const YAML::Mark& m, const std::string& tag) const {
    if (!tag.empty() && tag != "?" && tag != "!") refuse(m, "a tag (!name)", "leave it out");
  }

  void open(Node::Kind kind, const YAML::Mark& m, YAML::anchor_t anchor, YAML::EmitterStyle::value style) {
    refuse_anchor(m, anchor);
    if (open_.size() >= static_cast<std::size_t>(kMostDepth))
      refuse(m, fmt::format("nesting deeper than {} levels", kMostDepth), "flatten it");
    if (!open_.empty() && open_.back().node.is_map() && !open_.back().has_key)
      refuse(m, "a list or map as a key", "keys are plain words; is a bracket not closed?");
    open_.push_back({make(kind, m), style == YAML::EmitterStyle::Flow, false, {}, {}});
  }
  void close() {
    Node done = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(done));
  }

  void add(Node n) {
    if (open_.empty()) {
      root_ = std::move(n);
      return;
    }
    Open& parent = open_.back();
    if (!parent.node.is_map()) {
      parent.node.items.push_back(std::move(n));
    } else if (!parent.has_key) {
      parent.has_key = true;
      parent.key = n.text;
      parent.key_mark = n.where;
    } else {
      parent.has_key = false;
      parent.node.entries.push_back({std::move(parent.key), std::move(parent.key_mark), std::move(n)});
    }
  }

  std::shared_ptr<const std::string> file_;
  int documents_ = 0;
  std::vector<Open> open_;
  Node root_;
};

}  // namespace

const Node* Node::find(std::string_view key) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
  return found == entries.end() ? nullptr : &found->value;
}
Node* Node::find(std::string_view key) {
  return const_cast<Node*>(static_cast<const Node*>(this)->find(key));
}

Node parse_yaml(const std::string& text, const std::string& file_name) {
  const auto file = std::make_shared<const std::string>(file_name);
  if (text.size() > kMostBytes)
    throw ConfigError(Diagnostic{{file_name, 0, 0},
                                 "",
                                 fmt::format("more than {} MiB", kMostBytes >> 20),
                                 "repeat sections instead of writing them out"});
  refuse_bytes_that_are_no_text(text, file_name);
  TreeBuilder builder(file);
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    throw ConfigError(builder.unreadable(e));
  }
  return builder.take();
}

std::string read_file(const std::string& path) { return read_bytes(path, kMostBytes); }

Node read_yaml(const std::string& path) {
  const std::string text = read_file(path);
  try {
    return parse_yaml(text, path);
  } catch (const ConfigError&) {
    if (const auto foreign = recognise(text, path)) throw foreign_error(*foreign, path);
    throw;
  }
}

void overlay(Node& under, const Node& over) {
  const bool both_maps = under.is_map() && over.is_map();
  if (!both_maps || under.find("value") != nullptr || over.find("value") != nullptr) {
    under = over;
    return;
  }
  under.where = over.where;
  for (const Entry& e : over.entries) {
    const bool is_repeated = over.find(e.key) != &e.value;  // kept, for the reader to report
    const auto existing = std::find_if(under.entries.begin(), under.entries.end(),
                                       [&](const Entry& u) { return u.key == e.key; });
    if (existing == under.entries.end() || is_repeated) {
      under.entries.push_back(e);
    } else {
      existing->where = e.where;
      overlay(existing->value, e.value);
    }
  }
}

namespace {

void mark_as_override(Node& n) {
  n.is_override = true;
  for (Node& item : n.items) mark_as_override(item);
  for (Entry& e : n.entries) mark_as_override(e.value);
}

/// The member `key` of a map; what is no map becomes one, and what is missing is created at `where`.
Node& member(Node& at, std::string_view key, const Mark& where) {
  if (!at.is_map()) {
    at = Node{};
    at.kind = Node::Kind::Map;
    at.where = where;
  }
  if (Node* existing = at.find(key)) return *existing;
  at.entries.push_back({std::string(key), where, Node{}});
  at.entries.back().value.where = where;
  return at.entries.back().value;
}

/// The element that "2]" addresses; `path` is what was written so far.
Node& list_element(Node& list, std::string_view index_text, std::string_view path, const Mark& where) {
  std::size_t index = 0;
  const char* end = index_text.data() + index_text.size();
  const auto parsed = std::from_chars(index_text.data(), end, index);
  if (parsed.ec == std::errc() && parsed.ptr != end && *parsed.ptr == ']' && index < list.items.size())
    return list.items[index];
  throw ConfigError(Diagnostic{where.location(), std::string(path), "no such list element",
                               list.items.empty() ? "the list is empty or not a list"
                                                  : fmt::format("indices 0 to {}", list.items.size() - 1)});
}

}  // namespace

void set_path(Node& root, std::string_view path, Node value) {
  Node* at = &root;
  std::size_t dot = path.find('.');
  while (dot != std::string_view::npos) {
    const std::size_t begin = dot + 1;
    dot = path.find('.', begin);
    const std::string_view part = path.substr(begin, dot - begin), so_far = path.substr(0, dot);
    if (at->find("value") != nullptr)
      throw ConfigError(Diagnostic{value.where.location(), std::string(so_far),
                                   fmt::format("{} is a single value", path.substr(0, begin - 1)),
                                   "set that"});
    const std::size_t bracket = part.find('[');
    at = &member(*at, part.substr(0, bracket), value.where);
    if (bracket != std::string_view::npos)
      at = &list_element(*at, part.substr(bracket + 1), so_far, value.where);
  }
  mark_as_override(value);
  *at = std::move(value);
}

}  // namespace xpusim::config
