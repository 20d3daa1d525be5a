#include "laws/law.h"

namespace xpusim::test {
namespace {

class Breakdowns : public EveryClass {};

TEST_P(Breakdowns, AddUpToTheTotalAndHaveNoNegativePart) {
  Random r = random(3);
  Worst sum, negative;
  for (int i = 0; i < cases(300); ++i) {
    const Sample s = random_sample(r, GetParam());
    const Seconds overhead(r.chance(0.3) ? 0 : r.log_real(1e-7, 1e-4));
    const Hertz clock = s.chip.clock.max * r.real(0.3, 1);
    for (const chip::KernelTime& t : {chip::execute(s.program, s.chip, clock, overhead),
                                      chip::bound(s.program, s.chip, clock, overhead)}) {
      sum.see(std::abs(t.breakdown.total() / t.total.count() - 1), s.text());
      for (const double part : t.breakdown.seconds) negative.see(-part / t.total.count(), s.text());
    }
  }
  expect_at_most(sum, 1e-9, "sum");
  expect_at_most(negative, 0, "negative");
}

INSTANTIATE_TEST_SUITE_P(Laws, Breakdowns, testing::ValuesIn(kClasses), class_name);

}  // namespace
}  // namespace xpusim::test
