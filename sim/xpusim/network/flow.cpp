#include "xpusim/network/flow.h"

#include <algorithm>

namespace xpusim::network {
namespace {

/// The sum over all flows. They are told apart by place, not by name.
double asked_of(const std::string& level, const std::vector<const Flow*>& flows) {
  double sum = 0;
  for (const Flow* f : flows)
    for (const Flow::Use& use : f->uses)
      if (use.level == level) sum += use.utilisation;
  return sum;
}

}  // namespace

Flow flow_of(const CollectiveTime& t) {
  Flow flow;
  if (t.total.count() <= 0) return flow;
  for (const LevelLoad& l : t.loads)
    flow.uses.push_back({l.level, std::min(1.0, l.busy.count() / t.total.count())});
  return flow;
}

std::vector<double> rates_of(const std::vector<const Flow*>& flows) {
  std::vector<double> rates(flows.size(), 1);
  if (flows.size() < 2) return rates;
  for (std::size_t i = 0; i < flows.size(); ++i)
    for (const Flow::Use& use : flows[i]->uses)
      rates[i] = std::min(rates[i], 1 / std::max(1.0, asked_of(use.level, flows)));
  return rates;
}

}  // namespace xpusim::network
