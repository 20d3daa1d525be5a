#include "xpusim/config/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "xpusim/config/describe.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace fs = std::filesystem;
namespace {

std::string_view folder(FileKind kind) { return kFileKindFolders[static_cast<std::size_t>(kind)]; }
std::string_view kind_name(FileKind kind) { return kFileKindNames[static_cast<std::size_t>(kind)]; }
Provenance provenance(FileKind kind) {
  return kind == FileKind::Chip || kind == FileKind::System ? Provenance::Required : Provenance::Plain;
}

/// Reads a struct from a tree and applies `check`, a function of (struct, Reader&) that reports what keys
/// alone cannot.
template <class T, class Check>
Loaded<T> read(const Node& root, FileKind kind, const std::string& file, const Check& check) {
  if (!root.is_map())
    throw ConfigError(Diagnostic{
        root.where.location().file.empty() ? SourceLocation{file, 0, 0} : root.where.location(), "",
        fmt::format("expected a {} file: a map of keys", kind_name(kind)), "see docs/reference.md"});
  Loaded<T> loaded;
  loaded.file = file;
  Reader reader(root, std::string(kind_name(kind)), provenance(kind));
  describe(reader, loaded.value);
  check(loaded.value, reader);
  reader.finish();
  loaded.leaves = reader.leaves();
  return loaded;
}

void check_id(const std::string& id, const std::string& file, const std::string& path, Reader& r) {
  if (!id.empty() && id != fs::path(file).stem().string())
    r.report_at(path, fmt::format("'{}' is not the file's name", id),
                fmt::format("write {}", fs::path(file).stem().string()));
}

void check_chip(const ChipSpec& c, Reader& r) {
  if (c.power.idle.count() >= c.power.cap.count())
    r.report_at("chip.power.idle", "not below the cap", "idle < cap");
  if (c.power.idle.count() >= c.power.full_load.count())
    r.report_at("chip.power.full_load", "not above idle", "idle < full_load");
  if (c.dies > 1 && !c.die_to_die)
    r.report_at("chip.dies", "several dies and no die_to_die link", "describe die_to_die");
  if (c.hbm.latency < c.l2.latency)
    r.report_at("chip.hbm.latency", "below the latency of L2", "a miss passes through L2");
}

void check_system(const SystemSpec& s, Reader& r) {
  std::int64_t inner = 1;
  for (std::size_t i = 0; i < s.levels.size(); ++i) {
    const LevelSpec& level = s.levels[i];
    const std::string path = fmt::format("system.levels[{}].endpoints", i);
    if (level.endpoints <= inner || level.endpoints % inner != 0)
      r.report_at(path, fmt::format("{} is not a multiple of the {} below", level.endpoints, inner),
                  "levels go from inner to outer");
    inner = std::max<std::int64_t>(level.endpoints, 1);
  }
}

void check_model(const ModelSpec& m, Reader& r) {
  if (m.kv_heads > 0 && m.heads % m.kv_heads != 0)
    r.report_at("model.kv_heads", fmt::format("{} does not divide {} heads", m.kv_heads, m.heads),
                "heads = kv_heads x group");
}

void check_scenario(const ScenarioSpec& s, Reader& r) {
  if (s.phase == Phase::Decode && s.context == 0)
    r.report_at("scenario.context", "a decode scenario needs the tokens already cached",
                "e.g. context: 4096");
  if (s.phase == Phase::Decode && s.sequence != 1)
    r.report_at("scenario.sequence", fmt::format("{} new tokens in decode", s.sequence),
                "1; the cached tokens are context");
  if (s.phase != Phase::Decode && s.context != 0)
    r.report_at("scenario.context", "only decode scenarios have cached tokens", "leave it out");
  if (s.phase == Phase::Training && size_of(s.precision.weights) < 2)
    r.report_at("scenario.precision.weights", "training in 8-bit weights is not modelled", "bf16 or fp16");
}

void check_operator(const Operator& o, const std::set<std::string>& before, const std::string& path,
                    Reader& r) {
  if (before.contains(o.name))
    r.report_at(path + ".name", fmt::format("'{}' is there already in this section", o.name),
                "names are unique");
  for (std::size_t i = 0; i < o.after.size(); ++i)
    if (!before.contains(o.after[i]))
      r.report_at(fmt::format("{}.after[{}]", path, i), fmt::format("no operator '{}' above", o.after[i]),
                  "name one of this section that stands before");
  const AttentionShape& a = o.attention;
  if (o.kind != OpKind::Attention) return;
  if (a.heads % a.kv_heads != 0)
    r.report_at(path + ".kv_heads", fmt::format("{} does not divide {} heads", a.kv_heads, a.heads),
                "heads = kv_heads x group");
  if (a.q_len > a.kv_len)
    r.report_at(path + ".kv_len", fmt::format("{} is less than q_len {}", a.kv_len, a.q_len),
                "kv_len counts the new tokens too");
}

void check_graph(const Graph& g, Reader& r) {
  for (std::size_t s = 0; s < g.sections.size(); ++s) {
    std::set<std::string> names;
    for (std::size_t i = 0; i < g.sections[s].operators.size(); ++i) {
      const Operator& o = g.sections[s].operators[i];
      check_operator(o, names, fmt::format("trace.sections[{}].operators[{}]", s, i), r);
      names.insert(o.name);
    }
  }
}

Node with_base(const Library& library, FileKind kind, const std::string& path,
               std::vector<std::string>& chain) {
  Node node = read_yaml(path);
  const Node* base = node.find("base");
  if (base == nullptr || provenance(kind) == Provenance::Plain) return node;
  chain.push_back(path);
  const std::string base_path = (fs::path(path).parent_path() / (base->text + ".yaml")).string();
  if (std::find(chain.begin(), chain.end(), base_path) != chain.end())
    throw ConfigError(Diagnostic{base->where.location(), "base",
                                 fmt::format("'{}' inherits from itself", base->text), "break the circle"});
  if (!fs::exists(base_path)) {
    const auto known = library.list(kind);
    throw ConfigError(Diagnostic{base->where.location(), "base",
                                 fmt::format("no file '{}' beside this one", base->text + ".yaml"),
                                 "known: " + join(views(known))});
  }
  Node under = with_base(library, kind, base_path, chain);
  std::erase_if(node.entries, [](const Entry& e) { return e.key == "base"; });
  overlay(under, node);
  return under;
}

template <class F>
auto with_description(FileKind kind, const F& use) {
  switch (kind) {
    case FileKind::Chip: {
      ChipSpec s;
      return use(describer(s));
    }
    case FileKind::System: {
      SystemSpec s;
      return use(describer(s));
    }
    case FileKind::Model: {
      ModelSpec s;
      return use(describer(s));
    }
    case FileKind::Scenario: {
      ScenarioSpec s;
      return use(describer(s));
    }
    case FileKind::Trace:
      break;
  }
  Graph s;
  return use(describer(s));
}

}  // namespace

std::optional<FileKind> file_kind(std::string_view name) {
  for (std::size_t i = 0; i < kFileKindNames.size(); ++i)
    if (kFileKindNames[i] == name) return static_cast<FileKind>(i);
  return std::nullopt;
}

Override parse_override(const std::string& text) {
  const std::string where = "--set " + text;
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw ConfigError(
        Diagnostic{{where, 0, 0}, "", "no path=value", "e.g. --set chip.hbm.bandwidth='3.2 TB/s'"});
  Override o{text.substr(0, equals), text.substr(equals + 1)};
  const std::string root = o.path.substr(0, o.path.find('.'));
  const auto kind = file_kind(root);
  if (!kind || *kind == FileKind::Trace || root.size() == o.path.size()) {
    const std::array<std::string_view, 4> roots = {"chip", "system", "model", "scenario"};
    const auto near = nearest(root, roots);
    throw ConfigError(Diagnostic{
        {where, 0, 0},
        root,
        "a path begins with chip, system, model or scenario",
        near.empty() || near == root ? "e.g. chip.hbm.bandwidth" : fmt::format("did you mean '{}'?", near)});
  }
  return o;
}

Loaded<ChipSpec> read_chip(const Node& node, const std::string& file) {
  return read<ChipSpec>(node, FileKind::Chip, file, [&](const ChipSpec& c, Reader& r) {
    check_id(c.id, file, "chip.id", r);
    check_chip(c, r);
  });
}
Loaded<SystemSpec> read_system(const Node& node, const std::string& file) {
  return read<SystemSpec>(node, FileKind::System, file, [&](const SystemSpec& s, Reader& r) {
    check_id(s.id, file, "system.id", r);
    check_system(s, r);
  });
}
Loaded<ModelSpec> read_model(const Node& node, const std::string& file) {
  return read<ModelSpec>(node, FileKind::Model, file, [&](const ModelSpec& m, Reader& r) {
    check_id(m.id, file, "model.id", r);
    check_model(m, r);
  });
}
Loaded<ScenarioSpec> read_scenario(const Node& node, const std::string& file) {
  return read<ScenarioSpec>(node, FileKind::Scenario, file, check_scenario);
}
Loaded<Graph> read_trace(const Node& node, const std::string& file) {
  return read<Graph>(node, FileKind::Trace, file, check_graph);
}

std::vector<std::string> Library::list(FileKind kind) const {
  std::vector<std::string> ids;
  std::error_code none;
  for (const auto& file : fs::directory_iterator(root_ / folder(kind), none))
    if (file.path().extension() == ".yaml") ids.push_back(file.path().stem().string());
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::string Library::find(FileKind kind, const std::string& id_or_path) const {
  std::error_code none;
  const bool is_path = id_or_path.find('/') != std::string::npos || id_or_path.ends_with(".yaml");
  if (is_path) {
    if (fs::is_regular_file(id_or_path, none)) return id_or_path;
    throw ConfigError(Diagnostic{{id_or_path, 0, 0}, "", "cannot read the file", "does it exist?"});
  }
  const fs::path path = root_ / folder(kind) / (id_or_path + ".yaml");
  if (fs::is_regular_file(path, none)) return path.lexically_normal().string();
  const auto known = list(kind);
  const auto names = views(known);
  const auto near = nearest(id_or_path, names);
  throw ConfigError(Diagnostic{{id_or_path, 0, 0},
                               "",
                               fmt::format("no such {}", kind_name(kind)),
                               near.empty()
                                   ? "known: " + join(names)
                                   : fmt::format("did you mean '{}'? known: {}", near, join(names))});
}

Node Library::tree(FileKind kind, const std::string& id_or_path, const Overrides& overrides) const {
  std::vector<std::string> chain;
  Node root = with_base(*this, kind, find(kind, id_or_path), chain);
  for (const Override& o : overrides) {
    const std::size_t dot = o.path.find('.');
    if (o.path.substr(0, dot) != kind_name(kind)) continue;
    const auto where = std::make_shared<const std::string>(fmt::format("--set {}={}", o.path, o.text));
    Node value = parse_yaml(o.text, *where);
    value.is_override = true;
    value.where = {where, 0, 0};
    set_path(root, std::string_view(o.path).substr(dot + 1), std::move(value));
  }
  return root;
}

Loaded<ChipSpec> Library::chip(const std::string& id, const Overrides& o) const {
  return read_chip(tree(FileKind::Chip, id, o), find(FileKind::Chip, id));
}
Loaded<SystemSpec> Library::system(const std::string& id, const Overrides& o) const {
  return read_system(tree(FileKind::System, id, o), find(FileKind::System, id));
}
Loaded<ModelSpec> Library::model(const std::string& id, const Overrides& o) const {
  return read_model(tree(FileKind::Model, id, o), find(FileKind::Model, id));
}
Loaded<ScenarioSpec> Library::scenario(const std::string& id, const Overrides& o) const {
  return read_scenario(tree(FileKind::Scenario, id, o), find(FileKind::Scenario, id));
}
Loaded<Graph> Library::trace(const std::string& id) const {
  return read_trace(tree(FileKind::Trace, id, {}), find(FileKind::Trace, id));
}

void check_file(const Library& library, FileKind kind, const std::string& path) {
  switch (kind) {
    case FileKind::Chip:
      static_cast<void>(library.chip(path));
      return;
    case FileKind::System:
      static_cast<void>(library.system(path));
      return;
    case FileKind::Model:
      static_cast<void>(library.model(path));
      return;
    case FileKind::Scenario:
      static_cast<void>(library.scenario(path));
      return;
    case FileKind::Trace:
      static_cast<void>(library.trace(path));
      return;
  }
}

std::optional<FileKind> kind_of_path(const std::string& path) {
  const std::string folder_name = fs::absolute(path).parent_path().filename().string();
  for (std::size_t i = 0; i < kFileKindFolders.size(); ++i)
    if (kFileKindFolders[i].ends_with("/" + folder_name)) return static_cast<FileKind>(i);
  return std::nullopt;
}

std::string schema(FileKind kind) {
  return with_description(kind, [&](const Describe& d) {
    return to_schema(d, fmt::format("XPUSim {}", kind_name(kind)), provenance(kind),
                     provenance(kind) == Provenance::Required)
               .dump(2) +
           "\n";
  });
}

std::string reference() {
  std::string text =
      "# Reference of the input files\n\nGenerated by `xpusim config docs` from the descriptions in "
      "`sim/xpusim/spec`; CI compares. In chip and system "
      "files every value is written `{value: 3.2 TB/s, basis: datasheet, source: ..., range: [low, high]}` "
      "(range and note may be left out), with "
      "basis one of " +
      join(kBases) + "; names and notes are plain. `base: id` inherits another chip or system file.\n";
  for (std::size_t i = 0; i < kFileKindNames.size(); ++i)
    text += fmt::format("\n## {} ({}/*.yaml)\n\n", kFileKindNames[i], kFileKindFolders[i]) +
            with_description(static_cast<FileKind>(i), [](const Describe& d) { return to_markdown(d); });
  return text;
}

}  // namespace xpusim::config
