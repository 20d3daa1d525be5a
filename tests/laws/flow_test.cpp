#include "xpusim/network/flow.h"

#include "laws/law.h"

/// Collectives in flight at the same time: how they share the levels of a network.
namespace xpusim::test {
namespace {

using network::Flow;

using Flows = std::vector<Flow>;

std::vector<double> rates(const Flows& flows) {
  std::vector<const Flow*> list;
  for (const Flow& f : flows) list.push_back(&f);
  return network::rates_of(list);
}

Flow random_flow(Random& r) {
  Flow f;
  for (const char* level : {"package", "node", "rail", "cluster"})
    if (r.chance(0.6)) f.uses.push_back({level, r.chance(0.2) ? 1 : r.real(0, 1)});
  return f;
}
Flows random_flows(Random& r) {
  Flows flows(static_cast<std::size_t>(r.integer(1, 9)));
  for (Flow& f : flows) f = random_flow(r);
  return flows;
}

/// When each of several flows ends that start together and take the given seconds alone.
std::vector<double> ends(const Flows& flows, std::vector<double> left) {
  std::vector<double> end(flows.size(), 0);
  for (double now = 0;;) {
    Flows running;
    std::vector<std::size_t> who;
    for (std::size_t i = 0; i < flows.size(); ++i)
      if (left[i] > 0) running.push_back(flows[i]), who.push_back(i);
    if (who.empty()) return end;
    const std::vector<double> rate = rates(running);
    std::size_t first = 0;
    for (std::size_t k = 1; k < who.size(); ++k)
      if (left[who[k]] / rate[k] < left[who[first]] / rate[first]) first = k;
    const double step = left[who[first]] / rate[first];
    now += step;
    for (std::size_t k = 0; k < who.size(); ++k) {
      left[who[k]] = k == first ? 0 : std::max(0.0, left[who[k]] - step * rate[k]);
      if (left[who[k]] == 0) end[who[k]] = now;
    }
  }
}
std::vector<double> random_seconds(Random& r, std::size_t count) {
  std::vector<double> list(count);
  for (double& s : list) s = r.log_real(1e-6, 1e-2);
  return list;
}

TEST(FlowLaw, TwoEqualFlowsOnOneLinkTakeTwiceAsLong) {
  const Flow full{{{"node", 1}}};
  EXPECT_EQ(rates({full, full}), (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(ends({full, full}, {3, 3}), (std::vector<double>{6, 6}));
  const Flow half{{{"node", 0.5}}};
  EXPECT_EQ(rates({half, half}), (std::vector<double>{1, 1})) << "there is room for both";
}

TEST(FlowLaw, FlowsOnDifferentLevelsDoNotDisturbEachOther) {
  EXPECT_EQ(rates({{{{"node", 1}}}, {{{"cluster", 1}}}, {}}), (std::vector<double>{1, 1, 1}));
}

TEST(FlowLaw, AFlowWaitsForTheTightestOfItsLevels) {
  const Flow both{{{"node", 1}, {"cluster", 0.25}}}, inner{{{"node", 1}}}, outer{{{"cluster", 0.75}}};
  EXPECT_EQ(rates({both, inner, outer}), (std::vector<double>{0.5, 0.5, 1}));
}

TEST(FlowLaw, ALevelCarriesNoMoreThanItCan) {
  Random r(80);
  for (int i = 0; i < cases(2000); ++i) {
    const Flows flows = random_flows(r);
    const std::vector<double> rate = rates(flows);
    std::map<std::string, double> carried;
    for (std::size_t k = 0; k < flows.size(); ++k) {
      EXPECT_GT(rate[k], 0);
      EXPECT_LE(rate[k], 1);
      for (const Flow::Use& use : flows[k].uses) carried[use.level] += rate[k] * use.utilisation;
    }
    for (const auto& [level, sum] : carried) EXPECT_LE(sum, 1 + 1e-12) << level;
  }
}

TEST(FlowLaw, NeverFasterThanAloneNorSlowerThanOneAfterTheOther) {
  Random r(81);
  for (int i = 0; i < cases(2000); ++i) {
    const Flows flows = random_flows(r);
    const std::vector<double> alone = random_seconds(r, flows.size()), end = ends(flows, alone);
    double all = 0;
    for (std::size_t k = 0; k < flows.size(); ++k) {
      EXPECT_GE(end[k], alone[k] * (1 - 1e-12));
      all += alone[k];
    }
    EXPECT_LE(*std::max_element(end.begin(), end.end()), all * (1 + 1e-12));
    EXPECT_EQ(rates({flows.front()}).front(), 1);
  }
}

TEST(FlowLaw, OneMoreFlowNeverHelpsAnother) {
  Random r(82);
  for (int i = 0; i < cases(2000); ++i) {
    Flows flows = random_flows(r);
    std::vector<double> alone = random_seconds(r, flows.size());
    const std::vector<double> rate = rates(flows), end = ends(flows, alone);
    flows.push_back(random_flow(r));
    alone.push_back(r.log_real(1e-6, 1e-2));
    const std::vector<double> slower = rates(flows), later = ends(flows, alone);
    for (std::size_t k = 0; k < rate.size(); ++k) {
      EXPECT_LE(slower[k], rate[k] * (1 + 1e-12));
      EXPECT_GE(later[k], end[k] * (1 - 1e-12));
    }
  }
}

TEST(FlowLaw, OrderAndNamesDoNotMatter) {
  Random r(83);
  for (int i = 0; i < cases(2000); ++i) {
    const Flows flows = random_flows(r);
    Flows other(flows.rbegin(), flows.rend());
    for (Flow& f : other) {
      std::reverse(f.uses.begin(), f.uses.end());
      for (Flow::Use& use : f.uses) use.level = std::string(use.level.rbegin(), use.level.rend());
    }
    const std::vector<double> a = rates(flows), b = rates(other);
    for (std::size_t k = 0; k < a.size(); ++k) EXPECT_NEAR(a[k], b[a.size() - 1 - k], 1e-12);
  }
}

TEST(FlowLaw, OfACollectiveIsHowBusyItsLinksAre) {
  network::CollectiveTime t;
  t.total = Seconds(4);
  t.loads = {{"node", 1e9, Seconds(2)}, {"cluster", 1e8, Seconds(5)}};
  const Flow f = network::flow_of(t);
  ASSERT_EQ(f.uses.size(), 2U);
  EXPECT_EQ(f.uses[0].level, "node");
  EXPECT_EQ(f.uses[0].utilisation, 0.5);
  EXPECT_EQ(f.uses[1].utilisation, 1) << "alone it is not held up";
  EXPECT_TRUE(network::flow_of({}).uses.empty());
}

}  // namespace
}  // namespace xpusim::test
