#include "laws/law.h"

namespace xpusim::test {
namespace {

double watts(const mapping::TileProgram& p, const ChipSpec& c, Hertz clock) {
  const chip::KernelTime t = chip::bound(p, c, clock, Seconds(0));
  const double busy = t.breakdown[Bound::Matrix] / t.total.count();
  return c.power.idle.count() +
         (c.power.full_load - c.power.idle).count() * busy * std::pow(clock / c.power.full_load_clock, 3);
}

Sample hot_sample(Random& r) {
  Sample s = random_sample(r, r.pick(std::vector<Class>{Class::Gemm, Class::Prefill, Class::Backward}));
  s.chip.power.cap = s.chip.power.idle * r.log_real(1.1, 10);
  return s;
}

TEST(PowerCap, BoundsTheClockAndThePower) {
  Random r(20);
  Worst clock, power;
  int throttled = 0;
  for (int i = 0; i < cases(600); ++i) {
    const Sample s = hot_sample(r);
    const Hertz at = chip::clock_under_cap(s.program, s.chip);
    clock.see(at / s.chip.clock.max - 1, s.text());
    power.see(watts(s.program, s.chip, at) / s.chip.power.cap.count() - 1, s.text());
    throttled += at < s.chip.clock.max ? 1 : 0;
  }
  EXPECT_GT(throttled, cases(600) / 4);
  expect_at_most(clock, 0, "clock");
  expect_at_most(power, 1e-5, "power");
}

TEST(PowerCap, LeavesNoClockUnused) {
  Random r(21);
  Worst unused;
  for (int i = 0; i < cases(600); ++i) {
    const Sample s = hot_sample(r);
    const Hertz at = chip::clock_under_cap(s.program, s.chip);
    if (at < s.chip.clock.max)
      unused.see(1 - watts(s.program, s.chip, at) / s.chip.power.cap.count(), s.text());
  }
  expect_at_most(unused, 1e-3);
}

TEST(PowerCap, OfAnyHeightLeavesTheMaximum) {
  Random r(22);
  for (int i = 0; i < cases(100); ++i) {
    Sample s = hot_sample(r);
    s.chip.power.cap = Watts(1e9);
    EXPECT_EQ(chip::clock_under_cap(s.program, s.chip), s.chip.clock.max) << s.text();
  }
}

TEST(PowerCap, AHigherCapNeverLowersTheClock) {
  Random r(23);
  Worst worst;
  for (int i = 0; i < cases(400); ++i) {
    Sample s = hot_sample(r);
    const Hertz low = chip::clock_under_cap(s.program, s.chip);
    s.chip.power.cap = s.chip.power.cap * r.real(1, 1.5);
    worst.see(1 - chip::clock_under_cap(s.program, s.chip) / low, s.text());
  }
  expect_at_most(worst, 1e-6);
}

}  // namespace
}  // namespace xpusim::test
