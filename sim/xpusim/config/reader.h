#pragma once
#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "xpusim/config/node.h"
#include "xpusim/core/fields.h"

namespace xpusim::config {

/// Must every number come with {value, basis, source}?
enum class Provenance { Required, Plain };

inline constexpr std::array<std::string_view, 8> kBases = {"datasheet", "measured", "paper",    "press",
                                                           "derived",   "fitted",   "estimate", "recalled"};

/// Where a leaf's value came from.
struct Leaf {
  Mark where;
  std::string text;   ///< as written
  std::string basis;  ///< one of kBases, "set" for --set, "" for plain files
  std::string source;
  std::string range;  ///< "[low, high]" as written, or empty
};
/// Leaves by dotted path.
using Leaves = std::map<std::string, Leaf>;

/// Reads a tree into structs by their description. Collects the mistakes instead of stopping at the first.
class Reader : public Fields {
 public:
  /// Mistakes that one ConfigError lists.
  static constexpr std::size_t kMostMistakes = 100;

  Reader(const Node& root, std::string path, Provenance provenance);

  /// Reports unknown keys of the root, then throws ConfigError if anything was wrong.
  void finish();
  /// A mistake found by a check of the whole: the values at these paths contradict each other. Reported at
  /// the first of them (at the root when it was not written), unless one of them is known to be wrong by
  /// itself.
  void report_conflict(const std::vector<std::string>& paths, const std::string& message,
                       const std::string& hint);
  [[nodiscard]] bool has_mistakes() const { return !found_.empty(); }
  /// What is read, but beyond what devices have.
  [[nodiscard]] const std::vector<Diagnostic>& notes() const { return notes_; }
  [[nodiscard]] const Leaves& leaves() const { return leaves_; }
  [[nodiscard]] bool reads() const override { return true; }

 protected:
  void scalar(const FieldInfo&, const Scalar&) override;
  void group(const FieldInfo&, const Describe&) override;
  void optional_group(const FieldInfo&, bool present, const std::function<void()>& emplace,
                      const Describe&) override;
  void sequence(const FieldInfo&, const Sequence&) override;
  void dictionary(const FieldInfo&, const Dictionary&) override;
  void alternatives(const FieldInfo&, const Scalar& choice, const Describe& describe_chosen) override;

 private:
  /// A map whose members are being read; or, with `element`, one element of a list or map.
  struct Frame {
    const Node* map = nullptr;
    const Node* element = nullptr;
    Mark where;  ///< of the key that names it
    std::vector<std::string_view> known = {};
    bool knows_all = true;  ///< false: a choice was not read, so the keys that belong here are not known
  };
  struct Member {
    const Node* node;
    Mark where;  ///< of its key
  };

  std::optional<Member> enter(const FieldInfo&);  ///< the member, if it is there; reports a missing one
  void members(const Member&, const std::string& path, const Describe&);
  void element(const Member&, const FieldInfo&, const std::function<void(const FieldInfo&)>& visit);
  void read_leaf(const Node&, const std::string& path, const FieldInfo&, const Scalar&);
  Leaf read_provenance(const Node& leaf, const std::string& path, const FieldInfo&, const Scalar&);
  /// The text of a leaf's key, empty where there is none; that is a mistake if there is a hint for it.
  std::string read_text(const Node& leaf, const std::string& path, std::string_view key,
                        const std::string& hint_if_missing);
  std::string read_range(const Node&, const std::string& path, const FieldInfo&, const Scalar&);
  std::optional<ScalarValue> parse(const Node&, const std::string& path, const FieldInfo&, const Scalar&);
  /// Reports keys written twice and, if `knows_all`, those that are not `known`.
  void check_keys(const Node& map, const std::string& path, std::span<const std::string_view> known,
                  bool knows_all);
  void note_keys_of_others(const FieldInfo&, const Scalar& choice, const Describe&);
  void report_range(const Node&, const std::string& path, const FieldInfo&, const Scalar&);
  void report(const Mark&, const std::string& path, std::string message, std::string hint = {});
  [[nodiscard]] std::string child(std::string_view key) const;

  Provenance provenance_;
  std::string path_;
  std::vector<Frame> stack_;
  MistakeList found_{kMostMistakes};
  std::vector<Diagnostic> notes_;
  std::map<std::string, std::string> keys_of_others_;  ///< of the root: and the choice that has them
  Leaves leaves_;
};

}  // namespace xpusim::config
