#pragma once
#include "support/shipped.h"
#include "xpusim/graph/memory.h"
#include "xpusim/graph/passes.h"

/// Training plans, and what their passes add up to.
namespace xpusim::test {

/// A stack with every kernel fused and nothing overlapped but what its defaults say.
inline StackSpec plain_stack() {
  StackSpec s;
  s.id = s.name = "plain";
  return s;
}

inline ScenarioSpec training_scenario(std::int64_t batch, std::int64_t micro_batch, std::int64_t sequence) {
  ScenarioSpec s;
  s.name = "test";
  s.phase = Phase::Training;
  s.batch = batch;
  s.micro_batch = micro_batch;
  s.sequence = sequence;
  return s;
}

/// The passes of one micro-batch over all chunks of a plan.
inline std::vector<Graph> passes(const ModelSpec& m, const graph::Plan& plan, const StackSpec& stack) {
  std::vector<Graph> list;
  for (const graph::Chunk& c : graph::chunks_of(m, plan)) {
    graph::ChunkPasses p = graph::passes_of(c, m, plan, stack);
    for (Graph* g : {&p.forward, &p.backward, &p.weight}) list.push_back(std::move(*g));
  }
  return list;
}

template <class F>
double sum_over(const std::vector<Graph>& graphs, const F& value) {
  double sum = 0;
  for (const Graph& g : graphs)
    for (const Section& s : g.sections)
      for (const Operator& o : s.operators) sum += value(o) * static_cast<double>(s.repeat);
  return sum;
}
inline double matrix_flops(const std::vector<Graph>& graphs) {
  return sum_over(graphs, [](const Operator& o) { return cost(o).matrix_flops.count(); });
}
template <class Kind>
double count(const std::vector<Graph>& graphs, Kind kind) {
  return sum_over(graphs, [&](const Operator& o) { return is_kind(o, kind) ? 1.0 : 0.0; });
}

}  // namespace xpusim::test
