#include "xpusim/frontend/runs.h"

#include <fmt/format.h>

#include "xpusim/config/describe.h"
#include "xpusim/core/error.h"
#include "xpusim/core/hash.h"
#include "xpusim/result/version.h"

namespace xpusim::frontend {
namespace {

template <class T>
std::string section(std::string_view kind, T value) {
  return fmt::format("# {}\n{}", kind, config::to_yaml(config::describer(value), std::string(kind), nullptr));
}

std::string section(const Platform& p) {
  return section("system", p.system.value) + section("chip", p.chip.value);
}

}  // namespace

Request ScenarioInputs::request() const {
  return {platform.chip.value, platform.system.value, model.value, scenario.value,
          stack ? stack->value : StackSpec{}};
}

ScenarioInputs load_scenario(const config::Library& library, const std::string& id, const std::string& system,
                             const config::Overrides& overrides) {
  ScenarioInputs in;
  in.scenario = library.scenario(id, overrides);
  const ScenarioSpec& s = in.scenario.value;
  in.model = library.model({s.model, in.scenario, "scenario.model"}, overrides);
  if (s.phase == Phase::Training)
    in.stack = library.stack({s.training.stack, in.scenario, "scenario.training.stack"}, overrides);
  in.platform = load_platform(library,
                              system.empty() ? config::Reference(s.system, in.scenario, "scenario.system")
                                             : config::Reference(system),
                              overrides);
  return in;
}

result::Result simulate(const ScenarioInputs& in, const AccuracyTable& accuracy, const Options& options) {
  result::Result r = simulate(in.request(), options);
  result::apply_accuracy(r, accuracy, in.platform.chip.value);
  return r;
}

step::PlanSearch search(ScenarioInputs& in, std::size_t confirmed, const Options& options) {
  ScenarioSpec& s = in.scenario.value;
  if (s.phase != Phase::Training)
    throw InfeasibleError(
        fmt::format("a search needs a training scenario; the phase is {}", enum_name(s.phase)));
  const std::int64_t chips = s.chips == 0 ? in.platform.system.value.chips : s.chips;
  step::PlanSearch found =
      step::search_plans(in.request(), chips * in.platform.chip.value.dies, confirmed, options);
  const step::PlanCandidate& best = found.best.front();
  s.parallelism = best.parallelism;
  s.micro_batch = best.micro_batch;
  s.recompute = best.recompute;
  s.training.recompute_layers = 0;
  s.training.schedule = PipelineSchedule::Auto;
  return found;
}

TraceInputs load_trace(const config::Library& library, const std::string& id, const std::string& system,
                       const config::Overrides& overrides) {
  if (system.empty())
    throw ConfigError(Diagnostic{{id, 0, 0},
                                 "",
                                 "a workload trace names no system",
                                 "give one with --on SYSTEM (xpusim list systems)"});
  refuse_unused(overrides, {"chip", "system"});
  return {library.trace(id), load_platform(library, system, overrides)};
}

result::Result simulate(const TraceInputs& in, const AccuracyTable& accuracy, const Options& options) {
  result::Result r =
      simulate(in.trace.value, in.platform.chip.value, in.platform.system.value, Launch::Graph, options);
  result::apply_accuracy(r, accuracy, in.platform.chip.value);
  return r;
}

result::Result simulate(const Operator& o, const ChipSpec& chip, Launch launch, const AccuracyTable& accuracy,
                        const Options& options) {
  result::Result r = simulate(o, chip, launch, options);
  result::apply_accuracy(r, accuracy, chip);
  return r;
}

std::string resolved(const ScenarioInputs& in) {
  return section("scenario", in.scenario.value) + section("model", in.model.value) +
         (in.stack ? section("stack", in.stack->value) : std::string()) + section(in.platform);
}

std::string resolved(const TraceInputs& in) {
  return section("trace", in.trace.value) + section(in.platform);
}

std::string resolved(const Operator& o, const ChipSpec& chip) {
  return section("chip", chip) + section("op", o);
}

void stamp(result::Result& r, std::string config) {
  r.config = std::move(config);
  r.config_hash = Hasher().add(r.config).add(r.fidelity).add(result::version()).hex();
}

}  // namespace xpusim::frontend
