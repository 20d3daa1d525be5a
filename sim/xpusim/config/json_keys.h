#pragma once
#include <cstdint>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "xpusim/core/error.h"

namespace xpusim::config {

/// A key of a JSON file, or a value of what it became, and what is to be said of it.
struct KeyNote {
  std::string key;
  std::string text;
};

/// The keys of a JSON object of another tool, asked for by name. Collects mistakes, and which keys were
/// taken.
class JsonKeys {
 public:
  using Json = nlohmann::json;
  /// Names of the same thing, the first that is there counts.
  using Names = std::initializer_list<std::string_view>;

  /// Parses it. Throws ConfigError where it is no JSON object, above kMostBytes or nested beyond kMostDepth.
  JsonKeys(const std::string& text, const std::string& file);
  JsonKeys(const JsonKeys&) = delete;
  JsonKeys& operator=(const JsonKeys&) = delete;

  /// From now on keys are looked for in the object of that key first, if it is there. Once.
  void enter(std::string_view key);

  /// Is there a value other than null?
  [[nodiscard]] bool has(std::string_view key) const { return find(key).value != nullptr; }
  /// A whole number of [low, high]; `gives`: what it becomes. Nothing: not there, or wrong and reported.
  std::optional<std::int64_t> whole(Names, std::string_view gives, std::int64_t low, std::int64_t high);
  std::optional<double> real(Names, std::string_view gives, double low, double high);
  std::optional<bool> flag(Names, std::string_view gives);
  std::optional<std::string> word(Names, std::string_view gives);
  /// The elements of a list of texts; none: not there, or wrong and reported.
  std::vector<std::string> words(Names, std::string_view gives);
  /// The elements of a list of whole numbers.
  std::vector<std::int64_t> wholes(Names, std::string_view gives);
  /// An object's keys, which stand for themselves from now on ("rope_parameters" of some versions).
  void spread(std::string_view key);

  void refuse(std::string_view key, const std::string& message, const std::string& hint);
  /// Reports that none of the names is there.
  void missing(Names, std::string_view meaning);
  /// In the order of the file, what is missing first.
  [[nodiscard]] std::vector<Diagnostic> mistakes() const;
  [[nodiscard]] bool has_mistakes() const { return !mistakes_.empty(); }
  [[nodiscard]] const std::vector<KeyNote>& taken() const { return taken_; }
  /// Marks a key as dealt with, without a note. Returns it with the object that it stands in.
  std::string pass(std::string_view key) { return *used_.insert(find(key).path).first; }
  /// Does the object that was entered say the same key?
  [[nodiscard]] bool is_shadowed(const std::string& path) const {
    return find(path).path.size() > path.size();
  }
  /// The keys that nothing has asked for, with their values.
  [[nodiscard]] std::vector<std::pair<std::string, const Json*>> unused() const;

 private:
  struct Place {
    int line = 0, column = 0;
  };
  /// An object that keys are looked for in.
  struct Scope {
    std::string prefix;  ///< of the paths of its keys
    const Json* object;
    bool is_spread = false;  ///< its keys are not listed one by one
  };
  struct Found {
    std::string path;             ///< with the key of the object that it stands in
    const Json* value = nullptr;  ///< nothing: not there, or null
  };
  [[nodiscard]] Found find(std::string_view key) const;
  /// The first that is there, marked as used.
  Found take(Names, std::string_view gives);
  void refuse_value(const Found&, const std::string& expected);
  void scan(const std::string& text);
  void note_key(const std::string& path, Place at);

  std::string file_;
  Json root_;
  std::vector<Scope> scopes_;
  std::map<std::string, Place, std::less<>> places_;  ///< of the keys of the two outermost levels
  std::set<std::string> used_;
  std::vector<KeyNote> taken_;
  std::vector<Diagnostic> mistakes_;
};

}  // namespace xpusim::config
