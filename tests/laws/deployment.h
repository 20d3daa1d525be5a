#pragma once
#include "support/samples.h"
#include "support/shipped.h"
#include "xpusim/simulate.h"

/// What random deployments of laws of whole steps share: a shipped system, its size, a run of it.
namespace xpusim::test {

inline std::int64_t power_of_two(Random& r, int most) { return std::int64_t{1} << r.integer(0, most); }

/// A shipped system of either vendor and its chip; scenario and model are the caller's.
inline Request on_random_system(Random& r, Phase phase) {
  Request q;
  q.system = system(
      r.pick(std::vector<std::string>{"superpod_h100", "dgx_a100", "cloudmatrix384", "superpod_a100"}));
  q.chip = chip(q.system.chip);
  q.scenario.name = "random";
  q.scenario.phase = phase;
  return q;
}

/// As many chips as the plan asks for, on a system that has them.
inline void take_chips(Request& q) {
  const ParallelismSpec& p = q.scenario.parallelism;
  q.scenario.chips = std::max<std::int64_t>(1, p.tp * p.cp * p.pp * p.dp / q.chip.dies);
  q.system = with_chips(q.system, std::max(q.system.chips, q.scenario.chips), q.chip.dies);
}

/// A step, whether or not it fits the memory.
inline result::Result run(const Request& q, Fidelity fidelity = Fidelity::Bound) {
  Options options;
  options.fidelity = fidelity;
  options.checks_memory = false;
  return simulate(q, options);
}
inline double seconds(const Request& q, Fidelity fidelity = Fidelity::Bound) {
  return run(q, fidelity).total.count();
}

}  // namespace xpusim::test
