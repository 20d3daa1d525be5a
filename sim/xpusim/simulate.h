#pragma once
#include "xpusim/operators/graph.h"
#include "xpusim/result/result.h"
#include "xpusim/step/request.h"

/// The facade: a question in, a Result out. Prints nothing; keeps nothing between calls.
namespace xpusim {

namespace step {
class OperatorTimer;
}

/// Runs a scenario. Throws InfeasibleError when it does not divide, does not fit the memory or the chip's
/// buffers, or needs a data type that the chip lacks.
[[nodiscard]] result::Result simulate(const Request&, const Options&);
/// The same with a timer that already knows operators (of the same chip, system and launch), for many runs.
[[nodiscard]] result::Result simulate(const Request&, const Options&, step::OperatorTimer&);

/// Runs a hand-written or exported graph on a system, its tensor and data groups as the graph says.
[[nodiscard]] result::Result simulate(const Graph&, const ChipSpec&, const SystemSpec&, Launch,
                                      const Options&);

/// Runs one compute operator on one device.
[[nodiscard]] result::Result simulate(const Operator&, const ChipSpec&, Launch, const Options&);

/// Packages that a scenario runs on: its own number, or `all`.
[[nodiscard]] std::int64_t chips_of(const ScenarioSpec&, std::int64_t all);
[[nodiscard]] std::int64_t chips_of(const Request&);

}  // namespace xpusim
