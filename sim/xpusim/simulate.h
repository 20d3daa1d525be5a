#pragma once
#include "xpusim/operators/graph.h"
#include "xpusim/request.h"
#include "xpusim/result/result.h"

/// The facade: a question in, a Result out. Prints nothing; keeps nothing between calls.
namespace xpusim {

/// Runs a scenario. Throws InfeasibleError when it does not divide, does not fit the memory or the chip's
/// buffers, or needs a data type that the chip lacks.
[[nodiscard]] result::Result simulate(const Request&, const Options&);

/// Runs a hand-written or exported graph on a system, its tensor and data groups as the graph says.
[[nodiscard]] result::Result simulate(const Graph&, const ChipSpec&, const SystemSpec&, Launch,
                                      const Options&);

/// Runs one compute operator on one device.
[[nodiscard]] result::Result simulate(const Operator&, const ChipSpec&, Launch, const Options&);

}  // namespace xpusim
