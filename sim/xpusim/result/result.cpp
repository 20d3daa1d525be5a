#include "xpusim/result/result.h"

#include <algorithm>

#include "xpusim/result/version.h"

namespace xpusim::result {

std::string_view version() { return XPUSIM_VERSION; }

Activity& Activity::add(const Activity& o, double times) {
  for (const auto& [dtype, n] : o.flops) flops[dtype] += n * times;
  for (std::size_t i = 0; i < busy_s.size(); ++i) busy_s[i] += o.busy_s[i] * times;
  for (const auto& [level, bytes] : o.network_bytes) network_bytes[level] += bytes * times;
  vector_ops += o.vector_ops * times;
  special_ops += o.special_ops * times;
  l2_read_bytes += o.l2_read_bytes * times;
  l2_write_bytes += o.l2_write_bytes * times;
  hbm_read_bytes += o.hbm_read_bytes * times;
  hbm_write_bytes += o.hbm_write_bytes * times;
  return *this;
}

Activity Result::activity() const {
  Activity all;
  for (const OperatorRow& o : operators)
    if (o.activity) all.add(*o.activity, d(o.count));
  return all;
}

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
