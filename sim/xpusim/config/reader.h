#pragma once
#include <map>
#include <optional>
#include <string>
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

/// Reads a tree into structs by their description. Collects every mistake instead of stopping at the first.
class Reader : public Fields {
 public:
  Reader(const Node& root, std::string path, Provenance provenance)
      : provenance_(provenance), path_(std::move(path)) {
    stack_.push_back({&root, {}});
  }

  /// Reports unknown keys of the root, then throws ConfigError if anything was wrong.
  void finish();
  /// Adds a mistake found by a check of the whole, at the leaf `path` (or the root when it was not written).
  void report_at(const std::string& path, const std::string& message, const std::string& hint);
  [[nodiscard]] const Leaves& leaves() const { return leaves_; }
  [[nodiscard]] bool reads() const override { return true; }

 protected:
  void scalar(const FieldInfo&, const Scalar&) override;
  void group(const FieldInfo&, const Describe&) override;
  void optional_group(const FieldInfo&, bool present, const std::function<void()>& emplace,
                      const Describe&) override;
  void sequence(const FieldInfo&, const Sequence&) override;
  void dictionary(const FieldInfo&, const Dictionary&) override;

 private:
  struct Frame {
    const Node* node;
    std::vector<std::string_view> known;
  };

  const Node* enter(const FieldInfo&);  ///< the member's node; reports a missing required one
  void members(const Node&, const std::string& path, const Describe&);
  void element(const Node&, const std::string& path, const FieldInfo&,
               const std::function<void(const FieldInfo&)>&);
  void read_leaf(const Node&, const std::string& path, const FieldInfo&, const Scalar&);
  std::optional<Leaf> provenance_of(const Node&, const std::string& path, const Node*& value);
  std::optional<ScalarValue> parse(const Node&, const std::string& path, const FieldInfo&, const Scalar&);
  void report_unknown_keys(const Frame&, const std::string& path);
  void report(const Mark&, const std::string& path, std::string message, std::string hint = {});
  [[nodiscard]] std::string child(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  }

  Provenance provenance_;
  std::string path_;
  std::vector<Frame> stack_;
  std::vector<Diagnostic> found_;
  Leaves leaves_;
};

/// A number with a unit, e.g. "3.2 TB/s", in SI base units; nullopt when it is not of that dimension.
[[nodiscard]] std::optional<double> parse_quantity(std::string_view text, const Dimension&);
/// The whole text as a number; nullopt otherwise ("12abc", "nan", "").
[[nodiscard]] std::optional<double> parse_real(std::string_view text);
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);
/// The shortest text of a quantity, in its best-fitting unit.
[[nodiscard]] std::string format_quantity(double si, const Dimension&);

}  // namespace xpusim::config
