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
  for (int i = 0; i < n; ++i) {
    ChipSpec c = random_chip(r);
    const Operator o = random_operator(r, c, kind);
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
    const Ratio ratio = uncontended(r, Class::Gemm, cases(400), one_core);
    expect_at_most(ratio.above, 0.02, "above");
    expect_at_most(ratio.below, 0.02, "below");
  }
}

TEST(Uncontended, TileEqualsBoundForRowwiseOperators) {
  Random r(31);
  for (const bool one_core : {true, false}) {
    const Ratio ratio = uncontended(r, Class::Rowwise, cases(400), one_core);
    expect_at_most(ratio.above, 0.02, "above");
    expect_at_most(ratio.below, 0.02, "below");
  }
}

}  // namespace
}  // namespace xpusim::test
