#include "xpusim/network/topology.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"

namespace xpusim::network {
namespace {

double achieved(const LevelSpec& l) { return l.bandwidth.count() * l.achieved_fraction; }

/// Nodes along each dimension: of a ring, one.
std::vector<std::int64_t> dims_of(const LevelSpec& l, std::int64_t nodes) {
  return l.kind == LevelKind::Torus ? l.dims : std::vector<std::int64_t>{nodes};
}

}  // namespace

std::vector<std::string> planes_of(const SystemSpec& s) {
  std::vector<std::string> names;
  for (const LevelSpec& l : s.levels)
    if (!l.plane.empty() && std::find(names.begin(), names.end(), l.plane) == names.end())
      names.push_back(l.plane);
  if (names.empty()) names.emplace_back();
  return names;
}

Topology::Topology(const SystemSpec& s, const std::string& plane) : system_(s.id) {
  const auto known = planes_of(s);
  if (std::find(known.begin(), known.end(), plane) == known.end())
    throw InfeasibleError(fmt::format("{}: no plane {} (known: {})", s.id, in_quotes(plane),
                                      known.front().empty() ? "none has a name" : join(views(known))));
  for (const LevelSpec& l : s.levels)
    if (l.plane.empty() || l.plane == plane) levels_.push_back(l);
}

std::int64_t Topology::node_size(std::int32_t level) const {
  return level == 0 ? 1 : levels_[static_cast<std::size_t>(level) - 1].endpoints;
}

std::int32_t Topology::joining_level(std::int64_t a, std::int64_t b) const {
  for (std::size_t i = 0; i < levels_.size(); ++i)
    if (a / levels_[i].endpoints == b / levels_[i].endpoints) return static_cast<std::int32_t>(i);
  throw InfeasibleError(fmt::format("{}: no level joins devices {} and {}", system_, a, b));
}

Route Topology::route(std::int64_t from, std::int64_t to) const {
  Route r;
  if (from == to) return r;
  const std::int32_t level = joining_level(from, to);
  const LevelSpec& l = levels_[static_cast<std::size_t>(level)];
  const std::int64_t node = node_size(level);
  const bool by_position =
      node > 1 && (l.rails > 1 || (l.kind != LevelKind::Switch && l.kind != LevelKind::FatTree));
  const std::int64_t lanes = l.rails > 1 ? l.rails : node;
  if (by_position && from % node % lanes != to % node % lanes) {
    // Its own rail does not reach the receiver: on inside the node to the device that stands on that rail.
    const std::int64_t proxy = from - from % node + to % node;
    r = route(from, proxy);
    from = proxy;
  }
  r.level = level;
  cross(level, from, to, r);
  r.store_and_forward = r.store_and_forward || l.forwarding == Forwarding::StoreAndForward;
  r.host_driven += l.host_driven ? 1 : 0;
  return r;
}

void Topology::cross(std::int32_t level, std::int64_t from, std::int64_t to, Route& r) const {
  switch (levels_[static_cast<std::size_t>(level)].kind) {
    case LevelKind::FullMesh:
      return cross_mesh(level, from, to, r);
    case LevelKind::Torus:
    case LevelKind::Ring:
      return cross_torus(level, from, to, r);
    case LevelKind::Dragonfly:
      return cross_dragonfly(level, from, to, r);
    case LevelKind::Switch:
    case LevelKind::FatTree:
      return cross_switch(level, from, to, r);
  }
}

void Topology::cross_switch(std::int32_t level, std::int64_t from, std::int64_t to, Route& r) const {
  const LevelSpec& l = levels_[static_cast<std::size_t>(level)];
  const std::int64_t rail = to % node_size(level) % l.rails;
  r.links.push_back({level, LinkKind::Out, 0, from, achieved(l)});
  r.latency += l.latency.count();
  double share = achieved(l);  // of one device, at the height of the tier
  std::size_t top = 0;
  for (; top < l.tiers.size() && from / l.tiers[top].endpoints != to / l.tiers[top].endpoints; ++top) {
    const TierSpec& t = l.tiers[top];
    share /= t.oversubscription;
    const double bandwidth = share * static_cast<double>(t.endpoints / l.rails);
    r.links.push_back({level, LinkKind::Up, static_cast<std::int32_t>(top),
                       from / t.endpoints * l.rails + rail, bandwidth});
    r.links.push_back({level, LinkKind::Down, static_cast<std::int32_t>(top),
                       to / t.endpoints * l.rails + rail, bandwidth});
    r.latency += t.latency.count();
  }
  r.links.push_back({level, LinkKind::In, 0, to, achieved(l)});
}

void Topology::cross_mesh(std::int32_t level, std::int64_t from, std::int64_t to, Route& r) const {
  const LevelSpec& l = levels_[static_cast<std::size_t>(level)];
  const std::int64_t node = node_size(level), nodes = l.endpoints / node;
  const std::int64_t apart = (to / node % nodes - from / node % nodes + nodes) % nodes;
  r.links.push_back({level, LinkKind::Pair, static_cast<std::int32_t>(apart), from,
                     achieved(l) / static_cast<double>(nodes - 1)});
  r.latency += l.latency.count();
}

void Topology::cross_torus(std::int32_t level, std::int64_t from, std::int64_t to, Route& r) const {
  const LevelSpec& l = levels_[static_cast<std::size_t>(level)];
  const std::int64_t node = node_size(level);
  const auto dims = dims_of(l, l.endpoints / node);
  const double bandwidth = achieved(l) / (2 * static_cast<double>(dims.size()));
  std::int64_t stride = node, at = from;
  for (std::size_t d = 0; d < dims.size(); stride *= dims[d], ++d) {
    const std::int64_t here = at / stride % dims[d], there = to / stride % dims[d];
    const std::int64_t ahead = (there - here + dims[d]) % dims[d];
    const bool forward = 2 * ahead <= dims[d];
    for (std::int64_t left = forward ? ahead : dims[d] - ahead; left > 0; --left) {
      r.links.push_back(
          {level, LinkKind::Dimension, static_cast<std::int32_t>(2 * d + (forward ? 0 : 1)), at, bandwidth});
      const std::int64_t x = at / stride % dims[d];
      at += ((x + (forward ? 1 : dims[d] - 1)) % dims[d] - x) * stride;
      r.latency += l.latency.count();
    }
  }
}

void Topology::cross_dragonfly(std::int32_t level, std::int64_t from, std::int64_t to, Route& r) const {
  const LevelSpec& l = levels_[static_cast<std::size_t>(level)];
  const std::int64_t routers = l.group_endpoints / l.router_endpoints;
  const std::int64_t groups = l.endpoints / l.group_endpoints;
  std::int64_t at = from / l.router_endpoints;
  const std::int64_t goal = to / l.router_endpoints;
  const auto local = [&](std::int64_t next) {
    if (next == at) return;
    r.links.push_back({level, LinkKind::Local, static_cast<std::int32_t>(next % routers), at,
                       l.local_bandwidth.count() * l.achieved_fraction / static_cast<double>(routers - 1)});
    r.latency += l.latency.count();
    at = next;
  };
  r.links.push_back({level, LinkKind::Out, 0, from, achieved(l)});
  r.latency += l.latency.count();
  const std::int64_t here = from / l.group_endpoints, there = to / l.group_endpoints;
  if (here != there) {  // the links between two groups end at one router of each, the same for all devices
    local(here * routers + there % routers);
    r.links.push_back({level, LinkKind::Global, static_cast<std::int32_t>(there % groups), here,
                       l.global_bandwidth.count() * l.achieved_fraction * static_cast<double>(routers) /
                           static_cast<double>(groups - 1)});
    r.latency += l.latency.count();
    at = there * routers + here % routers;
  }
  local(goal);
  r.links.push_back({level, LinkKind::In, 0, to, achieved(l)});
}

std::string Topology::name(const Link& link) const {
  const LevelSpec& l = levels_[static_cast<std::size_t>(link.level)];
  switch (link.kind) {
    case LinkKind::Out:
      return fmt::format("{}: out of device {}", l.name, link.owner);
    case LinkKind::In:
      return fmt::format("{}: into device {}", l.name, link.owner);
    case LinkKind::Up:
    case LinkKind::Down:
      return fmt::format("{}: {} {} {}, rail {}", l.name, link.kind == LinkKind::Up ? "up from" : "down to",
                         l.tiers[static_cast<std::size_t>(link.part)].name, link.owner / l.rails,
                         link.owner % l.rails);
    case LinkKind::Pair:
      return fmt::format("{}: device {} to the one {} further", l.name, link.owner, link.part);
    case LinkKind::Dimension:
      return fmt::format("{}: device {} along dimension {}{}", l.name, link.owner, link.part / 2,
                         link.part % 2 == 0 ? "" : ", backwards");
    case LinkKind::Local:
      return fmt::format("{}: router {} to router {} of its group", l.name, link.owner, link.part);
    case LinkKind::Global:
      return fmt::format("{}: group {} to group {}", l.name, link.owner, link.part);
  }
  return l.name;
}

std::int64_t Topology::block(const Link& link) const {
  const LevelSpec& l = levels_[static_cast<std::size_t>(link.level)];
  switch (link.kind) {
    case LinkKind::Up:
    case LinkKind::Down:
      return l.tiers[static_cast<std::size_t>(link.part)].endpoints;
    case LinkKind::Local:
      return l.router_endpoints;
    case LinkKind::Global:
      return l.group_endpoints;
    default:
      return 1;
  }
}

bool Topology::serves(const Link& link, std::int64_t device) const {
  const LevelSpec& l = levels_[static_cast<std::size_t>(link.level)];
  const bool tier = link.kind == LinkKind::Up || link.kind == LinkKind::Down;
  const std::int64_t rails = tier ? l.rails : 1;
  return device / block(link) == link.owner / rails &&
         (rails == 1 || device % node_size(link.level) % rails == link.owner % rails);
}

}  // namespace xpusim::network
