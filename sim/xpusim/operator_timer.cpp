#include "xpusim/operator_timer.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/ops/cost.h"

namespace xpusim {
namespace {

/// What an operator reads must fit the memory, and so must what it writes. Shapes beyond that are typing
/// mistakes, and would count more tiles than integers hold.
void check_operands(const Operator& o, const ChipSpec& chip) {
  const ops::Cost c = ops::cost(o);
  const double bytes = std::max(c.weight_bytes + c.input_bytes, c.output_bytes);
  const auto capacity = static_cast<double>(chip.hbm.capacity.count());
  if (bytes > capacity)
    throw InfeasibleError(fmt::format("{}: its operands take {:.4g} GiB, the memory of {} has {:.4g} GiB",
                                      o.name, bytes / 0x1p30, chip.id, capacity / 0x1p30));
}

}  // namespace

result::OperatorRow OperatorTimer::row(const Operator& o, const RankGroups& groups) {
  result::OperatorRow row;
  row.name = o.name;
  row.kind = o.kind;
  row.op = o;
  if (is_collective(o.kind)) {
    const RankGroups::Extent group = groups.extent(o.collective.group);
    row.detail = "one rank";
    if (group.ranks <= 1) return row;
    const network::CollectiveTime& t = collective(o, group);
    row.time = t.total;
    row.breakdown[Bound::Communication] = t.total.count();
    row.detail = fmt::format("{} {} on {}", enum_name(t.algorithm), t.protocol, t.level);
    return row;
  }
  if (checks_memory_) check_operands(o, chip_);
  const chip::KernelTime& t = estimator_.time(o);
  row.time = t.total;
  row.breakdown = t.breakdown;
  row.flops = t.flops;
  row.hbm_bytes = t.hbm_bytes;
  row.clock = t.clock;
  row.detail = t.tiling;
  return row;
}

const network::CollectiveTime& OperatorTimer::collective(const Operator& o, RankGroups::Extent group) {
  if (system_ == nullptr) throw InfeasibleError("a collective needs a system");
  const auto [found, is_new] =
      collectives_.try_emplace({o.kind, o.collective.bytes, group.ranks, group.stride});
  if (is_new) {
    network::Call call;
    call.kind = o.kind;
    call.size = o.collective.bytes;
    call.group = {group.ranks, group.stride, {}};
    call.eager = launch_ == Launch::Eager;
    found->second =
        fidelity_ == chip::Fidelity::Tile ? network::execute(call, *system_) : network::bound(call, *system_);
  }
  return found->second;
}

}  // namespace xpusim
