#pragma once
#include <cstddef>
#include <functional>

#include "xpusim/spec/chip.h"
#include "xpusim/spec/fidelity.h"
#include "xpusim/spec/model.h"
#include "xpusim/spec/scenario.h"
#include "xpusim/spec/stack.h"
#include "xpusim/spec/system.h"

/// What is asked of a simulation, and how it is to be done.
namespace xpusim {

struct Options {
  Fidelity fidelity = Fidelity::Tile;
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

}  // namespace xpusim
