#pragma once
#include "xpusim/result/goodput.h"

/// What failures leave of a long job's time. Formulas and sources: docs/model.md#failures.
namespace xpusim::step {

using result::FailingJob;
using result::Goodput;
using result::GoodputRun;

/// Work between two checkpoints that loses the least time (Daly 2006, equation 37; Young 1974 to first
/// order).
[[nodiscard]] double best_interval(double mtbf, double write);

/// In closed form (Daly 2006, equation 20).
[[nodiscard]] Goodput goodput(const FailingJob&);

/// The same by drawing failures, day by day.
[[nodiscard]] GoodputRun play_days(const FailingJob&, std::int64_t days, std::uint64_t seed);

}  // namespace xpusim::step
