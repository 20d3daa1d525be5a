#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "xpusim/jobs/inputs.h"
#include "xpusim/network/collective.h"
#include "xpusim/result/scaling.h"
#include "xpusim/simulate.h"
#include "xpusim/step/search.h"
#include "xpusim/validation/collectives.h"
#include "xpusim/validation/training.h"

/// From a subject, in words, to a job with all its inputs; from a job to what it comes to.
namespace xpusim::jobs {

/// What a job is about, as spec/suite.h names it.
enum class Kind : std::uint8_t { Op, Scenario, Trace, Collective, Validation };

struct Subject {
  Kind kind = Kind::Scenario;
  std::string text = {};                 ///< id or file; of an operator or a collective its kind
  std::vector<std::string> words = {};   ///< of those two: key=value
  std::vector<std::string> beside = {};  ///< "KIND key=value ...": collectives that start at the same time
  Launch launch = Launch::Graph;         ///< of an operator
};

/// One operator on one device.
struct OperatorJob {
  Operator op;
  ChipSpec chip;
  Launch launch = Launch::Graph;
  std::vector<Diagnostic> notes = {};  ///< of the chip's file
};

/// A scenario and all that it names.
struct ScenarioJob {
  config::Loaded<ScenarioSpec> scenario;
  config::Loaded<ModelSpec> model;
  std::optional<config::Loaded<StackSpec>> stack;  ///< of training scenarios
  Platform platform;
  [[nodiscard]] Request request() const;
};

/// A workload trace and what it runs on.
struct TraceJob {
  config::Loaded<Graph> trace;
  Platform platform;
};

/// Collectives that start together.
struct CollectiveJob {
  std::vector<network::Call> calls;  ///< the first is timed
  Dtype dtype = Dtype::Fp32;
  Platform platform;               ///< a system without a chip will do
  std::vector<std::string> words;  ///< of the subject, for the hash
};

/// A measured set and what it ran on.
template <class Set, class On>
struct Replay {
  Set set;
  On on;
};
struct ValidationJob {
  validation::Csv csv;  ///< as read
  std::variant<Replay<validation::MeasuredSet, ChipSpec>, Replay<validation::MeasuredCalls, Platform>,
               Replay<validation::MeasuredRuns, validation::Platforms>>
      replay;
  std::vector<Diagnostic> notes = {};  ///< of the files that it names
};

/// Everything that decides what comes out, read and checked.
using Job = std::variant<OperatorJob, ScenarioJob, TraceJob, CollectiveJob, ValidationJob>;
using Outcome = std::variant<result::Result, network::CollectiveTime, validation::SetReport>;

/// `on`: id or file of the system, of an operator or a measured set the chip; empty: the subject's own.
/// Throws ConfigError.
[[nodiscard]] Job load(const config::Library&, const Subject&, const std::string& on,
                       const config::Overrides&);

/// Values of the inputs that are beyond what devices have; a result has them among its warnings.
[[nodiscard]] std::vector<Diagnostic> notes_of(const Job&);

/// A result has error bands as far as the table knows them, and no record of its inputs yet. Throws
/// ModelError where it is not sound (jobs/sound.h).
[[nodiscard]] Outcome run(const Job&, const Options&, const AccuracyTable& = {});

/// The inputs as YAML, every value written out.
[[nodiscard]] std::string resolved(const Job&);
/// Of inputs, fidelity and version.
[[nodiscard]] std::string hash_of(const Job&, Fidelity);
/// Puts both into the job's result.
void stamp(result::Result&, const Job&);

/// Searches the plan of a training scenario and puts the fastest into it. What the scenario states stays, but
/// for the keys that are freed.
[[nodiscard]] step::PlanSearch search(ScenarioJob&, const step::PlanKeys& freed, std::size_t confirmed,
                                      const Options&);

/// Runs the scenario at each number of chips. What does not divide or fit is a point without a result.
[[nodiscard]] result::ScaleCurve scale(const ScenarioJob&, const std::vector<std::int64_t>& chips,
                                       result::Scaling, const Options&);

/// Calls use(struct) for the content of each file that a job rests on.
void for_each_input(const Platform& p, const auto& use) {
  use(p.system.value);
  if (p.chip) use(p.chip->value);
}
void for_each_input(const ChipSpec& chip, const auto& use) { use(chip); }
void for_each_input(const validation::Platforms& p, const auto& use) {
  for (const auto& [id, chip] : p.chips) use(chip);
  for (const auto& [id, system] : p.systems) use(system);
  for (const StackSpec& stack : p.stacks) use(stack);
}
void for_each_input(const OperatorJob& j, const auto& use) { use(j.chip); }
void for_each_input(const ScenarioJob& j, const auto& use) {
  use(j.scenario.value);
  use(j.model.value);
  if (j.stack) use(j.stack->value);
  for_each_input(j.platform, use);
}
void for_each_input(const TraceJob& j, const auto& use) {
  use(j.trace.value);
  for_each_input(j.platform, use);
}
void for_each_input(const CollectiveJob& j, const auto& use) { for_each_input(j.platform, use); }
void for_each_input(const ValidationJob& j, const auto& use) {
  std::visit([&](const auto& replay) { for_each_input(replay.on, use); }, j.replay);
}

}  // namespace xpusim::jobs

template <>
struct xpusim::EnumNames<xpusim::jobs::Kind> {
  static constexpr std::array<std::string_view, 5> value = {"op", "scenario", "trace", "collective",
                                                            "validation"};
};
