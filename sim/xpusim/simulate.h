#pragma once
#include <functional>
#include <vector>

#include "xpusim/chip/kernel.h"
#include "xpusim/result/result.h"
#include "xpusim/spec/chip.h"
#include "xpusim/spec/graph.h"
#include "xpusim/spec/model.h"
#include "xpusim/spec/scenario.h"
#include "xpusim/spec/stack.h"
#include "xpusim/spec/system.h"

/// The facade: a question in, a Result out. Prints nothing; keeps nothing between calls.
namespace xpusim {

struct Options {
  chip::Fidelity fidelity = chip::Fidelity::Tile;
  bool engine_spans =
      false;  ///< record the engines of core 0 (training: the pipeline's passes) for the trace
  bool checks_memory = true;  ///< training: refuse what does not fit (replays of runs that did are not asked)
  /// Called with (operators timed, operators in all) as the run goes on. May throw to end it.
  std::function<void(std::size_t, std::size_t)> progress;
};

/// A model's scenario on a system of one kind of chip.
struct Request {
  ChipSpec chip;
  SystemSpec system;
  ModelSpec model;
  ScenarioSpec scenario;
  StackSpec stack;  ///< of training scenarios
};

/// Runs a scenario. Throws InfeasibleError when it does not divide, does not fit the memory or the chip's
/// buffers, or needs a data type that the chip lacks.
[[nodiscard]] result::Result simulate(const Request&, const Options&);

/// Runs a hand-written or exported graph on a system, its tensor and data groups as the graph says.
[[nodiscard]] result::Result simulate(const Graph&, const ChipSpec&, const SystemSpec&, Launch,
                                      const Options&);

/// Runs one compute operator on one device.
[[nodiscard]] result::Result simulate(const Operator&, const ChipSpec&, Launch, const Options&);

}  // namespace xpusim
