#pragma once
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "support/samples.h"
#include "xpusim/result/result.h"

namespace xpusim::test {

/// The largest value that a law saw, and where.
struct Worst {
  double value = -std::numeric_limits<double>::infinity();
  std::string where;
  int seen = 0;

  void see(double x, const std::string& what) {
    ++seen;
    if (x <= value) return;
    value = x;
    where = what;
  }
};

/// A rank's streams count ticks: what each run of an operator may gain or lose by that, added up.
inline double rounding(const result::Result& r) {
  double runs = 0;
  for (const result::OperatorRow& o : r.operators) runs += static_cast<double>(o.count);
  return 0.5 * runs / kTicksPerSecond;
}

/// No case exceeded `most`; the report of the test run keeps the worst one either way.
inline void expect_at_most(const Worst& worst, double most, const std::string& what = "worst") {
  testing::Test::RecordProperty(what, fmt::format("{:.6g}", worst.value));
  EXPECT_GT(worst.seen, 0) << what << ": no case";
  EXPECT_LE(worst.value, most) << what << " of " << worst.seen << ": " << worst.where;
}

/// A chip, an operator and one of the programs that would be tried for it.
struct Sample {
  ChipSpec chip;
  Operator op;
  mapping::TileProgram program;
  [[nodiscard]] std::string text() const {
    return fmt::format("{} | {} | {}", test::text(op), program.label, test::text(chip));
  }
};

/// Programs that take the event kernel longer are drawn again.
inline constexpr std::int64_t kMostTransactions = 100'000;

inline mapping::TileProgram random_program(Random& r, const Operator& o, const ChipSpec& c) {
  return r.chance(0.6) ? best(o, c) : r.pick(mapping::candidates(o, c));
}

inline Sample random_sample(Random& r, Class kind) {
  for (;;) {
    Sample s;
    s.chip = random_chip(r);
    s.op = random_operator(r, s.chip, kind);
    s.program = random_program(r, s.op, s.chip);
    if (mapping::totals(s.program).transactions <= kMostTransactions) return s;
  }
}

/// A law of one operator, for each class of operators.
class EveryClass : public testing::TestWithParam<Class> {
 protected:
  /// A stream of random numbers of its own for each law and class.
  [[nodiscard]] static Random random(std::uint32_t law) {
    return Random(law * 100 + static_cast<std::uint32_t>(GetParam()));
  }
};

inline std::string class_name(const testing::TestParamInfo<Class>& test) {
  return std::string(kClassNames[static_cast<std::size_t>(test.param)]);
}

}  // namespace xpusim::test
