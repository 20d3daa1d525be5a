#include "xpusim/chip/kernel.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::chip {
#ifdef XPUSIM_TEST_FLAW
namespace {

// Only two test executables are compiled with it: they show that the gates on the model's numbers and on the
// simulator's speed catch what they are for. Each estimate is 3 % longer, and the search is done twice.
KernelTime flawed(KernelTime t) {
  constexpr double kLonger = 1.03;
  t.total = t.total * kLonger;
  for (double& part : t.breakdown.seconds) part *= kLonger;
  return t;
}

}  // namespace
#endif

const KernelTime& Estimator::time(const Operator& o) {
  const auto known = known_.find(o.work);
  if (known != known_.end()) return known->second;
  const Seconds overhead = launch_overhead(chip_, launch_, o);
  const auto cost = [&](const mapping::TileProgram& p) {
    return bound(p, chip_, chip_.clock.max, overhead).total.count();
  };
  const mapping::TileProgram program = mapping::best_program(o, chip_, cost);
#ifdef XPUSIM_TEST_FLAW
  static_cast<void>(mapping::best_program(o, chip_, cost));
#endif
  const Hertz clock = clock_under_cap(program, chip_);
  KernelTime t = fidelity_ == Fidelity::Bound ? bound(program, chip_, clock, overhead)
                                              : execute(program, chip_, clock, overhead, with_spans_);
#ifdef XPUSIM_TEST_FLAW
  t = flawed(std::move(t));
#endif
  return known_.emplace(o.work, std::move(t)).first->second;
}

}  // namespace xpusim::chip
