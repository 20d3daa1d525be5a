#include "laws/law.h"

namespace xpusim::test {
namespace {

/// Equal to the bit, in all that a kernel's time holds.
void expect_same(const chip::KernelTime& a, const chip::KernelTime& b, const std::string& where) {
  EXPECT_EQ(a.total.count(), b.total.count()) << where;
  EXPECT_EQ(a.breakdown.seconds, b.breakdown.seconds) << where;
  EXPECT_EQ(a.clock.count(), b.clock.count()) << where;
  EXPECT_EQ(a.hbm_bytes, b.hbm_bytes) << where;
  EXPECT_EQ(a.l2_bytes, b.l2_bytes) << where;
  EXPECT_EQ(a.tiling, b.tiling) << where;
}

class Repeat : public EveryClass {};

TEST_P(Repeat, ASecondRunGivesTheSameBits) {
  Random r = random(9);
  for (int i = 0; i < cases(60); ++i) {
    const Sample s = random_sample(r, GetParam());
    const auto once = [&] { return chip::execute(s.program, s.chip, s.chip.clock.max, Seconds(1e-6)); };
    expect_same(once(), once(), s.text());
  }
}

TEST_P(Repeat, CoresWithoutABlockChangeNothing) {
  Random r = random(10);
  int seen = 0;
  for (int i = 0; i < cases(300); ++i) {
    const Sample s = random_sample(r, GetParam());
    if (mapping::block_count(s.program) > s.chip.cores.count) continue;
    ++seen;
    ChipSpec larger = s.chip;
    larger.cores.count += r.integer(1, 100);
    const chip::KernelTime few = chip::execute(s.program, s.chip, s.chip.clock.max, Seconds(0));
    const chip::KernelTime many = chip::execute(s.program, larger, s.chip.clock.max, Seconds(0));
    EXPECT_EQ(few.total.count(), many.total.count()) << s.text();
    EXPECT_EQ(few.hbm_bytes, many.hbm_bytes) << s.text();
  }
  EXPECT_GT(seen, 0);
}

TEST_P(Repeat, RecordingEnginesChangesNothing) {
  Random r = random(11);
  for (int i = 0; i < cases(30); ++i) {
    const Sample s = random_sample(r, GetParam());
    const auto run = [&](bool spans) {
      return chip::execute(s.program, s.chip, s.chip.clock.max, Seconds(0), spans);
    };
    expect_same(run(false), run(true), s.text());
  }
}

INSTANTIATE_TEST_SUITE_P(Laws, Repeat, testing::ValuesIn(kClasses), class_name);

TEST(RepeatOrder, OperatorsTakeTheSameTimeInAnyOrder) {
  Random r(12);
  for (int i = 0; i < cases(10); ++i) {
    const ChipSpec c = random_chip(r);
    std::vector<Operator> list;
    for (const Class kind : kClasses)
      for (int n = 0; n < 3; ++n) {
        Operator o = random_operator(r, c, kind);
        if (mapping::totals(best(o, c)).transactions <= kMostTransactions) list.push_back(o);
      }
    chip::Estimator first(c, chip::Fidelity::Tile, Launch::Graph),
        second(c, chip::Fidelity::Tile, Launch::Graph);
    for (const Operator& o : list) static_cast<void>(first.time(o));
    std::shuffle(list.begin(), list.end(), r.engine());
    for (const Operator& o : list) static_cast<void>(second.time(o));
    for (const Operator& o : list) expect_same(first.time(o), second.time(o), text(o) + " | " + text(c));
  }
}

}  // namespace
}  // namespace xpusim::test
