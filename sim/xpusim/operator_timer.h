#pragma once
#include <map>
#include <set>
#include <tuple>

#include "xpusim/network/collective.h"
#include "xpusim/result/result.h"
#include "xpusim/simulate.h"

namespace xpusim {

/// Times operators: computation on the chip, collectives on the system. Equal operators are timed once.
class OperatorTimer {
 public:
  /// `system` (with the level inside its packages) may be missing where there is no collective.
  OperatorTimer(const ChipSpec& chip, const SystemSpec* system, Launch launch, const Options& options)
      : chip_(chip),
        system_(system),
        launch_(launch),
        fidelity_(options.fidelity),
        checks_memory_(options.checks_memory),
        estimator_(chip, options.fidelity, launch, options.engine_spans) {}

  /// One run of the operator, without its section and count.
  [[nodiscard]] result::OperatorRow row(const Operator&, const RankGroups&);
  [[nodiscard]] const chip::KernelTime& kernel(const Operator& o) { return estimator_.time(o); }

 private:
  [[nodiscard]] const network::CollectiveTime& collective(const Operator&, RankGroups::Extent);

  const ChipSpec& chip_;
  const SystemSpec* system_;
  Launch launch_;
  chip::Fidelity fidelity_;
  bool checks_memory_;
  chip::Estimator estimator_;
  std::map<std::tuple<OpKind, Bytes, std::int64_t, std::int64_t>, network::CollectiveTime> collectives_;
};

}  // namespace xpusim
