#include "xpusim/operator_timer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

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

/// Multiply-adds, and elements of row-wise operators, that are played event by event in some hundredths of a
/// second; a part of a longer kernel is as long.
constexpr double kSampledMacs = 4e11;
constexpr double kSampledAttentionMacs = 2e12;  // larger blocks: fewer events
constexpr double kSampledElements = 1 << 25;

/// Cuts an extent so that `work`, which goes with it, comes down to `limit`; whole multiples of `grain`.
void cut(std::int64_t& extent, double& work, double limit, std::int64_t grain) {
  if (work <= limit) return;
  const auto part = static_cast<std::int64_t>(static_cast<double>(extent) * limit / work) / grain * grain;
  const std::int64_t kept = std::clamp<std::int64_t>(part, std::min(extent, grain), extent);
  work *= static_cast<double>(kept) / static_cast<double>(extent);
  extent = kept;
}

/// A kernel like this one, but no longer than the limits: fewer products or heads first, then fewer tiles
/// (causal attention keeps its lengths, of which its blocks differ).
Operator sample_of(const Operator& o) {
  constexpr std::int64_t kTiles = 2048;  // whole waves of tiles more or less
  Operator part = o;
  double work = ops::cost(o).matrix_flops.count() / 2;
  if (o.kind == OpKind::Gemm) {
    GemmShape& g = part.gemm;
    cut(g.batch, work, kSampledMacs, 1);
    cut(g.m > g.n ? g.m : g.n, work, kSampledMacs, kTiles);
    cut(g.m > g.n ? g.m : g.n, work, kSampledMacs, kTiles);
  } else if (o.kind == OpKind::Attention) {
    AttentionShape& a = part.attention;
    cut(a.batch, work, kSampledAttentionMacs, 1);
    const std::int64_t group = a.heads / a.kv_heads;
    cut(a.kv_heads, work, kSampledAttentionMacs, 1);
    a.heads = a.kv_heads * group;
    if (!a.causal) cut(a.kv_len, work, kSampledAttentionMacs, kTiles);
  } else if (is_rowwise(o.kind) && !has_pairs(o.kind)) {
    RowwiseShape& r = part.rowwise;
    work = static_cast<double>(r.rows) * static_cast<double>(r.cols);
    cut(r.rows > 1 ? r.rows : r.cols, work, kSampledElements, 1);
  }
  return part;
}

/// Experts' exchanges are all-to-alls where the system has not the library that is asked for.
OpKind kind_on(const SystemSpec& system, const Operator& o) {
  if (o.kind != OpKind::Dispatch && o.kind != OpKind::Combine) return o.kind;
  const bool has = std::any_of(system.libraries.begin(), system.libraries.end(),
                               [&](const LibrarySpec& l) { return l.name == o.collective.library; });
  return has ? o.kind : OpKind::AllToAll;
}

}  // namespace

/// Long kernels repeat: a part of one relates to its closed form as the whole does.
chip::KernelTime OperatorTimer::kernel_or_sample(const Operator& o) {
  if (fidelity_ == chip::Fidelity::Bound || long_kernels_ == LongKernels::Whole) return estimator_.time(o);
  const Operator part = sample_of(o);
  if (chip::content_key(part) == chip::content_key(o)) return estimator_.time(o);
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
  const chip::KernelTime t = kernel_or_sample(o);
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
  CollectiveShape shape = o.collective;
  shape.overlap = false;
  const auto [found, is_new] = collectives_.try_emplace({o.kind, shape, group.ranks, group.stride});
  if (is_new) {
    network::Call call;
    call.kind = kind_on(*system_, o);
    call.topk = shape.copies;
    call.token_nodes = shape.max_nodes;
    if (call.kind == o.kind) call.library = shape.library;
    call.size = o.collective.bytes;
    call.group = {group.ranks, group.stride, {}};
    call.eager = launch_ == Launch::Eager;
    found->second =
        fidelity_ == chip::Fidelity::Tile ? network::execute(call, *system_) : network::bound(call, *system_);
  }
  return found->second;
}

}  // namespace xpusim
