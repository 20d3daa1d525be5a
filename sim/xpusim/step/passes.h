#pragma once
#include <array>
#include <vector>

#include "xpusim/step/request.h"
#include "xpusim/step/streams.h"
#include "xpusim/step/timer.h"

/// How long a rank's passes take: operators on their streams, and the host that launches them.
namespace xpusim::step {

/// One micro-batch's pass on one chunk: how long, and what of it is not computation.
struct Pass {
  double seconds = 0;
  std::array<double, kRankGroups> exposed{};  ///< waiting, by the group that is waited for
  double host = 0;                            ///< waiting for the host
  std::vector<result::OperatorRow> rows;      ///< with the count of one pass

  Pass& add(const Pass&, double times = 1);
  [[nodiscard]] double waiting() const;
};

/// Called with (operators timed, operators in all). May throw to end it.
using Progress = std::function<void(std::size_t, std::size_t)>;

/// Times a graph's sections one after the other. A section's runs repeat: the second run adds what every
/// further one does. `family`: of the chip.
[[nodiscard]] Pass time_pass(const Graph&, const StackSpec&, const std::string& family, OperatorTimer&,
                             const Progress& = {});

/// When the operators of a graph run, one rank's, each with its row's time; and, of each distinct operator
/// once, what the engines of core 0 do. For drawings.
void draw(const Graph&, result::Result&, OperatorTimer&);

}  // namespace xpusim::step
