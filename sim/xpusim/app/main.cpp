#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "xpusim/app/check.h"
#include "xpusim/app/collective.h"
#include "xpusim/app/commands.h"
#include "xpusim/app/model.h"
#include "xpusim/app/say.h"
#include "xpusim/app/scale.h"
#include "xpusim/app/validate.h"
#include "xpusim/config/documents.h"
#include "xpusim/core/error.h"
#include "xpusim/result/version.h"

namespace {

using namespace xpusim::app;

// Exit codes. 130 is the shell's word for an interrupt.
constexpr int kOk = 0, kDiffers = 1, kUsage = 2, kInfeasible = 3, kInternal = 70;

void add_common(CLI::App& command, Common& c) {
  command
      .add_option("--set", c.set,
                  "replace a value: chip.|system.|stack.|model.|scenario.path=value (repeatable)")
      ->allow_extra_args(false);
  command.add_option("--fidelity", c.fidelity, "bound: closed form; tile: event-driven (default)")
      ->check(CLI::IsMember({"bound", "tile"}));
  command.add_option("--json", c.json, "write the results as JSON to a file, or to stdout with -");
  command.add_option("--trace", c.trace, "write a Chrome trace to a file (open it in ui.perfetto.dev)");
}

void add_run(CLI::App& app, Common& c, RunArguments& a) {
  CLI::App* run_command = app.add_subcommand("run", "run a scenario or a workload trace on one system");
  run_command->add_option("workload", a.workload, "id or file of a scenario or trace")->required();
  run_command->add_option("--on", a.on, "system, with what-if values after commas: SYSTEM[,path=value...]")
      ->expected(1)
      ->allow_extra_args(false);
  run_command->add_option("--export-graph", c.export_graph,
                          "write the scenario's operators as a workload trace");
  run_command->add_flag("--auto", a.automatic,
                        "training: search the fastest plan that fits: what the scenario does not state, with "
                        "--auto=tp,pp,... these too, with --auto=all everything");
  add_common(*run_command, c);
  run_command->callback([&c, &a] { run(c, a); });

  CLI::App* compare_command = app.add_subcommand("compare", "run a workload on several systems side by side");
  compare_command->add_option("workload", a.workload, "id or file of a scenario or trace")->required();
  compare_command
      ->add_option("--on", a.on, "SYSTEM[,path=value...], once per column; ratios are to the first")
      ->required()
      ->allow_extra_args(false);
  add_common(*compare_command, c);
  compare_command->callback([&c, &a] { run(c, a); });
}

void add_op(CLI::App& app, Common& c, OpArguments& a) {
  CLI::App* command = app.add_subcommand("op", "run one operator on one device of a chip");
  command->add_option("--chip", a.chip, "id or file of a chip")->required();
  command->add_option("kind", a.kind, "gemm, attention, rmsnorm, ... (see docs/reference.md)")->required();
  command->add_option("parameters", a.parameters, "key=value, e.g. m=4096 n=4096 k=4096 dtype=bf16");
  command->add_flag("--eager", a.eager, "launched on its own, not from a graph");
  add_common(*command, c);
  command->callback([&c, &a] { op(c, a); });
}

void add_collective(CLI::App& app, Common& c, CollectiveArguments& a) {
  CLI::App* command = app.add_subcommand("collective", "time a collective on a system's network");
  command->add_option("--system", a.system, "id or file of a system")->required();
  command->add_option("kind", a.kind, "all_reduce, all_gather, reduce_scatter, all_to_all, broadcast, ...")
      ->required();
  command->add_option(
      "parameters", a.parameters,
      "key=value: ranks, size, algorithm, protocol, library, plane, stride, places, eager, ...");
  command
      ->add_option("--beside", a.beside,
                   "'KIND key=value ...': starts at the same time and shares links (repeatable)")
      ->allow_extra_args(false);
  command->add_option("--sweep", a.sweep, "size=FROM..TO: one line per doubling, as nccl-tests prints them");
  command->add_option("--html", a.html, "write the sweep's curve as one page");
  command->add_option("--set", c.set, "replace a value: system.|chip.path=value (repeatable)")
      ->allow_extra_args(false);
  command->add_option("--fidelity", c.fidelity, "bound: closed form; tile: event-driven (default)")
      ->check(CLI::IsMember({"bound", "tile"}));
  command->add_option("--json", c.json, "write the result as JSON to a file, or to stdout with -");
  command->callback([&c, &a] { collective(c, a); });
}

void add_scale(CLI::App& app, Common& c, ScaleArguments& a) {
  CLI::App* command = app.add_subcommand("scale", "run a training scenario on more and more chips");
  command->add_option("scenario", a.scenario, "id or file of a training scenario")->required();
  command->add_option("--chips", a.chips, "numbers of chips, rising: 8,64,512")->required();
  command
      ->add_option("--on", a.on,
                   "system, with what-if values after commas; the first is what others are compared with")
      ->allow_extra_args(false);
  CLI::Option* weak = command->add_flag("--weak", a.weak, "the batch grows with the chips (default)");
  command->add_flag("--strong", a.strong, "the batch stays")->excludes(weak);
  command->add_option("--set", c.set, "replace a value: path=value (repeatable)")->allow_extra_args(false);
  command->add_option("--fidelity", c.fidelity, "bound: closed form; tile: event-driven (default)")
      ->check(CLI::IsMember({"bound", "tile"}));
  command->add_option("--json", c.json, "write the curves as JSON to a file, or to stdout with -");
  command->add_option("--html", a.html, "write the curves as one page");
  command->callback([&c, &a] { scale(c, a); });
}

void add_validate(CLI::App& app, Common& c, ValidateArguments& a) {
  CLI::App* command = app.add_subcommand("validate", "replay published measurements and print the errors");
  command->add_option("files", a.files, "measured sets (CSV)")->required();
  command->add_option("--chip", a.chip, "run the sets on this chip instead of the one they name");
  command->add_option("--set", c.set, "replace a value: chip.path=value (repeatable)")
      ->allow_extra_args(false);
  command->add_option("--fidelity", c.fidelity, "bound: closed form; tile: event-driven (default)")
      ->check(CLI::IsMember({"bound", "tile"}));
  command->add_option("--json", c.json, "write the errors as JSON to a file, or to stdout with -");
  command->add_option("--html", a.html, "write the errors as one page with plots");
  command->add_option("--worst", a.worst, "rows with the largest errors to print per set (default 5)");
  command->callback([&c, &a] { validate(c, a); });
}

/// `same`: what the command found.
void add_check(CLI::App& app, Common& c, CheckArguments& a, bool& same) {
  CLI::App* command = app.add_subcommand("check", "compare a suite of predictions with its baseline");
  command->add_option("suite", a.suite, "id or file of a suite")->required();
  command->add_option("--baseline", a.baseline, "file of the baseline (default: as the suite says)");
  command->add_flag("--update", a.update, "write the baseline anew");
  command->add_option("--reason", a.reason, "why the numbers may change; kept in the baseline");
  command->add_option("--jobs", a.jobs, "processes (default: one per core)")->check(CLI::Range(1, 1024));
  command
      ->add_option("--only", a.only, "a case, on all or one of its systems: NAME or NAME/SYSTEM (repeatable)")
      ->allow_extra_args(false);
  command->add_option("--set", c.set, "replace a value: path=value (repeatable)")->allow_extra_args(false);
  command->add_option("--markdown", a.markdown, "write the table for a pull request");
  command->add_option("--junit", a.junit, "write JUnit XML");
  command->add_option("--json", c.json, "write all of it as JSON to a file, or to stdout with -");
  command->add_option("--github-benchmark", a.github_benchmark,
                      "write github-action-benchmark's customSmallerIsBetter");
  command->add_option("--bencher", a.bencher, "write Bencher Metric Format");
  command->callback([&c, &a, &same] { same = check(c, a); });
}

std::vector<std::string> names_of_kinds(const char* ending) {
  std::vector<std::string> names;
  for (const std::string_view kind : xpusim::config::kFileKindNames)
    names.push_back(std::string(kind) + ending);
  return names;
}

void add_config(CLI::App& app, Common& c, ConfigArguments& a) {
  const auto kinds = CLI::IsMember(names_of_kinds(""));
  CLI::App* config = app.add_subcommand("config", "check and show input files");
  config->require_subcommand(1);
  CLI::App* check = config->add_subcommand("check", "check files; every mistake at once");
  check->add_option("files", a.files, "files; their folder tells the kind")->required();
  check->add_option("--kind", a.kind, "kind of the files, where the folder does not tell")->check(kinds);
  check->callback([&c, &a] { config_check(c, a); });
  CLI::App* show =
      config->add_subcommand("show", "print a file with inheritance, defaults and --set resolved");
  show->add_option("kind", a.kind, xpusim::config::kind_names())->required()->check(kinds);
  show->add_option("name", a.name, "id or file")->required();
  show->add_flag("--origin", a.origin, "say where each value comes from");
  show->add_option("--set", c.set, "replace a value: path=value (repeatable)")->allow_extra_args(false);
  show->callback([&c, &a] { config_show(c, a); });
  CLI::App* schema = config->add_subcommand("schema", "print the JSON Schema of a kind of file");
  schema->add_option("kind", a.kind, xpusim::config::kind_names())->required()->check(kinds);
  schema->callback([&a] { config_schema(a); });
  config->add_subcommand("docs", "print the reference of all input files (Markdown)")->callback([] {
    config_docs();
  });
}

void add_model(CLI::App& app, ModelArguments& a) {
  CLI::App* model = app.add_subcommand("model", "models of other tools");
  model->require_subcommand(1);
  CLI::App* import =
      model->add_subcommand("import", "print the model that a config.json of Hugging Face describes");
  import->add_option("file", a.file, "the config.json")->required();
  import->add_option("-o,--output", a.output, "write it to a file ID.yaml, or to stdout with -");
  import->add_option("--id", a.id,
                     "id of the model (default: as the output, the file or its folder is called)");
  import->callback([&a] { model_import(a);
});
}  // namespace

/// A command that would have been right in place of the one that lacks its subcommand.
std::string example_of(const CLI::App& app) {
  for (const CLI::App* sub : app.get_subcommands())
    if (!sub->get_subcommands({}).empty())
      return sub->get_name() == "config" ? "xpusim config check FILE" : "xpusim model import config.json";
  return "xpusim run llama31_8b_decode";
}

int refuse(const CLI::App& app, const CLI::ParseError& e) {
  const std::string what = e.what();
  const bool lacks_command = what.ends_with("subcommand is required");
  say(fmt::format("{}{}\nRun with --help for more information.", what,
                  lacks_command ? fmt::format(" (e.g. {})", example_of(app)) : ""));
  return kUsage;
}

int run_command_line(int argc, char** argv) {
  CLI::App app("XPUSim: how fast an AI accelerator, and a system of them, runs a workload, and why",
               "xpusim");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string(xpusim::result::version()));
  Common common;
  RunArguments run_arguments;
  OpArguments op_arguments;
  ConfigArguments config_arguments;
  ValidateArguments validate_arguments;
  CollectiveArguments collective_arguments;
  ScaleArguments scale_arguments;
  CheckArguments check_arguments;
  ModelArguments model_arguments;
  bool same = true;
  std::string list_kind;
  app.add_option("--data", common.data,
                 "folder that holds configs/ and workloads/ (default: $XPUSIM_DATA, or as installed)");
  add_run(app, common, run_arguments);
  add_op(app, common, op_arguments);
  add_collective(app, common, collective_arguments);
  add_scale(app, common, scale_arguments);
  add_validate(app, common, validate_arguments);
  add_check(app, common, check_arguments, same);
  CLI::App* list_command = app.add_subcommand(
      "list", "list the known chips, systems, stacks, models, scenarios, traces and suites");
  list_command->add_option("kind", list_kind, "only these")->check(CLI::IsMember(names_of_kinds("s")));
  list_command->callback([&] { list(common, list_kind); });
  add_config(app, common, config_arguments);
  add_model(app, model_arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0) return refuse(app, e);
    app.exit(e);  // prints what was asked for
  }
  std::cout.flush();
  if (!std::cout) throw std::runtime_error("stdout: cannot write the result");
  return same ? kOk : kDiffers;
}

}  // namespace

int main(int argc, char** argv) {
  hold_closed_streams();
  try {
    return run_command_line(argc, argv);
  } catch (const xpusim::ConfigError& e) {
    say(e.what());
    return kUsage;
  } catch (const xpusim::InfeasibleError& e) {
    say(fmt::format("xpusim: {}", e.what()));
    return kInfeasible;
  } catch (const std::bad_alloc&) {
    say("xpusim: out of memory");
    return kInfeasible;
  } catch (const std::runtime_error& e) {
    say(fmt::format("xpusim: {}", e.what()));
    return kUsage;
  } catch (const std::exception& e) {
    say(fmt::format("xpusim: internal error: {}", e.what()));
    return kInternal;
  }
}
