#include "xpusim/chip/kernel.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::chip {
namespace {

/// Work is the program's, at either fidelity; what HBM moves, the run has found.
result::Activity activity_of(const Operator& o, const mapping::TileProgram& p, const KernelTime& t,
                             const ChipSpec& chip) {
  const Cost c = cost(o);
  const mapping::ProgramTotals all = mapping::totals(p);
  result::Activity a;
  if (all.flops.count() > 0) a.flops[c.matrix_dtype] = all.flops.count();
  a.vector_ops = c.vector_ops;
  a.special_ops = c.special_ops;
  a.l2_read_bytes = all.l2_read_bytes;
  a.l2_write_bytes = all.l2_write_bytes;
  a.hbm_read_bytes = t.hbm_bytes - t.hbm_write_bytes;
  a.hbm_write_bytes = t.hbm_write_bytes;
  for (std::size_t e = 0; e < mapping::kEngines; ++e)
    a.busy_s[e] = all.busy_cycles[e] / d(chip.cores.count) / t.clock.count();
  return a;
}

}  // namespace

const KernelTime& Estimator::time(const Operator& o) {
  const auto known = known_.find(o.work);
  if (known != known_.end()) return known->second;
  const Seconds overhead = launch_overhead(chip_, launch_, o);
  const auto cost = [&](const mapping::TileProgram& p) {
    return bound(p, chip_, chip_.clock.max, overhead).total.count();
  };
  const mapping::TileProgram program = mapping::best_program(o, chip_, cost);
  const Hertz clock = clock_under_cap(program, chip_);
  KernelTime t = fidelity_ == Fidelity::Bound ? bound(program, chip_, clock, overhead)
                                              : execute(program, chip_, clock, overhead, with_spans_);
  t.activity = std::make_shared<const result::Activity>(activity_of(o, program, t, chip_));
  return known_.emplace(o.work, std::move(t)).first->second;
}

}  // namespace xpusim::chip
