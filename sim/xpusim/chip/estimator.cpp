#include <fmt/format.h>

#include "xpusim/chip/kernel.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::chip {

std::string content_key(const Operator& o) {
  const auto kind = static_cast<int>(o.kind);
  if (o.kind == OpKind::Gemm) {
    const GemmShape& g = o.gemm;
    return fmt::format("{} {} {} {} {} {} {} {} {} {}", kind, g.m, g.n, g.k, g.batch,
                       static_cast<int>(g.dtype), static_cast<int>(g.weight_dtype), g.b_is_weight,
                       g.weight_copies, g.accumulate);
  }
  if (o.kind == OpKind::Attention) {
    const AttentionShape& a = o.attention;
    return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {} {}", kind, static_cast<int>(a.pass), a.batch,
                       a.q_len, a.kv_len, a.heads, a.kv_heads, a.head_dim, a.value_extent(), a.latent,
                       a.prompt, a.causal, static_cast<int>(a.dtype), static_cast<int>(a.kv_dtype));
  }
  if (o.kind == OpKind::GroupedGemm) {
    const GroupedGemmShape& g = o.grouped;
    return fmt::format("{} {} {} {} {} {} {} {} {} {}", kind, g.groups, g.m, g.n, g.k, g.active_groups(),
                       g.imbalance, static_cast<int>(g.dtype), static_cast<int>(g.weight_dtype),
                       g.weight_copies);
  }
  const RowwiseShape& r = o.rowwise;
  return fmt::format("{} {} {} {} {} {} {} {}", kind, r.rows, r.cols, static_cast<int>(r.pass),
                     static_cast<int>(r.dtype), r.residual, r.cold, r.pairs);
}

const KernelTime& Estimator::time(const Operator& o) {
  const std::string key = content_key(o);
  const auto known = known_.find(key);
  if (known != known_.end()) return known->second;
  const Seconds overhead = launch_overhead(chip_, launch_, o.kind);
  const auto cost = [&](const mapping::TileProgram& p) {
    return bound(p, chip_, chip_.clock.max, overhead).total.count();
  };
  const mapping::TileProgram program = mapping::best_program(o, chip_, cost);
  const Hertz clock = clock_under_cap(program, chip_);
  KernelTime t = fidelity_ == Fidelity::Bound ? bound(program, chip_, clock, overhead)
                                              : execute(program, chip_, clock, overhead, with_spans_);
  return known_.emplace(key, std::move(t)).first->second;
}

}  // namespace xpusim::chip
