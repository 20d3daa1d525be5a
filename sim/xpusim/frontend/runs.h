#pragma once
#include <optional>
#include <string>

#include "xpusim/frontend/inputs.h"
#include "xpusim/simulate.h"
#include "xpusim/step/search.h"

/// From loaded inputs to a result with its error bands; the resolved inputs and their hash, for its record.
namespace xpusim::frontend {

/// A scenario and all that it names, read and checked.
struct ScenarioInputs {
  config::Loaded<ScenarioSpec> scenario;
  config::Loaded<ModelSpec> model;
  std::optional<config::Loaded<StackSpec>> stack;  ///< of training scenarios
  Platform platform;
  [[nodiscard]] Request request() const;
};
/// `system`: id or file; empty: the scenario's own. Throws ConfigError.
[[nodiscard]] ScenarioInputs load_scenario(const config::Library&, const std::string& id,
                                           const std::string& system, const config::Overrides&);
[[nodiscard]] result::Result simulate(const ScenarioInputs&, const AccuracyTable&, const Options&);

/// Searches the plan of a training scenario and puts the fastest into it.
[[nodiscard]] step::PlanSearch search(ScenarioInputs&, std::size_t confirmed, const Options&);

/// A workload trace and what it runs on.
struct TraceInputs {
  config::Loaded<Graph> trace;
  Platform platform;
};
[[nodiscard]] TraceInputs load_trace(const config::Library&, const std::string& id, const std::string& system,
                                     const config::Overrides&);
[[nodiscard]] result::Result simulate(const TraceInputs&, const AccuracyTable&, const Options&);

/// One operator on one device.
[[nodiscard]] result::Result simulate(const Operator&, const ChipSpec&, Launch, const AccuracyTable&,
                                      const Options&);
/// The inputs of a run as YAML, every value written out.
[[nodiscard]] std::string resolved(const ScenarioInputs&);
[[nodiscard]] std::string resolved(const TraceInputs&);
[[nodiscard]] std::string resolved(const Operator&, const ChipSpec&);
/// Puts them into its result, and their hash with fidelity and version.
void stamp(result::Result&, std::string config);

}  // namespace xpusim::frontend
