#include <fmt/format.h>

#include "xpusim/chip/kernel.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::chip {
#ifdef XPUSIM_TEST_FLAW
namespace {

// Only two test executables are compiled with it: they show that the gates on the model's numbers and on the
// simulator's speed catch what they are for. Each estimate is 3 % longer, and the search is done twice.
KernelTime flawed(KernelTime t) {
  constexpr double kLonger = 1.03;
  t.total = t.total * kLonger;
  for (double& part : t.breakdown.seconds) part *= kLonger;
  return t;
}

}  // namespace
#endif

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
#ifdef XPUSIM_TEST_FLAW
  static_cast<void>(mapping::best_program(o, chip_, cost));
#endif
  const Hertz clock = clock_under_cap(program, chip_);
  KernelTime t = fidelity_ == Fidelity::Bound ? bound(program, chip_, clock, overhead)
                                              : execute(program, chip_, clock, overhead, with_spans_);
#ifdef XPUSIM_TEST_FLAW
  t = flawed(std::move(t));
#endif
  return known_.emplace(key, std::move(t)).first->second;
}

}  // namespace xpusim::chip
