#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "xpusim/core/units.h"
#include "xpusim/operators/collective.h"
#include "xpusim/result/activity.h"
#include "xpusim/spec/system.h"

/// How long a collective takes: what is asked (Call), and the answer (CollectiveTime).
namespace xpusim::network {

/// A set of ranks: `ranks` devices, `stride` apart (tensor groups are neighbours, data groups stand tensor
/// apart), or the devices that a list gives.
struct Group {
  std::int64_t ranks = 1;
  std::int64_t stride = 1;
  std::vector<std::int64_t> places;  ///< device of each rank; empty: rank x stride
  [[nodiscard]] std::int64_t device(std::int64_t rank) const {
    return places.empty() ? rank * stride : places[static_cast<std::size_t>(rank)];
  }
};

/// A link at a part of its rate; at 0 it is dead, and messages take another way.
struct LinkFault {
  std::string level;
  std::string kind;        ///< of link: out, in, up, down, pair, dimension, local, global
  std::int64_t owner = 0;  ///< device, switch or router that it belongs to
  std::int64_t part = -1;  ///< which of the owner's links of this kind; -1: all
  double rate = 1;         ///< of its bandwidth
};

/// A rank that works at a part of the others' speed: its links out, and its steps.
struct SlowRank {
  std::int64_t rank = 0;
  double rate = 1;
};

struct Faults {
  std::vector<LinkFault> links;
  std::vector<SlowRank> ranks;
  [[nodiscard]] bool empty() const { return links.empty() && ranks.empty(); }
};

/// One collective to be timed.
struct Call {
  CollectiveKind kind = CollectiveKind::AllReduce;
  Bytes size;  ///< as CollectiveShape::bytes
  Group group;
  Algorithm algorithm = Algorithm::None;  ///< None: the library's choice
  std::string protocol;                   ///< empty: the library's choice
  std::string library;                    ///< empty: the system's first
  std::string plane;                      ///< empty: the fastest
  bool eager = false;                     ///< launched by the host, not from a graph
  bool in_place = false;                  ///< an all_reduce's result takes the place of its input
  bool switch_adds = true;                ///< a switch that reduces can add elements of this type
  std::int64_t topk = 8;                  ///< dispatch, combine: experts of a token
  std::int64_t token_nodes = 0;           ///< dispatch, combine: nodes that a token may go to; 0: any
  std::vector<double> traffic;            ///< all_to_all: bytes from rank i to rank j, at i x ranks + j
  Faults faults;
};

struct LevelLoad {
  std::string level;
  double bytes = 0;  ///< over the level's most loaded kind of link, of one rank
  Seconds busy;      ///< of that link
};

/// One way to run the collective that was weighed.
struct Choice {
  Algorithm algorithm = Algorithm::None;
  std::string protocol, plane;
  Seconds total;
};

struct CollectiveTime {
  Seconds total;
  Algorithm algorithm = Algorithm::None;
  std::string protocol;
  std::string library;
  std::string plane;
  std::string level;             ///< the outermost that carries it
  BytesPerSecond bus_bandwidth;  ///< nccl-tests' busbw
  BytesPerSecond algorithm_bandwidth;
  Seconds latency;                                   ///< part of total that does not grow with the message
  std::vector<LevelLoad> loads;                      ///< by level, innermost first
  std::shared_ptr<const result::Activity> activity;  ///< the same bytes
  std::string busiest;                               ///< link that decides
  std::int64_t decisive_rank = -1;                   ///< whose link it is
  std::vector<Choice> choices;                       ///< all that were weighed, fastest first
};

/// Bytes that nccl-tests counts as moved over the bus, per byte of message.
[[nodiscard]] double bus_factor(CollectiveKind, std::int64_t ranks);

/// By closed form (alpha-beta model over the links, docs/model.md#collectives), the call's algorithm and
/// protocol, or the fastest that the library has. No time for a group of one rank.
/// Throws InfeasibleError when the group is larger than the system, or nothing of the library can run it.
[[nodiscard]] CollectiveTime bound(const Call&, const SystemSpec&);
[[nodiscard]] CollectiveTime bound(CollectiveKind, Bytes, Group, const SystemSpec&);

/// The same with the event kernel: each link serves one message at a time, gaps are filled. Equal ranks are
/// simulated once. The algorithm is the one that `bound` takes.
[[nodiscard]] CollectiveTime execute(const Call&, const SystemSpec&);

/// Several collectives that start together and share links; the times of each, in the order given.
[[nodiscard]] std::vector<CollectiveTime> execute_together(const std::vector<Call>&, const SystemSpec&);

}  // namespace xpusim::network
