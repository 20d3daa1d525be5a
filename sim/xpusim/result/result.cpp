#include "xpusim/result/result.h"

#include <algorithm>

#include "xpusim/result/version.h"

namespace xpusim::result {

std::string_view version() { return XPUSIM_VERSION; }

std::vector<ClassRow> by_class(const std::vector<OperatorRow>& operators) {
  std::vector<ClassRow> classes;
  for (const OperatorRow& o : operators) {
    auto row =
        std::find_if(classes.begin(), classes.end(), [&](const ClassRow& c) { return c.kind == o.kind(); });
    if (row == classes.end()) {
      classes.push_back({o.kind(), 0, Seconds(0), {}, {}});
      row = std::prev(classes.end());
    }
    row->count += o.count;
    row->time += o.time * static_cast<double>(o.count);
    row->breakdown.add(o.breakdown, static_cast<double>(o.count));
  }
  std::stable_sort(classes.begin(), classes.end(),
                   [](const ClassRow& a, const ClassRow& b) { return a.time > b.time; });
  return classes;
}

}  // namespace xpusim::result
