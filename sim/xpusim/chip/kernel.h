#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "xpusim/core/breakdown.h"
#include "xpusim/core/units.h"
#include "xpusim/mapping/tile_program.h"
#include "xpusim/operators/operator.h"
#include "xpusim/result/activity.h"
#include "xpusim/result/timeline.h"
#include "xpusim/spec/chip.h"
#include "xpusim/spec/fidelity.h"
#include "xpusim/spec/scenario.h"

/// How long one operator takes on one die: the closed form (bound), the event-driven execution (tile), the
/// clock that the power cap leaves, and what both must not undercut.
namespace xpusim::chip {

using xpusim::Fidelity;
using xpusim::kFidelityNames;

struct KernelTime {
  Seconds total;
  Breakdown breakdown;  ///< adds up to total
  Hertz clock;
  Flops flops;           ///< useful matrix work
  double hbm_bytes = 0;  ///< read and written
  double hbm_write_bytes = 0;
  double l2_bytes = 0;
  std::int64_t transactions = 0;
  std::string tiling;
  std::shared_ptr<const result::Activity> activity;  ///< when an operator is timed, not a program
  std::vector<result::Span> spans;  ///< of the engines of core 0, by Engine; only when asked for
};

/// No schedule of the operator on this die can be faster: each resource needs its work over its rate, at
/// clock.max.
[[nodiscard]] Seconds lower_bound(const Operator&, const ChipSpec&);

/// Closed form of a program at a clock: the slowest of engines, buffer cycles, L2 and HBM, with waves, fill
/// and drain. `overhead` is the launch cost in front of it.
[[nodiscard]] KernelTime bound(const mapping::TileProgram&, const ChipSpec&, Hertz clock, Seconds overhead);

/// Runs a program on the event kernel: every core of the die contends for L2 and HBM.
/// `with_spans` records the engines of core 0.
[[nodiscard]] KernelTime execute(const mapping::TileProgram&, const ChipSpec&, Hertz clock, Seconds overhead,
                                 bool with_spans = false);
/// The same, given up as soon as the program is seen to take longer than `limit`.
[[nodiscard]] std::optional<KernelTime> execute_within(Seconds limit, const mapping::TileProgram&,
                                                       const ChipSpec&, Hertz clock, Seconds overhead,
                                                       bool with_spans = false);

/// The highest clock at which the program stays below the power cap (see PowerSpec).
[[nodiscard]] Hertz clock_under_cap(const mapping::TileProgram&, const ChipSpec&);

/// HBM bandwidth that a program's streams reach.
[[nodiscard]] BytesPerSecond achieved_hbm(const mapping::TileProgram&, const ChipSpec&);

/// A program, and what the closed form says of it at the clock that the power cap leaves it.
struct Choice {
  mapping::TileProgram program;
  Hertz clock;
  Seconds time;   ///< without the launch in front
  Seconds cores;  ///< part of it that cores would take if HBM kept up with them
};
/// The programs of an operator whose closed form is within `slack` of the fastest one's, the most promising
/// first; without slack the fastest one, or one that is as fast but for 0.09 %, is the first.
[[nodiscard]] std::vector<Choice> choose(const Operator&, const ChipSpec&, double slack);

[[nodiscard]] Seconds launch_overhead(const ChipSpec&, Launch, const Operator&);

/// Times operators of one chip: maps each to its best program and keeps the result, so that equal operators
/// are computed once.
class Estimator {
 public:
  Estimator(const ChipSpec& chip, Fidelity fidelity, Launch launch, bool with_spans = false)
      : chip_(chip), fidelity_(fidelity), launch_(launch), with_spans_(with_spans) {}

  /// The time of a compute operator. The reference stays valid as long as the estimator.
  const KernelTime& time(const Operator&);
  [[nodiscard]] std::size_t distinct() const { return known_.size(); }

 private:
  ChipSpec chip_;
  Fidelity fidelity_;
  Launch launch_;
  bool with_spans_;
  std::map<Work, KernelTime> known_;
};

}  // namespace xpusim::chip
