#include "xpusim/core/units.h"

#include <fmt/format.h>

#include "xpusim/core/error.h"

namespace xpusim {

void refuse_ticks(Seconds t) {
  if (std::isnan(t.count())) throw ModelError("a time that is no number");
  throw InfeasibleError(
      fmt::format("a part of it takes {:.3g} s; the event kernel counts up to {:.0f} s (is a unit wrong?)",
                  t.count(), kLongestTime.count()));
}

}  // namespace xpusim
