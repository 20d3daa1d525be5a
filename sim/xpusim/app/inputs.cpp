#include "xpusim/app/inputs.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"

namespace xpusim::app {
namespace fs = std::filesystem;
namespace {

bool is_library(const fs::path& root) {
  std::error_code none;
  return fs::is_directory(root / "configs" / "chips", none);
}

}  // namespace

config::Library open_library(const std::string& given) {
  if (!given.empty()) {
    if (is_library(given)) return config::Library(given);
    throw ConfigError(Diagnostic{{given, 0, 0},
                                 "",
                                 "no configs/chips in this folder",
                                 "--data names the folder that holds configs and workloads"});
  }
  std::vector<fs::path> places;
  if (const char* from_environment = std::getenv("XPUSIM_DATA")) places.emplace_back(from_environment);
  std::error_code none;
  const fs::path executable = fs::read_symlink("/proc/self/exe", none);
  places.push_back(executable.parent_path() / ".." / "share" / "xpusim");
  places.emplace_back(XPUSIM_SOURCE_ROOT);
  places.emplace_back(XPUSIM_INSTALL_ROOT);
  for (const fs::path& place : places)
    if (is_library(place)) return config::Library(place.lexically_proximate(fs::current_path(none)));
  throw ConfigError(Diagnostic{
      {"xpusim", 0, 0}, "", "cannot find configs and workloads", "set XPUSIM_DATA or give --data DIR"});
}

Column parse_column(const std::string& text) {
  Column c;
  std::size_t comma = text.find(',');
  c.system = text.substr(0, comma);
  while (comma != std::string::npos) {
    const std::size_t next = text.find(',', comma + 1);
    const std::string part = text.substr(comma + 1, next == std::string::npos ? next : next - comma - 1);
    c.overrides.push_back(config::parse_override(part));
    c.variant += (c.variant.empty() ? "" : ", ") + part;
    comma = next;
  }
  return c;
}

Platform load_platform(const config::Library& library, const Column& column, const config::Overrides& all) {
  config::Overrides overrides = all;
  overrides.insert(overrides.end(), column.overrides.begin(), column.overrides.end());
  Platform p;
  p.system = library.system(column.system, overrides);
  p.chip = library.chip(p.system.value.chip, overrides);
  const SystemSpec& s = p.system.value;
  const std::int64_t devices = s.chips * p.chip.value.dies;
  if (!s.levels.empty() && s.levels.back().endpoints < devices)
    throw ConfigError(
        Diagnostic{{p.system.file, 0, 0},
                   "system.levels",
                   fmt::format("the outermost level joins {} endpoints", s.levels.back().endpoints),
                   fmt::format("{} chips of {} dies are {} devices", s.chips, p.chip.value.dies, devices)});
  return p;
}

Operator parse_operator(const std::string& kind, const std::vector<std::string>& words) {
  const auto marked = [](const std::string& text, const std::string& place) {
    config::Node n;
    n.kind = config::Node::Kind::Scalar;
    n.text = text;
    n.where.file = std::make_shared<const std::string>(place);
    return n;
  };
  config::Node root;
  root.kind = config::Node::Kind::Map;
  root.where.file = std::make_shared<const std::string>("op " + kind);
  const auto add = [&](const std::string& key, config::Node value) {
    const config::Mark where = value.where;
    root.entries.push_back({key, where, std::move(value)});
  };
  add("name", marked(join(views(words), " "), "op"));
  root.entries.back().value.text = kind + " " + root.entries.back().value.text;
  add("op", marked(kind, "op " + kind));
  std::vector<Diagnostic> wrong;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    if (equals == std::string::npos || key.empty())
      wrong.push_back({{"op " + kind, 0, 0}, word, "no key=value", "e.g. m=4096"});
    else if (root.find(key) != nullptr)
      wrong.push_back({{"op " + kind, 0, 0}, key, "given twice or not settable", "once each"});
    else
      add(key, marked(word.substr(equals + 1), "op " + kind));
  }
  if (!wrong.empty()) throw ConfigError(std::move(wrong));
  Operator o;
  config::Reader reader(root, "", config::Provenance::Plain);
  describe(reader, o);
  if (o.kind == OpKind::Attention && o.attention.kv_heads > 0 &&
      o.attention.heads % o.attention.kv_heads != 0)
    reader.report_at("kv_heads",
                     fmt::format("{} does not divide {} heads", o.attention.kv_heads, o.attention.heads),
                     "heads = kv_heads x group");
  if (o.kind == OpKind::Attention && o.attention.q_len > o.attention.kv_len)
    reader.report_at("kv_len", fmt::format("{} is less than q_len {}", o.attention.kv_len, o.attention.q_len),
                     "kv_len counts the new tokens too");
  reader.finish();
  return o;
}

bool is_trace(const config::Library& library, const std::string& id_or_path) {
  const bool is_path = id_or_path.find('/') != std::string::npos || id_or_path.ends_with(".yaml");
  if (is_path)
    return config::read_yaml(library.find(config::FileKind::Trace, id_or_path)).find("sections") != nullptr;
  const auto traces = library.list(config::FileKind::Trace);
  return std::find(traces.begin(), traces.end(), id_or_path) != traces.end();
}

}  // namespace xpusim::app
