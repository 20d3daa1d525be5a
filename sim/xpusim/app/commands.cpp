#include "xpusim/app/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "xpusim/app/inputs.h"
#include "xpusim/app/progress.h"
#include "xpusim/app/say.h"
#include "xpusim/chip/kernel.h"
#include "xpusim/config/describe.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/jobs/job.h"
#include "xpusim/report/results.h"
#include "xpusim/step/step.h"

namespace xpusim::app {
namespace {

using Results = std::vector<result::Result>;

Options options_of(const Common& c) { return {fidelity_of(c), !c.trace.empty(), true, {}}; }

/// What a job comes to, with a record of its inputs.
result::Result result_of(const config::Library& library, const jobs::Job& job, const Options& options) {
  auto r = std::get<result::Result>(jobs::run(job, options, library.accuracy()));
  jobs::stamp(r, job);
  return r;
}

/// Does a document take stdout, instead of the tables for people?
bool takes_stdout(const Common& c) {
  const int documents = (c.json == "-" ? 1 : 0) + (c.trace == "-" ? 1 : 0) + (c.export_graph == "-" ? 1 : 0);
  if (documents > 1)
    throw ConfigError(Diagnostic{
        {"-", 0, 0}, "", "stdout takes one document", "give files for all but one of the outputs"});
  return documents == 1;
}

using Searches = std::vector<std::optional<step::PlanSearch>>;  ///< by result; nothing: none was made

/// The results, each with its search.
report::Json to_json(const Results& results, const Searches& searches) {
  report::Json json = report::to_json(results);
  for (std::size_t i = 0; i < searches.size(); ++i)
    if (searches[i]) json["results"][i]["search"] = report::to_json(*searches[i]);
  return json;
}

void write_outputs(const Common& c, const Results& results, const Searches& searches = {}) {
  if (!takes_stdout(c)) std::cout << report::to_table(results) << std::flush;  // before the notes
  for (const result::Result& r : results)
    for (const std::string& warning : r.warnings) say(fmt::format("note: {}: {}", r.system, warning));
  if (!c.json.empty()) write(c.json, report::text_of(to_json(results, searches)));
  if (!c.trace.empty()) write(c.trace, report::to_chrome_trace(results));
}

/// The scenario's operators as a workload trace.
void export_graph(const Common& c, const Request& q) {
  Graph graph = step::graph_of(q, chips_of(q) * q.chip.dies);
  write(c.export_graph, config::to_yaml(config::describer(graph), "trace", nullptr));
  if (q.scenario.launch != Launch::Graph)
    say(fmt::format("note: the kernels of a trace are launched as a graph, not {} as this scenario's",
                    enum_name(q.scenario.launch)));
}

/// The keys that --auto=tp,pp or --auto=all frees; --auto alone frees none that the scenario states.
step::PlanKeys freed_keys(const std::string& text) {
  const std::span<const std::string_view> known = EnumNames<step::PlanKey>::value;
  step::PlanKeys freed;
  if (text == kAutoAlone) return freed;
  for (const std::string& word :
       text == kAutoAll ? std::vector<std::string>(known.begin(), known.end()) : split(text, ',')) {
    const auto key = enum_from<step::PlanKey>(word);
    if (key) {
      freed.insert(*key);
      continue;
    }
    const auto near = nearest(word, known);
    throw ConfigError(Diagnostic{
        {"--auto=" + printable(text), 0, 0},
        "",
        "no key " + in_quotes(word) + " of a plan",
        near.empty() ? fmt::format("all, or of {}", join(known)) : fmt::format("did you mean '{}'?", near)});
  }
  return freed;
}

/// A column of the table, and of a search, whose fastest plan it is, that too.
struct Run {
  result::Result result;
  std::optional<step::PlanSearch> search;
};
Run run_column(const config::Library& library, const Common& c, const RunArguments& a,
               const jobs::Column& column) {
  constexpr std::size_t kConfirmed = 10;
  const config::Overrides overrides = overrides_of(c, column);
  const bool searches = !a.automatic.empty();
  const bool of_trace = !searches && jobs::is_trace(library, a.workload);
  if (of_trace && !c.export_graph.empty())
    throw ConfigError(Diagnostic{
        {a.workload, 0, 0}, "", "--export-graph writes a scenario's operators", "this is a trace already"});
  jobs::Job job = jobs::load(library, {of_trace ? jobs::Kind::Trace : jobs::Kind::Scenario, a.workload},
                             column.name, overrides);
  auto* scenario = std::get_if<jobs::ScenarioJob>(&job);
  const jobs::Platform& on =
      scenario != nullptr ? scenario->platform : std::get<jobs::TraceJob>(job).platform;
  Progress progress(on.system.value.id, "operators");
  Options options = options_of(c);
  Run r;
  if (searches) {
    r.search = jobs::search(*scenario, freed_keys(a.automatic), kConfirmed, options);
    if (!takes_stdout(c)) std::cout << report::to_text(*r.search);
  } else {
    options.progress = [&progress](std::size_t done, std::size_t all) { progress.show(done, all); };
  }
  r.result = result_of(library, job, options);
  r.result.variant = column.variant;
  if (!searches && !c.export_graph.empty()) export_graph(c, scenario->request());
  return r;
}

void print_headline(const Results& results) {
  std::cout << fmt::format("{} ({} fidelity)\n\n", results.front().workload, results.front().fidelity);
}

}  // namespace

void run(const Common& c, const RunArguments& a) {
  const bool prints_table = !takes_stdout(c);
  const config::Library library = open_library(c.data);
  Results results;
  Searches searches;
  const Patience patience(fidelity_of(c) == Fidelity::Tile);
  for (const jobs::Column& column : columns_of(a.on)) {
    Run r = run_column(library, c, a, column);
    searches.push_back(std::move(r.search));
    results.push_back(std::move(r.result));
  }
  if (prints_table) print_headline(results);
  write_outputs(c, results, searches);
}

void op(const Common& c, const OpArguments& a) {
  const bool prints_table = !takes_stdout(c);
  const config::Library library = open_library(c.data);
  const config::Overrides overrides = overrides_of(c);
  jobs::refuse_unused(overrides, {"chip"});
  const jobs::Job job =
      jobs::load(library, {jobs::Kind::Op, a.kind, a.parameters, {}, a.eager ? Launch::Eager : Launch::Graph},
                 a.chip, overrides);
  const Patience patience(fidelity_of(c) == Fidelity::Tile);
  const Results results{result_of(library, job, options_of(c))};
  if (prints_table) {
    const auto& asked = std::get<jobs::OperatorJob>(job);
    const result::OperatorRow& row = results.front().operators.front();
    print_headline(results);
    std::cout << fmt::format("tiling {}, clock {:.3f} GHz, HBM {:.4g} MB, lower bound {:.4g} us\n\n",
                             row.detail, row.clock.count() / 1e9, row.hbm_bytes / 1e6,
                             chip::lower_bound(asked.op, asked.chip).count() * 1e6);
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
        throw ConfigError(Diagnostic{
            {file, 0, 0}, "", "what kind of file is this?", "give --kind " + config::kind_names()});
      say_notes(config::check_file(library, *kind, file));
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
  jobs::refuse_unused(overrides, {a.kind});
  config::with_kind(*kind, [&]<class T>(std::type_identity<T>) {
    auto loaded = library.load<T>(a.name, overrides);
    std::cout << config::to_yaml(config::describer(loaded.value), a.kind,
                                 a.origin ? &loaded.leaves : nullptr);
  });
}

void config_schema(const ConfigArguments& a) { std::cout << config::schema(*config::file_kind(a.kind)); }

void config_docs() { std::cout << config::reference(); }

}  // namespace xpusim::app
