#include "xpusim/step/streams.h"

#include <gtest/gtest.h>

#include <map>

namespace {

using namespace xpusim;
using namespace xpusim::step;

/// A graph whose operators take the seconds that their names are given.
class Times {
 public:
  Operator compute(const std::string& name, double seconds) { return add(name, GemmShape{}, seconds); }
  Operator collective(const std::string& name, double seconds, bool overlap) {
    return add(name, CollectiveShape{.overlap = overlap, .library = {}}, seconds);
  }
  [[nodiscard]] Schedule run(const std::vector<Section>& sections, double core_share = 0) const {
    Graph graph;
    graph.sections = sections;
    const auto time = [this](const Operator& o) { return Seconds(seconds_.at(o.name)); };
    return schedule(graph, time, core_share);
  }

 private:
  Operator add(const std::string& name, Work work, double seconds) {
    seconds_[name] = seconds;
    return {name, std::move(work), {}};
  }
  std::map<std::string, double> seconds_;
};

Section section(const std::string& name, std::int64_t repeat, bool barrier, std::vector<Operator> operators,
                std::vector<std::string> awaited = {}) {
  return {name, repeat, barrier, std::move(operators), std::move(awaited)};
}
Operator after(Operator o, std::vector<std::string> names) {
  o.after = std::move(names);
  return o;
}

TEST(Schedule, RunsOperatorsOneAfterTheOther) {
  Times t;
  const Schedule s = t.run({section("a", 3, false, {t.compute("x", 1), t.compute("y", 2)}),
                            section("b", 1, false, {t.compute("z", 4)})});
  EXPECT_EQ(s.total.count(), 3 * (1 + 2) + 4);
  EXPECT_EQ(s.exposed_communication.count(), 0);
  ASSERT_EQ(s.spans.size(), 7U);
  EXPECT_EQ(s.spans[3].index, 1U);
  EXPECT_EQ(s.spans[3].begin.count(), 4);
  EXPECT_EQ(s.spans[3].end.count(), 6);
  EXPECT_EQ(s.spans[6].section, 1U);
}

TEST(Schedule, OfNothingTakesNoTime) {
  EXPECT_EQ(Times().run({}).total.count(), 0);
  EXPECT_EQ(Times().run({section("empty", 5, false, {})}).total.count(), 0);
}

TEST(Schedule, ACollectiveInOrderIsExposed) {
  Times t;
  const Schedule s =
      t.run({section("a", 1, false, {t.compute("x", 2), t.collective("c", 3, false), t.compute("y", 2)})});
  EXPECT_EQ(s.total.count(), 7);
  EXPECT_EQ(s.exposed_communication.count(), 3);
  EXPECT_EQ(s.spans[1].lane, kComputeStream);
}

TEST(Schedule, AnOverlappedCollectiveHidesBehindComputation) {
  Times t;
  const Schedule s =
      t.run({section("a", 1, false, {t.compute("x", 5), t.collective("c", 3, true), t.compute("y", 4)})});
  EXPECT_EQ(s.total.count(), 9);
  EXPECT_EQ(s.exposed_communication.count(), 0);
  EXPECT_EQ(s.spans[1].lane, stream_of(t.collective("c", 3, true)));
  EXPECT_NE(s.spans[1].lane, kComputeStream);
  EXPECT_EQ(s.spans[1].begin.count(), 5);
  EXPECT_EQ(s.spans[2].begin.count(), 5);
}

TEST(Schedule, WhatSticksOutOfAnOverlappedCollectiveIsExposed) {
  Times t;
  const Schedule s =
      t.run({section("a", 1, false, {t.compute("x", 5), t.collective("c", 10, true), t.compute("y", 4)})});
  EXPECT_EQ(s.total.count(), 15);
  EXPECT_EQ(s.exposed_communication.count(), 6);
}

TEST(Schedule, OverlappedCollectivesQueueOnTheirOwnStream) {
  Times t;
  const Schedule s = t.run({section("a", 3, false, {t.compute("x", 1), t.collective("c", 2, true)})});
  EXPECT_EQ(s.total.count(), 1 + 3 * 2);
  EXPECT_EQ(s.exposed_communication.count(), 4);
}

TEST(Schedule, ABarrierWaitsForTheCollectivesBefore) {
  Times t;
  const std::vector<Operator> first = {t.compute("x", 1), t.collective("c", 10, true)};
  EXPECT_EQ(t.run({section("a", 1, false, first), section("b", 1, false, {t.compute("y", 2)})}).total.count(),
            11);
  EXPECT_EQ(t.run({section("a", 1, false, first), section("b", 1, true, {t.compute("y", 2)})}).total.count(),
            13);
}

TEST(Schedule, AnOperatorStartsWhenWhatItComesAfterHasEnded) {
  Times t;
  const std::vector<Operator> waits = {t.compute("x", 5), t.collective("c", 10, true),
                                       after(t.compute("y", 4), {"c"})};
  EXPECT_EQ(t.run({section("a", 1, false, waits)}).total.count(), 19);
  const std::vector<Operator> early = {t.compute("x", 5), t.compute("y", 4),
                                       after(t.collective("c", 3, true), {"x"})};
  const Schedule s = t.run({section("a", 1, false, early)});
  EXPECT_EQ(s.total.count(), 9);
  EXPECT_EQ(s.spans[2].begin.count(), 5);
}

TEST(Schedule, AnOverlappedCollectiveComesAfterTheLastComputationAbove) {
  Times t;
  const Schedule s = t.run({section(
      "a", 1, false,
      {t.compute("x", 5), t.collective("c", 1, true), t.collective("e", 1, true), t.compute("y", 9)})});
  EXPECT_EQ(s.spans[1].begin.count(), 5);
  EXPECT_EQ(s.spans[2].begin.count(), 6);  // behind c on the stream
  EXPECT_EQ(s.spans[3].begin.count(), 5);
}

TEST(Schedule, WaitsForTheLatestOfSeveral) {
  Times t;
  const Schedule s = t.run({section("a", 1, false,
                                    {t.compute("x", 1), t.collective("c", 4, true), t.compute("y", 2),
                                     after(t.compute("z", 1), {"c", "y"})})});
  EXPECT_EQ(s.total.count(), 6);
}

Operator within(Operator o, RankGroup group) {
  o.as<CollectiveShape>().group = group;
  return o;
}

TEST(Schedule, OverlappedCollectivesOfDifferentGroupsRunBesideEachOther) {
  Times t;
  const auto two = [&](RankGroup other) {
    return t.run({section("a", 1, false,
                          {t.compute("x", 1), within(t.collective("c", 4, true), RankGroup::Tensor),
                           within(t.collective("e", 6, true), other)})});
  };
  EXPECT_EQ(two(RankGroup::Tensor).total.count(), 1 + 4 + 6);
  const Schedule s = two(RankGroup::Data);
  EXPECT_EQ(s.total.count(), 1 + 6);
  EXPECT_NE(s.spans[1].lane, s.spans[2].lane);
}

TEST(Schedule, SaysWhichGroupIsWaitedFor) {
  Times t;
  const Schedule s =
      t.run({section("a", 1, false,
                     {within(t.collective("c", 3, false), RankGroup::Context), t.compute("x", 1),
                      within(t.collective("e", 6, true), RankGroup::Expert), t.compute("y", 2)})});
  EXPECT_EQ(s.exposed_by[static_cast<std::size_t>(RankGroup::Context)], 3);
  EXPECT_EQ(s.exposed_by[static_cast<std::size_t>(RankGroup::Expert)], 4);
  EXPECT_EQ(s.exposed_communication.count(), 7);
}

TEST(Schedule, OverlappedCollectivesTakeCoresFromTheKernelsBesideThem) {
  Times t;
  const std::vector<Section> beside = {
      section("a", 1, false, {t.compute("x", 1), t.collective("c", 4, true), t.compute("y", 5)})};
  EXPECT_EQ(t.run(beside).total.count(), 6);
  // For 4 s the kernel runs at 3/4, which leaves 2 s of it.
  const Schedule s = t.run(beside, 0.25);
  EXPECT_DOUBLE_EQ(s.total.count(), 1 + 4 + 2);
  EXPECT_DOUBLE_EQ(s.slowed.count(), 1);
  EXPECT_EQ(s.exposed_communication.count(), 0);
}

TEST(Schedule, OverlappedCollectivesShareLinks) {
  const network::Flow node{{{"node", 1}}}, cluster{{{"cluster", 1}}};
  Times t;
  Graph graph;
  graph.sections = {section("a", 1, false,
                            {t.compute("x", 1), within(t.collective("c", 4, true), RankGroup::Tensor),
                             within(t.collective("e", 6, true), RankGroup::Data),
                             within(t.collective("f", 6, true), RankGroup::Expert)})};
  const std::map<std::string, double> seconds = {{"x", 1}, {"c", 4}, {"e", 6}, {"f", 6}};
  const auto time = [&](const Operator& o) { return Seconds(seconds.at(o.name)); };
  const auto flow = [&](const Operator& o) { return o.name == "f" ? &cluster : &node; };
  const Schedule s = schedule(graph, time, 0, flow);
  EXPECT_EQ(s.spans[1].end.count(), 1 + 8) << "at half rate beside e";
  EXPECT_EQ(s.spans[2].end.count(), 1 + 8 + 2) << "4 s done at half rate, the rest alone";
  EXPECT_EQ(s.spans[3].end.count(), 1 + 6) << "on another level";
  EXPECT_EQ(s.exposed_communication.count(), 10);
}

TEST(Schedule, CollectivesInOrderShareLinksWithThoseBesideThem) {
  const network::Flow node{{{"node", 1}}};
  Times t;
  Graph graph;
  graph.sections = {section(
      "a", 1, false,
      {within(t.collective("c", 4, true), RankGroup::Data), t.collective("e", 2, false), t.compute("x", 5)})};
  const std::map<std::string, double> seconds = {{"c", 4}, {"e", 2}, {"x", 5}};
  const Schedule s = schedule(
      graph, [&](const Operator& o) { return Seconds(seconds.at(o.name)); }, 0,
      [&](const Operator&) { return &node; });
  EXPECT_EQ(s.spans[1].end.count(), 4);
  EXPECT_EQ(s.spans[0].end.count(), 4 + 2);
  EXPECT_EQ(s.total.count(), 4 + 5);
}

TEST(Schedule, CollectivesInOrderTakeCoresFromNothing) {
  Times t;
  const std::vector<Section> in_order = {
      section("a", 1, false, {t.compute("x", 1), t.collective("c", 4, false), t.compute("y", 5)})};
  const Schedule s = t.run(in_order, 0.5);
  EXPECT_EQ(s.total.count(), 10);
  EXPECT_EQ(s.slowed.count(), 0);
  // An overlapped one beside a collective in order: no kernel is there to slow down.
  const std::vector<Section> both = {
      section("a", 1, false,
              {t.compute("x", 1), within(t.collective("c", 4, true), RankGroup::Data),
               t.collective("e", 6, false), t.compute("y", 2)})};
  EXPECT_EQ(t.run(both, 0.5).total.count(), 9);
}

TEST(Schedule, TheNextRunWaitsForWhatIsAwaited) {
  Times t;
  const std::vector<Operator> layer = {t.collective("prefetch", 5, true), t.compute("x", 2)};
  // Each run waits for the prefetch that began with the run before.
  EXPECT_EQ(t.run({section("a", 3, false, layer, {"prefetch"})}).total.count(), 15);
  const Schedule s =
      t.run({section("a", 3, false, layer, {"prefetch"}), section("b", 1, false, {t.compute("y", 1)})});
  EXPECT_EQ(s.total.count(), 16);
  EXPECT_EQ(s.spans[2].begin.count(), 5);
  EXPECT_EQ(s.exposed_communication.count(), 9);
  // Not awaited, it only queues on its stream.
  EXPECT_EQ(t.run({section("a", 3, false, layer), section("b", 1, false, {t.compute("y", 1)})})
                .spans[2]
                .begin.count(),
            5);
  EXPECT_EQ(t.run({section("a", 3, false, layer)}).spans[3].begin.count(), 2);
}

}  // namespace
