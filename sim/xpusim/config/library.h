#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "xpusim/config/documents.h"

/// Files by id, what they inherit, and what --set replaces.
namespace xpusim::config {

/// A value that replaces one of the files': path such as "chip.hbm.bandwidth", text as in YAML.
struct Override {
  std::string path;
  std::string text;
  std::string option = "--set";  ///< where it was given
  [[nodiscard]] std::string where() const { return option + " " + path + "=" + text; }
};
using Overrides = std::vector<Override>;

/// "path=value". Throws ConfigError when it is not of that form or its root is no file kind.
[[nodiscard]] Override parse_override(const std::string& text, const std::string& option = "--set");

/// What is asked for: the id or path of a file, and where a file names it (empty: the command line does).
struct Reference {
  Reference(std::string id_or_path) : id(std::move(id_or_path)) {}
  Reference(const char* id_or_path) : id(id_or_path) {}
  /// The id that stands at the leaf `path` of another file.
  template <class T>
  Reference(std::string named, const Loaded<T>& by, const std::string& path)
      : id(std::move(named)), leaf(path) {
    if (const auto found = by.leaves.find(path); found != by.leaves.end())
      where = found->second.where.location();
  }
  std::string id;
  SourceLocation where;
  std::string leaf;
};

/// A folder tree of configs and workloads. Files are named by id (the file's name without .yaml) or by path.
/// A model may be a config.json of Hugging Face (config/huggingface.h).
class Library {
 public:
  explicit Library(std::filesystem::path root) : root_(std::move(root)) {}
  /// The same files, each read and parsed at its first use only: for many loads of what does not change.
  /// Several threads may use it at once.
  [[nodiscard]] Library read_once() const;

  [[nodiscard]] std::vector<std::string> list(FileKind) const;
  /// The file of an id or path; a path that a file names starts in that file's folder. Throws ConfigError
  /// with the known ids.
  [[nodiscard]] std::string find(FileKind, const Reference&) const;

  /// Read and checked, with the overrides of its kind. Throws ConfigError.
  template <class T>
  [[nodiscard]] Loaded<T> load(const Reference& r, const Overrides& o = {}) const {
    const std::string file = find(kind_of<T>(), r);
    const Node root = tree(kind_of<T>(), file, o);
    Loaded<T> loaded = read<T>(root, name_of(kind_of<T>(), root, file));
    loaded.file = file;
    return loaded;
  }
  auto chip(const Reference& r, const Overrides& o = {}) const { return load<ChipSpec>(r, o); }
  auto system(const Reference& r, const Overrides& o = {}) const { return load<SystemSpec>(r, o); }
  auto stack(const Reference& r, const Overrides& o = {}) const { return load<StackSpec>(r, o); }
  auto model(const Reference& r, const Overrides& o = {}) const { return load<ModelSpec>(r, o); }
  auto scenario(const Reference& r, const Overrides& o = {}) const { return load<ScenarioSpec>(r, o); }
  auto trace(const Reference& r) const { return load<Graph>(r); }
  auto suite(const Reference& r) const { return load<SuiteSpec>(r); }

  /// What validation found; empty if the library has no such file.
  [[nodiscard]] AccuracyTable accuracy() const;

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }

 private:
  class Trees;  ///< of the files that were read, each over its base chain

  /// The file's tree, over its base chain, with the overrides of its kind on top.
  [[nodiscard]] Node tree(FileKind, const std::string& file, const Overrides&) const;
  /// The file that its id must be the name of: of an imported model it is as the importer says.
  static std::string name_of(FileKind, const Node& root, const std::string& file);

  std::filesystem::path root_;
  std::shared_ptr<Trees> trees_;  ///< nothing: files are read anew each time
};

/// What may have been meant by an id that is none of the `known`, where the file `by` names it (empty: the
/// command line does).
[[nodiscard]] std::string hint_of_id(const std::string& id, const std::vector<std::string>& known,
                                     const std::string& by);

/// Is it written as the path of a file (with a slash, or an ending of YAML or JSON), not as an id?
[[nodiscard]] bool is_path(const std::string& id_or_path);

/// A file on its own: parsed, its base chain laid under it, read and checked as `kind`. Returns the notes.
/// Throws ConfigError.
std::vector<Diagnostic> check_file(const Library&, FileKind, const std::string& path);
/// The kind that a path's folder says, if it says one.
[[nodiscard]] std::optional<FileKind> kind_of_path(const std::string& path);

}  // namespace xpusim::config
