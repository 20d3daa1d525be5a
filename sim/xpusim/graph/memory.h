#pragma once
#include <string_view>
#include <vector>

#include "xpusim/graph/plan.h"
#include "xpusim/result/memory.h"

/// What a rank holds. Formulas: docs/model.md#memory.
namespace xpusim::graph {

using result::MemoryUse;

/// Bytes that a rank holds whose stage has these chunks, with `in_flight` micro-batches under way.
[[nodiscard]] MemoryUse memory_of(const ModelSpec&, const Plan&, const StackSpec&,
                                  const std::vector<Chunk>& stage, double in_flight);

/// Of the fullest stage of a served model.
[[nodiscard]] MemoryUse fullest_of_serving(const ModelSpec&, const Plan&);

/// Throws InfeasibleError when that is more than there is: by kind, and what would help.
void check_training_memory(const ModelSpec&, const Plan&, const MemoryUse&, Bytes capacity,
                           std::string_view chip);
/// The same of serving; on `devices`, or on more, the least tensor parallelism that fits.
void check_serving_memory(const ModelSpec&, const ScenarioSpec&, const MemoryUse&, std::int64_t devices,
                          Bytes capacity, std::string_view chip);

}  // namespace xpusim::graph
