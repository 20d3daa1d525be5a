#pragma once
#include <string>
#include <vector>

#include "xpusim/network/collective.h"

/// Collectives that are in flight at the same time, as fluids: at which rate each proceeds.
namespace xpusim::network {

/// What a collective keeps busy while it runs alone.
struct Flow {
  struct Use {
    std::string level;
    double utilisation = 0;  ///< of the level's link that it loads most, over its whole time: 0 to 1
  };
  std::vector<Use> uses;
};

[[nodiscard]] Flow flow_of(const CollectiveTime&);

/// The rate of each of several flows in flight, 1: as fast as alone. Where the utilisations of a level that
/// several use add up to more than 1, all on it slow down in proportion; a flow has the least rate of its
/// levels. Formulas: docs/model.md#schedule.
[[nodiscard]] std::vector<double> rates_of(const std::vector<const Flow*>&);

}  // namespace xpusim::network
