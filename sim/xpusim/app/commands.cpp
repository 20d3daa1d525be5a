#include "xpusim/app/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/config/describe.h"
#include "xpusim/core/error.h"
#include "xpusim/core/hash.h"
#include "xpusim/core/text.h"
#include "xpusim/result/version.h"

namespace xpusim::app {
namespace {

using Results = std::vector<result::Result>;

/// A line on a terminal's stderr, from a second into the run on.
class Progress {
 public:
  explicit Progress(std::string what) : what_(std::move(what)) {}
  ~Progress() {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::size_t done, std::size_t all) {
    if (::isatty(STDERR_FILENO) == 0) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - begin_ < std::chrono::seconds(1) || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    shown_ = true;
    fmt::print(stderr, "\r\033[K{}: {} of {} operators", what_, done, all);
    std::fflush(stderr);
  }

 private:
  std::string what_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now(), last_;
  bool shown_ = false;
};

config::Overrides overrides_of(const Common& c) {
  config::Overrides list;
  for (const std::string& text : c.set) list.push_back(config::parse_override(text));
  return list;
}

chip::Fidelity fidelity_of(const Common& c) {
  return c.fidelity == "bound" ? chip::Fidelity::Bound : chip::Fidelity::Tile;
}

template <class T>
std::string resolved(std::string_view kind, config::Loaded<T>& loaded) {
  return fmt::format("# {}\n{}", kind,
                     config::to_yaml(config::describer(loaded.value), std::string(kind), nullptr));
}

void stamp(result::Result& r, std::string config) {
  r.config = std::move(config);
  r.config_hash = Hasher().add(r.config).add(r.fidelity).add(result::version()).hex();
}

/// Each --set must have reached a file that the command reads.
void refuse_unused(const config::Overrides& overrides, const std::vector<std::string_view>& used) {
  for (const config::Override& o : overrides) {
    const std::string root = o.path.substr(0, o.path.find('.'));
    if (std::find(used.begin(), used.end(), root) == used.end())
      throw ConfigError(Diagnostic{{"--set " + o.path + "=" + o.text, 0, 0},
                                   o.path,
                                   "this command reads no " + root,
                                   "it reads " + join(used)});
  }
}

void write_outputs(const Common& c, const Results& results) {
  const bool json_to_stdout = c.json == "-";
  if (!json_to_stdout) std::cout << result::to_table(results);
  for (const result::Result& r : results)
    for (const std::string& warning : r.warnings) fmt::print(stderr, "note: {}: {}\n", r.system, warning);
  if (!c.json.empty()) {
    const std::string text =
        result::to_json(results).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    if (json_to_stdout)
      std::cout << text;
    else
      result::write_file(c.json, text);
  }
  if (!c.trace.empty()) result::write_file(c.trace, result::to_chrome_trace(results));
}

result::Result run_scenario(const config::Library& library, const Common& c, const std::string& id,
                            const Column& column, const std::string& export_graph) {
  config::Overrides overrides = overrides_of(c);
  overrides.insert(overrides.end(), column.overrides.begin(), column.overrides.end());
  auto scenario = library.scenario(id, overrides);
  auto model = library.model(scenario.value.model, overrides);
  Column where = column;
  if (where.system.empty()) where.system = scenario.value.system;
  Platform p = load_platform(library, where, overrides_of(c));

  const Request request{p.chip.value, p.system.value, model.value, scenario.value};
  Progress progress(p.system.value.id);
  const Options options{fidelity_of(c), !c.trace.empty(),
                        [&](std::size_t done, std::size_t all) { progress.show(done, all); }};
  result::Result r = simulate(request, options);
  r.variant = column.variant;
  stamp(r, resolved("scenario", scenario) + resolved("model", model) + resolved("system", p.system) +
               resolved("chip", p.chip));
  if (!export_graph.empty()) {
    const std::int64_t chips = request.scenario.chips == 0 ? request.system.chips : request.scenario.chips;
    Graph graph = ops::build_graph(
        request.model, request.scenario,
        ops::resolve_parallelism(request.model, request.scenario, chips * request.chip.dies));
    result::write_file(export_graph, config::to_yaml(config::describer(graph), "trace", nullptr));
  }
  return r;
}

result::Result run_trace(const config::Library& library, const Common& c, const std::string& id,
                         const Column& column) {
  if (column.system.empty())
    throw ConfigError(Diagnostic{{id, 0, 0},
                                 "",
                                 "a workload trace names no system",
                                 "give one with --on SYSTEM (xpusim list systems)"});
  const config::Overrides overrides = overrides_of(c);
  refuse_unused(overrides, {"chip", "system"});
  refuse_unused(column.overrides, {"chip", "system"});
  auto trace = library.trace(id);
  Platform p = load_platform(library, column, overrides);
  Progress progress(p.system.value.id);
  const Options options{fidelity_of(c), !c.trace.empty(),
                        [&](std::size_t done, std::size_t all) { progress.show(done, all); }};
  result::Result r = simulate(trace.value, p.chip.value, p.system.value, Launch::Graph, options);
  r.variant = column.variant;
  stamp(r, resolved("trace", trace) + resolved("system", p.system) + resolved("chip", p.chip));
  return r;
}

Results run_columns(const Common& c, const RunArguments& a) {
  const config::Library library = open_library(c.data);
  const bool trace = is_trace(library, a.workload);
  std::vector<Column> columns;
  for (const std::string& text : a.on) columns.push_back(parse_column(text));
  if (columns.empty()) columns.emplace_back();
  Results results;
  for (const Column& column : columns)
    results.push_back(trace ? run_trace(library, c, a.workload, column)
                            : run_scenario(library, c, a.workload, column, a.export_graph));
  return results;
}

void print_headline(const Common& c, const Results& results) {
  if (c.json != "-") fmt::print("{} ({} fidelity)\n\n", results.front().workload, results.front().fidelity);
}

}  // namespace

void run(const Common& c, const RunArguments& a) {
  const Results results = run_columns(c, a);
  print_headline(c, results);
  write_outputs(c, results);
}

void compare(const Common& c, const RunArguments& a) { run(c, a); }

void op(const Common& c, const OpArguments& a) {
  const config::Library library = open_library(c.data);
  const config::Overrides overrides = overrides_of(c);
  refuse_unused(overrides, {"chip"});
  const Operator o = parse_operator(a.kind, a.parameters);
  if (is_collective(o.kind))
    throw ConfigError(Diagnostic{{"op " + a.kind, 0, 0},
                                 "",
                                 "a collective runs on a system, not on one chip",
                                 "write it in a workload trace and run that"});
  auto chip = library.chip(a.chip, overrides);
  Results results{simulate(o, chip.value, a.eager ? Launch::Eager : Launch::Graph,
                           Options{fidelity_of(c), !c.trace.empty(), {}})};
  result::Result& r = results.front();
  stamp(r, resolved("chip", chip) + config::to_yaml(
                                        [&](Fields& f) {
                                          Operator copy = o;
                                          describe(f, copy);
                                        },
                                        "op", nullptr));
  print_headline(c, results);
  if (c.json != "-") {
    const result::OperatorRow& row = r.operators.front();
    fmt::print("tiling {}, clock {:.3f} GHz, HBM {:.3f} MB, lower bound {:.3f} us\n\n", row.detail,
               row.clock.count() / 1e9, row.hbm_bytes / 1e6, chip::lower_bound(o, chip.value).count() * 1e6);
  }
  write_outputs(c, results);
}

void list(const Common& c, const std::string& kind) {
  const config::Library library = open_library(c.data);
  for (std::size_t i = 0; i < config::kFileKindNames.size(); ++i) {
    const std::string plural = std::string(config::kFileKindNames[i]) + "s";
    if (!kind.empty() && kind != plural) continue;
    if (kind.empty()) fmt::print("{}:\n", plural);
    for (const std::string& id : library.list(static_cast<config::FileKind>(i)))
      fmt::print("{}{}\n", kind.empty() ? "  " : "", id);
  }
}

void config_check(const Common& c, const ConfigArguments& a) {
  const config::Library library = open_library(c.data);
  std::vector<Diagnostic> found;
  for (const std::string& file : a.files) {
    try {
      const auto kind = a.kind.empty() ? config::kind_of_path(file) : config::file_kind(a.kind);
      if (!kind)
        throw ConfigError(Diagnostic{{file, 0, 0},
                                     "",
                                     "what kind of file is this?",
                                     "give --kind chip, system, model, scenario or trace"});
      config::check_file(library, *kind, file);
    } catch (const ConfigError& e) {
      found.insert(found.end(), e.diagnostics().begin(), e.diagnostics().end());
    }
  }
  if (!found.empty()) throw ConfigError(std::move(found));
  fmt::print("{} file{} ok\n", a.files.size(), a.files.size() == 1 ? "" : "s");
}

void config_show(const Common& c, const ConfigArguments& a) {
  const config::Library library = open_library(c.data);
  const config::Overrides overrides = overrides_of(c);
  const auto kind = config::file_kind(a.kind);
  refuse_unused(overrides, {a.kind});
  const auto show = [&](auto loaded) {
    std::cout << config::to_yaml(config::describer(loaded.value), a.kind,
                                 a.origin ? &loaded.leaves : nullptr);
  };
  switch (*kind) {
    case config::FileKind::Chip:
      return show(library.chip(a.name, overrides));
    case config::FileKind::System:
      return show(library.system(a.name, overrides));
    case config::FileKind::Model:
      return show(library.model(a.name, overrides));
    case config::FileKind::Scenario:
      return show(library.scenario(a.name, overrides));
    case config::FileKind::Trace:
      return show(library.trace(a.name));
  }
}

void config_schema(const ConfigArguments& a) { std::cout << config::schema(*config::file_kind(a.kind)); }

void config_docs() { std::cout << config::reference(); }

}  // namespace xpusim::app
