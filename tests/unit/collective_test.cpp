#include "xpusim/network/collective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support/shipped.h"
#include "xpusim/core/error.h"

namespace {

using namespace xpusim;
using namespace xpusim::network;

/// Eight devices behind a switch, or in a full mesh, with round numbers.
SystemSpec node(LevelKind kind = LevelKind::Switch) {
  SystemSpec s;
  s.id = "node";
  s.chips = 8;
  LevelSpec level;
  level.name = "node";
  level.kind = kind;
  level.endpoints = 8;
  level.bandwidth = BytesPerSecond(100e9);
  level.achieved_fraction = 0.8;
  level.latency = Seconds(1e-6);
  s.levels = {level};
  s.library = {"library", Seconds(5e-6), Seconds(0.5e-6)};
  return s;
}

constexpr double kLaunch = 5e-6, kStep = 1.5e-6, kRate = 80e9;
const Bytes kSize(1'000'000'000);

void expect_time(Algorithm algorithm, OpKind kind, Group g, const SystemSpec& s, double steps, double bytes,
                 double rate) {
  const double seconds = time_of(algorithm, kind, kSize, g, s).total.count();
  EXPECT_NEAR(seconds, kLaunch + steps * kStep + bytes / rate, 1e-9 * seconds);
}

TEST(Collective, RingSendsItsShareAroundInOneStepPerNeighbour) {
  expect_time(Algorithm::Ring, OpKind::AllGather, {4, 1}, node(), 3, 0.75e9, kRate);
  expect_time(Algorithm::Ring, OpKind::ReduceScatter, {4, 1}, node(), 3, 0.75e9, kRate);
  expect_time(Algorithm::Ring, OpKind::AllReduce, {4, 1}, node(), 6, 1.5e9, kRate);
}

TEST(Collective, DirectSendsTheSameBytesInOneStepPerPhase) {
  expect_time(Algorithm::Direct, OpKind::AllGather, {8, 1}, node(), 1, 0.875e9, kRate);
  expect_time(Algorithm::Direct, OpKind::AllToAll, {8, 1}, node(), 1, 0.875e9, kRate);
  expect_time(Algorithm::Direct, OpKind::AllReduce, {8, 1}, node(), 2, 1.75e9, kRate);
}

TEST(Collective, OneShotSendsEverythingToEverybody) {
  expect_time(Algorithm::OneShot, OpKind::AllReduce, {8, 1}, node(), 1, 7e9, kRate);
}

TEST(Collective, InSwitchReductionSendsTheMessageOnceAndAShare) {
  SystemSpec s = node();
  s.levels[0].in_switch_reduction = true;
  s.levels[0].in_switch_fraction = 0.6;
  expect_time(Algorithm::InSwitch, OpKind::AllReduce, {8, 1}, s, 2, 1.125e9, 60e9);
}

TEST(Collective, AFullMeshUsesOnlyTheLinksToTheGroup) {
  const SystemSpec s = node(LevelKind::FullMesh);
  expect_time(Algorithm::Direct, OpKind::AllGather, {8, 1}, s, 1, 0.875e9, kRate);
  expect_time(Algorithm::Direct, OpKind::AllGather, {2, 1}, s, 1, 0.5e9, kRate / 7);
  expect_time(Algorithm::Direct, OpKind::AllGather, {4, 1}, s, 1, 0.75e9, kRate * 3 / 7);
}

TEST(Collective, RefusesWhatALevelCannotRun) {
  EXPECT_THROW(static_cast<void>(time_of(Algorithm::InSwitch, OpKind::AllReduce, kSize, {8, 1}, node())),
               InfeasibleError);
  EXPECT_THROW(static_cast<void>(time_of(Algorithm::Ring, OpKind::AllToAll, kSize, {8, 1}, node())),
               InfeasibleError);
  EXPECT_THROW(static_cast<void>(time_of(Algorithm::OneShot, OpKind::AllGather, kSize, {8, 1}, node())),
               InfeasibleError);
}

TEST(Collective, RefusesAGroupLargerThanTheSystem) {
  EXPECT_THROW(static_cast<void>(bound(OpKind::AllReduce, kSize, {9, 1}, node())), InfeasibleError);
  EXPECT_THROW(static_cast<void>(bound(OpKind::AllReduce, kSize, {2, 8}, node())), InfeasibleError);
  EXPECT_NO_THROW(static_cast<void>(bound(OpKind::AllReduce, kSize, {2, 7}, node())));
}

TEST(Collective, TakesTheInnermostLevelThatJoinsTheGroup) {
  SystemSpec s = node();
  LevelSpec package = s.levels[0];
  package.name = "package";
  package.endpoints = 2;
  s.levels.insert(s.levels.begin(), package);
  EXPECT_EQ(bound(OpKind::AllReduce, kSize, {2, 1}, s).level, "package");
  EXPECT_EQ(bound(OpKind::AllReduce, kSize, {2, 2}, s).level, "node");  // neighbours of other packages
  EXPECT_EQ(bound(OpKind::AllReduce, kSize, {3, 1}, s).level, "node");
}

TEST(Collective, OfOneRankTakesNoTime) {
  const CollectiveTime t = bound(OpKind::AllReduce, kSize, {1, 1}, node());
  EXPECT_EQ(t.total.count(), 0);
  EXPECT_EQ(t.algorithm, Algorithm::None);
}

constexpr OpKind kKinds[] = {OpKind::AllReduce, OpKind::AllGather, OpKind::ReduceScatter, OpKind::AllToAll};
constexpr Algorithm kAlgorithms[] = {Algorithm::Ring, Algorithm::Direct, Algorithm::OneShot,
                                     Algorithm::InSwitch};

/// What each shipped system, group and size gives.
template <class Visit>
void for_each_case(const Visit& visit) {
  for (const std::string& id : test::library().list(config::FileKind::System)) {
    const SystemSpec s = test::system(id);
    for (const LevelSpec& level : s.levels)
      for (std::int64_t ranks = 2; ranks <= level.endpoints; ranks *= 2)
        for (const OpKind kind : kKinds)
          for (std::int64_t size = 1; size < (std::int64_t{1} << 34); size *= 8)
            visit(s, level, Group{ranks, 1}, kind, Bytes(size));
  }
}

TEST(Collective, IsTheFastestAlgorithmThatRuns) {
  for_each_case([](const SystemSpec& s, const LevelSpec&, Group g, OpKind kind, Bytes size) {
    double least = 1e300;
    for (const Algorithm a : kAlgorithms) {
      try {
        least = std::min(least, time_of(a, kind, size, g, s).total.count());
      } catch (const InfeasibleError&) {
      }
    }
    ASSERT_EQ(bound(kind, size, g, s).total.count(), least) << s.id;
  });
}

TEST(Collective, BusBandwidthStaysBelowTheLink) {
  for_each_case([](const SystemSpec& s, const LevelSpec&, Group g, OpKind kind, Bytes size) {
    const CollectiveTime t = bound(kind, size, g, s);
    const auto level =
        std::find_if(s.levels.begin(), s.levels.end(), [&](const LevelSpec& l) { return l.name == t.level; });
    ASSERT_NE(level, s.levels.end());
    double sent = t.bus_bandwidth.count();  // by convention as of a ring
    const double n = static_cast<double>(g.ranks);
    // A switch that adds up spares the ranks traffic, which the convention counts all the same.
    if (t.algorithm == Algorithm::InSwitch) sent *= (1 + 1 / n) / (2 * (n - 1) / n);
    ASSERT_LE(sent, level->bandwidth.count()) << s.id << " " << size.count();
  });
}

TEST(Collective, MoreBytesNeverTakeLess) {
  for_each_case([](const SystemSpec& s, const LevelSpec&, Group g, OpKind kind, Bytes size) {
    ASSERT_LT(bound(kind, size, g, s).total,
              bound(kind, Bytes(size.count() + 1 + size.count() / 7), g, s).total);
  });
}

TEST(Collective, MoreBandwidthAndLessLatencyNeverTakeLonger) {
  std::mt19937 engine(3);
  std::uniform_real_distribution<double> more(1, 3);
  for_each_case([&](const SystemSpec& s, const LevelSpec&, Group g, OpKind kind, Bytes size) {
    const double before = bound(kind, size, g, s).total.count();
    SystemSpec better = s;
    for (LevelSpec& level : better.levels) {
      level.bandwidth = level.bandwidth * more(engine);
      level.latency = level.latency * (1 / more(engine));
    }
    ASSERT_LE(bound(kind, size, g, better).total.count(), before * (1 + 1e-12)) << s.id;
  });
}

}  // namespace
