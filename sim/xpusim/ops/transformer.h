#pragma once
#include "xpusim/operators/graph.h"
#include "xpusim/ops/memory.h"
#include "xpusim/spec/model.h"
#include "xpusim/spec/scenario.h"

/// From a model and an inference scenario to what one rank computes and holds.
namespace xpusim::ops {

/// Tensor and data parallelism of a run: tensor * data devices.
struct Parallelism {
  std::int64_t tensor = 1;
  std::int64_t data = 1;
};

/// Resolves scenario.parallel for a number of devices ("data: 0" takes what tensor leaves). Throws
/// InfeasibleError when the numbers do not multiply out, or when heads, FFN or batch do not divide; it names
/// all that do not.
[[nodiscard]] Parallelism resolve_parallelism(const ModelSpec&, const ScenarioSpec&, std::int64_t devices);

/// The operators of one rank for one forward pass or one decode step.
[[nodiscard]] Graph build_graph(const ModelSpec&, const ScenarioSpec&, const Parallelism&);

[[nodiscard]] MemoryUse memory_per_rank(const ModelSpec&, const ScenarioSpec&, const Parallelism&);

/// Throws InfeasibleError when a rank needs more than `capacity`: by how much, and the least tensor
/// parallelism that fits (on the `devices` there are, or on more).
void check_memory(const ModelSpec&, const ScenarioSpec&, const Parallelism&, std::int64_t devices,
                  Bytes capacity, std::string_view chip);

/// Tokens that one step of the whole system brings forward.
[[nodiscard]] double tokens_per_step(const ScenarioSpec&);

}  // namespace xpusim::ops
