#include "laws/law.h"
#include "xpusim/simulate.h"
#include "xpusim/step/streams.h"

namespace xpusim::test {
namespace {

/// Durations are rounded to ticks, one by one.
double rounding_of(const step::Schedule& s) { return 1e-12 * static_cast<double>(s.spans.size()); }

/// A graph of random operators, with the seconds of each by name, and what collectives keep busy.
struct TimedGraph {
  Graph graph;
  std::map<std::string, double> seconds;
  std::map<std::string, network::Flow> flows;
  [[nodiscard]] step::Schedule run(double core_share = 0) const {
    const auto time = [this](const Operator& o) { return Seconds(seconds.at(o.name)); };
    const auto flow = [this](const Operator& o) -> const network::Flow* {
      const auto found = flows.find(o.name);
      return found != flows.end() ? &found->second : nullptr;
    };
    return step::schedule(graph, time, core_share, flow);
  }
};

TimedGraph random_graph(Random& r) {
  TimedGraph t;
  int names = 0;
  for (std::int64_t s = r.integer(1, 5); s > 0; --s) {
    Section section;
    section.repeat = r.integer(1, 4);
    section.barrier = r.chance(0.3);
    for (std::int64_t i = r.integer(0, 8); i > 0; --i) {
      Operator o;
      o.name = fmt::format("op{}", names++);
      CollectiveShape collective{.library = {}};
      const bool communicates = r.chance(0.4);
      collective.overlap = r.chance(0.6);
      collective.group = static_cast<RankGroup>(r.integer(0, 7));
      if (communicates) o.work = collective;
      for (const Operator& before : section.operators)
        if (r.chance(0.15)) o.after.push_back(before.name);
      t.seconds[o.name] = r.chance(0.1) ? 0 : r.log_real(1e-6, 1e-2);
      section.operators.push_back(o);
    }
    for (const Operator& o : section.operators)
      if (is_collective(o) && o.as<CollectiveShape>().overlap && r.chance(0.2))
        section.awaited.push_back(o.name);
    t.graph.sections.push_back(section);
  }
  return t;
}

TEST(GraphLaw, NoTimeIsLostAndNoneIsHiddenTwice) {
  Random r(40);
  for (int i = 0; i < cases(1000); ++i) {
    const TimedGraph t = random_graph(r);
    const step::Schedule s = t.run();
    double computing = 0, all = 0, longest = 0;
    std::array<double, step::kStreams> stream{};
    for (const result::Span& span : s.spans) {
      const Operator& o = t.graph.sections[span.section].operators[span.index];
      const double time = t.seconds.at(o.name);
      ASSERT_NEAR((span.end - span.begin).count(), time, 1e-12);
      all += time;
      longest = std::max(longest, time);
      stream[span.lane] += time;
      if (!is_collective(o)) computing += time;
    }
    const double total = s.total.count(), slack = 1e-9 * all + rounding_of(s);
    EXPECT_GE(total + slack, computing);
    EXPECT_GE(total + slack, longest);
    for (const double busy : stream) EXPECT_GE(total + slack, busy);
    EXPECT_LE(total, all + slack);
    EXPECT_NEAR(s.exposed_communication.count(), total - computing, slack);
  }
}

TEST(GraphLaw, AStreamRunsOneOperatorAtATimeAndOrderIsKept) {
  Random r(41);
  for (int i = 0; i < cases(1000); ++i) {
    const TimedGraph t = random_graph(r);
    std::array<Seconds, step::kStreams> free{};
    std::map<std::string, Seconds> ended;
    for (const result::Span& span : t.run().spans) {
      const Operator& o = t.graph.sections[span.section].operators[span.index];
      Seconds& stream = free[span.lane];
      EXPECT_GE(span.begin, stream);
      for (const std::string& name : o.after) EXPECT_GE(span.begin, ended.at(name));
      stream = ended[o.name] = span.end;
    }
  }
}

TEST(GraphLaw, LentCoresCostWhatTheySay) {
  Random r(43);
  for (int i = 0; i < cases(1000); ++i) {
    const TimedGraph t = random_graph(r);
    const double share = r.real(0, 0.8);
    const step::Schedule alone = t.run(), lent = t.run(share);
    double computing = 0;
    for (const result::Span& span : alone.spans) {
      const Operator& o = t.graph.sections[span.section].operators[span.index];
      if (!is_collective(o)) computing += t.seconds.at(o.name);
    }
    const double slack = 1e-9 * (alone.total.count() + computing) + 4 * rounding_of(alone);
    EXPECT_GE(lent.total.count() + slack, alone.total.count());
    EXPECT_LE(lent.total.count(), alone.total.count() + computing * share / (1 - share) + slack);
    EXPECT_NEAR(lent.exposed_communication.count(), lent.total.count() - computing - lent.slowed.count(),
                slack);
    double by_group = 0;
    for (const double x : lent.exposed_by) by_group += x;
    EXPECT_NEAR(by_group, lent.exposed_communication.count(), slack);
  }
}

TEST(GraphLaw, SlowerOperatorsNeverEndSooner) {
  Random r(42);
  for (int i = 0; i < cases(1000); ++i) {
    TimedGraph t = random_graph(r);
    const double before = t.run().total.count();
    for (auto& [unused, seconds] : t.seconds)
      if (r.chance(0.3)) seconds *= r.real(1, 2);
    EXPECT_GE(t.run().total.count(), before * (1 - 1e-12));
  }
}

TEST(GraphLaw, NeedsNoEventsWhereNothingOverlaps) {
  Random r(44);
  for (int i = 0; i < cases(300); ++i) {
    TimedGraph t = random_graph(r);
    for (Section& section : t.graph.sections) {
      section.awaited.clear();
      for (Operator& o : section.operators)
        if (is_collective(o)) o.as<CollectiveShape>().overlap = false;
    }
    const step::Schedule sum = t.run();
    Operator nothing;  // an overlapped collective that takes no time brings in the event kernel
    nothing.name = "nothing";
    nothing.work = CollectiveShape{.overlap = true, .library = {}};
    t.seconds["nothing"] = 0;
    t.graph.sections.push_back({"more", 1, false, {nothing}, {}});
    const step::Schedule played = t.run();
    EXPECT_EQ(played.total, sum.total);
    ASSERT_EQ(played.spans.size(), sum.spans.size() + 1);
    for (std::size_t k = 0; k < sum.spans.size(); ++k) {
      EXPECT_EQ(played.spans[k].begin, sum.spans[k].begin);
      EXPECT_EQ(played.spans[k].end, sum.spans[k].end);
    }
    for (std::size_t g = 0; g < sum.exposed_by.size(); ++g)
      EXPECT_NEAR(played.exposed_by[g], sum.exposed_by[g], 1e-12 * (1e-9 + sum.total.count()));
  }
}

/// Collectives of the graph use random levels of a network.
void add_flows(TimedGraph& t, Random& r) {
  for (const Section& section : t.graph.sections)
    for (const Operator& o : section.operators) {
      if (!is_collective(o)) continue;
      network::Flow& flow = t.flows[o.name];
      for (const char* level : {"node", "rail", "cluster"})
        if (r.chance(0.5)) flow.uses.push_back({level, r.real(0, 1)});
    }
}

TEST(GraphLaw, CollectivesThatShareLinksTakeLongerButNeverLongerThanInTurn) {
  Random r(45);
  int shared = 0;
  for (int i = 0; i < cases(1000); ++i) {
    TimedGraph t = random_graph(r);
    add_flows(t, r);
    const step::Schedule s = t.run();
    double all = 0;
    for (const result::Span& span : s.spans) {
      const Operator& o = t.graph.sections[span.section].operators[span.index];
      const double alone = t.seconds.at(o.name), took = (span.end - span.begin).count();
      all += alone;
      EXPECT_GE(took, alone - 2e-12) << "faster than alone";
      if (!is_collective(o)) {
        EXPECT_NEAR(took, alone, 1e-12) << "links are no business of a kernel";
      }
      shared += took > alone * 1.01 ? 1 : 0;
    }
    EXPECT_LE(s.total.count(), all * (1 + 1e-9) + 4 * rounding_of(s));
  }
  EXPECT_GT(shared, cases(1000) / 20);
}

TEST(GraphLaw, CollectivesOfDifferentLevelsDoNotMeet) {
  Random r(46);
  for (int i = 0; i < cases(300); ++i) {
    TimedGraph t = random_graph(r);
    const step::Schedule alone = t.run();
    for (const Section& section : t.graph.sections)
      for (const Operator& o : section.operators)
        if (is_collective(o)) t.flows[o.name].uses = {{fmt::format("level{}", step::stream_of(o)), 1}};
    EXPECT_EQ(t.run().total, alone.total);
  }
}

TEST(GraphLaw, OverlappedCollectivesOfAGraphShareItsSystem) {
  const auto seconds = [](bool tensor, bool data, chip::Fidelity fidelity) {
    Graph g;
    g.groups.tensor = 4;
    g.groups.data = 2;
    Section& section = g.sections.emplace_back();
    for (const RankGroup group : {RankGroup::Tensor, RankGroup::Data}) {
      if (!(group == RankGroup::Tensor ? tensor : data)) continue;
      const CollectiveShape shape{.bytes = Bytes(1 << 30), .group = group, .overlap = true, .library = {}};
      section.operators.push_back({fmt::format("group{}", section.operators.size()), shape, {}});
    }
    Options options;
    options.fidelity = fidelity;
    const SystemSpec s = system("dgx_h100");
    return simulate(g, chip(s.chip), s, Launch::Graph, options).total.count();
  };
  for (const chip::Fidelity f : {chip::Fidelity::Bound, chip::Fidelity::Tile}) {
    const double tensor = seconds(true, false, f), data = seconds(false, true, f),
                 both = seconds(true, true, f);
    EXPECT_GT(both, 1.5 * std::max(tensor, data)) << "one port for both";
    EXPECT_LE(both, (tensor + data) * (1 + 1e-9));
  }
}

/// Every shipped scenario on every shipped system that can run it.
template <class Visit>
void for_each_run(chip::Fidelity fidelity, const Visit& visit) {
  Options options;
  options.fidelity = fidelity;
  for (const std::string& id : library().list(config::FileKind::Scenario)) {
    const ScenarioSpec s = scenario(id);
    if (fidelity == chip::Fidelity::Tile && s.phase != Phase::Decode) continue;
    for (const std::string& on : library().list(config::FileKind::System)) {
      Request q{.chip = {},
                .system = system(on),
                .model = model(s.model),
                .scenario = s,
                .stack = stack(s.training.stack)};
      if (q.system.chip.empty()) continue;
      q.chip = chip(q.system.chip);
      try {
        visit(simulate(q, options), id + " on " + on);
      } catch (const InfeasibleError&) {
      }
    }
  }
}

TEST(GraphLaw, ResultsOfShippedScenariosAddUp) {
  int runs = 0;
  for (const chip::Fidelity f : {chip::Fidelity::Bound, chip::Fidelity::Tile})
    for_each_run(f, [&](const result::Result& r, const std::string& where) {
      ++runs;
      const double total = r.total.count();
      EXPECT_NEAR(r.breakdown.total(), total, 1e-9 * total) << where;
      for (const double part : r.breakdown.seconds) EXPECT_GE(part, 0) << where;
      double computing = 0, longest = 0, by_class = 0;
      for (const result::OperatorRow& o : r.operators) {
        EXPECT_NEAR(o.breakdown.total(), o.time.count(), 1e-9 * o.time.count()) << where << " " << o.name;
        if (is_collective(o.op))
          longest = std::max(longest, o.time.count());
        else
          computing += o.time.count() * static_cast<double>(o.count);
      }
      for (const result::ClassRow& c : r.classes) by_class += c.time.count();
      EXPECT_GE(total * (1 + 1e-9) + rounding(r), computing) << where;
      EXPECT_GE(total * (1 + 1e-9), longest) << where;
      if (!r.training) {  // a training step is more than its passes (training_test.cpp)
        EXPECT_GE(by_class * (1 + 1e-9) + rounding(r), total) << where;
      }
      EXPECT_LE(r.matrix_utilisation, 1) << where;
      EXPECT_LE(r.hbm_utilisation, 1) << where;
      EXPECT_LE(r.memory.total(), static_cast<double>(r.memory_capacity.count())) << where;
    });
  EXPECT_GT(runs, 20);
}

}  // namespace
}  // namespace xpusim::test
