#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "xpusim/config/reader.h"
#include "xpusim/spec/chip.h"
#include "xpusim/spec/graph.h"
#include "xpusim/spec/model.h"
#include "xpusim/spec/scenario.h"
#include "xpusim/spec/system.h"

namespace xpusim::config {

/// The kinds of input files, and the folder of each below the library's root.
enum class FileKind : std::uint8_t { Chip, System, Model, Scenario, Trace };
inline constexpr std::array<std::string_view, 5> kFileKindNames = {"chip", "system", "model", "scenario",
                                                                   "trace"};
inline constexpr std::array<std::string_view, 5> kFileKindFolders = {
    "configs/chips", "configs/systems", "workloads/models", "workloads/scenarios", "workloads/traces"};
[[nodiscard]] std::optional<FileKind> file_kind(std::string_view name);

/// A value that replaces one of the files': path such as "chip.hbm.bandwidth", text as in YAML.
struct Override {
  std::string path;
  std::string text;
};
using Overrides = std::vector<Override>;

/// "path=value". Throws ConfigError when it is not of that form or its root is no file kind.
[[nodiscard]] Override parse_override(const std::string& text);

template <class T>
struct Loaded {
  T value;
  Leaves leaves;  ///< what was written, where, and on what ground
  std::string file;
};

/// The checked content of a file.
[[nodiscard]] Loaded<ChipSpec> read_chip(const Node&, const std::string& file);
[[nodiscard]] Loaded<SystemSpec> read_system(const Node&, const std::string& file);
[[nodiscard]] Loaded<ModelSpec> read_model(const Node&, const std::string& file);
[[nodiscard]] Loaded<ScenarioSpec> read_scenario(const Node&, const std::string& file);
[[nodiscard]] Loaded<Graph> read_trace(const Node&, const std::string& file);

/// A folder tree of configs and workloads. Files are named by id ("h100_sxm" of its folder) or by path.
class Library {
 public:
  explicit Library(std::filesystem::path root) : root_(std::move(root)) {}

  [[nodiscard]] std::vector<std::string> list(FileKind) const;
  /// The file of an id or path. Throws ConfigError with the known ids.
  [[nodiscard]] std::string find(FileKind, const std::string& id_or_path) const;
  /// The file's tree, over its base chain, with the overrides of its kind on top.
  [[nodiscard]] Node tree(FileKind, const std::string& id_or_path, const Overrides&) const;

  [[nodiscard]] Loaded<ChipSpec> chip(const std::string& id, const Overrides& = {}) const;
  [[nodiscard]] Loaded<SystemSpec> system(const std::string& id, const Overrides& = {}) const;
  [[nodiscard]] Loaded<ModelSpec> model(const std::string& id, const Overrides& = {}) const;
  [[nodiscard]] Loaded<ScenarioSpec> scenario(const std::string& id, const Overrides& = {}) const;
  [[nodiscard]] Loaded<Graph> trace(const std::string& id) const;

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }

 private:
  std::filesystem::path root_;
};

/// A file on its own: parsed, its base chain laid under it, read and checked as `kind`. Throws ConfigError.
void check_file(const Library&, FileKind, const std::string& path);
/// The kind that a path's folder says, if it says one.
[[nodiscard]] std::optional<FileKind> kind_of_path(const std::string& path);

/// The JSON Schema of a kind, as text that ends in a newline.
[[nodiscard]] std::string schema(FileKind);
/// The reference of all kinds, in Markdown.
[[nodiscard]] std::string reference();

}  // namespace xpusim::config
