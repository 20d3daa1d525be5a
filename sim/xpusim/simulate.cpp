#include "xpusim/simulate.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/step/goodput.h"
#include "xpusim/step/passes.h"
#include "xpusim/step/phases.h"
#include "xpusim/step/streams.h"

namespace xpusim {
namespace {

/// Runs a graph and adds up what its operators say.
result::Result run(const Graph& graph, const ChipSpec& chip, const SystemSpec* system, Launch launch,
                   const Options& options) {
  result::Result r;
  r.workload = graph.name;
  r.chip = chip.id;
  r.fidelity = kFidelityNames[static_cast<std::size_t>(options.fidelity)];
  r.groups = graph.groups;
  r.memory_capacity = chip.hbm.capacity;
  r.engine_names = step::engine_names(chip);
  step::OperatorTimer timer(chip, system, launch, options);
  step::Pass pass = step::time_pass(graph, {}, chip.family, timer, options.progress);
  r.operators = std::move(pass.rows);
  r.classes = result::by_class(r.operators);
  r.total = Seconds(pass.seconds);
  r.breakdown[Bound::Communication] = pass.waiting();
  step::draw(graph, r, timer);
  if (step::overlaps(graph)) {  // what runs beside a section may end in the next
    r.total = r.schedule.total;
    r.breakdown[Bound::Communication] = r.schedule.exposed_communication.count();
  }
  double useful_seconds = 0, hbm_bytes = 0;  // matrix time at peak; operators may differ in data type
  for (const result::OperatorRow& row : r.operators) {
    if (is_collective(row.op)) continue;
    const double count = d(row.count);
    r.breakdown.add(row.breakdown, count);
    r.flops += row.flops * count;
    hbm_bytes += row.hbm_bytes * count;
    if (row.flops.count() > 0)
      useful_seconds += (row.flops / matrix_peak(chip, cost(row.op).matrix_dtype)).count() * count;
  }
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
  f.job.interval = asked > 0 ? asked : step::best_interval(f.job.mtbf, f.job.write);
  f.goodput = step::goodput(f.job);
  f.days = days_to_play(f.job.mtbf);
  f.simulated = step::play_days(f.job, f.days, static_cast<std::uint64_t>(s.seed));
  return f;
}

void place(result::Result& r, const ChipSpec& chip, const SystemSpec& system, std::int64_t chips) {
  r.system = system.id;
  r.chips = chips;
  r.devices = chips * chip.dies;
}

}  // namespace

std::int64_t chips_of(const ScenarioSpec& s, std::int64_t all) { return s.chips == 0 ? all : s.chips; }
std::int64_t chips_of(const Request& q) { return chips_of(q.scenario, q.system.chips); }

result::Result simulate(const Request& q, const Options& options, step::OperatorTimer& timer) {
  const std::int64_t chips = chips_of(q), devices = chips * q.chip.dies;
  if (chips > q.system.chips)
    throw InfeasibleError(
        fmt::format("scenario.chips: {} are more than the {} of {}", chips, q.system.chips, q.system.id));
  const Phase phase = q.scenario.phase;
  result::Result r = phase == Phase::Generate  ? step::generate(q, devices, options, timer)
                     : phase == Phase::Denoise ? step::denoise(q, devices, options, timer)
                                               : step::run(q, devices, options, timer);
  place(r, q.chip, q.system, chips);
  if (phase == Phase::Training && q.scenario.failures) r.failures = failures_of(*q.scenario.failures, chips);
  return r;
}

result::Result simulate(const Request& q, const Options& options) {
  step::OperatorTimer timer(q.chip, &q.system, q.scenario.launch, options, step::long_kernels_of(q.scenario));
  return simulate(q, options, timer);
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
