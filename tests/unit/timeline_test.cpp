#include "xpusim/des/timeline.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace {

using xpusim::des::Timeline;

TEST(Timeline, ServesTransfersOneAfterTheOther) {
  Timeline t;
  EXPECT_EQ(t.reserve(0, 10, 0), 10);
  EXPECT_EQ(t.reserve(0, 5, 0), 15);
  EXPECT_EQ(t.reserve(2, 5, 2), 20);
  EXPECT_EQ(t.busy(), 20);
}

TEST(Timeline, FillsTheGapBeforeATransferBookedAhead) {
  Timeline t;
  EXPECT_EQ(t.reserve(100, 10, 0), 110);  // leaves [0, 100) free
  EXPECT_EQ(t.reserve(0, 40, 0), 40);
  EXPECT_EQ(t.reserve(0, 60, 0), 100);  // exactly what is left of the gap
  EXPECT_EQ(t.reserve(0, 1, 0), 111);
}

TEST(Timeline, FillsGapsInPiecesWhereOneIsTooShort) {
  Timeline t;
  EXPECT_EQ(t.reserve(100, 10, 0), 110);
  EXPECT_EQ(t.reserve(30, 20, 0), 50);  // leaves [0, 30) and [50, 100)
  EXPECT_EQ(t.reserve(10, 50, 0), 80);  // [10, 30) and [50, 80)
  EXPECT_EQ(t.reserve(0, 45, 0), 125);  // [0, 10), [80, 100) and 15 after the last
  EXPECT_EQ(t.reserve(0, 1, 0), 126);
}

TEST(Timeline, BooksNothingBeforeTheEarliestTime) {
  Timeline t;
  EXPECT_EQ(t.reserve(50, 10, 0), 60);
  EXPECT_EQ(t.reserve(20, 30, 0), 50);  // the end of the gap [0, 50), not its begin
  EXPECT_EQ(t.reserve(0, 20, 0), 20);
}

TEST(Timeline, ForgetsGapsThatEndedBeforeNow) {
  Timeline t;
  EXPECT_EQ(t.reserve(100, 10, 0), 110);
  EXPECT_EQ(t.reserve(200, 10, 0), 210);    // gaps [0, 100) and [110, 200)
  EXPECT_EQ(t.reserve(150, 10, 150), 160);  // the first gap is past
  EXPECT_EQ(t.reserve(150, 40, 150), 200);  // [160, 200)
  EXPECT_EQ(t.reserve(150, 1, 150), 211);
}

TEST(Timeline, CountsTheBusyTime) {
  Timeline t;
  static_cast<void>(t.reserve(1000, 7, 0));
  static_cast<void>(t.reserve(0, 5, 0));
  static_cast<void>(t.reserve(0, 0, 0));
  EXPECT_EQ(t.busy(), 12);
}

/// The server tick by tick: the slowest model that is surely right. Returns the end of a booking.
class TickByTick {
 public:
  std::int64_t reserve(std::int64_t earliest, std::int64_t duration) {
    std::int64_t tick = earliest;
    for (; duration > 0; ++tick) {
      if (taken_.size() <= static_cast<std::size_t>(tick)) taken_.resize(static_cast<std::size_t>(tick) + 1);
      if (taken_[static_cast<std::size_t>(tick)]) continue;
      taken_[static_cast<std::size_t>(tick)] = true;
      --duration;
    }
    return tick;
  }

 private:
  std::vector<bool> taken_;
};

TEST(Timeline, TakesTheEarliestFreeTicks) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 engine(seed);
    const auto upto = [&engine](std::int64_t most) {
      return std::uniform_int_distribution<std::int64_t>(0, most)(engine);
    };
    Timeline t;
    TickByTick expected;
    std::int64_t now = 0, sum = 0;
    const std::int64_t ahead = 1 + upto(500);
    for (int i = 0; i < 300; ++i) {
      now += upto(30) * upto(1);
      const std::int64_t earliest = now + upto(1) * upto(ahead);
      const std::int64_t duration = 1 + upto(40);
      ASSERT_EQ(t.reserve(earliest, duration, now), expected.reserve(earliest, duration))
          << "seed " << seed << ", booking " << i;
      sum += duration;
    }
    EXPECT_EQ(t.busy(), sum);
  }
}

}  // namespace
