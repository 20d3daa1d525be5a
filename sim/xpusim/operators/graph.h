#pragma once
#include <string>
#include <vector>

#include "xpusim/operators/operator.h"

/// What one rank computes: operators with shapes, in sections that repeat. Built from a model and a scenario,
/// or written by hand as a workload trace; the two are one format.
namespace xpusim {

struct Section {
  std::string name;
  std::int64_t repeat = 1;
  bool barrier = false;  ///< waits for the overlapped collectives of the sections before
  std::vector<Operator> operators;
  /// Overlapped collectives that the next run of the section, or the next section, waits for (prefetches).
  std::vector<std::string> awaited;
};

/// How many ranks each kind of group has. Neighbours first: tensor, context, data, pipeline.
struct RankGroups {
  std::int64_t tensor = 1, context = 1, data = 1, pipeline = 1;
  std::int64_t expert = 1;         ///< of one pipeline stage, expert_tensor apart
  std::int64_t expert_tensor = 1;  ///< neighbours that share every expert
  std::int64_t shard = 0;          ///< replicas that share one copy of the weights, neighbours; 0: all
  struct Extent {
    std::int64_t ranks = 1, stride = 1;
  };
  [[nodiscard]] Extent extent(RankGroup) const;
  [[nodiscard]] std::int64_t devices() const { return tensor * context * data * pipeline; }
};

struct Graph {
  std::string name;
  std::string notes;
  RankGroups groups;
  std::vector<Section> sections;
};

void describe(Fields&, RankGroups&);
void describe(Fields&, Section&);
void describe(Fields&, Graph&);

}  // namespace xpusim
