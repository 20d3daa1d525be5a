#include "xpusim/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "xpusim/cluster/schedule.h"
#include "xpusim/core/error.h"
#include "xpusim/operator_timer.h"
#include "xpusim/ops/transformer.h"
#include "xpusim/train.h"

namespace xpusim {
namespace {

/// Times every operator of a graph.
class GraphTimer {
 public:
  GraphTimer(const Graph& graph, OperatorTimer& timer, const Options& options)
      : graph_(graph), timer_(timer), options_(options) {}

  void run(result::Result& r) {
    std::size_t all = 0, done = 0;
    for (const Section& s : graph_.sections) all += s.operators.size();
    for (const Section& section : graph_.sections) {
      r.first_row.push_back(r.operators.size());
      for (const Operator& o : section.operators) {
        r.operators.push_back(timer_.row(o, graph_.groups));
        r.operators.back().section = section.name;
        r.operators.back().count = section.repeat;
        if (options_.engine_spans && !is_collective(o)) record_engines(o, r);
        if (options_.progress) options_.progress(++done, all);
      }
    }
  }

 private:
  /// The engines of each distinct operator once: its later runs look the same.
  void record_engines(const Operator& o, result::Result& r) {
    if (recorded_.insert(o.work).second)
      r.engines.push_back({r.operators.size() - 1, timer_.kernel(o).spans});
  }

  const Graph& graph_;
  OperatorTimer& timer_;
  const Options& options_;
  std::set<Work> recorded_;
};

std::vector<std::string> engine_names(const ChipSpec& c) {
  return {c.copy_in.name, c.operand_feed.name,     c.matrix.name,           c.vector.name,
          c.store.name,   c.vector.name + " load", c.vector.name + " store"};
}

/// Runs a graph and adds up what its operators say.
result::Result run(const Graph& graph, const ChipSpec& chip, const SystemSpec* system, Launch launch,
                   const Options& options) {
  result::Result r;
  r.workload = graph.name;
  r.chip = chip.id;
  r.fidelity = chip::kFidelityNames[static_cast<std::size_t>(options.fidelity)];
  r.groups = graph.groups;
  r.memory_capacity = chip.hbm.capacity;
  r.engine_names = engine_names(chip);
  const SystemSpec joined = system != nullptr ? with_package_level(*system, chip) : SystemSpec{};
  OperatorTimer timer(chip, system != nullptr ? &joined : nullptr, launch, options);
  GraphTimer(graph, timer, options).run(r);
  r.classes = result::by_class(r.operators);

  std::size_t next = 0;
  r.schedule = cluster::schedule(graph, [&](const Operator&) { return r.operators[next++].time; });
  r.total = r.schedule.total;
  double useful_seconds = 0, hbm_bytes = 0;  // matrix time at peak; operators may differ in data type
  for (std::size_t s = 0; s < graph.sections.size(); ++s) {
    for (std::size_t i = 0; i < graph.sections[s].operators.size(); ++i) {
      const result::OperatorRow& row = r.operators[r.first_row[s] + i];
      if (is_collective(row.op)) continue;
      const double count = d(row.count);
      r.breakdown.add(row.breakdown, count);
      r.flops += row.flops * count;
      hbm_bytes += row.hbm_bytes * count;
      const Dtype dtype = cost(graph.sections[s].operators[i]).matrix_dtype;
      if (row.flops.count() > 0) useful_seconds += (row.flops / matrix_peak(chip, dtype)).count() * count;
    }
  }
  r.breakdown[Bound::Communication] = r.schedule.exposed_communication.count();
  if (r.total.count() > 0) {  // the collectives of a lone rank take no time
    r.matrix_utilisation = useful_seconds / r.total.count();
    r.hbm_utilisation = hbm_bytes / chip.hbm.bandwidth.count() / r.total.count();
  }
  return r;
}

/// Days that are played: as many as hold a million failures, at least one and at most a thousand.
std::int64_t days_to_play(double mtbf) {
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(1e6 * mtbf / 86400), 1, 1000);
}

result::FailureSummary failures_of(const FailureSpec& s, std::int64_t chips) {
  result::FailureSummary f;
  f.job.mtbf = s.mtbf_per_chip.count() / d(chips);
  f.job.write = s.checkpoint_write.count();
  f.job.restart = s.restart.count();
  const double asked = s.checkpoint_interval.count();
  f.job.interval = asked > 0 ? asked : cluster::best_interval(f.job.mtbf, f.job.write);
  f.goodput = cluster::goodput(f.job);
  f.days = days_to_play(f.job.mtbf);
  f.simulated = cluster::play_days(f.job, f.days, static_cast<std::uint64_t>(s.seed));
  return f;
}

void place(result::Result& r, const ChipSpec& chip, const SystemSpec& system, std::int64_t chips) {
  r.system = system.id;
  r.chips = chips;
  r.devices = chips * chip.dies;
}

}  // namespace

result::Result simulate(const Request& q, const Options& options) {
  const std::int64_t chips = q.scenario.chips == 0 ? q.system.chips : q.scenario.chips;
  if (chips > q.system.chips)
    throw InfeasibleError(
        fmt::format("scenario.chips: {} are more than the {} of {}", chips, q.system.chips, q.system.id));
  if (q.scenario.phase == Phase::Training) {
    result::Result r = train(q, chips * q.chip.dies, options);
    place(r, q.chip, q.system, chips);
    if (q.scenario.failures) r.failures = failures_of(*q.scenario.failures, chips);
    return r;
  }
  const ops::Parallelism p = ops::resolve_parallelism(q.model, q.scenario, chips * q.chip.dies);
  ops::check_memory(q.model, q.scenario, p, chips * q.chip.dies, q.chip.hbm.capacity, q.chip.id);
  result::Result r =
      run(ops::build_graph(q.model, q.scenario, p), q.chip, &q.system, q.scenario.launch, options);
  place(r, q.chip, q.system, chips);
  r.tokens = ops::tokens_per_step(q.scenario);
  r.memory = ops::memory_per_rank(q.model, q.scenario, p);
  if (p.tensor * p.data < r.devices)
    r.warnings.push_back(fmt::format("{} of {} devices are idle: tensor {} x data {}",
                                     r.devices - p.tensor * p.data, r.devices, p.tensor, p.data));
  return r;
}

result::Result simulate(const Graph& graph, const ChipSpec& chip, const SystemSpec& system, Launch launch,
                        const Options& options) {
  if (graph.groups.devices() > system.chips * chip.dies)
    throw InfeasibleError(fmt::format("{}: its groups have {} ranks, more than the {} devices of {}",
                                      graph.name, graph.groups.devices(), system.chips * chip.dies,
                                      system.id));
  result::Result r = run(graph, chip, &system, launch, options);
  place(r, chip, system, system.chips);
  return r;
}

result::Result simulate(const Operator& o, const ChipSpec& chip, Launch launch, const Options& options) {
  Graph graph;
  graph.name = o.name;
  graph.sections.push_back({"op", 1, false, {o}, {}});
  result::Result r = run(graph, chip, nullptr, launch, options);
  r.system = chip.id;
  if (chip.dies > 1)
    r.warnings.push_back(fmt::format("one device: one of the {} dies of {}", chip.dies, chip.id));
  return r;
}

}  // namespace xpusim
