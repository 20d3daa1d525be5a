#include "xpusim/config/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "xpusim/config/foreign.h"
#include "xpusim/config/huggingface.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace fs = std::filesystem;
namespace {

std::string_view folder(FileKind kind) { return kFileKindFolders[static_cast<std::size_t>(kind)]; }
std::vector<std::string> ids_in(const fs::path& folder_path) {
  std::vector<std::string> ids;
  std::error_code none;
  for (const auto& file : fs::directory_iterator(folder_path, none))
    if (file.path().extension() == ".yaml") ids.push_back(file.path().stem().string());
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto names = views(known);
  const auto near = nearest(word, names);
  return near.empty() ? "known: " + join(names)
                      : fmt::format("did you mean '{}'? known: {}", near, join(names));
}

bool is_json(const std::string& file) { return file.ends_with(".json"); }

/// All of the tree stands in that file, at no line: it was made of it.
void set_file(Node& n, const Mark& where) {
  n.where = where;
  for (Node& item : n.items) set_file(item, where);
  for (Entry& e : n.entries) {
    e.where = where;
    set_file(e.value, where);
  }
}

/// The model of another tool's file, as a tree. One of XPUSim's own, written as JSON, has none of those keys.
Node imported(const std::string& file) {
  const std::string text = read_file(file);
  const auto foreign = recognise(text, file);
  if (foreign && !foreign->is_model) throw foreign_error(*foreign, file);
  if (!foreign)
    if (Node own = parse_yaml(text, file); own.find("layers") != nullptr && own.find("hidden") != nullptr)
      return own;
  Node node = parse_yaml(to_yaml(import_huggingface(text, file)), file);
  set_file(node, {std::make_shared<const std::string>(file), 0, 0});
  return node;
}

/// The file's tree over its base chain, which is a list of ids: of files beside it, else of the `shipped`
/// folder.
Node with_base(FileKind kind, const std::string& file, const fs::path& shipped,
               std::vector<std::string>& chain) {
  if (kind == FileKind::Model && is_json(file)) return imported(file);
  Node node = read_yaml(file);
  require_map(node, kind, file);
  const auto entry =
      std::find_if(node.entries.begin(), node.entries.end(), [](const Entry& e) { return e.key == "base"; });
  if (entry == node.entries.end() || provenance(kind) == Provenance::Plain) return node;
  const Node base = std::move(entry->value);
  node.entries.erase(entry);
  chain.push_back(fs::path(file).stem().string());
  const fs::path folder = fs::path(file).parent_path();
  const fs::path beside = folder.empty() ? fs::path(".") : folder;
  const auto refuse = [&](const std::string& what, const std::string& hint) {
    throw ConfigError(Diagnostic{base.where.location(), std::string(kind_name(kind)) + ".base", what, hint});
  };
  if (std::find(chain.begin(), chain.end(), base.text) != chain.end())
    refuse(in_quotes(base.text) + " inherits from itself", join(views(chain), " -> ") + " -> " + base.text);
  const std::string base_file = base.text + ".yaml";
  const auto has_base = [&](const std::vector<std::string>& ids) {
    return std::find(ids.begin(), ids.end(), base.text) != ids.end();
  };
  auto known = ids_in(beside);
  const fs::path place = has_base(known) ? beside : shipped;
  for (const std::string& id : ids_in(shipped))
    if (std::find(known.begin(), known.end(), id) == known.end()) known.push_back(id);
  if (!has_base(known))
    refuse(fmt::format("no file {} beside this one", in_quotes(base_file)), did_you_mean(base.text, known));
  Node under = with_base(kind, (place / base_file).string(), shipped, chain);
  std::erase_if(under.entries, [](const Entry& e) { return e.key == "id"; });  // of that file
  overlay(under, node);
  return under;
}

Node with_base(FileKind kind, const std::string& file, const fs::path& root) {
  std::vector<std::string> chain;
  return with_base(kind, file, root / folder(kind), chain);
}

/// Is it "key" or "key[2]", with further such parts after dots?
bool is_value_path(std::string_view path) {
  const auto is_word = [](std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
      return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
  };
  while (true) {
    const std::size_t dot = path.find('.');
    const std::string_view part = path.substr(0, dot);
    const std::size_t bracket = part.find('[');
    const std::string_view index = bracket == std::string_view::npos ? "[0]" : part.substr(bracket);
    if (!is_word(part.substr(0, bracket)) || !index.ends_with(']') ||
        !is_word(index.substr(1, index.size() - 2)))
      return false;
    if (dot == std::string_view::npos) return true;
    path.remove_prefix(dot + 1);
  }
}

}  // namespace

Override parse_override(const std::string& text, const std::string& option) {
  const SourceLocation where{option + " " + text, 0, 0};
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw ConfigError(Diagnostic{where, "", "no path=value", "e.g. 'chip.hbm.bandwidth=3.2 TB/s'"});
  Override o{text.substr(0, equals), text.substr(equals + 1), option};
  constexpr std::array<std::string_view, 5> kRoots = {"chip", "system", "stack", "model", "scenario"};
  const std::string root = o.path.substr(0, o.path.find('.'));
  if (std::find(kRoots.begin(), kRoots.end(), root) == kRoots.end()) {
    const auto near = nearest(root, kRoots);
    throw ConfigError(
        Diagnostic{where, printable(root), "a path begins with chip, system, stack, model or scenario",
                   near.empty() ? "e.g. chip.hbm.bandwidth" : fmt::format("did you mean '{}'?", near)});
  }
  if (root.size() == o.path.size() || !is_value_path(o.path))
    throw ConfigError(Diagnostic{where, printable(o.path), "not the path of a value",
                                 "e.g. chip.hbm.bandwidth or system.levels[0].latency"});
  return o;
}

bool is_path(const std::string& id_or_path) {
  constexpr std::array<std::string_view, 3> kEndings = {".yaml", ".yml", ".json"};
  return id_or_path.find('/') != std::string::npos ||
         std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return id_or_path.ends_with(ending); });
}

class Library::Trees {
 public:
  Node get(FileKind kind, const std::string& file, const fs::path& root) {
    const std::lock_guard lock(mutex_);
    const auto known = trees_.find({kind, file});
    if (known != trees_.end()) return known->second;
    return trees_.emplace(std::pair(kind, file), with_base(kind, file, root)).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<FileKind, std::string>, Node> trees_;
};

Library Library::read_once() const {
  Library same(root_);
  same.trees_ = std::make_shared<Trees>();
  return same;
}

std::vector<std::string> Library::list(FileKind kind) const { return ids_in(root_ / folder(kind)); }

std::string Library::find(FileKind kind, const Reference& r) const {
  std::error_code none;
  if (is_path(r.id)) {
    if (r.where.line == 0) return r.id;
    const fs::path file =
        (fs::path(r.where.file).parent_path() / r.id).lexically_normal();  // r.id if absolute
    if (!fs::exists(file, none))
      throw ConfigError(Diagnostic{r.where, r.leaf, file.string() + ": there is no such file", ""});
    return file.string();
  }
  const fs::path path = root_ / folder(kind) / (r.id + ".yaml");
  if (fs::exists(path, none)) return path.lexically_normal().string();
  const bool named_by_file = !r.where.file.empty();
  if (const auto foreign = recognise_file((fs::path(r.where.file).parent_path() / r.id).string()))
    throw foreign_error(*foreign, r.id);
  throw ConfigError(Diagnostic{named_by_file ? r.where : SourceLocation{r.id, 0, 0}, r.leaf,
                               named_by_file ? fmt::format("no {} {}", kind_name(kind), in_quotes(r.id))
                                             : fmt::format("no such {}", kind_name(kind)),
                               hint_of_id(r.id, list(kind), r.where.file)});
}

std::string hint_of_id(const std::string& id, const std::vector<std::string>& known, const std::string& by) {
  std::error_code none;
  const fs::path folder_path = fs::path(by).parent_path(), file = folder_path / (id + ".yaml");
  if (file != by && fs::exists(file, none))
    return fmt::format("a file is named by its path: {}.yaml", printable(id));
  if (fs::is_regular_file(folder_path / id, none))
    return fmt::format("a file is named by its path: ./{}", printable(id));
  return known.empty() ? "none is shipped; name a file by its path" : did_you_mean(id, known);
}

Node Library::tree(FileKind kind, const std::string& file, const Overrides& overrides) const {
  Node root = trees_ ? trees_->get(kind, file, root_) : with_base(kind, file, root_);
  for (const Override& o : overrides) {
    if (o.path.substr(0, o.path.find('.')) != kind_name(kind)) continue;
    const auto where = std::make_shared<const std::string>(o.where());
    Node value = parse_yaml(o.text, *where);
    value.where = {where, 0, 0};
    set_path(root, o.path, std::move(value));
  }
  return root;
}

std::string Library::name_of(FileKind kind, const Node& root, const std::string& file) {
  const Node* id = kind == FileKind::Model && is_json(file) ? root.find("id") : nullptr;
  return id != nullptr ? id->text + ".yaml" : file;
}

AccuracyTable Library::accuracy() const {
  const fs::path path = root_ / "configs" / "accuracy.yaml";
  std::error_code none;
  if (!fs::exists(path, none)) return {};
  return read_accuracy(read_yaml(path.string()), path.string());
}

std::vector<Diagnostic> check_file(const Library& library, FileKind kind, const std::string& path) {
  return with_kind(kind, [&]<class T>(std::type_identity<T>) { return library.load<T>(path).notes; });
}

std::optional<FileKind> kind_of_path(const std::string& path) {
  const std::string folder_name = fs::absolute(path).parent_path().filename().string();
  for (std::size_t i = 0; i < kFileKindFolders.size(); ++i)
    if (kFileKindFolders[i].ends_with("/" + folder_name)) return static_cast<FileKind>(i);
  return std::nullopt;
}

}  // namespace xpusim::config
