#include "xpusim/jobs/job.h"

#include <fmt/format.h>

#include "xpusim/config/describe.h"
#include "xpusim/core/error.h"
#include "xpusim/core/hash.h"
#include "xpusim/jobs/load.h"
#include "xpusim/jobs/sound.h"
#include "xpusim/result/version.h"

namespace xpusim::jobs {
namespace {

ScenarioJob load_scenario(const config::Library& library, const std::string& id, const std::string& system,
                          const config::Overrides& overrides) {
  ScenarioJob job;
  job.scenario = library.scenario(id, overrides);
  const ScenarioSpec& s = job.scenario.value;
  job.model = library.model({s.model, job.scenario, "scenario.model"}, overrides);
  if (s.phase == Phase::Training)
    job.stack = library.stack({s.training.stack, job.scenario, "scenario.training.stack"}, overrides);
  job.platform = load_platform(library,
                               system.empty() ? config::Reference(s.system, job.scenario, "scenario.system")
                                              : config::Reference(system),
                               overrides);
  return job;
}

OperatorJob load_operator(const config::Library& library, const Subject& s, const std::string& chip,
                          const config::Overrides& overrides) {
  Operator o = parse_operator(s.text, s.words);
  auto loaded = library.chip(chip, overrides);
  return {std::move(o), std::move(loaded.value), s.launch, std::move(loaded.notes)};
}

TraceJob load_trace(const config::Library& library, const std::string& id, const std::string& system,
                    const config::Overrides& overrides) {
  if (system.empty())
    throw ConfigError(Diagnostic{{id, 0, 0},
                                 "",
                                 "a workload trace names no system",
                                 "give one with --on SYSTEM (xpusim list systems)"});
  refuse_unused(overrides, {"chip", "system"});
  auto trace = library.trace(id);
  return {std::move(trace), load_platform(library, system, overrides)};
}

/// The notes of all files of a job.
struct Notes {
  using List = std::vector<Diagnostic>;

  List operator()(const OperatorJob& j) const { return j.notes; }
  List operator()(const ScenarioJob& j) const {
    List all = j.scenario.notes;
    add(all, j.model.notes);
    if (j.stack) add(all, j.stack->notes);
    return with(std::move(all), j.platform);
  }
  List operator()(const TraceJob& j) const { return with(j.trace.notes, j.platform); }
  List operator()(const CollectiveJob& j) const { return with({}, j.platform); }
  List operator()(const ValidationJob& j) const {
    const auto* calls = std::get_if<OfCalls>(&j.replay);
    return calls == nullptr ? j.notes : with(j.notes, calls->on);
  }

 private:
  using OfCalls = Replay<validation::MeasuredCalls, Platform>;
  static void add(List& all, const List& more) { all.insert(all.end(), more.begin(), more.end()); }
  static List with(List all, const Platform& p) {
    add(all, p.system.notes);
    if (p.chip) add(all, p.chip->notes);
    return all;
  }
};

/// What each kind of job comes to.
struct Runner {
  const Options& options;
  const AccuracyTable& accuracy;

  Outcome operator()(const OperatorJob& j) const {
    return with_bands(simulate(j.op, j.chip, j.launch, options), j.chip);
  }
  Outcome operator()(const ScenarioJob& j) const {
    return with_bands(simulate(j.request(), options), j.platform.chip->value);
  }
  Outcome operator()(const TraceJob& j) const {
    const ChipSpec& chip = j.platform.chip->value;
    return with_bands(simulate(j.trace.value, chip, j.platform.system.value, Launch::Graph, options), chip);
  }
  Outcome operator()(const CollectiveJob& j) const {
    if (options.fidelity == Fidelity::Bound) {
      if (j.calls.size() == 1) return network::bound(j.calls.front(), j.platform.network);
      throw ConfigError(Diagnostic{
          {"--beside", 0, 0}, "", "the closed form knows one collective at a time", "--fidelity tile"});
    }
    return network::execute_together(j.calls, j.platform.network).front();
  }
  Outcome operator()(const ValidationJob& j) const {
    return std::visit(
        [&](const auto& replay) {
          return validation::replay(replay.set, spec_of(replay.on), options.fidelity, options.progress);
        },
        j.replay);
  }

 private:
  Outcome with_bands(result::Result r, const ChipSpec& chip) const {
    result::apply_accuracy(r, accuracy, chip);
    return r;
  }
  static const ChipSpec& spec_of(const ChipSpec& chip) { return chip; }
  static const SystemSpec& spec_of(const Platform& p) { return p.network; }
  static const validation::Platforms& spec_of(const validation::Platforms& p) { return p; }
};

template <class T>
std::string section(std::string_view kind, T value) {
  return fmt::format("# {}\n{}", kind, config::to_yaml(config::describer(value), std::string(kind), nullptr));
}

std::string hash_of(const Job& job, std::string_view config, std::string_view fidelity) {
  Hasher hasher;
  hasher.add(config).add(fidelity).add(result::version());
  if (const auto* c = std::get_if<CollectiveJob>(&job))
    for (const std::string& word : c->words) hasher.add(word);
  return hasher.hex();
}

}  // namespace

Request ScenarioJob::request() const {
  return {platform.chip->value, platform.system.value, model.value, scenario.value,
          stack ? stack->value : StackSpec{}};
}

Job load(const config::Library& library, const Subject& s, const std::string& on,
         const config::Overrides& overrides) {
  switch (s.kind) {
    case Kind::Op:
      return load_operator(library, s, on, overrides);
    case Kind::Scenario:
      return load_scenario(library, s.text, on, overrides);
    case Kind::Trace:
      return load_trace(library, s.text, on, overrides);
    case Kind::Collective:
      return load_collective(library, s, on, overrides);
    case Kind::Validation:
      break;
  }
  return load_validation(library, s.text, on, overrides);
}

std::vector<Diagnostic> notes_of(const Job& job) { return std::visit(Notes(), job); }

Outcome run(const Job& job, const Options& options, const AccuracyTable& accuracy) {
  Outcome outcome = std::visit(Runner{options, accuracy}, job);
  std::visit([](const auto& o) { check_sound(o); }, outcome);
  if (auto* r = std::get_if<result::Result>(&outcome))
    for (const Diagnostic& note : notes_of(job)) r->warnings.push_back(render({note}));
  return outcome;
}

std::string resolved(const Job& job) {
  if (const auto* c = std::get_if<CollectiveJob>(&job)) {
    SystemSpec system = c->platform.system.value;
    return config::to_yaml(config::describer(system), "system", nullptr);
  }
  std::string text;
  std::visit(
      [&](const auto& j) {
        for_each_input(j, [&]<class T>(const T& spec) {
          text += section(config::kind_name(config::kind_of<T>()), spec);
        });
      },
      job);
  if (const auto* o = std::get_if<OperatorJob>(&job)) text += section("op", o->op);
  return text;
}

std::string hash_of(const Job& job, Fidelity fidelity) {
  return hash_of(job, resolved(job), enum_name(fidelity));
}

void stamp(result::Result& r, const Job& job) {
  r.config = resolved(job);
  r.config_hash = hash_of(job, r.config, r.fidelity);
}

namespace {

/// The key's place in a scenario.
std::string leaf_of(step::PlanKey key) {
  const std::string name(enum_name(key));
  if (key == step::PlanKey::MicroBatch || key == step::PlanKey::Recompute) return "scenario." + name;
  return (key == step::PlanKey::Schedule ? "scenario.training." : "scenario.parallelism.") + name;
}

/// What the scenario leaves open, or is to be told anew. Replicas are what the other groups leave: where one
/// of those is freed, so are they.
step::PlanKeys searched_keys(const config::Leaves& stated, const step::PlanKeys& freed) {
  using step::PlanKey;
  step::PlanKeys searched = freed;
  for (std::size_t i = 0; i < EnumNames<PlanKey>::value.size(); ++i)
    if (const auto key = static_cast<PlanKey>(i); !stated.contains(leaf_of(key))) searched.insert(key);
  for (const PlanKey group : {PlanKey::Tp, PlanKey::Cp, PlanKey::Pp})
    if (freed.contains(group)) searched.insert(PlanKey::Dp);
  return searched;
}

}  // namespace

step::PlanSearch search(ScenarioJob& job, const step::PlanKeys& freed, std::size_t confirmed,
                        const Options& options) {
  ScenarioSpec& s = job.scenario.value;
  if (s.phase != Phase::Training)
    throw InfeasibleError(
        fmt::format("a search needs a training scenario; the phase is {}", enum_name(s.phase)));
  const Request q = job.request();
  step::PlanSearch found = step::search_plans(q, chips_of(q) * q.chip.dies,
                                              searched_keys(job.scenario.leaves, freed), confirmed, options);
  for (const step::PlanCandidate& c : found.best) check_sound(*c.played);
  s = step::with_plan(s, found.best.front());
  return found;
}

}  // namespace xpusim::jobs
