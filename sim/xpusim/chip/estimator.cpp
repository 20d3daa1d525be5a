#include <algorithm>

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

/// Programs whose closed form is as near to the fastest one's as it errs are played, the most promising
/// first: at least so many, more while they are short, but never more than so many.
constexpr double kSlack = 0.15;
constexpr std::size_t kLeastPlayed = 3, kMostPlayed = 16;
constexpr std::int64_t kFewTransactions = 200'000;
/// No program is played faster than its closed form by more than this share.
constexpr double kTrust = 0.03;

}  // namespace

const KernelTime& Estimator::time(const Operator& o) {
  const auto known = known_.find(o.work);
  if (known != known_.end()) return known->second;
  const Seconds overhead = launch_overhead(chip_, launch_, o);
  const bool plays = fidelity_ == Fidelity::Tile;
  std::vector<Choice> choices = choose(o, chip_, plays ? kSlack : 0);
  const Choice* taken = &choices.front();
  KernelTime t = plays ? execute(taken->program, chip_, taken->clock, overhead, with_spans_)
                       : bound(taken->program, chip_, taken->clock, overhead);
  std::int64_t transactions = t.transactions;
  for (std::size_t i = 1; plays && i < std::min(choices.size(), kMostPlayed); ++i) {
    const Choice& c = choices[i];
    if (i >= kLeastPlayed && transactions > kFewTransactions) break;
    if (c.time * (1 - kTrust) + overhead > t.total) continue;
    transactions += mapping::totals(c.program).transactions;
    auto other = execute_within(t.total, c.program, chip_, c.clock, overhead, with_spans_);
    if (!other || other->total >= t.total) continue;
    t = *std::move(other);
    taken = &c;
  }
  t.activity = std::make_shared<const result::Activity>(activity_of(o, taken->program, t, chip_));
  return known_.emplace(o.work, std::move(t)).first->second;
}

}  // namespace xpusim::chip
