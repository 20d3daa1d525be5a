#include "xpusim/jobs/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "xpusim/config/foreign.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"

namespace xpusim::jobs {
namespace fs = std::filesystem;
namespace {

bool is_library(const fs::path& root) {
  std::error_code none;
  return fs::is_directory(root / "configs" / "chips", none);
}

/// Relative to the working folder where it is inside.
fs::path readable(const fs::path& place) {
  std::error_code none;
  const fs::path normal = place.lexically_normal();
  const fs::path relative = normal.lexically_proximate(fs::current_path(none));
  return relative.begin() != relative.end() && *relative.begin() == ".." ? normal : relative;
}

void add_entry(config::Node& map, const std::string& key, const std::string& text) {
  config::Node value;
  value.kind = config::Node::Kind::Scalar;
  value.text = text;
  value.where = map.where;
  map.entries.push_back({key, map.where, std::move(value)});
}

}  // namespace

config::Library open_library(const std::string& given, const std::vector<fs::path>& places) {
  if (!given.empty()) {
    if (is_library(given)) return config::Library(given);
    throw ConfigError(Diagnostic{{given, 0, 0},
                                 "",
                                 "no configs/chips in this folder",
                                 "name the folder that holds configs and workloads"});
  }
  if (const char* from_environment = std::getenv("XPUSIM_DATA")) {
    if (is_library(from_environment)) return config::Library(from_environment);
    throw ConfigError(Diagnostic{{fmt::format("XPUSIM_DATA={}", from_environment), 0, 0},
                                 "",
                                 "no configs/chips in this folder",
                                 "it names the folder that holds configs and workloads"});
  }
  for (const fs::path& place : places)
    if (is_library(place)) return config::Library(readable(place));
  throw ConfigError(Diagnostic{
      {"xpusim", 0, 0}, "", "cannot find configs and workloads", "set XPUSIM_DATA or give their folder"});
}

Platform load_network(const config::Library& library, const config::Reference& system,
                      const config::Overrides& overrides) {
  Platform p{library.system(system, overrides), {}, {}};
  p.network = p.system.value;
  if (p.network.chip.empty()) return p;
  p.chip = library.chip({p.network.chip, p.system, "system.chip"}, overrides);
  p.network = with_package_level(p.network, p.chip->value);
  return p;
}

Platform load_platform(const config::Library& library, const config::Reference& system,
                       const config::Overrides& overrides) {
  Platform p = load_network(library, system, overrides);
  const SystemSpec& s = p.system.value;
  if (!p.chip)
    throw ConfigError(Diagnostic{{p.system.file, 0, 0},
                                 "system.chip",
                                 fmt::format("{} names no chip", s.id),
                                 "it serves `xpusim collective` only"});
  const std::int64_t dies = p.chip->value.dies;
  if (const std::string path = fmt::format("system.levels[{}].endpoints", s.levels.size() - 1);
      s.levels.back().endpoints < s.chips * dies)
    throw ConfigError(
        Diagnostic{p.system.leaves.at(path).where.location(), path,
                   fmt::format("the outermost level joins {} endpoints", s.levels.back().endpoints),
                   fmt::format("{} chips of {} dies are {} devices", s.chips, dies, s.chips * dies)});
  return p;
}

Column parse_column(const std::string& text, const std::string& option) {
  const auto parts = split(text, ',');
  Column c;
  c.name = parts.front();
  if (c.name.empty())
    throw ConfigError(Diagnostic{
        {option + " " + text, 0, 0}, "", "no name", fmt::format("{} NAME[,path=value...]", option)});
  for (std::size_t i = 1; i < parts.size(); ++i) {
    c.overrides.push_back(config::parse_override(parts[i], option));
    c.variant += (c.variant.empty() ? "" : ", ") + parts[i];
  }
  return c;
}

config::Node tree_of_words(const std::string& command, const std::vector<std::string>& words,
                           const std::vector<std::string_view>& refused) {
  config::Mark where;
  where.file = std::make_shared<const std::string>(command);
  config::Node root;
  root.kind = config::Node::Kind::Map;
  root.where = where;
  std::vector<Diagnostic> wrong;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    if (equals == std::string::npos || key.empty())
      wrong.push_back({where.location(), printable(word), "no key=value", "e.g. m=4096"});
    else if (std::find(refused.begin(), refused.end(), key) != refused.end())
      wrong.push_back({where.location(), key, "not a parameter of a single operator", "leave it out"});
    else if (root.find(key) != nullptr)
      wrong.push_back({where.location(), printable(key), "given twice", "once each"});
    else
      add_entry(root, key, word.substr(equals + 1));
  }
  if (!wrong.empty()) throw ConfigError(std::move(wrong));
  return root;
}

std::pair<std::string, std::vector<std::string>> kind_and_words(const std::string& text) {
  std::vector<std::string> words = split(text, ' ');
  std::erase(words, "");
  if (words.empty()) return {};
  std::string kind = words.front();
  words.erase(words.begin());
  return {std::move(kind), std::move(words)};
}

Operator parse_operator(const std::string& kind, const std::vector<std::string>& words) {
  config::Node root = tree_of_words("op " + kind, words, {"name", "op", "after"});
  add_entry(root, "name", kind + " " + join(views(words), " "));
  add_entry(root, "op", kind);
  Operator o = config::read_operator(root);
  if (is_collective(o))
    throw ConfigError(Diagnostic{{"op " + kind, 0, 0},
                                 "",
                                 "a collective runs on a system, not on one chip",
                                 "xpusim collective --system SYSTEM, or a workload trace"});
  return o;
}

bool is_trace(const config::Library& library, const std::string& id_or_path) {
  if (config::is_path(id_or_path)) return config::read_yaml(id_or_path).find("sections") != nullptr;
  const auto contains = [&](const std::vector<std::string>& ids) {
    return std::find(ids.begin(), ids.end(), id_or_path) != ids.end();
  };
  std::vector<std::string> known = library.list(config::FileKind::Trace);
  if (contains(known)) return true;
  const auto scenarios = library.list(config::FileKind::Scenario);
  if (contains(scenarios)) return false;
  if (const auto foreign = config::recognise_file(id_or_path))
    throw config::foreign_error(*foreign, id_or_path);
  known.insert(known.begin(), scenarios.begin(), scenarios.end());
  const auto names = views(known);
  const auto near = nearest(id_or_path, names);
  throw ConfigError(
      Diagnostic{{id_or_path, 0, 0},
                 "",
                 "no such scenario or trace",
                 (near.empty() ? "" : fmt::format("did you mean '{}'? ", near)) + "known: " + join(names)});
}

void refuse_unused(const config::Overrides& overrides, const std::vector<std::string_view>& used) {
  for (const config::Override& o : overrides) {
    const std::string root = o.path.substr(0, o.path.find('.'));
    if (std::find(used.begin(), used.end(), root) == used.end())
      throw ConfigError(
          Diagnostic{{o.where(), 0, 0}, o.path, "this command reads no " + root, "it reads " + join(used)});
  }
}

}  // namespace xpusim::jobs
