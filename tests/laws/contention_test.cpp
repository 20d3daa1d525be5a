#include "laws/law.h"
#include "support/round_chip.h"

namespace xpusim::test {
namespace {

/// The part of a closed form that is not steady state: pipelines filling and draining, counted once.
double ends_share(const mapping::TileProgram& p, const ChipSpec& c) {
  mapping::TileProgram longer = p;
  for (mapping::BlockShape& s : longer.shapes) s.count *= 1000;
  const double once = bound_seconds(p, c);
  return 1 - (bound_seconds(longer, c) - once) / 999 / once;
}

/// Ratio of tile to bound where nothing contends and the run is long beside its ends.
struct Ratio {
  Worst above, below;
};
Ratio uncontended(Random& r, Class kind, int n, bool one_core) {
  Ratio ratio;
  for (int tries = 0; ratio.above.seen < n && tries < 100 * n; ++tries) {  // most random runs are short
    ChipSpec c = random_chip(r);
    const Operator o = random_operator(r, c, kind);
    // Weights on their way through L2 reach a block's first product late, which only the event kernel sees.
    if (o.is<GemmShape>() && is_unpacked(o.as<GemmShape>().weight_dtype, o.as<GemmShape>().dtype) &&
        c.vector.exchange == Exchange::L2)
      continue;
    c = free_memory(c);
    if (one_core) c.cores.count = 1;
    const mapping::TileProgram p = best(o, c);
    if (std::abs(ends_share(p, c)) > 0.01 || mapping::totals(p).transactions > kMostTransactions) continue;
    const double x = tile_seconds(p, c) / bound_seconds(p, c);
    const std::string where = text(o) + " | " + p.label + " | " + text(c);
    ratio.above.see(x - 1, where);
    ratio.below.see(1 - x, where);
  }
  return ratio;
}

TEST(Uncontended, TileEqualsBoundForGemms) {
  Random r(30);
  for (const bool one_core : {true, false}) {
    const Ratio ratio = uncontended(r, Class::Gemm, cases(100), one_core);
    expect_at_most(ratio.above, 0.02, "above");
    expect_at_most(ratio.below, 0.02, "below");
  }
}

TEST(Uncontended, TileEqualsBoundForRowwiseOperators) {
  Random r(31);
  for (const bool one_core : {true, false}) {
    const Ratio ratio = uncontended(r, Class::Rowwise, cases(100), one_core);
    expect_at_most(ratio.above, 0.02, "above");
    expect_at_most(ratio.below, 0.02, "below");
  }
}

/// How much longer than the closed form a stream takes, as it is played, that HBM alone bounds by a margin;
/// below 0 where it is not so.
double over_stream(const Operator& o, const ChipSpec& c) {
  const mapping::TileProgram p = best(o, c);
  ChipSpec wider = c;
  scale(wider.hbm.bandwidth, 1.25);
  const double once = bound_seconds(p, c);
  if (once / bound_seconds(p, wider) < 1.24 || mapping::block_count(p) < 20 * c.cores.count) return -1;
  const double launch = chip::launch_overhead(c, Launch::Kernel, o).count();
  return (chip::Estimator(c, Fidelity::Tile, Launch::Kernel).time(o).total.count() - launch) / once - 1;
}

TEST(Stream, OnAShippedChipReachesTheBandwidthOfHbm) {
  Worst worst;
  for (const ChipSpec& c : chips())
    for (const RowwiseKind kind : {RowwiseKind::Add, RowwiseKind::SwiGlu, RowwiseKind::RmsNorm,
                                   RowwiseKind::Copy, RowwiseKind::Optimizer}) {
      Operator o;
      o.work = RowwiseShape{.kind = kind, .rows = 16384, .cols = 8192};
      worst.see(over_stream(o, c), text(o) + " | " + c.id);
    }
  EXPECT_GT(worst.value, -0.5) << "no stream is bound by HBM";
  expect_at_most(worst, 0.03);
}

TEST(Stream, OnARandomChipNearlyReachesTheBandwidthOfHbm) {
  Random r(32);
  Worst worst;
  for (int i = 0; i < cases(1000); ++i) {
    const ChipSpec c = random_chip(r);
    const Operator o = random_rowwise(r);
    if (mapping::totals(best(o, c)).transactions <= kMostTransactions)
      worst.see(over_stream(o, c), text(o) + " | " + text(c));
  }
  EXPECT_GT(worst.value, -0.5) << "no stream is bound by HBM";
  expect_at_most(worst, 0.27);  // where L2's writes are nearly as slow as HBM, the two take turns
}

}  // namespace
}  // namespace xpusim::test
