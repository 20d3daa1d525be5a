#include "xpusim/cluster/schedule.h"

#include <gtest/gtest.h>

#include <map>

namespace {

using namespace xpusim;
using namespace xpusim::cluster;

/// A graph whose operators take the seconds that their names are given.
class Times {
 public:
  Operator compute(const std::string& name, double seconds) {
    return add(name, OpKind::Gemm, seconds, false);
  }
  Operator collective(const std::string& name, double seconds, bool overlap) {
    return add(name, OpKind::AllReduce, seconds, overlap);
  }
  [[nodiscard]] Schedule run(const std::vector<Section>& sections) const {
    Graph graph;
    graph.sections = sections;
    return schedule(graph, [this](const Operator& o) { return Seconds(seconds_.at(o.name)); });
  }

 private:
  Operator add(const std::string& name, OpKind kind, double seconds, bool overlap) {
    seconds_[name] = seconds;
    Operator o;
    o.name = name;
    o.kind = kind;
    o.collective.overlap = overlap;
    return o;
  }
  std::map<std::string, double> seconds_;
};

Operator after(Operator o, std::vector<std::string> names) {
  o.after = std::move(names);
  return o;
}

TEST(Schedule, RunsOperatorsOneAfterTheOther) {
  Times t;
  const Schedule s =
      t.run({{"a", 3, false, {t.compute("x", 1), t.compute("y", 2)}}, {"b", 1, false, {t.compute("z", 4)}}});
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
  EXPECT_EQ(Times().run({{"empty", 5, false, {}}}).total.count(), 0);
}

TEST(Schedule, ACollectiveInOrderIsExposed) {
  Times t;
  const Schedule s =
      t.run({{"a", 1, false, {t.compute("x", 2), t.collective("c", 3, false), t.compute("y", 2)}}});
  EXPECT_EQ(s.total.count(), 7);
  EXPECT_EQ(s.exposed_communication.count(), 3);
  EXPECT_EQ(s.spans[1].stream, Stream::Compute);
}

TEST(Schedule, AnOverlappedCollectiveHidesBehindComputation) {
  Times t;
  const Schedule s =
      t.run({{"a", 1, false, {t.compute("x", 5), t.collective("c", 3, true), t.compute("y", 4)}}});
  EXPECT_EQ(s.total.count(), 9);
  EXPECT_EQ(s.exposed_communication.count(), 0);
  EXPECT_EQ(s.spans[1].stream, Stream::Communication);
  EXPECT_EQ(s.spans[1].begin.count(), 5);
  EXPECT_EQ(s.spans[2].begin.count(), 5);
}

TEST(Schedule, WhatSticksOutOfAnOverlappedCollectiveIsExposed) {
  Times t;
  const Schedule s =
      t.run({{"a", 1, false, {t.compute("x", 5), t.collective("c", 10, true), t.compute("y", 4)}}});
  EXPECT_EQ(s.total.count(), 15);
  EXPECT_EQ(s.exposed_communication.count(), 6);
}

TEST(Schedule, OverlappedCollectivesQueueOnTheirOwnStream) {
  Times t;
  const Schedule s = t.run({{"a", 3, false, {t.compute("x", 1), t.collective("c", 2, true)}}});
  EXPECT_EQ(s.total.count(), 1 + 3 * 2);
  EXPECT_EQ(s.exposed_communication.count(), 4);
}

TEST(Schedule, ABarrierWaitsForTheCollectivesBefore) {
  Times t;
  const std::vector<Operator> first = {t.compute("x", 1), t.collective("c", 10, true)};
  EXPECT_EQ(t.run({{"a", 1, false, first}, {"b", 1, false, {t.compute("y", 2)}}}).total.count(), 11);
  EXPECT_EQ(t.run({{"a", 1, false, first}, {"b", 1, true, {t.compute("y", 2)}}}).total.count(), 13);
}

TEST(Schedule, AnOperatorStartsWhenWhatItComesAfterHasEnded) {
  Times t;
  const std::vector<Operator> waits = {t.compute("x", 5), t.collective("c", 10, true),
                                       after(t.compute("y", 4), {"c"})};
  EXPECT_EQ(t.run({{"a", 1, false, waits}}).total.count(), 19);
  const std::vector<Operator> early = {t.compute("x", 5), t.compute("y", 4),
                                       after(t.collective("c", 3, true), {"x"})};
  const Schedule s = t.run({{"a", 1, false, early}});
  EXPECT_EQ(s.total.count(), 9);
  EXPECT_EQ(s.spans[2].begin.count(), 5);
}

TEST(Schedule, AnOverlappedCollectiveComesAfterTheLastComputationAbove) {
  Times t;
  const Schedule s = t.run(
      {{"a",
        1,
        false,
        {t.compute("x", 5), t.collective("c", 1, true), t.collective("e", 1, true), t.compute("y", 9)}}});
  EXPECT_EQ(s.spans[1].begin.count(), 5);
  EXPECT_EQ(s.spans[2].begin.count(), 6);  // behind c on the stream
  EXPECT_EQ(s.spans[3].begin.count(), 5);
}

TEST(Schedule, WaitsForTheLatestOfSeveral) {
  Times t;
  const Schedule s = t.run({{"a",
                             1,
                             false,
                             {t.compute("x", 1), t.collective("c", 4, true), t.compute("y", 2),
                              after(t.compute("z", 1), {"c", "y"})}}});
  EXPECT_EQ(s.total.count(), 6);
}

}  // namespace
