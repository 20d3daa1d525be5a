#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "xpusim/core/error.h"

/// YAML as a tree that remembers where everything stands. The only part of XPUSim that knows yaml-cpp is
/// node.cpp.
namespace xpusim::config {

/// A place in a file, cheap to copy.
struct Mark {
  std::shared_ptr<const std::string> file;
  int line = 0;
  int column = 0;
  [[nodiscard]] SourceLocation location() const { return {file ? *file : std::string(), line, column}; }
};

struct Entry;

struct Node {
  enum class Kind { Null, Scalar, List, Map };
  Kind kind = Kind::Null;
  std::string text;            ///< Scalar
  bool is_override = false;    ///< from --set: needs no source
  std::vector<Node> items;     ///< List
  std::vector<Entry> entries;  ///< Map, in the order written; a key that was written twice is there twice
  Mark where;

  [[nodiscard]] bool is_map() const { return kind == Kind::Map; }
  /// The value of the first entry with this key.
  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] Node* find(std::string_view key);
};

struct Entry {
  std::string key;
  Mark where;  ///< of the key
  Node value;
};

/// Files above this size are refused: no config comes near it, and a mistaken file should not cost minutes.
inline constexpr std::size_t kMostBytes = std::size_t{4} << 20;
inline constexpr int kMostDepth = 64;

/// Parses one document. Throws ConfigError where it is not plain YAML: anchors, tags, several documents and
/// deeper nesting than kMostDepth are refused.
[[nodiscard]] Node parse_yaml(const std::string& text, const std::string& file_name);
/// The text of a file; of one above kMostBytes a beginning that is above it too. Throws ConfigError.
[[nodiscard]] std::string read_file(const std::string& path);
/// Parses a file. A file of another tool is called so.
[[nodiscard]] Node read_yaml(const std::string& path);

/// Lays `over` over `under`: maps key by key; leaves ({value: ...}), lists and scalars as a whole.
void overlay(Node& under, const Node& over);

/// Sets the value at "root.a.b[2]", below a root of any name, and marks it as an override. Creates what is
/// missing, so that the reader can report a wrong key. Throws ConfigError when there is no such list element.
void set_path(Node& root, std::string_view path, Node value);

}  // namespace xpusim::config
