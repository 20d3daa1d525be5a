#include "xpusim/config/node.h"

#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace xpusim::config {
namespace {

/// Builds the tree from yaml-cpp's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::shared_ptr<const std::string> file) : file_(std::move(file)) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) refuse(mark, "a second document", "one document a file");
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
    Node n = make(Node::Kind::Scalar, mark);
    n.text = value;
    n.quoted = tag == "!";
    if (!n.quoted && (value == "~" || value == "null")) n.kind = Node::Kind::Null;
    add(std::move(n));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::List, mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Kind::Map, mark, anchor);
  }
  void OnMapEnd() override { close(); }

  Node take() {
    if (!duplicates_.empty()) throw ConfigError(std::move(duplicates_));
    return std::move(root_);
  }
  [[nodiscard]] Mark mark(const YAML::Mark& m) const { return {file_, m.line + 1, m.column + 1}; }

 private:
  struct Open {
    Node node;
    bool has_key = false;
    std::string key;
    Mark key_mark;
  };

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

  void open(Node::Kind kind, const YAML::Mark& m, YAML::anchor_t anchor) {
    refuse_anchor(m, anchor);
    if (open_.size() >= static_cast<std::size_t>(kMostDepth))
      refuse(m, fmt::format("nesting deeper than {} levels", kMostDepth), "flatten it");
    if (!open_.empty() && open_.back().node.is_map() && !open_.back().has_key)
      refuse(m, "a list or map as a key", "keys are plain words");
    open_.push_back({make(kind, m), false, {}, {}});
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
      add_entry(parent, std::move(n));
    }
  }

  void add_entry(Open& parent, Node value) {
    if (const Node* first = parent.node.find(parent.key)) {
      duplicates_.push_back({parent.key_mark.location(), parent.key, "duplicate key",
                             fmt::format("first at line {}", first->where.line)});
      return;
    }
    parent.node.entries.push_back({std::move(parent.key), std::move(parent.key_mark), std::move(value)});
  }

  std::shared_ptr<const std::string> file_;
  int documents_ = 0;
  std::vector<Open> open_;
  std::vector<Diagnostic> duplicates_;
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
    throw ConfigError(
        Diagnostic{{file_name, 0, 0},
                   "",
                   fmt::format("the file has {} bytes", text.size()),
                   fmt::format("at most {}; repeat sections instead of writing them out", kMostBytes)});
  if (text.find('\0') != std::string::npos)
    throw ConfigError(Diagnostic{{file_name, 0, 0}, "", "the file holds a NUL byte", "text in UTF-8"});
  TreeBuilder builder(file);
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    throw ConfigError(Diagnostic{builder.mark(e.mark).location(), "", "not readable as YAML: " + e.msg, ""});
  }
  return builder.take();
}

Node read_yaml(const std::string& path) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  std::ifstream in(path, std::ios::binary);
  if (failed || !in)
    throw ConfigError(Diagnostic{{path, 0, 0}, "", "cannot read the file", "does it exist?"});
  if (size > kMostBytes)
    throw ConfigError(
        Diagnostic{{path, 0, 0},
                   "",
                   fmt::format("the file has {} bytes", size),
                   fmt::format("at most {}; repeat sections instead of writing them out", kMostBytes)});
  std::ostringstream text;
  text << in.rdbuf();
  return parse_yaml(text.str(), path);
}

void overlay(Node& under, const Node& over) {
  const bool both_maps = under.is_map() && over.is_map();
  if (!both_maps || under.find("value") != nullptr || over.find("value") != nullptr) {
    under = over;
    return;
  }
  for (const Entry& e : over.entries) {
    if (Node* existing = under.find(e.key))
      overlay(*existing, e.value);
    else
      under.entries.push_back(e);
  }
}

void set_path(Node& root, std::string_view path, Node value) {
  Node* at = &root;
  while (!path.empty()) {
    const std::size_t end = path.find('.');
    std::string_view part = path.substr(0, end);
    path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
    const std::size_t bracket = part.find('[');
    const std::string_view key = part.substr(0, bracket);
    if (at->find("value") != nullptr ||
        at->kind != Node::Kind::Map) {  // a leaf cannot have members: start afresh
      *at = Node{};
      at->kind = Node::Kind::Map;
      at->where = value.where;
    }
    Node* next = at->find(key);
    if (next == nullptr) {
      at->entries.push_back({std::string(key), value.where, Node{}});
      next = &at->entries.back().value;
      next->where = value.where;
    }
    at = next;
    if (bracket != std::string_view::npos) {
      const std::string_view digits = part.substr(bracket + 1);
      std::size_t index = 0;
      const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), index);
      if (parsed.ec != std::errc() || std::string_view(parsed.ptr, digits.data() + digits.size()) != "]" ||
          index >= at->items.size())
        throw ConfigError(Diagnostic{value.where.location(), std::string(part), "no such list element",
                                     at->items.empty()
                                         ? "the list is empty or not a list"
                                         : fmt::format("indices 0 to {}", at->items.size() - 1)});
      at = &at->items[index];
    }
  }
  *at = std::move(value);
}

}  // namespace xpusim::config
