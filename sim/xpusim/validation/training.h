#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "xpusim/simulate.h"
#include "xpusim/validation/replay.h"

/// Measured training steps ("# op=training"): each row is a model, a plan and the time of one optimizer step.
namespace xpusim::validation {

/// One measurement, or the reason why it cannot be predicted.
struct MeasuredRun {
  int line = 0;
  std::string label;
  std::string chip;      ///< id, as the set's chips attribute translates it
  std::string system;    ///< id, as the set's systems attribute says for the chip
  std::string software;  ///< id, source and note: what a stack's measured_as is looked up in
  ModelSpec model;
  ScenarioSpec scenario;
  std::int64_t devices = 1;
  double scale_out_gb_s = 0;  ///< per device and direction; 0: the system's
  double step_s = 0;
  std::string skipped;
};

struct MeasuredRuns {
  std::string file;
  std::vector<MeasuredRun> rows;
};

[[nodiscard]] bool is_training_set(const Csv&);

/// Reads the rows of such a set. Throws ConfigError with every mistake. What a row leaves blank follows the
/// rules of docs/validation.md#training.
[[nodiscard]] MeasuredRuns interpret_training(const Csv&);

/// What the rows run on.
struct Platforms {
  std::map<std::string, ChipSpec> chips;
  std::map<std::string, SystemSpec> systems;
  std::vector<StackSpec> stacks;
};

/// The stack whose measured_as says most about the row's source and note; else the default for the chip's
/// family; nullptr: none.
[[nodiscard]] const StackSpec* stack_of(const MeasuredRun&, const std::string& family,
                                        const std::vector<StackSpec>&);

[[nodiscard]] SetReport replay(const MeasuredRuns&, const Platforms&, Fidelity, const Progress& = {});

}  // namespace xpusim::validation
