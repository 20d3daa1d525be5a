// The compiled part of the Python package: values in, values out. Documents go out as JSON text, which Python
// reads; everything that is more than a call stands in bindings/xpusim/*.py.
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "xpusim/chip/kernel.h"
#include "xpusim/config/describe.h"
#include "xpusim/config/scalars.h"
#include "xpusim/core/error.h"
#include "xpusim/jobs/job.h"
#include "xpusim/report/collectives.h"
#include "xpusim/report/results.h"
#include "xpusim/report/validation.h"
#include "xpusim/result/version.h"

namespace py = pybind11;

namespace xpusim::bindings {
namespace {

using report::Json;
using Texts = std::vector<std::string>;
/// Called with (done, all); None: nobody is told.
using Progress = std::optional<std::function<void(std::size_t, std::size_t)>>;

std::string dump(const Json& j) { return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

/// What runs without the interpreter's lock calls this now and then: a signal (Ctrl-C) ends it by exception.
void check_signals() {
  const py::gil_scoped_acquire lock;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

std::function<void(std::size_t, std::size_t)> polling(Progress progress) {
  return [progress = std::move(progress)](std::size_t done, std::size_t all) {
    check_signals();
    if (progress) (*progress)(done, all);
  };
}

config::Overrides overrides_of(const Texts& texts) {
  config::Overrides list;
  for (const std::string& text : texts) list.push_back(config::parse_override(text, "set"));
  return list;
}

Fidelity fidelity_of(const std::string& name) {
  if (const auto fidelity = enum_from<Fidelity>(name)) return *fidelity;
  throw ConfigError(Diagnostic{{"fidelity", 0, 0}, "", "no fidelity '" + name + "'", "bound or tile"});
}

/// A YAML tree as JSON; scalars stay the texts that were written.
Json json_of(const config::Node& node) {
  switch (node.kind) {
    case config::Node::Kind::Null:
      return nullptr;
    case config::Node::Kind::Scalar:
      return node.text;
    case config::Node::Kind::List: {
      Json list = Json::array();
      for (const config::Node& item : node.items) list.push_back(json_of(item));
      return list;
    }
    case config::Node::Kind::Map:
      break;
  }
  Json map = Json::object();
  for (const config::Entry& e : node.entries) {
    if (map.contains(e.key))
      throw ConfigError(Diagnostic{e.where.location(), e.key, "duplicate key", "once each"});
    map[e.key] = json_of(e.value);
  }
  return map;
}

/// A number with a unit: its value in the SI base unit, and that unit.
std::optional<std::pair<double, std::string>> quantity(const std::string& text) {
  const std::array dimensions = {&dimension<Bytes>(),          &dimension<Seconds>(),
                                 &dimension<Hertz>(),          &dimension<Watts>(),
                                 &dimension<BytesPerSecond>(), &dimension<BytesPerCycle>(),
                                 &dimension<FlopsPerCycle>(),  &dimension<OpsPerCycle>()};
  for (const Dimension* d : dimensions)
    if (const auto value = config::parse_quantity(text, *d))
      return std::pair(*value, std::string(d->units.front().text));
  return std::nullopt;
}

/// What decides a scenario's result, beside fidelity and error table: every value, as JSON. Files are named
/// by their ids: it is the same wherever they lie.
std::string inputs_of(jobs::ScenarioJob job) {
  ScenarioSpec& s = job.scenario.value;
  s.model = job.model.value.id;
  job.model.value.source.clear();  // the path of an imported file
  s.system = job.platform.system.value.id;
  if (job.stack) s.training.stack = job.stack->value.id;
  if (job.platform.chip) job.platform.system.value.chip = job.platform.chip->value.id;
  Json all = Json::array();
  jobs::for_each_input(job, [&](auto spec) { all.push_back(config::to_json(config::describer(spec))); });
  return dump(all);
}

/// A result and its job: only who asks for the document pays for the record of the inputs.
class Outcome {
 public:
  /// Throws ModelError when it is no number: no figure is better than a wrong one.
  Outcome(jobs::Job job, const Options& options, const AccuracyTable& accuracy)
      : job_(std::move(job)), result_(std::get<result::Result>(jobs::run(job_, options, accuracy))) {
    if (!std::isfinite(result_.total.count()) || !std::isfinite(result_.breakdown.total()))
      throw ModelError("the step's time is not a finite number");
  }

  [[nodiscard]] double step_time_s() const { return result_.total.count(); }
  [[nodiscard]] double tokens_per_s() const { return result_.tokens_per_s(); }
  [[nodiscard]] std::string json() {
    if (result_.config.empty()) jobs::stamp(result_, job_);
    return dump(report::to_json({result_}));
  }
  [[nodiscard]] Json summary() const { return report::to_summary(result_); }
  [[nodiscard]] std::string table() const { return report::to_table({result_}); }
  [[nodiscard]] std::string trace() const { return report::to_chrome_trace({result_}); }

 private:
  jobs::Job job_;
  result::Result result_;
};

/// A chip that has been read, for many calls.
class Chip {
 public:
  Chip(ChipSpec chip, AccuracyTable accuracy) : chip_(std::move(chip)), accuracy_(std::move(accuracy)) {}

  [[nodiscard]] Outcome op(const std::string& kind, const Texts& parameters, const std::string& fidelity,
                           bool eager, bool engines) const {
    const Options options{fidelity_of(fidelity), engines, true, {}};
    jobs::OperatorJob job{jobs::parse_operator(kind, parameters), chip_,
                          eager ? Launch::Eager : Launch::Graph};
    const py::gil_scoped_release unlocked;
    return {std::move(job), options, accuracy_};
  }
  [[nodiscard]] double lower_bound_s(const std::string& kind, const Texts& parameters) const {
    return chip::lower_bound(jobs::parse_operator(kind, parameters), chip_).count();
  }

 private:
  ChipSpec chip_;
  AccuracyTable accuracy_;
};

/// Files, each read once.
class Library {
 public:
  explicit Library(const std::string& root)
      : library_(jobs::open_library(root, {}).read_once()), accuracy_(library_.accuracy()) {}

  [[nodiscard]] Texts ids(const std::string& kind) const { return library_.list(kind_of(kind)); }

  [[nodiscard]] bool is_trace(const std::string& id) const { return jobs::is_trace(library_, id); }

  /// A file's content as JSON in SI base units, as YAML, and the file's path. A scenario is checked with all
  /// that it names, a system with its chip.
  [[nodiscard]] std::tuple<std::string, std::string, std::string> document(const std::string& kind,
                                                                           const std::string& id,
                                                                           const Texts& changes) const {
    const config::Overrides overrides = overrides_of(changes);
    const config::FileKind k = kind_of(kind);
    if (k == config::FileKind::System) {
      jobs::refuse_unused(overrides, {kind, "chip"});
      if (!library_.system(id, overrides).value.chip.empty())
        static_cast<void>(jobs::load_platform(library_, id, overrides));
    } else if (k == config::FileKind::Scenario) {
      static_cast<void>(jobs::load(library_, {jobs::Kind::Scenario, id}, "", overrides));
    } else if (k != config::FileKind::Suite && k != config::FileKind::Trace) {
      jobs::refuse_unused(overrides, {kind});
    }
    return config::with_kind(k, [&]<class T>(std::type_identity<T>) {
      auto loaded = library_.load<T>(id, overrides);
      const Describe description = config::describer(loaded.value);
      return std::tuple(dump(config::to_json(description)), config::to_yaml(description, kind, nullptr),
                        loaded.file);
    });
  }

  [[nodiscard]] Chip chip(const std::string& id, const Texts& changes) const {
    const config::Overrides overrides = overrides_of(changes);
    jobs::refuse_unused(overrides, {"chip"});
    return {library_.chip(id, overrides).value, accuracy_};
  }

  [[nodiscard]] Outcome simulate(const std::string& workload, const std::string& system, const Texts& changes,
                                 const std::string& fidelity, bool engines, const Progress& progress) const {
    const Options options{fidelity_of(fidelity), engines, true, polling(progress)};
    const config::Overrides overrides = overrides_of(changes);
    const py::gil_scoped_release unlocked;
    const auto kind = jobs::is_trace(library_, workload) ? jobs::Kind::Trace : jobs::Kind::Scenario;
    return {jobs::load(library_, {kind, workload}, system, overrides), options, accuracy_};
  }

  /// The summaries of a scenario's points as JSON texts; a point that cannot run has its error there. Before
  /// each, if `with_inputs`, what it was computed from, as by inputs(); empty where that cannot be read.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> evaluate(const std::string& scenario,
                                                                          const std::vector<Texts>& points,
                                                                          const std::string& fidelity,
                                                                          bool with_inputs) const {
    const Options options{fidelity_of(fidelity), false, true, polling({})};
    const py::gil_scoped_release unlocked;
    std::vector<std::pair<std::string, std::string>> rows;
    for (const Texts& point : points) {
      auto& [read, row] = rows.emplace_back();
      try {
        jobs::ScenarioJob job = load(scenario, point);
        if (with_inputs) read = inputs_of(job);
        row = dump(Outcome(std::move(job), options, accuracy_).summary());
      } catch (const ConfigError& e) {
        row = dump({{"error_type", "ConfigError"}, {"error", e.what()}});
      } catch (const InfeasibleError& e) {
        row = dump({{"error_type", "InfeasibleError"}, {"error", e.what()}});
      } catch (const ModelError& e) {
        row = dump({{"error_type", "ModelError"}, {"error", e.what()}});
      }
    }
    return rows;
  }

  /// What a point's row is computed from, beside fidelity and accuracy(). Throws ConfigError.
  [[nodiscard]] std::string inputs(const std::string& scenario, const Texts& changes) const {
    const py::gil_scoped_release unlocked;
    return inputs_of(load(scenario, changes));
  }
  /// A scenario and all that it names as YAML, each under "# KIND". Throws ConfigError.
  [[nodiscard]] std::string resolved(const std::string& scenario, const Texts& changes) const {
    const py::gil_scoped_release unlocked;
    return jobs::resolved(load(scenario, changes));
  }
  /// The errors of the validated classes, which rows have their bands from, as JSON.
  [[nodiscard]] std::string accuracy() const {
    AccuracyTable table = accuracy_;
    return dump(config::to_json(config::describer(table)));
  }

  [[nodiscard]] std::string collective(const std::string& system, const std::string& kind,
                                       const Texts& parameters, const Texts& beside, const Texts& changes,
                                       const std::string& fidelity) const {
    const Fidelity f = fidelity_of(fidelity);
    const config::Overrides overrides = overrides_of(changes);
    const py::gil_scoped_release unlocked;
    const jobs::Job job =
        jobs::load(library_, {jobs::Kind::Collective, kind, parameters, beside}, system, overrides);
    const auto& asked = std::get<jobs::CollectiveJob>(job);
    const auto time = std::get<network::CollectiveTime>(jobs::run(job, {f, false, true, {}}));
    return dump(report::to_document(asked.platform.network, f, jobs::hash_of(job, f),
                                    Json::array({report::to_json(asked.calls.front(), time)})));
  }

  [[nodiscard]] std::string validate(const Texts& files, const std::string& chip, const Texts& changes,
                                     const std::string& fidelity, std::size_t worst,
                                     const Progress& progress) const {
    const Fidelity f = fidelity_of(fidelity);
    const config::Overrides overrides = overrides_of(changes);
    const py::gil_scoped_release unlocked;
    std::vector<jobs::Job> sets;
    for (const std::string& file : files)
      sets.push_back(jobs::load(library_, {jobs::Kind::Validation, file}, chip, overrides));
    std::vector<validation::SetReport> reports;
    for (const jobs::Job& set : sets)
      reports.push_back(std::get<validation::SetReport>(jobs::run(set, {f, false, true, polling(progress)})));
    return dump(report::to_json(reports, worst));
  }

 private:
  static config::FileKind kind_of(const std::string& name) {
    if (const auto kind = config::file_kind(name)) return *kind;
    throw ConfigError(
        Diagnostic{{name, 0, 0}, "", "no such kind of file", "chip, system, model, scenario or trace"});
  }

  [[nodiscard]] jobs::ScenarioJob load(const std::string& scenario, const Texts& changes) const {
    jobs::Job job = jobs::load(library_, {jobs::Kind::Scenario, scenario}, "", overrides_of(changes));
    return std::get<jobs::ScenarioJob>(std::move(job));
  }

  config::Library library_;
  AccuracyTable accuracy_;
};

/// ConfigError and its like become the classes of xpusim/errors.py.
void translate(std::exception_ptr thrown) {
  const auto raise = [](const char* name, const py::object& argument) {
    const py::object type = py::module_::import("xpusim.errors").attr(name);
    PyErr_SetObject(type.ptr(), type(argument).ptr());
  };
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const ConfigError& e) {
    py::list diagnostics;
    for (const Diagnostic& d : e.diagnostics())
      diagnostics.append(
          py::make_tuple(d.where.file, d.where.line, d.where.column, d.path, d.message, d.hint));
    raise("ConfigError", diagnostics);
  } catch (const InfeasibleError& e) {
    raise("InfeasibleError", py::str(e.what()));
  } catch (const ModelError& e) {
    raise("ModelError", py::str(e.what()));
  }
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The compiled part of xpusim: use the package's own functions.";
  m.def("version", [] { return std::string(result::version()); });
  m.def(
      "parse_yaml",
      [](const std::string& text, const std::string& name) {
        return dump(json_of(config::parse_yaml(text, name)));
      },
      py::arg("text"), py::arg("name"));
  m.def("summary", [] {  // of nothing: the members of every row, and their types
    result::Result nothing;
    nothing.chips = 1;
    return dump(report::to_summary(nothing));
  });
  m.def("quantity", &quantity, py::arg("text"));
  py::register_local_exception_translator(translate);

  py::class_<Outcome>(m, "Outcome")
      .def_property_readonly("step_time_s", &Outcome::step_time_s)
      .def_property_readonly("tokens_per_s", &Outcome::tokens_per_s)
      .def("json", &Outcome::json)
      .def("table", &Outcome::table)
      .def("trace", &Outcome::trace);
  py::class_<Chip>(m, "Chip")
      .def("op", &Chip::op, py::arg("kind"), py::arg("parameters"), py::arg("fidelity"), py::arg("eager"),
           py::arg("engines"))
      .def("lower_bound_s", &Chip::lower_bound_s, py::arg("kind"), py::arg("parameters"));
  py::class_<Library>(m, "Library")
      .def(py::init<const std::string&>(), py::arg("root"))
      .def("ids", &Library::ids, py::arg("kind"))
      .def("is_trace", &Library::is_trace, py::arg("id"))
      .def("document", &Library::document, py::arg("kind"), py::arg("id"), py::arg("changes"))
      .def("chip", &Library::chip, py::arg("id"), py::arg("changes"))
      .def("simulate", &Library::simulate, py::arg("workload"), py::arg("system"), py::arg("changes"),
           py::arg("fidelity"), py::arg("engines"), py::arg("progress"))
      .def("evaluate", &Library::evaluate, py::arg("scenario"), py::arg("points"), py::arg("fidelity"),
           py::arg("with_inputs"))
      .def("inputs", &Library::inputs, py::arg("scenario"), py::arg("changes"))
      .def("resolved", &Library::resolved, py::arg("scenario"), py::arg("changes"))
      .def("accuracy", &Library::accuracy)
      .def("collective", &Library::collective, py::arg("system"), py::arg("kind"), py::arg("parameters"),
           py::arg("beside"), py::arg("changes"), py::arg("fidelity"))
      .def("validate", &Library::validate, py::arg("files"), py::arg("chip"), py::arg("changes"),
           py::arg("fidelity"), py::arg("worst"), py::arg("progress"));
}

}  // namespace xpusim::bindings
