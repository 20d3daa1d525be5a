#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "support/networks.h"
#include "xpusim/core/error.h"
#include "xpusim/network/bound.h"

/// Laws of collectives, on the shipped systems and on round ones.
namespace {

using namespace xpusim;
using namespace xpusim::network;
using test::call;

constexpr CollectiveKind kKinds[] = {CollectiveKind::AllReduce,     CollectiveKind::AllGather,
                                     CollectiveKind::ReduceScatter, CollectiveKind::AllToAll,
                                     CollectiveKind::Broadcast,     CollectiveKind::Dispatch};
/// A GPU node, a mesh, a package and two tiers, a torus, racks of meshes, rails behind nodes.
const char* const kSystems[] = {"dgx_h100",   "atlas_800_a2", "cloudmatrix384",
                                "tpu_v4_pod", "atlas_950",    "superpod_h100"};

std::vector<Algorithm> algorithms() {
  std::vector<Algorithm> all;
  for (std::size_t i = 1; i < kAlgorithmNames.size(); ++i) all.push_back(static_cast<Algorithm>(i));
  return all;
}

/// Every collective as every algorithm that can run it, on a few group sizes of each system.
template <class Visit>
void for_each_call(const std::vector<std::int64_t>& sizes, const Visit& visit) {
  for (const char* id : kSystems) {
    SystemSpec s = test::joined(id);
    for (std::int64_t ranks : {2, 8, 16, 64})
      for (const CollectiveKind kind : kKinds)
        for (const Algorithm a : algorithms())
          for (const std::int64_t size : sizes) {
            const Call c = call(kind, size, ranks, a);
            try {
              static_cast<void>(bound(c, s));
            } catch (const InfeasibleError&) {
              continue;
            }
            visit(c, s, fmt::format("{} {} {} x{} {} B", id, enum_name(kind), enum_name(a), ranks, size));
          }
  }
}

bool is_symmetric(const Call& c, const SystemSpec& s) {
  const Topology topology(s, planes_of(s).front());
  return network::is_symmetric(c, shape_of(c.group, topology), topology);
}

TEST(NetworkLaw, TileEqualsBoundWithoutContention) {
  int seen = 0;
  for_each_call({1 << 10, 1 << 20, 1 << 28},
                [&](const Call& c, const SystemSpec& s, const std::string& what) {
                  if (!is_symmetric(c, s)) return;
                  const double closed = bound(c, s).total.count(), tile = execute(c, s).total.count();
                  ASSERT_NEAR(tile, closed, 1e-6 * closed + 1e-9) << what;
                  ++seen;
                });
  EXPECT_GT(seen, 300);
}

/// Every library of the systems that have frameworks, with a call that it takes.
template <class Visit>
void for_each_library(const Visit& visit) {
  for (const char* id : {"dgx_h100", "dgx_a100", "superpod_h100"}) {
    const SystemSpec s = test::joined(id);
    for (const LibrarySpec& l : s.libraries)
      for (const CollectiveKind kind :
           {CollectiveKind::AllReduce, CollectiveKind::AllGather, CollectiveKind::AllToAll,
            CollectiveKind::Dispatch, CollectiveKind::Combine})
        for (const std::int64_t ranks : {2, 8, 64})
          for (const std::int64_t size : {1 << 10, 1 << 20, 1 << 28}) {
            Call c = call(kind, size, ranks);
            c.library = l.name;
            try {
              static_cast<void>(bound(c, s));
            } catch (const InfeasibleError&) {
              continue;
            }
            visit(c, s, l, fmt::format("{} {} {} x{} {} B", id, l.name, enum_name(kind), ranks, size));
          }
  }
}

TEST(NetworkLaw, TileEqualsBoundInEveryLibrary) {
  int seen = 0;
  for_each_library([&](Call c, const SystemSpec& s, const LibrarySpec&, const std::string& what) {
    for (const bool eager : {false, true}) {
      c.eager = c.in_place = eager;
      const double closed = bound(c, s).total.count(), tile = execute(c, s).total.count();
      ASSERT_NEAR(tile, closed, 1e-6 * closed + 1e-9) << what;
      ++seen;
    }
  });
  EXPECT_GT(seen, 300);
}

TEST(NetworkLaw, AFrameworkIsNoFasterThanTheLibraryThatItCalls) {
  int seen = 0;
  for_each_library([&](Call c, const SystemSpec& s, const LibrarySpec& l, const std::string& what) {
    if (l.calls.empty()) return;
    c.in_place = l.in_place;  // spares the library a copy as well
    const double by_framework = bound(c, s).total.count();
    c.library = l.calls;
    ASSERT_GE(by_framework, bound(c, s).total.count() * (1 - 1e-12)) << what;
    ++seen;
  });
  EXPECT_GT(seen, 30);
}

TEST(NetworkLaw, WorkingInPlaceNeverTakesLonger) {
  for_each_library([](Call c, const SystemSpec& s, const LibrarySpec&, const std::string& what) {
    const double copies = bound(c, s).total.count();
    c.in_place = true;
    ASSERT_LE(bound(c, s).total.count(), copies * (1 + 1e-12)) << what;
  });
}

TEST(NetworkLaw, NeverBelowTheBytesOverTheBandwidth) {
  for_each_call({1 << 22, 1 << 30}, [](const Call& c, const SystemSpec& s, const std::string& what) {
    const CollectiveTime t = execute(c, s);
    if (!is_symmetric(c, s)) return;  // each phase may load another link most
    for (const LevelLoad& l : t.loads) {
      ASSERT_GE(t.total.count(), l.busy.count() * (1 - 1e-9)) << what << " " << l.level;
      const auto level = std::find_if(s.levels.begin(), s.levels.end(),
                                      [&](const LevelSpec& x) { return x.name == l.level; });
      const double slowest = level->bandwidth.count() * static_cast<double>(level->endpoints);
      ASSERT_GE(t.total.count(), l.bytes / slowest) << what;
    }
    // A rank takes in what it lacks; only a switch that adds up or copies spares it traffic.
    if (c.algorithm == Algorithm::InSwitch || c.kind == CollectiveKind::Broadcast ||
        c.kind == CollectiveKind::Dispatch)
      return;
    double rate = 0;
    for (const LevelSpec& l : s.levels) rate += l.bandwidth.count();
    ASSERT_LE(t.bus_bandwidth.count(), rate) << what;
  });
}

TEST(NetworkLaw, HalvingTheBandwidthOfALevelNeverHelps) {
  for_each_call({1 << 12, 1 << 26}, [](const Call& c, const SystemSpec& s, const std::string& what) {
    const double before = execute(c, s).total.count();
    for (std::size_t i = 0; i < s.levels.size(); ++i) {
      SystemSpec half = s;
      half.levels[i].bandwidth = half.levels[i].bandwidth * 0.5;
      ASSERT_GE(execute(c, half).total.count(), before * (1 - 1e-9)) << what << " " << s.levels[i].name;
    }
  });
}

TEST(NetworkLaw, TheChoiceIsTheFastestOfAll) {
  for (const char* id : kSystems) {
    const SystemSpec s = test::joined(id);
    for (std::int64_t size = 1024; size <= (1LL << 32); size *= 16) {
      const CollectiveTime t = bound(call(CollectiveKind::AllReduce, size, 8), s);
      for (const Choice& c : t.choices) ASSERT_LE(t.total.count(), c.total.count() * (1 + 1e-12)) << id;
    }
  }
}

TEST(NetworkLaw, MoreBytesNeverTakeLess) {
  for (const char* id : kSystems)
    for (const CollectiveKind kind : kKinds) {
      const SystemSpec s = test::joined(id);
      double before = 0;
      for (std::int64_t size = 64; size <= (1LL << 34); size = size * 3 / 2) {
        const double now = bound(call(kind, size, 8), s).total.count();
        ASSERT_GE(now, before * (1 - 1e-12)) << id << " " << enum_name(kind) << " " << size;
        before = now;
      }
    }
}

TEST(NetworkLaw, MoreRanksNeverMakeARingFasterPerByte) {
  for (const char* id : {"dgx_h100", "superpod_h100", "meta_h100_24k"}) {
    const SystemSpec s = test::joined(id);
    double before = 0;
    for (std::int64_t ranks = 2; ranks <= s.levels.back().endpoints; ranks *= 2) {
      const double now =
          execute(call(CollectiveKind::AllReduce, 1 << 26, ranks, Algorithm::Ring), s).total.count();
      ASSERT_GE(now, before) << id << " " << ranks;
      before = now;
    }
  }
}

TEST(NetworkLaw, TheSameCallGivesTheSameBits) {
  for_each_call({1 << 20}, [](const Call& c, const SystemSpec& s, const std::string& what) {
    ASSERT_EQ(execute(c, s).total.count(), execute(c, s).total.count()) << what;
  });
}

TEST(NetworkLaw, EveryRankSendsAndReceivesItsShare) {
  const SystemSpec s = test::round_cluster();
  const Topology topology(s, "");
  constexpr std::int64_t kRanks = 64, kSize = 1 << 26;
  for (const auto& [kind, sent] : {std::pair{CollectiveKind::AllReduce, 2 * 63.0 / 64},
                                   {CollectiveKind::AllGather, 63.0 / 64},
                                   {CollectiveKind::ReduceScatter, 63.0 / 64},
                                   {CollectiveKind::AllToAll, 63.0 / 64}})
    for (const Algorithm a :
         {Algorithm::Ring, Algorithm::HalvingDoubling, Algorithm::Direct, Algorithm::Pairwise}) {
      const Call c = call(kind, kSize, kRanks, a);
      const Shape shape = shape_of(c.group, topology);
      Plan plan;
      try {
        plan = plan_of(a, c, topology, shape);
      } catch (const InfeasibleError&) {
        continue;
      }
      std::vector<double> out(kRanks), in(kRanks);
      for (const network::Phase& p : plan.phases)
        for (const Move& m : p.moves)
          for (std::int64_t rank = 0; rank < kRanks; ++rank)
            for_each_peer(m, c, rank, [&](std::int64_t peer, double bytes) {
              out[static_cast<std::size_t>(rank)] += bytes * static_cast<double>(p.steps);
              in[static_cast<std::size_t>(peer)] += bytes * static_cast<double>(p.steps);
            });
      for (std::size_t rank = 0; rank < kRanks; ++rank) {
        ASSERT_NEAR(out[rank], sent * kSize, 1) << enum_name(kind) << " " << enum_name(a);
        ASSERT_NEAR(in[rank], sent * kSize, 1) << enum_name(kind) << " " << enum_name(a);
      }
    }
}

TEST(NetworkLaw, EveryRouteHasALinkAndEndsWhereItShould) {
  for (const char* id : {"superpod_h100", "cloudmatrix384", "atlas_950", "tpu_v4_pod", "meta_h100_24k"}) {
    const SystemSpec s = test::joined(id);
    const Topology topology(s, planes_of(s).front());
    std::mt19937 engine(5);
    std::uniform_int_distribution<std::int64_t> any(0, topology.devices() - 1);
    for (int i = 0; i < 500; ++i) {
      const std::int64_t a = any(engine), b = any(engine);
      const Route r = topology.route(a, b);
      ASSERT_EQ(r.links.empty(), a == b) << id;
      for (const Link& l : r.links) ASSERT_GT(l.bandwidth, 0) << id << " " << topology.name(l);
      ASSERT_NEAR(r.latency, topology.route(b, a).latency, 1e-12) << id;
    }
  }
}

TEST(NetworkLaw, CollectivesTogetherShareLinks) {
  const SystemSpec s = test::round_cluster();
  const Call c = call(CollectiveKind::AllReduce, 1 << 26, 16, Algorithm::Ring);
  const double alone = execute(c, s).total.count();
  const auto both = execute_together({c, c}, s);
  ASSERT_EQ(both.size(), 2U);
  for (const CollectiveTime& t : both) {
    EXPECT_GT(t.total.count(), 1.5 * alone);
    EXPECT_LT(t.total.count(), 2.05 * alone);
  }
  Call elsewhere = c;
  for (std::int64_t i = 16; i < 32; ++i) elsewhere.group.places.push_back(i);
  for (const CollectiveTime& t : execute_together({c, elsewhere}, s))
    EXPECT_NEAR(t.total.count(), alone, 1e-6 * alone);
}

TEST(NetworkLaw, RanksOneByOneTakeAsLongAsOneForAll) {
  const SystemSpec s = test::round_cluster();
  for (const Algorithm a : {Algorithm::Ring, Algorithm::Direct, Algorithm::Hierarchical}) {
    const Call c = call(CollectiveKind::AllReduce, 1 << 26, 64, a);
    Call single = c;  // a rank at its full speed is no fault, but keeps the ranks apart
    single.faults.ranks.push_back({3, 1.0});
    const double one = execute(c, s).total.count(), all = execute(single, s).total.count();
    EXPECT_NEAR(all, one, 1e-3 * one) << enum_name(a);
  }
}

TEST(NetworkLaw, ABadPlacementIsVisiblySlower) {
  const SystemSpec s = test::joined("superpod_h100");
  Call inside = call(CollectiveKind::AllReduce, 1 << 26, 8), across = inside;
  across.group.stride = 8;
  EXPECT_GT(execute(across, s).total.count(), 3 * execute(inside, s).total.count());
  Call torn = inside;
  torn.group.places = {0, 8, 1, 9, 2, 10, 3, 11};
  EXPECT_GT(execute(torn, s).total.count(), 2 * execute(inside, s).total.count());
}

TEST(NetworkLaw, ASlowLinkAndASlowRankAreNamed) {
  const SystemSpec s = test::joined("dgx_h100");
  Call c = call(CollectiveKind::AllReduce, 1 << 28, 8, Algorithm::Ring);
  const double before = execute(c, s).total.count();
  c.faults.links.push_back({"node", "out", 3, -1, 0.5});
  CollectiveTime t = execute(c, s);
  EXPECT_GT(t.total.count(), 1.6 * before);
  EXPECT_EQ(t.decisive_rank, 3);
  EXPECT_EQ(t.busiest, "node: out of device 3");
  c.faults = {{}, {{5, 0.25}}};
  t = execute(c, s);
  EXPECT_GT(t.total.count(), 3 * before);
  EXPECT_EQ(t.decisive_rank, 5);
}

TEST(NetworkLaw, ADeadLinkIsGoneAroundOrRefused) {
  const SystemSpec mesh = test::joined("atlas_800_a2");
  Call c = call(CollectiveKind::AllGather, 1 << 28, 8, Algorithm::Direct);
  const double before = execute(c, mesh).total.count();
  c.faults.links.push_back({"node", "pair", 0, 3, 0});
  EXPECT_GT(execute(c, mesh).total.count(), 1.3 * before);

  const SystemSpec rails = test::joined("superpod_h100");
  Call wide = call(CollectiveKind::AllToAll, 1 << 28, 16, Algorithm::Direct);
  const double whole = execute(wide, rails).total.count();
  wide.faults.links.push_back({"scale_out", "out", 2, -1, 0});
  EXPECT_GT(execute(wide, rails).total.count(), 1.3 * whole);

  const SystemSpec node = test::joined("dgx_h100");
  Call cut = call(CollectiveKind::AllReduce, 1 << 20, 8, Algorithm::Ring);
  cut.faults.links.push_back({"node", "out", 2, -1, 0});
  try {
    static_cast<void>(execute(cut, node));
    FAIL() << "no way out of device 2";
  } catch (const InfeasibleError& e) {
    EXPECT_NE(std::string(e.what()).find("out of device 2 is dead"), std::string::npos) << e.what();
  }
}

TEST(NetworkLaw, AnUnevenExchangeWaitsForItsBusiestRank) {
  const SystemSpec s = test::round_node();
  Call c = call(CollectiveKind::AllToAll, 8 << 20, 8, Algorithm::Direct);
  c.traffic.assign(64, 1 << 20);
  const double even = execute(c, s).total.count();
  EXPECT_NEAR(even, bound(call(CollectiveKind::AllToAll, 8 << 20, 8, Algorithm::Direct), s).total.count(),
              0.15 * even);
  for (std::size_t from = 0; from < 8; ++from) c.traffic[from * 8 + 5] = 8 << 20;  // all want rank 5
  const CollectiveTime t = execute(c, s);
  EXPECT_GE(t.total.count(), 7 * (8 << 20) / 80e9);
  EXPECT_EQ(t.busiest, "node: into device 5");
}

TEST(NetworkLaw, OversubscriptionSlowsWhatCrossesIt) {
  SystemSpec s = test::round_cluster(64, 1);
  s.levels[1].tiers = {{"leaf", 16, 1, Seconds(1e-6)}};
  const Call wide = call(CollectiveKind::AllToAll, 1 << 28, 64, Algorithm::Direct);
  Call inside = wide;
  inside.group.ranks = 16;
  const double before = execute(wide, s).total.count(), near = execute(inside, s).total.count();
  s.levels[1].tiers[0].oversubscription = 4;
  EXPECT_GT(execute(wide, s).total.count(), 3 * before);
  EXPECT_EQ(execute(inside, s).total.count(), near);
}

TEST(NetworkLaw, ADragonflysGroupsShareTheirLinks) {
  SystemSpec s = test::round_node(LevelKind::Dragonfly, 72);
  s.levels[0].router_endpoints = 2;
  s.levels[0].group_endpoints = 8;
  s.levels[0].local_bandwidth = BytesPerSecond(300e9);
  s.levels[0].global_bandwidth = BytesPerSecond(200e9);
  const Call c = call(CollectiveKind::AllToAll, 1 << 28, 72, Algorithm::Direct);
  const double before = execute(c, s).total.count();
  s.levels[0].global_bandwidth = BytesPerSecond(50e9);
  EXPECT_GT(execute(c, s).total.count(), 1.5 * before);
}

}  // namespace
