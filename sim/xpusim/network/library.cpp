#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/network/bound.h"

/// What a collective library runs for a call: the algorithm and the protocol of the least predicted time, as
/// the tuners of these libraries choose.
namespace xpusim::network {
namespace {

constexpr const char* kSwitchProtocol = "switch";  ///< of reductions that it does

bool is_exchange(CollectiveKind k) {
  return k == CollectiveKind::AllToAll || k == CollectiveKind::SendRecv || k == CollectiveKind::Dispatch ||
         k == CollectiveKind::Combine;
}

void refuse(const std::string& what) { throw InfeasibleError(what); }

void check_places(const Call& c, const SystemSpec& s, std::int64_t devices) {
  if (c.group.places.empty()) return;
  if (static_cast<std::int64_t>(c.group.places.size()) != c.group.ranks)
    refuse(fmt::format("{} places for {} ranks", c.group.places.size(), c.group.ranks));
  std::set<std::int64_t> seen;
  for (const std::int64_t p : c.group.places) {
    if (p < 0 || p >= devices) refuse(fmt::format("{}: no device {} (0 to {})", s.id, p, devices - 1));
    if (!seen.insert(p).second) refuse(fmt::format("device {} has two ranks", p));
  }
}

void check_call(const Call& c) {
  const std::int64_t n = c.group.ranks;
  if (!c.traffic.empty() && c.kind != CollectiveKind::AllToAll)
    refuse(fmt::format("a traffic matrix is for all_to_all, not {}", enum_name(c.kind)));
  if (!c.traffic.empty() && static_cast<std::int64_t>(c.traffic.size()) != n * n)
    refuse(
        fmt::format("the traffic matrix has {} entries, {} ranks need {} x {}", c.traffic.size(), n, n, n));
  for (const SlowRank& r : c.faults.ranks)
    if (r.rank < 0 || r.rank >= n || !fraction().contains(r.rate))
      refuse(fmt::format("slow rank {} at rate {}: rank 0 to {}, rate {} to 1", r.rank, r.rate, n - 1,
                         fraction().low));
  if (c.kind == CollectiveKind::SendRecv && n != 2) refuse(fmt::format("send_recv joins 2 ranks, not {}", n));
}

/// The level of each fault must exist, and have links of that kind.
void check_faults(const Call& c, const Topology& t) {
  for (const LinkFault& f : c.faults.links) {
    std::vector<std::string_view> known;
    for (const LevelSpec& l : t.levels()) known.push_back(l.name);
    if (std::find(known.begin(), known.end(), f.level) == known.end())
      refuse(fmt::format("no level {} (known: {})", in_quotes(f.level), join(known)));
    if (std::find(kLinkKindNames.begin(), kLinkKindNames.end(), f.kind) == kLinkKindNames.end())
      refuse(fmt::format("no links {} (known: {})", in_quotes(f.kind), join(kLinkKindNames)));
    if (f.rate != 0 && !fraction().contains(f.rate))
      refuse(fmt::format("a link at rate {}: {} to 1, or 0 (dead)", f.rate, fraction().low));
  }
}

std::vector<Algorithm> algorithms_of(const Call& c, const LibrarySpec& library) {
  if (c.algorithm != Algorithm::None) return {c.algorithm};
  const auto& listed = is_exchange(c.kind) ? library.exchanges : library.algorithms;
  if (!listed.empty()) return listed;
  std::vector<Algorithm> all;
  for (std::size_t i = 1; i < kAlgorithmNames.size(); ++i) all.push_back(static_cast<Algorithm>(i));
  return all;
}

bool carries(Transfers protocol, Transfers asked) {
  if (protocol == Transfers::All || protocol == asked) return true;
  if (protocol == Transfers::PointToPoint) return asked != Transfers::Collectives;
  return protocol == Transfers::Exchanges && (asked == Transfers::Dispatches || asked == Transfers::Combines);
}

std::vector<ProtocolSpec> protocols_of(const Call& c, const LibrarySpec& library, const Plan& plan) {
  if (plan.in_switch) {
    ProtocolSpec p;
    p.name = kSwitchProtocol;
    p.startup = library.in_switch_startup;
    // What later chunks, whose two ways overlap, do not pay: the others' shares of the first one.
    p.chunk = library.in_switch_chunk * (plan.phases.front().moves.front().part.ranks - 1);
    return {p};
  }
  std::vector<ProtocolSpec> list;
  for (const ProtocolSpec& p : library.protocols) {
    const bool fits = carries(p.transfers, plan.transfers);
    const bool small_enough =
        p.largest_message.count() == 0 || plan.largest_message <= d(p.largest_message.count());
    if (c.protocol.empty() ? fits && small_enough : p.name == c.protocol && fits) list.push_back(p);
  }
  return list;
}

/// The reasons why nothing runs, for the message.
class Reasons {
 public:
  void add(const std::string& reason) {
    if (std::find(all_.begin(), all_.end(), reason) == all_.end()) all_.push_back(reason);
  }
  [[noreturn]] void fail(const std::string& library) const {
    throw InfeasibleError(all_.empty() ? fmt::format("library {} has nothing that runs it", library)
                                       : join(views(all_), "; "));
  }

 private:
  std::vector<std::string> all_;
};

void weigh_plane(const Call& c, const SystemSpec& s, const LibrarySpec& library, const std::string& plane,
                 std::vector<Weighed>& list, Reasons& reasons) {
  const Topology topology(s, plane);
  check_places(c, s, topology.devices());
  check_faults(c, topology);
  const Shape shape = shape_of(c.group, topology, library.node);
  for (const Algorithm a : algorithms_of(c, library)) {
    try {
      const Plan plan = plan_of(a, c, topology, shape);
      const auto loads = loads_of(plan, c, topology, is_symmetric(c, shape, topology));
      for (const ProtocolSpec& p : protocols_of(c, library, plan)) {
        Weighed w{plan, loads, p, plane, terms_of(plan, loads, p, library, c), 0};
        w.seconds = total_of(plan, w.terms);
        list.push_back(std::move(w));
      }
    } catch (const InfeasibleError& e) {
      reasons.add(e.what());
    }
  }
}

}  // namespace

void check_names(const Call& c, const SystemSpec& s) {
  if (!c.plane.empty()) static_cast<void>(Topology(s, c.plane));
  if (c.library.empty() && c.protocol.empty()) return;
  std::vector<std::string_view> known;
  const LibrarySpec library = working_library(s, c.library);
  for (const ProtocolSpec& p : library.protocols) known.push_back(p.name);
  if (std::any_of(s.levels.begin(), s.levels.end(), [](const auto& l) { return l.in_switch_reduction; }))
    known.push_back(kSwitchProtocol);
  if (!c.protocol.empty() && std::find(known.begin(), known.end(), c.protocol) == known.end())
    refuse(fmt::format("library {} has no protocol {} (known: {})", library.name, in_quotes(c.protocol),
                       join(known)));
}

std::vector<Weighed> weigh(const Call& c, const SystemSpec& s) {
  check_call(c);
  check_names(c, s);
  const LibrarySpec library = working_library(s, c.library);
  if (library.largest.count() > 0 && c.size > library.largest)
    refuse(fmt::format("library {} takes messages of up to {} bytes, not {}", library.name,
                       library.largest.count(), c.size.count()));
  std::vector<Weighed> list;
  Reasons reasons;
  for (const std::string& plane : c.plane.empty() ? planes_of(s) : std::vector<std::string>{c.plane}) {
    try {
      weigh_plane(c, s, library, plane, list, reasons);
    } catch (const InfeasibleError& e) {
      reasons.add(e.what());
    }
  }
  if (list.empty()) reasons.fail(library.name);
  std::stable_sort(list.begin(), list.end(),
                   [](const Weighed& a, const Weighed& b) { return a.seconds < b.seconds; });
  return list;
}

double bus_factor(CollectiveKind kind, std::int64_t ranks) {
  const double n = d(ranks);
  switch (kind) {
    case CollectiveKind::AllReduce:
      return 2 * (n - 1) / n;
    case CollectiveKind::Broadcast:
    case CollectiveKind::SendRecv:
      return 1;
    default:
      return (n - 1) / n;
  }
}

std::int64_t rank_of(const Group& g, const Link& link) {
  if (link.kind == LinkKind::Up || link.kind == LinkKind::Down || link.kind == LinkKind::Local ||
      link.kind == LinkKind::Global)
    return -1;
  for (std::int64_t r = 0; r < g.ranks; ++r)
    if (g.device(r) == link.owner) return r;
  return -1;
}

namespace {

/// The most loaded kind of link of each level, all steps of all phases together.
std::vector<LevelLoad> level_loads(const Weighed& w, const Topology& topology) {
  std::vector<LevelLoad> levels(topology.levels().size());
  for (std::size_t i = 0; i < levels.size(); ++i) levels[i].level = topology.levels()[i].name;
  for (std::size_t i = 0; i < w.loads.size(); ++i) {
    const double steps = d(w.plan.phases[i].steps);
    std::vector<const LinkLoad*> most(levels.size());
    for (const LinkLoad& l : w.loads[i].links) {
      const LinkLoad*& m = most[static_cast<std::size_t>(l.link.level)];
      if (m == nullptr || l.seconds() > m->seconds()) m = &l;
    }
    for (std::size_t k = 0; k < levels.size(); ++k) {
      if (most[k] == nullptr) continue;
      levels[k].bytes += steps * most[k]->bytes;
      levels[k].busy += Seconds(steps * most[k]->seconds() / w.terms.bandwidth_fraction);
    }
  }
  std::erase_if(levels, [](const LevelLoad& l) { return l.bytes == 0; });
  return levels;
}

/// The link that is busy longest in one phase.
const Link* busiest_link(const Weighed& w) {
  const Link* busiest = nullptr;
  double most = 0;
  for (std::size_t i = 0; i < w.loads.size(); ++i) {
    const LinkLoad* l = w.loads[i].busiest();
    const double seconds = l == nullptr ? 0 : d(w.plan.phases[i].steps) * l->seconds();
    if (seconds <= most) continue;
    most = seconds;
    busiest = &l->link;
  }
  return busiest;
}

}  // namespace

CollectiveTime describe_time(const Call& c, const SystemSpec& s, const std::vector<Weighed>& list) {
  const Weighed& best = list.front();
  const Topology topology(s, best.plane);
  CollectiveTime t;
  t.algorithm = best.plan.algorithm;
  t.protocol = best.protocol.name;
  t.plane = best.plane;
  t.library = library_of(s, c.library).name;
  for (const Weighed& w : list)
    t.choices.push_back({w.plan.algorithm, w.protocol.name, w.plane, Seconds(w.seconds)});
  double latency = best.terms.fixed;
  for (std::size_t i = 0; i < best.loads.size(); ++i)
    latency += d(best.plan.phases[i].steps) * best.terms.latency[i];
  t.latency = Seconds(latency);
  t.loads = level_loads(best, topology);
  result::Activity activity;
  for (const LevelLoad& l : t.loads) activity.network_bytes[l.level] += l.bytes;
  t.activity = std::make_shared<const result::Activity>(std::move(activity));
  if (!t.loads.empty()) t.level = t.loads.back().level;
  if (const Link* busiest = busiest_link(best); busiest != nullptr) {
    t.busiest = topology.name(*busiest);
    t.decisive_rank = rank_of(c.group, *busiest);
  }
  return t;
}

void set_total(CollectiveTime& t, const Call& c, const LibrarySpec& library, double seconds) {
  const double bytes = d(c.size.count());
  if (c.eager) {
    seconds = std::max(seconds, library.eager_launch.count());
    if (library.eager_copy.count() > 0 && c.kind == CollectiveKind::AllReduce)
      seconds += bytes / library.eager_copy.count();
  }
  t.total = Seconds(seconds);
  t.algorithm_bandwidth = BytesPerSecond(bytes / seconds);
  t.bus_bandwidth = BytesPerSecond(bytes / seconds * bus_factor(c.kind, c.group.ranks));
}

CollectiveTime bound(const Call& c, const SystemSpec& s) {
  if (c.group.ranks <= 1) {
    check_names(c, s);
    return {};
  }
  const auto list = weigh(c, s);
  CollectiveTime t = describe_time(c, s, list);
  set_total(t, c, working_library(s, c.library), list.front().seconds);
  return t;
}

CollectiveTime bound(CollectiveKind kind, Bytes size, Group g, const SystemSpec& s) {
  Call c;
  c.kind = kind;
  c.size = size;
  c.group = std::move(g);
  return bound(c, s);
}

}  // namespace xpusim::network
