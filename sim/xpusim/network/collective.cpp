#include "xpusim/network/collective.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"

namespace xpusim::network {
namespace {

/// The innermost level that joins all ranks of the group.
const LevelSpec& joining_level(Group g, const SystemSpec& system) {
  const std::int64_t span = (g.ranks - 1) * g.stride + 1;
  for (const LevelSpec& level : system.levels)
    if (level.endpoints >= span) return level;
  throw InfeasibleError(fmt::format("{}: {} ranks, {} apart, are more than its {} devices", system.id,
                                    g.ranks, g.stride,
                                    system.levels.empty() ? 1 : system.levels.back().endpoints));
}

/// What one rank can send, per direction: in a full mesh only the links to the group's other ranks help.
double bandwidth_of(const LevelSpec& level, Group g) {
  const double whole = level.bandwidth.count() * level.achieved_fraction;
  if (level.kind == LevelKind::Switch) return whole;
  return whole * static_cast<double>(g.ranks - 1) / static_cast<double>(level.endpoints - 1);
}

/// Bytes that nccl-tests counts as moved over the bus, per byte of message.
double bus_factor(OpKind kind, double n) { return kind == OpKind::AllReduce ? 2 * (n - 1) / n : (n - 1) / n; }

/// An algorithm as steps and bytes sent per rank.
struct Cost {
  double steps, bytes, bandwidth;
};

Cost cost_of(Algorithm algorithm, OpKind kind, double size, Group g, const LevelSpec& level) {
  const double n = static_cast<double>(g.ranks);
  const double bandwidth = bandwidth_of(level, g);
  const double phases = kind == OpKind::AllReduce ? 2 : 1;  // reduce-scatter, then all-gather
  switch (algorithm) {
    case Algorithm::Ring:
      if (kind == OpKind::AllToAll) break;
      return {phases * (n - 1), bus_factor(kind, n) * size, bandwidth};
    case Algorithm::Direct:
      return {phases, bus_factor(kind, n) * size, bandwidth};
    case Algorithm::OneShot:  // everybody sends everything to everybody, and adds up locally
      if (kind != OpKind::AllReduce) break;
      return {1, (n - 1) * size, bandwidth};
    case Algorithm::InSwitch:  // each rank sends all and receives its share of the sum, then sends the share
                               // and receives all
      if (kind != OpKind::AllReduce || !level.in_switch_reduction) break;
      return {2, size * (1 + 1 / n), level.bandwidth.count() * level.in_switch_fraction};
    case Algorithm::None:
      break;
  }
  throw InfeasibleError(fmt::format("level {} cannot run {} as {}", level.name, enum_name(kind),
                                    kAlgorithmNames[static_cast<std::size_t>(algorithm)]));
}

}  // namespace

CollectiveTime time_of(Algorithm algorithm, OpKind kind, Bytes size, Group g, const SystemSpec& system) {
  const LevelSpec& level = joining_level(g, system);
  const double bytes = static_cast<double>(size.count());
  const Cost c = cost_of(algorithm, kind, bytes, g, level);
  CollectiveTime t;
  t.algorithm = algorithm;
  t.level = level.name;
  t.total = Seconds(system.library.launch.count() + c.steps * (level.latency + system.library.step).count() +
                    c.bytes / c.bandwidth);
  t.bus_bandwidth = BytesPerSecond(bytes * bus_factor(kind, static_cast<double>(g.ranks)) / t.total.count());
  return t;
}

CollectiveTime bound(OpKind kind, Bytes size, Group g, const SystemSpec& system) {
  if (g.ranks <= 1) return {};
  const LevelSpec& level = joining_level(g, system);
  CollectiveTime best;
  for (const Algorithm a : {Algorithm::Ring, Algorithm::Direct, Algorithm::OneShot, Algorithm::InSwitch}) {
    const bool reduces = kind == OpKind::AllReduce;
    if (a == Algorithm::Ring && kind == OpKind::AllToAll) continue;
    if (a == Algorithm::OneShot && !reduces) continue;
    if (a == Algorithm::InSwitch && (!reduces || !level.in_switch_reduction)) continue;
    const CollectiveTime t = time_of(a, kind, size, g, system);
    if (best.algorithm == Algorithm::None || t.total < best.total) best = t;
  }
  return best;
}

}  // namespace xpusim::network
