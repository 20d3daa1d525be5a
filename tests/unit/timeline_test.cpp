#include "xpusim/des/timeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace {

using xpusim::des::Timeline;

struct Busy {
  std::int64_t begin, end;
};

TEST(Timeline, ServesTransfersOneAfterTheOther) {
  Timeline t;
  EXPECT_EQ(t.reserve(0, 10, 0), 0);
  EXPECT_EQ(t.reserve(0, 5, 0), 10);
  EXPECT_EQ(t.reserve(2, 5, 2), 15);
  EXPECT_EQ(t.busy(), 20);
}

TEST(Timeline, FillsTheGapBeforeATransferBookedAhead) {
  Timeline t;
  EXPECT_EQ(t.reserve(100, 10, 0), 100);  // leaves [0, 100) free
  EXPECT_EQ(t.reserve(0, 40, 0), 0);
  EXPECT_EQ(t.reserve(0, 60, 0), 40);  // exactly what is left of the gap
  EXPECT_EQ(t.reserve(0, 1, 0), 110);
}

TEST(Timeline, SplitsAGapIntoWhatIsLeftBeforeAndAfter) {
  Timeline t;
  EXPECT_EQ(t.reserve(100, 10, 0), 100);
  EXPECT_EQ(t.reserve(30, 20, 0), 30);  // leaves [0, 30) and [50, 100)
  EXPECT_EQ(t.reserve(0, 30, 0), 0);
  EXPECT_EQ(t.reserve(10, 50, 10), 50);
}

TEST(Timeline, BooksNothingBeforeTheEarliestTime) {
  Timeline t;
  EXPECT_EQ(t.reserve(50, 10, 0), 50);
  EXPECT_EQ(t.reserve(20, 30, 0), 20);  // the end of the gap [0, 50), not its begin
  EXPECT_EQ(t.reserve(0, 20, 0), 0);
}

TEST(Timeline, ForgetsGapsThatEndedBeforeNow) {
  Timeline t;
  EXPECT_EQ(t.reserve(100, 10, 0), 100);
  EXPECT_EQ(t.reserve(200, 10, 0), 200);    // gaps [0, 100) and [110, 200)
  EXPECT_EQ(t.reserve(150, 10, 150), 150);  // the first gap is past
  EXPECT_EQ(t.reserve(150, 40, 150), 160);  // [160, 200)
  EXPECT_EQ(t.reserve(150, 1, 150), 210);
}

TEST(Timeline, CountsTheBusyTime) {
  Timeline t;
  static_cast<void>(t.reserve(1000, 7, 0));
  static_cast<void>(t.reserve(0, 5, 0));
  static_cast<void>(t.reserve(0, 0, 0));
  EXPECT_EQ(t.busy(), 12);
}

/// Free time of a server as what its bookings leave: the slowest model that is surely right.
std::int64_t first_fit(const std::vector<Busy>& busy, std::int64_t earliest, std::int64_t duration) {
  std::int64_t start = earliest;
  for (const Busy& b : busy) {  // ordered by time
    if (start + duration <= b.begin) break;
    start = std::max(start, b.end);
  }
  return start;
}

void insert(std::vector<Busy>& busy, Busy b) {
  busy.insert(std::upper_bound(busy.begin(), busy.end(), b,
                               [](const Busy& x, const Busy& y) { return x.begin < y.begin; }),
              b);
}

TEST(Timeline, IsFirstFitInTheFreeTime) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 engine(seed);
    const auto upto = [&engine](std::int64_t most) {
      return std::uniform_int_distribution<std::int64_t>(0, most)(engine);
    };
    Timeline t;
    std::vector<Busy> busy;
    std::int64_t now = 0;
    const std::int64_t ahead = 1 + upto(500);
    for (int i = 0; i < 300; ++i) {
      now += upto(30) * upto(1);
      const std::int64_t earliest = now + upto(1) * upto(ahead);
      const std::int64_t duration = 1 + upto(40);
      const std::int64_t start = t.reserve(earliest, duration, now);
      ASSERT_EQ(start, first_fit(busy, earliest, duration)) << "seed " << seed << ", booking " << i;
      insert(busy, {start, start + duration});
    }
  }
}

TEST(Timeline, NeverBooksTwoTransfersAtOnce) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 engine(seed);
    const auto upto = [&engine](std::int64_t most) {
      return std::uniform_int_distribution<std::int64_t>(0, most)(engine);
    };
    Timeline t;
    std::vector<Busy> busy;
    std::int64_t now = 0, sum = 0;
    for (int i = 0; i < 300; ++i) {
      now += upto(30) * upto(1);
      const std::int64_t earliest = std::max<std::int64_t>(0, now - 50 + upto(300));  // also before now
      const std::int64_t duration = 1 + upto(40);
      const std::int64_t start = t.reserve(earliest, duration, now);
      ASSERT_GE(start, earliest);
      for (const Busy& b : busy)
        ASSERT_TRUE(start + duration <= b.begin || start >= b.end) << "seed " << seed << ", booking " << i;
      busy.push_back({start, start + duration});
      sum += duration;
    }
    EXPECT_EQ(t.busy(), sum);
  }
}

}  // namespace
