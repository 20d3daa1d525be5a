#include "xpusim/network/collective.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/networks.h"
#include "xpusim/core/error.h"

namespace {

using namespace xpusim;
using namespace xpusim::network;
using test::call;
using test::round_cluster;
using test::round_node;

constexpr double kLaunch = 5e-6, kStep = 1.5e-6, kRate = 80e9;
constexpr std::int64_t kSize = 1'000'000'000;

void expect_time(Algorithm algorithm, CollectiveKind kind, std::int64_t ranks, const SystemSpec& s,
                 double steps, double bytes, double rate) {
  const double seconds = bound(call(kind, kSize, ranks, algorithm), s).total.count();
  EXPECT_NEAR(seconds, kLaunch + steps * kStep + bytes / rate, 1e-9 * seconds) << enum_name(algorithm);
}

TEST(Collective, RingSendsItsShareAroundInOneStepPerNeighbour) {
  expect_time(Algorithm::Ring, CollectiveKind::AllGather, 4, round_node(), 3, 0.75e9, kRate);
  expect_time(Algorithm::Ring, CollectiveKind::ReduceScatter, 4, round_node(), 3, 0.75e9, kRate);
  expect_time(Algorithm::Ring, CollectiveKind::AllReduce, 4, round_node(), 6, 1.5e9, kRate);
}

TEST(Collective, RingOfLinksUsesBothWaysRound) {
  expect_time(Algorithm::Ring, CollectiveKind::AllGather, 8, round_node(LevelKind::Ring), 7, 0.875e9, kRate);
}

TEST(Collective, DirectSendsTheSameBytesInOneStepPerPhase) {
  expect_time(Algorithm::Direct, CollectiveKind::AllGather, 8, round_node(), 1, 0.875e9, kRate);
  expect_time(Algorithm::Direct, CollectiveKind::AllToAll, 8, round_node(), 1, 0.875e9, kRate);
  expect_time(Algorithm::Direct, CollectiveKind::AllReduce, 8, round_node(), 2, 1.75e9, kRate);
}

TEST(Collective, HalvingAndDoublingTakesALogarithmOfSteps) {
  expect_time(Algorithm::HalvingDoubling, CollectiveKind::AllReduce, 8, round_node(), 6, 1.75e9, kRate);
  expect_time(Algorithm::HalvingDoubling, CollectiveKind::AllGather, 8, round_node(), 3, 0.875e9, kRate);
}

TEST(Collective, BruckGathersInALogarithmOfSteps) {
  expect_time(Algorithm::Bruck, CollectiveKind::AllGather, 6, round_node(), 3, 5.0 / 6 * 1e9, kRate);
  expect_time(Algorithm::Bruck, CollectiveKind::AllToAll, 8, round_node(), 3, 1.5e9, kRate);
}

TEST(Collective, PairwiseMeetsOnePeerAStep) {
  expect_time(Algorithm::Pairwise, CollectiveKind::AllToAll, 8, round_node(), 7, 0.875e9, kRate);
}

TEST(Collective, OneShotSendsEverythingToEverybody) {
  expect_time(Algorithm::OneShot, CollectiveKind::AllReduce, 8, round_node(), 1, 7e9, kRate);
}

TEST(Collective, InSwitchReductionSendsTheMessageOnceAndAShare) {
  SystemSpec s = round_node();
  s.levels[0].in_switch_reduction = true;
  s.levels[0].in_switch_fraction = 0.6;
  const double seconds =
      bound(call(CollectiveKind::AllReduce, kSize, 8, Algorithm::InSwitch), s).total.count();
  EXPECT_NEAR(seconds, kLaunch + 2e-6 + 1.125e9 / 60e9, 1e-9 * seconds);
}

/// A node whose switch reduces at 60 GB/s, and whose library copies a rank's own share at 40 GB/s.
SystemSpec reducing_node() {
  SystemSpec s = round_node();
  s.levels[0].in_switch_reduction = true;
  s.levels[0].in_switch_fraction = 0.6;
  s.libraries[0].copy_bandwidth = BytesPerSecond(40e9);
  return s;
}

TEST(Collective, TheFirstChunkGoesUpToTheSwitchBeforeAnyComesDown) {
  SystemSpec s = reducing_node();
  const auto seconds = [&](std::int64_t size) {
    return bound(call(CollectiveKind::AllReduce, size, 8, Algorithm::InSwitch), s).total.count();
  };
  const double small = seconds(8'000'000), large = seconds(kSize);
  s.libraries[0].in_switch_chunk = Bytes(6'000'000);
  EXPECT_NEAR(seconds(8'000'000) - small, 7e6 / 60e9, 1e-12);  // the others' shares
  EXPECT_NEAR(seconds(kSize) - large, 42e6 / 60e9, 1e-12);
}

TEST(Collective, ASwitchMulticastsWhatItCannotAdd) {
  const SystemSpec s = reducing_node();
  Call c = call(CollectiveKind::AllReduce, kSize, 8, Algorithm::InSwitch);
  c.switch_adds = false;
  EXPECT_THROW(static_cast<void>(bound(c, s)), InfeasibleError);
  c.kind = CollectiveKind::AllGather;
  EXPECT_GT(bound(c, s).total.count(), 0);
}

TEST(Collective, InPlaceAnAllReduceCopiesNoShare) {
  const SystemSpec s = reducing_node();
  Call c = call(CollectiveKind::AllReduce, kSize, 8, Algorithm::Ring);
  const double copies = bound(c, s).total.count();
  c.in_place = true;
  EXPECT_NEAR(copies - bound(c, s).total.count(), kSize / 8 / 40e9, 1e-12);
  c.kind = CollectiveKind::AllGather;  // the share has to get into the result
  const double gathers = bound(c, s).total.count();
  c.in_place = false;
  EXPECT_EQ(bound(c, s).total.count(), gathers);
}

TEST(Collective, AProtocolMayCopyTheOwnShareFaster) {
  SystemSpec s = reducing_node();
  const Call c = call(CollectiveKind::AllToAll, kSize, 8, Algorithm::Direct);
  const double slow = bound(c, s).total.count();
  s.libraries[0].protocols[0].copy_bandwidth = BytesPerSecond(80e9);
  EXPECT_NEAR(slow - bound(c, s).total.count(), kSize / 8 * (1 / 40e9 - 1 / 80e9), 1e-12);
}

TEST(Collective, AFullMeshUsesOnlyTheLinksToTheGroup) {
  const SystemSpec s = round_node(LevelKind::FullMesh);
  expect_time(Algorithm::Direct, CollectiveKind::AllGather, 8, s, 1, 0.875e9, kRate);
  expect_time(Algorithm::Direct, CollectiveKind::AllGather, 2, s, 1, 0.5e9, kRate / 7);
  expect_time(Algorithm::Direct, CollectiveKind::AllGather, 4, s, 1, 0.75e9, kRate * 3 / 7);
}

TEST(Collective, HierarchicalLeavesANodeWithItsShareOnly) {
  // Two direct phases inside, rings over 8 nodes of an eighth of the message at 8 GB/s: a small message goes
  // through one stage after the other, the chunks of a large one keep the slowest level busy.
  const auto seconds = [](std::int64_t size) {
    return bound(call(CollectiveKind::AllReduce, size, 64, Algorithm::Hierarchical), round_cluster())
        .total.count();
  };
  constexpr double kLatency = 2 * 1.5e-6 + 14 * 5.5e-6, kSmall = 1 << 20, kLarge = 1 << 30;
  EXPECT_NEAR(seconds(1 << 20), kLaunch + kLatency + 1.75 * kSmall / kRate + 14 * kSmall / 64 / 8e9, 1e-12);
  EXPECT_NEAR(seconds(1 << 30), kLaunch + kLatency + 14 * kLarge / 64 / 8e9, 0.01 * kLarge / 32e9);
}

TEST(Collective, ATorusIsReducedAlongAllDimensionsAtOnce) {
  SystemSpec s = round_node(LevelKind::Torus, 64);
  s.levels[0].dims = {4, 4, 4};
  const double seconds =
      bound(call(CollectiveKind::AllReduce, kSize, 64, Algorithm::Hierarchical), s).total.count();
  EXPECT_NEAR(seconds, kLaunch + 18 * 1.5e-6 + 2 * 63.0 / 64 * 1e9 / 80e9, 1e-6 * seconds);
}

TEST(Collective, ExpertsReceiveATokenOncePerNode) {
  // 8 nodes, 8 experts a token: a node is hit with 1 - (7/8)^8; each device sends to its rail's seven others.
  const double hit = 1 - std::pow(7.0 / 8, 8);
  const CollectiveTime t =
      bound(call(CollectiveKind::Dispatch, kSize, 64, Algorithm::Hierarchical), round_cluster());
  ASSERT_EQ(t.loads.size(), 2U);
  EXPECT_NEAR(t.loads[1].bytes, kSize / 8.0 * hit * 7, 1);
}

TEST(Collective, RefusesWhatALevelCannotRun) {
  const auto run = [](CollectiveKind kind, Algorithm a, std::int64_t ranks = 8) {
    return bound(call(kind, kSize, ranks, a), round_node());
  };
  EXPECT_THROW(static_cast<void>(run(CollectiveKind::AllReduce, Algorithm::InSwitch)), InfeasibleError);
  EXPECT_THROW(static_cast<void>(run(CollectiveKind::AllToAll, Algorithm::Ring)), InfeasibleError);
  EXPECT_THROW(static_cast<void>(run(CollectiveKind::AllGather, Algorithm::OneShot)), InfeasibleError);
  EXPECT_THROW(static_cast<void>(run(CollectiveKind::AllReduce, Algorithm::HalvingDoubling, 6)),
               InfeasibleError);
  EXPECT_THROW(static_cast<void>(run(CollectiveKind::SendRecv, Algorithm::Direct, 3)), InfeasibleError);
}

TEST(Collective, RefusesAGroupLargerThanTheSystem) {
  const SystemSpec s = round_node();
  EXPECT_THROW(static_cast<void>(bound(CollectiveKind::AllReduce, Bytes(kSize), {9, 1, {}}, s)),
               InfeasibleError);
  EXPECT_THROW(static_cast<void>(bound(CollectiveKind::AllReduce, Bytes(kSize), {2, 8, {}}, s)),
               InfeasibleError);
  EXPECT_NO_THROW(static_cast<void>(bound(CollectiveKind::AllReduce, Bytes(kSize), {2, 7, {}}, s)));
}

TEST(Collective, RefusesPlacesAndTrafficThatDoNotFit) {
  const SystemSpec s = round_node();
  Call c = call(CollectiveKind::AllToAll, kSize, 3);
  c.group.places = {0, 1};
  EXPECT_THROW(static_cast<void>(bound(c, s)), InfeasibleError);
  c.group.places = {0, 1, 8};
  EXPECT_THROW(static_cast<void>(bound(c, s)), InfeasibleError);
  c.group.places = {0, 1, 1};
  EXPECT_THROW(static_cast<void>(bound(c, s)), InfeasibleError);
  c.group.places.clear();
  c.traffic.assign(8, 1.0);
  EXPECT_THROW(static_cast<void>(bound(c, s)), InfeasibleError);
}

TEST(Collective, TakesTheInnermostLevelThatJoinsTheGroup) {
  SystemSpec s = round_node();
  LevelSpec package = s.levels[0];
  package.name = "package";
  package.endpoints = 2;
  s.levels.insert(s.levels.begin(), package);
  EXPECT_EQ(bound(CollectiveKind::AllReduce, Bytes(kSize), {2, 1, {}}, s).level, "package");
  EXPECT_EQ(bound(CollectiveKind::AllReduce, Bytes(kSize), {2, 2, {}}, s).level,
            "node");  // of other packages
  EXPECT_EQ(bound(CollectiveKind::AllReduce, Bytes(kSize), {4, 1, {}}, s).level, "node");
}

TEST(Collective, OfOneRankTakesNoTime) {
  const CollectiveTime t = bound(CollectiveKind::AllReduce, Bytes(kSize), {1, 1, {}}, round_node());
  EXPECT_EQ(t.total.count(), 0);
  EXPECT_EQ(t.algorithm, Algorithm::None);
}

TEST(Collective, TakesTheFasterPlane) {
  SystemSpec s = round_node();
  s.levels[0].plane = "slow";
  LevelSpec fast = s.levels[0];
  fast.plane = fast.name = "fast";
  fast.bandwidth = BytesPerSecond(200e9);
  s.levels.push_back(fast);
  Call c = call(CollectiveKind::AllGather, kSize, 8);
  EXPECT_EQ(bound(c, s).plane, "fast");
  c.plane = "slow";
  EXPECT_EQ(bound(c, s).plane, "slow");
  c.plane = "none";
  EXPECT_THROW(static_cast<void>(bound(c, s)), InfeasibleError);
}

TEST(Collective, LaunchedByTheHostItTakesAtLeastTheHostsTime) {
  SystemSpec s = round_node();
  s.libraries[0].eager_launch = Seconds(100e-6);
  Call c = call(CollectiveKind::AllReduce, 1024, 8);
  c.eager = true;
  EXPECT_EQ(bound(c, s).total.count(), 100e-6);
}

/// The node with a framework that calls its library: 3 us more, 20 us more for an exchange.
SystemSpec with_framework() {
  SystemSpec s = round_node();
  LibrarySpec framework;
  framework.name = "framework";
  framework.calls = "library";
  framework.launch = Seconds(3e-6);
  framework.exchange_launch = Seconds(20e-6);
  framework.eager_copy = BytesPerSecond(1e12);
  s.libraries.push_back(framework);
  return s;
}

TEST(Collective, AFrameworkAddsItsLaunchToThatOfTheLibraryItCalls) {
  const SystemSpec s = with_framework();
  for (const auto& [kind, added] :
       {std::pair{CollectiveKind::AllReduce, 3e-6}, {CollectiveKind::AllToAll, 23e-6}}) {
    Call c = call(kind, kSize, 8);
    const CollectiveTime by_library = bound(c, s);
    c.library = "framework";
    const CollectiveTime by_framework = bound(c, s);
    EXPECT_NEAR(by_framework.total.count() - by_library.total.count(), added, 1e-12);
    EXPECT_EQ(by_framework.algorithm, by_library.algorithm);
    EXPECT_EQ(by_framework.library, "framework");
  }
}

TEST(Collective, OnlyAnAllReduceIsCopiedBeforeIt) {
  const SystemSpec s = with_framework();
  for (const auto& [kind, copied] :
       {std::pair{CollectiveKind::AllReduce, 1e9 / 1e12}, {CollectiveKind::AllGather, 0.0}}) {
    Call c = call(kind, kSize, 8);
    c.library = "framework";
    const double graph = bound(c, s).total.count();
    c.eager = true;
    EXPECT_NEAR(bound(c, s).total.count() - graph, copied, 1e-12);
  }
}

TEST(Collective, DispatchAndCombineMayBeKernelsOfTheirOwn) {
  SystemSpec s = round_node();
  ProtocolSpec combine = s.libraries[0].protocols[0];
  combine.name = "combine";
  combine.transfers = Transfers::Combines;
  s.libraries[0].protocols[0].transfers = Transfers::Exchanges;
  s.libraries[0].protocols.push_back(combine);
  s.libraries[0].protocols[1].startup = Seconds(-1e-6);  // so that it is chosen wherever it may be
  EXPECT_EQ(bound(call(CollectiveKind::Combine, kSize, 8), s).protocol, "combine");
  EXPECT_EQ(bound(call(CollectiveKind::Dispatch, kSize, 8), s).protocol, "wire");
  EXPECT_EQ(bound(call(CollectiveKind::AllToAll, kSize, 8), s).protocol, "wire");
}

}  // namespace
