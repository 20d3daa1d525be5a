#include "xpusim/step/timer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "xpusim/core/error.h"

namespace xpusim::step {
namespace {

/// What an operator reads must fit the memory, and so must what it writes. Shapes beyond that are typing
/// mistakes, and would count more tiles than integers hold.
void check_operands(const Operator& o, const ChipSpec& chip) {
  const Cost c = cost(o);
  const double bytes = std::max(c.weight_bytes + c.input_bytes, c.output_bytes);
  const auto capacity = static_cast<double>(chip.hbm.capacity.count());
  if (bytes > capacity)
    throw InfeasibleError(fmt::format("{}: its operands take {:.4g} GiB, the memory of {} has {:.4g} GiB",
                                      o.name, bytes / 0x1p30, chip.id, capacity / 0x1p30));
}

/// Experts' exchanges are all-to-alls where the system has not the library that is asked for.
CollectiveKind kind_on(const SystemSpec& system, const CollectiveShape& c) {
  if (c.kind != CollectiveKind::Dispatch && c.kind != CollectiveKind::Combine) return c.kind;
  const bool has = std::any_of(system.libraries.begin(), system.libraries.end(),
                               [&](const LibrarySpec& l) { return l.name == c.library; });
  return has ? c.kind : CollectiveKind::AllToAll;
}

}  // namespace

/// Long kernels repeat: a part of one relates to its closed form as the whole does.
chip::KernelTime OperatorTimer::kernel_or_sample(const Operator& o) {
  if (fidelity_ == chip::Fidelity::Bound || long_kernels_ == LongKernels::Whole) return estimator_.time(o);
  const Operator part = sample_of(o);
  if (part.work == o.work) return estimator_.time(o);
  const double ratio = estimator_.time(part).total / closed_form_.time(part).total;
  chip::KernelTime t = closed_form_.time(o);
  t.total = Seconds(t.total.count() * ratio);
  Breakdown played;
  t.breakdown = played.add(t.breakdown, ratio);
  return t;
}

result::OperatorRow OperatorTimer::row(const Operator& o, const RankGroups& groups) {
  result::OperatorRow row;
  row.name = o.name;
  row.op = o;
  if (is_collective(o)) {
    const RankGroups::Extent group = groups.extent(o.as<CollectiveShape>().group);
    row.detail = "one rank";
    if (group.ranks <= 1) return row;
    const network::CollectiveTime& t = collective(o, group).time;
    row.time = t.total;
    row.breakdown[Bound::Communication] = t.total.count();
    row.activity = t.activity;
    row.detail = fmt::format("{} {} on {}", enum_name(t.algorithm), t.protocol, t.level);
    return row;
  }
  if (checks_memory_) check_operands(o, chip_);
  const chip::KernelTime t = kernel_or_sample(o);
  row.time = t.total;
  row.breakdown = t.breakdown;
  row.flops = t.flops;
  row.hbm_bytes = t.hbm_bytes;
  row.activity = t.activity;
  row.clock = t.clock;
  row.detail = t.tiling;
  return row;
}

const network::Flow* OperatorTimer::flow(const Operator& o, const RankGroups& groups) {
  const RankGroups::Extent group = groups.extent(o.as<CollectiveShape>().group);
  return group.ranks > 1 ? &collective(o, group).flow : nullptr;
}

const OperatorTimer::TimedCollective& OperatorTimer::collective(const Operator& o, RankGroups::Extent group) {
  if (!system_) throw InfeasibleError("a collective needs a system");
  CollectiveShape shape = o.as<CollectiveShape>();
  shape.overlap = false;
  const auto [found, is_new] = collectives_.try_emplace({shape, group.ranks, group.stride});
  if (is_new) {
    network::Call call;
    call.kind = kind_on(*system_, shape);
    call.topk = shape.copies;
    call.token_nodes = shape.max_nodes;
    if (call.kind == shape.kind) call.library = shape.library;
    call.size = o.as<CollectiveShape>().bytes;
    call.group = {group.ranks, group.stride, {}};
    call.eager = launch_ == Launch::Eager;
    found->second.time =
        fidelity_ == chip::Fidelity::Tile ? network::execute(call, *system_) : network::bound(call, *system_);
    found->second.flow = network::flow_of(found->second.time);
  }
  return found->second;
}

}  // namespace xpusim::step
