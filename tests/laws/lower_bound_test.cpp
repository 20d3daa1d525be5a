#include "laws/law.h"

namespace xpusim::test {
namespace {

/// Times are whole picoseconds, a tile's each on its own.
constexpr double kRounding = 1e-3;

class LowerBound : public EveryClass {};

TEST_P(LowerBound, IsNeverBeaten) {
  Random r = random(1);
  Worst tile, bound;
  for (int i = 0; i < cases(300); ++i) {
    const Sample s = random_sample(r, GetParam());
    const double least = chip::lower_bound(s.op, s.chip).count();
    tile.see(least / tile_seconds(s.program, s.chip) - 1, s.text());
    bound.see(least / bound_seconds(s.program, s.chip) - 1, s.text());
  }
  expect_at_most(tile, kRounding, "tile");
  expect_at_most(bound, 1e-9, "bound");
}

TEST_P(LowerBound, IsNeverBeatenByAnEstimator) {
  Random r = random(2);
  Worst tile, bound;
  for (int i = 0; i < cases(100); ++i) {
    Sample s = random_sample(r, GetParam());
    const Launch launch = r.chance(0.5) ? Launch::Graph : Launch::Eager;
    const double least = chip::lower_bound(s.op, s.chip).count();
    for (const chip::Fidelity f : {chip::Fidelity::Tile, chip::Fidelity::Bound}) {
      chip::Estimator e(s.chip, f, launch);
      (f == chip::Fidelity::Tile ? tile : bound).see(least / e.time(s.op).total.count() - 1, s.text());
    }
  }
  expect_at_most(tile, kRounding, "tile");
  expect_at_most(bound, 1e-9, "bound");
}

INSTANTIATE_TEST_SUITE_P(Laws, LowerBound, testing::ValuesIn(kClasses), class_name);

}  // namespace
}  // namespace xpusim::test
