#include "xpusim/app/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/app/progress.h"
#include "xpusim/chip/kernel.h"
#include "xpusim/config/describe.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/frontend/runs.h"
#include "xpusim/report/results.h"
#include "xpusim/step/step.h"

namespace xpusim::app {
namespace {

using Results = std::vector<result::Result>;

Options options_of(const Common& c, Progress& progress) {
  return {fidelity_of(c), !c.trace.empty(), true,
          [&progress](std::size_t done, std::size_t all) { progress.show(done, all); }};
}

/// Does a document take stdout, instead of the tables for people?
bool takes_stdout(const Common& c) {
  const int documents = (c.json == "-" ? 1 : 0) + (c.trace == "-" ? 1 : 0) + (c.export_graph == "-" ? 1 : 0);
  if (documents > 1)
    throw ConfigError(Diagnostic{
        {"-", 0, 0}, "", "stdout takes one document", "give files for all but one of the outputs"});
  return documents == 1;
}

void write_outputs(const Common& c, const Results& results) {
  if (!takes_stdout(c)) std::cout << report::to_table(results);
  for (const result::Result& r : results)
    for (const std::string& warning : r.warnings) fmt::print(stderr, "note: {}: {}\n", r.system, warning);
  if (!c.json.empty()) write(c.json, report::text_of(report::to_json(results)));
  if (!c.trace.empty()) write(c.trace, report::to_chrome_trace(results));
}

/// The scenario's operators as a workload trace.
void export_graph(const Common& c, const Request& q) {
  Graph graph = step::graph_of(q, chips_of(q) * q.chip.dies);
  write(c.export_graph, config::to_yaml(config::describer(graph), "trace", nullptr));
  if (q.scenario.launch != Launch::Graph)
    fmt::print(stderr, "note: the kernels of a trace are launched as a graph, not {} as this scenario's\n",
               enum_name(q.scenario.launch));
}

template <class Inputs>
result::Result run_inputs(const config::Library& library, const Common& c, const Inputs& inputs) {
  Progress progress(inputs.platform.system.value.id, "operators");
  result::Result r = frontend::simulate(inputs, library.accuracy(), options_of(c, progress));
  frontend::stamp(r, frontend::resolved(inputs));
  return r;
}

result::Result run_column(const config::Library& library, const Common& c, const std::string& id,
                          const frontend::Column& column) {
  const config::Overrides overrides = overrides_of(c, column);
  if (!frontend::is_trace(library, id)) {
    const auto inputs = frontend::load_scenario(library, id, column.name, overrides);
    result::Result r = run_inputs(library, c, inputs);
    if (!c.export_graph.empty()) export_graph(c, inputs.request());
    return r;
  }
  if (!c.export_graph.empty())
    throw ConfigError(Diagnostic{
        {id, 0, 0}, "", "--export-graph writes a scenario's operators", "this is a trace already"});
  return run_inputs(library, c, frontend::load_trace(library, id, column.name, overrides));
}

void print_headline(const Results& results) {
  std::cout << fmt::format("{} ({} fidelity)\n\n", results.front().workload, results.front().fidelity);
}

/// The fastest plan of each column.
void run_searched(const Common& c, const RunArguments& a) {
  constexpr std::size_t kConfirmed = 10;
  const bool prints_table = !takes_stdout(c);
  const config::Library library = open_library(c.data);
  Results results;
  for (const frontend::Column& column : columns_of(a.on)) {
    auto inputs = frontend::load_scenario(library, a.workload, column.name, overrides_of(c, column));
    Options options{fidelity_of(c), !c.trace.empty(), true, {}};
    const step::PlanSearch search = frontend::search(inputs, kConfirmed, options);
    if (prints_table) std::cout << report::to_table(search);
    results.push_back(frontend::simulate(inputs, library.accuracy(), options));
    frontend::stamp(results.back(), frontend::resolved(inputs));
    results.back().variant = column.variant;
  }
  if (prints_table) print_headline(results);
  write_outputs(c, results);
}

}  // namespace

void run(const Common& c, const RunArguments& a) {
  const bool prints_table = !takes_stdout(c);
  if (a.automatic) return run_searched(c, a);
  const config::Library library = open_library(c.data);
  Results results;
  for (const frontend::Column& column : columns_of(a.on)) {
    results.push_back(run_column(library, c, a.workload, column));
    results.back().variant = column.variant;
  }
  if (prints_table) print_headline(results);
  write_outputs(c, results);
}

void op(const Common& c, const OpArguments& a) {
  const bool prints_table = !takes_stdout(c);
  const config::Library library = open_library(c.data);
  const config::Overrides overrides = overrides_of(c);
  frontend::refuse_unused(overrides, {"chip"});
  const Operator o = frontend::parse_operator(a.kind, a.parameters);
  const ChipSpec chip = library.chip(a.chip, overrides).value;
  Results results{frontend::simulate(o, chip, a.eager ? Launch::Eager : Launch::Graph, library.accuracy(),
                                     Options{fidelity_of(c), !c.trace.empty(), true, {}})};
  frontend::stamp(results.front(), frontend::resolved(o, chip));
  if (prints_table) {
    const result::OperatorRow& row = results.front().operators.front();
    print_headline(results);
    std::cout << fmt::format("tiling {}, clock {:.3f} GHz, HBM {:.4g} MB, lower bound {:.4g} us\n\n",
                             row.detail, row.clock.count() / 1e9, row.hbm_bytes / 1e6,
                             chip::lower_bound(o, chip).count() * 1e6);
  }
  write_outputs(c, results);
}

void list(const Common& c, const std::string& kind) {
  const config::Library library = open_library(c.data);
  for (std::size_t i = 0; i < config::kFileKindNames.size(); ++i) {
    const std::string plural = std::string(config::kFileKindNames[i]) + "s";
    if (!kind.empty() && kind != plural) continue;
    const auto ids = library.list(static_cast<config::FileKind>(i));
    if (kind.empty() && !ids.empty()) std::cout << plural << ":\n";
    for (const std::string& id : ids) std::cout << (kind.empty() ? "  " : "") << id << '\n';
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
                                     "give --kind chip, system, stack, model, scenario, trace or suite"});
      config::check_file(library, *kind, file);
    } catch (const ConfigError& e) {
      found.insert(found.end(), e.diagnostics().begin(), e.diagnostics().end());
    }
  }
  if (!found.empty()) throw ConfigError(std::move(found));
  std::cout << fmt::format("{} file{} ok\n", a.files.size(), a.files.size() == 1 ? "" : "s");
}

void config_show(const Common& c, const ConfigArguments& a) {
  const config::Library library = open_library(c.data);
  const config::Overrides overrides = overrides_of(c);
  const auto kind = config::file_kind(a.kind);
  frontend::refuse_unused(overrides, {a.kind});
  const auto show = [&](auto loaded) {
    std::cout << config::to_yaml(config::describer(loaded.value), a.kind,
                                 a.origin ? &loaded.leaves : nullptr);
  };
  switch (*kind) {
    case config::FileKind::Chip:
      return show(library.chip(a.name, overrides));
    case config::FileKind::System:
      return show(library.system(a.name, overrides));
    case config::FileKind::Stack:
      return show(library.stack(a.name, overrides));
    case config::FileKind::Model:
      return show(library.model(a.name, overrides));
    case config::FileKind::Scenario:
      return show(library.scenario(a.name, overrides));
    case config::FileKind::Trace:
      return show(library.trace(a.name));
    case config::FileKind::Suite:
      return show(library.suite(a.name));
  }
}

void config_schema(const ConfigArguments& a) { std::cout << config::schema(*config::file_kind(a.kind)); }

void config_docs() { std::cout << config::reference(); }

}  // namespace xpusim::app
