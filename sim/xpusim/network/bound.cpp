#include "xpusim/network/bound.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "xpusim/core/error.h"

namespace xpusim::network {
namespace {

using LinkKey = std::tuple<std::int32_t, LinkKind, std::int32_t, std::int64_t>;
LinkKey key_of(const Link& l) { return {l.level, l.kind, l.part, l.owner}; }

/// Devices of a link of this kind are alike in any part of their group: which one it is does not matter.
bool is_spread(LinkKind k) { return k == LinkKind::Local || k == LinkKind::Global; }

/// Out of and into one rank, as in-switch reductions use the level.
void add_switched(const Move& m, const Call& call, const Topology& t, std::int64_t rank, StepLoad& step) {
  const std::int64_t device = call.group.device(rank);
  const std::int32_t level =
      t.joining_level(device, call.group.device(m.part.at(rank, (m.part.position(rank) + 1) % m.part.ranks)));
  const LevelSpec& l = t.levels()[static_cast<std::size_t>(level)];
  const double bandwidth = l.bandwidth.count() * l.in_switch_fraction;
  for (const LinkKind k : {LinkKind::Out, LinkKind::In})
    step.links.push_back({{level, k, -1, device, bandwidth}, m.bytes, 1});
  step.wire = std::max(step.wire, l.latency.count());
}

/// Latency of a step: of its longest message, or by the bytes of its moves where a chunk takes them in turn.
class Latency {
 public:
  explicit Latency(bool averages) : averages_(averages) {}
  void add(const Route& r, double bytes) {
    const double weight = averages_ ? bytes : 1;
    if (averages_) {
      wire_ += weight * r.latency;
      host_ += weight * r.host_driven;
      bytes_ += weight;
    } else {
      wire_ = std::max(wire_, r.latency);
      host_ = std::max<double>(host_, r.host_driven);
      bytes_ = 1;
    }
  }
  void write(StepLoad& step) const {
    if (bytes_ == 0) return;
    step.wire = std::max(step.wire, wire_ / bytes_);
    step.host_driven = host_ / bytes_;
  }

 private:
  bool averages_;
  double wire_ = 0, host_ = 0, bytes_ = 0;
};

/// Seconds of a message that devices on the way take in as a whole before they pass it on; else 0.
double stored(const Route& r, double bytes) {
  if (!r.store_and_forward) return 0;
  double all = 0;
  for (const Link& l : r.links) all += bytes / l.bandwidth;
  return all;
}

/// Devices of a torus, a ring or a dragonfly carry messages of others: they are alike only where the group
/// has all of them.
bool is_closed(const Call& call, const Topology& t) {
  const std::int64_t last = call.group.device(call.group.ranks - 1);
  const std::int32_t top = t.joining_level(0, last);
  for (std::int32_t i = 0; i <= top; ++i) {
    const LevelSpec& l = t.levels()[static_cast<std::size_t>(i)];
    const bool passes_on =
        l.kind == LevelKind::Torus || l.kind == LevelKind::Ring || l.kind == LevelKind::Dragonfly;
    const bool whole =
        call.group.places.empty() && call.group.stride == 1 && call.group.ranks % l.endpoints == 0;
    if (l.forwarding == Forwarding::StoreAndForward || (passes_on && !whole)) return false;
  }
  return true;
}

/// Collects what ranks put on links.
class Collector {
 public:
  Collector(const Call& call, const Topology& t, bool symmetric)
      : call_(call), topology_(t), faulty_(t, call), symmetric_(symmetric) {}

  StepLoad step(const Phase& phase) {
    StepLoad s;
    loads_.clear();
    Latency latency(phase.averages);
    const std::int64_t ranks = symmetric_ ? 1 : call_.group.ranks;
    for (std::int64_t rank = 0; rank < ranks; ++rank) add_rank(phase, rank, s, latency);
    for (const auto& [key, load] : loads_) s.links.push_back(load);
    latency.write(s);
    return s;
  }

 private:
  void add_rank(const Phase& phase, std::int64_t rank, StepLoad& s, Latency& latency) {
    double peers = 0, sent = 0;
    for (const Move& m : phase.moves) {
      if (m.pattern == Pattern::Switch) add_switched(m, call_, topology_, rank, s);
      for_each_peer(m, call_, rank, [&](std::int64_t peer, double bytes) {
        const Route r = faulty_.route(call_.group.device(rank), call_.group.device(peer));
        for (const Link& link : r.links) add(link, bytes);
        latency.add(r, bytes);
        s.stored = std::max(s.stored, stored(r, bytes));
        ++peers;
        sent += bytes;
      });
    }
    if (phase.averages) peers = std::min(peers, 1.0);  // its parts go to one neighbour of each ring
    s.peers = std::max(s.peers, peers);
    s.sent = std::max(s.sent, sent);
  }

  void add(const Link& link, double bytes) {
    LinkKey key = key_of(link);
    if (symmetric_) {
      std::get<3>(key) = 0;
      if (is_spread(link.kind)) std::get<2>(key) = 0;
      bytes *= sharers(link);
    }
    auto [found, is_new] = loads_.try_emplace(key, LinkLoad{link, 0, 1});
    if (is_new && !symmetric_) found->second.rate = faulty_.rate(link);
    found->second.bytes += bytes;
  }

  /// Ranks of the group that load the link as this one does.
  double sharers(const Link& link) {
    if (topology_.block(link) == 1) return 1;
    LinkKey key = key_of(link);
    std::get<3>(key) = 0;
    auto [found, is_new] = sharers_.try_emplace(key, 0);
    if (is_new) {
      for (std::int64_t r = 0; r < call_.group.ranks; ++r)
        found->second += topology_.serves(link, call_.group.device(r)) ? 1 : 0;
      const LevelSpec& l = topology_.levels()[static_cast<std::size_t>(link.level)];
      if (link.kind == LinkKind::Local) found->second /= d(l.group_endpoints / l.router_endpoints - 1);
      if (link.kind == LinkKind::Global) found->second /= d(l.endpoints / l.group_endpoints - 1);
    }
    return found->second;
  }

  const Call& call_;
  const Topology& topology_;
  FaultyTopology faulty_;
  bool symmetric_;
  std::map<LinkKey, LinkLoad> loads_;
  std::map<LinkKey, double> sharers_;
};

}  // namespace

const LinkLoad* StepLoad::busiest() const {
  const auto most = std::max_element(links.begin(), links.end(), [](const LinkLoad& a, const LinkLoad& b) {
    return a.seconds() < b.seconds();
  });
  return most == links.end() ? nullptr : &*most;
}

bool is_symmetric(const Call& call, const Shape& shape, const Topology& topology) {
  return shape.regular && call.faults.empty() && call.traffic.empty() && is_closed(call, topology);
}

std::vector<StepLoad> loads_of(const Plan& plan, const Call& call, const Topology& topology, bool symmetric) {
  Collector collector(call, topology, symmetric);
  std::vector<StepLoad> loads;
  for (const Phase& p : plan.phases) loads.push_back(collector.step(p));
  return loads;
}

namespace {

/// Seconds of the rank's own share from input to output.
double copy_of_own(const Plan& plan, const ProtocolSpec& protocol, const LibrarySpec& library,
                   const Call& call) {
  if (call.kind == CollectiveKind::AllReduce && (call.in_place || library.in_place)) return 0;
  if (protocol.copy_bandwidth.count() > 0) return plan.own / protocol.copy_bandwidth.count();
  const double rate = library.copy_bandwidth.count() * protocol.bandwidth_fraction;
  return rate > 0 ? plan.own / rate : 0;
}

}  // namespace

Terms terms_of(const Plan& plan, const std::vector<StepLoad>& loads, const ProtocolSpec& protocol,
               const LibrarySpec& library, const Call& call) {
  Terms t;
  t.bandwidth_fraction = protocol.bandwidth_fraction;
  t.fixed = library.launch.count() + protocol.startup.count();
  if (plan.transfers == Transfers::Exchanges) t.fixed += library.exchange_launch.count();
  t.fixed += copy_of_own(plan, protocol, library, call);
  double slowest = 1;
  for (const SlowRank& r : call.faults.ranks) slowest = std::min(slowest, r.rate);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const StepLoad& s = loads[i];
    const Phase& p = plan.phases[i];
    const LinkLoad* busiest = s.busiest();
    const double software = protocol.step.count() + std::max(0.0, s.peers - 1) * library.message.count() +
                            s.host_driven * library.proxy.count();
    t.software.push_back(p.waits ? software / slowest : 0);
    t.latency.push_back(p.waits ? s.wire + t.software.back() : 0);
    t.kernel.push_back(protocol.rate.count() > 0 ? s.sent / protocol.rate.count() / slowest : 0);
    const double links = std::max(busiest == nullptr ? 0 : busiest->seconds(), s.stored);
    t.transfer.push_back(std::max(t.kernel.back(), links / t.bandwidth_fraction));
    t.sums.push_back(
        library.reduce_bandwidth.count() > 0 ? p.reduced / library.reduce_bandwidth.count() / slowest : 0);
    if (i == 0 && busiest != nullptr)
      t.fixed +=
          std::min(plan.first, d(protocol.chunk.count())) / (busiest->link.bandwidth * t.bandwidth_fraction);
  }
  return t;
}

double total_of(const Plan& plan, const Terms& t) {
  double sum = t.fixed;
  for (std::size_t i = 0; i < plan.phases.size(); ++i)
    sum += d(plan.phases[i].steps) * (t.latency[i] + t.transfer[i] + t.sums[i]);
  return sum;
}

double FaultyTopology::rate(const Link& link) const {
  double rate = 1;
  for (const LinkFault& f : call_.faults.links) {
    const bool same_part = f.part < 0 || f.part == link.part;
    if (same_part && f.owner == link.owner &&
        f.level == topology_.levels()[static_cast<std::size_t>(link.level)].name &&
        f.kind == kind_name(link.kind))
      rate = std::min(rate, f.rate);
  }
  const bool is_senders =
      link.kind == LinkKind::Out || link.kind == LinkKind::Pair || link.kind == LinkKind::Dimension;
  if (is_senders)
    for (const SlowRank& r : call_.faults.ranks)
      if (call_.group.device(r.rank) == link.owner) rate = std::min(rate, r.rate);
  return rate;
}

bool FaultyTopology::is_dead(const Route& r) const {
  return std::any_of(r.links.begin(), r.links.end(), [&](const Link& l) { return rate(l) <= 0; });
}

Route FaultyTopology::route(std::int64_t from, std::int64_t to) const {
  Route direct = topology_.route(from, to);
  if (call_.faults.links.empty() || !is_dead(direct)) return direct;
  // Over a third device: of the innermost node first, where another link or rail goes out.
  for (const LevelSpec& level : topology_.levels()) {
    const std::int64_t begin = from - from % level.endpoints;
    for (std::int64_t via = begin; via < begin + level.endpoints; ++via) {
      if (via == from || via == to) continue;
      Route first = topology_.route(from, via);
      if (is_dead(first)) continue;
      const Route second = topology_.route(via, to);
      if (is_dead(second)) continue;
      first.links.insert(first.links.end(), second.links.begin(), second.links.end());
      first.latency += second.latency;
      first.level = std::max(first.level, second.level);
      first.host_driven += second.host_driven;
      first.store_and_forward = first.store_and_forward || second.store_and_forward;
      return first;
    }
  }
  const auto dead =
      std::find_if(direct.links.begin(), direct.links.end(), [&](const Link& l) { return rate(l) <= 0; });
  throw InfeasibleError(
      fmt::format("no way from device {} to device {}: {} is dead", from, to, topology_.name(*dead)));
}

}  // namespace xpusim::network
