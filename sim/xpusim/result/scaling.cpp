#include "xpusim/result/scaling.h"

#include <cmath>

namespace xpusim::result {

double ScalePoint::communication() const {
  if (!result) return 0;
  return result->breakdown[Bound::Communication] / result->total.count();
}

std::int64_t ScaleCurve::communication_overtakes() const {
  for (const ScalePoint& p : points)
    if (p.communication() > 0.5) return p.chips;
  return 0;
}

std::optional<double> equivalent_chips(const ScalePoint& a, const ScaleCurve& b) {
  if (!a.result) return std::nullopt;
  const double wanted = std::log(a.result->tokens_per_s());
  const ScalePoint* before = nullptr;
  for (const ScalePoint& p : b.points) {
    if (!p.result) continue;
    const double here = std::log(p.result->tokens_per_s());
    if (std::abs(here - wanted) < 1e-12) return d(p.chips);
    if (before != nullptr && here > wanted) {
      const double there = std::log(before->result->tokens_per_s());
      if (there > wanted) return std::nullopt;
      const double share = (wanted - there) / (here - there);
      return std::exp(std::log(d(before->chips)) +
                      share * (std::log(d(p.chips)) - std::log(d(before->chips))));
    }
    if (here > wanted) return std::nullopt;
    before = &p;
  }
  return std::nullopt;
}

}  // namespace xpusim::result
