#pragma once
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "xpusim/chip/kernel.h"
#include "xpusim/network/flow.h"
#include "xpusim/result/result.h"
#include "xpusim/step/request.h"

namespace xpusim::step {

/// How a long kernel is timed at tile fidelity: played to its end; or a part of it, whose time over the
/// closed form's says how the whole relates to its own closed form.
enum class LongKernels : std::uint8_t { Whole, Sampled };
/// Steps of training have so many long kernels that they are sampled.
[[nodiscard]] inline LongKernels long_kernels_of(const ScenarioSpec& s) {
  return s.phase == Phase::Training ? LongKernels::Sampled : LongKernels::Whole;
}

/// Times operators: computation on the chip, collectives on the system. Equal operators are timed once.
class OperatorTimer {
 public:
  /// `system` may be missing where there is no collective.
  OperatorTimer(const ChipSpec& chip, const SystemSpec* system, Launch launch, const Options& options,
                LongKernels long_kernels = LongKernels::Whole)
      : chip_(chip),
        system_(system != nullptr ? std::optional(with_package_level(*system, chip)) : std::nullopt),
        launch_(launch),
        fidelity_(options.fidelity),
        checks_memory_(options.checks_memory),
        records_engines_(options.engine_spans),
        long_kernels_(long_kernels),
        estimator_(chip, options.fidelity, launch, options.engine_spans),
        closed_form_(chip, chip::Fidelity::Bound, launch) {}

  /// One run of the operator, without its section and count.
  [[nodiscard]] result::OperatorRow row(const Operator&, const RankGroups&);
  [[nodiscard]] const chip::KernelTime& kernel(const Operator& o) { return estimator_.time(o); }
  /// What a collective keeps busy while it runs alone; null where it has one rank. Lives as long as the
  /// timer.
  [[nodiscard]] const network::Flow* flow(const Operator&, const RankGroups&);
  [[nodiscard]] bool records_engines() const { return records_engines_; }

 private:
  [[nodiscard]] chip::KernelTime kernel_or_sample(const Operator&);
  struct TimedCollective {
    network::CollectiveTime time;
    network::Flow flow;
  };
  [[nodiscard]] const TimedCollective& collective(const Operator&, RankGroups::Extent);

  const ChipSpec& chip_;
  std::optional<SystemSpec> system_;  ///< with the level inside its packages
  Launch launch_;
  chip::Fidelity fidelity_;
  bool checks_memory_, records_engines_;
  LongKernels long_kernels_;
  chip::Estimator estimator_, closed_form_;
  std::map<std::tuple<CollectiveShape, std::int64_t, std::int64_t>, TimedCollective> collectives_;
};

}  // namespace xpusim::step
