#pragma once
#include <string>
#include <vector>

#include "xpusim/network/algorithm.h"

/// What the phases of a plan put on the links, and how long that takes when nothing gets in the way.
namespace xpusim::network {

/// A kind of link with the bytes that one step of a phase puts on it.
struct LinkLoad {
  Link link;         ///< one of the kind
  double bytes = 0;  ///< on that link
  double rate = 1;   ///< part of its bandwidth that is left (faults)
  [[nodiscard]] double seconds() const { return bytes / (link.bandwidth * rate); }
};

/// One step of a phase.
struct StepLoad {
  std::vector<LinkLoad> links;
  double wire = 0;         ///< seconds of latency
  double host_driven = 0;  ///< hops that the host posts
  double peers = 0;        ///< that one rank sends to
  double sent = 0;         ///< bytes out of one rank
  double stored = 0;       ///< seconds of the longest way of a message that each device takes in as a whole
  [[nodiscard]] const LinkLoad* busiest() const;
};

/// May one rank stand for all? Else every rank counts by itself.
[[nodiscard]] bool is_symmetric(const Call&, const Shape&, const Topology&);

/// The loads of each phase. Throws InfeasibleError when a dead link has no way around it.
[[nodiscard]] std::vector<StepLoad> loads_of(const Plan&, const Call&, const Topology&, bool symmetric);

/// Everything that the time of a plan consists of under one protocol, in seconds.
struct Terms {
  double fixed = 0;              ///< launch, startup, own copy, filling of the first chunk
  std::vector<double> latency;   ///< per step, by phase: the way's, and the software's
  std::vector<double> software;  ///< the software's part of it
  std::vector<double> transfer;  ///< per step, by phase: the busiest link
  std::vector<double> sums;      ///< per step, by phase: additions that nothing hides
  double bandwidth_fraction = 1;
  std::vector<double> kernel;  ///< per step, by phase: the rank's own work, which no link can hurry
};
[[nodiscard]] Terms terms_of(const Plan&, const std::vector<StepLoad>&, const ProtocolSpec&,
                             const LibrarySpec&, const Call&);
[[nodiscard]] double total_of(const Plan&, const Terms&);

/// A message's way around dead links, and the part of each link's rate that is left.
class FaultyTopology {
 public:
  FaultyTopology(const Topology& topology, const Call& call) : topology_(topology), call_(call) {}
  [[nodiscard]] Route route(std::int64_t from, std::int64_t to) const;
  [[nodiscard]] double rate(const Link&) const;

 private:
  [[nodiscard]] bool is_dead(const Route&) const;
  const Topology& topology_;
  const Call& call_;
};

/// A plan with its loads, its protocol and its time by closed form.
struct Weighed {
  Plan plan;
  std::vector<StepLoad> loads;
  ProtocolSpec protocol;
  std::string plane;
  Terms terms;
  double seconds = 0;
};

/// Throws InfeasibleError where the system has no such plane, library or protocol.
void check_names(const Call&, const SystemSpec&);

/// All that the library may run for the call, the fastest first. Throws InfeasibleError when it is none.
[[nodiscard]] std::vector<Weighed> weigh(const Call&, const SystemSpec&);

/// The rank whose own link it is; -1 where ranks share it.
[[nodiscard]] std::int64_t rank_of(const Group&, const Link&);

/// The answer without its total, from the plan that runs.
[[nodiscard]] CollectiveTime describe_time(const Call&, const SystemSpec&, const std::vector<Weighed>&);
/// Sets the total and the bandwidths that follow from it.
void set_total(CollectiveTime&, const Call&, const LibrarySpec&, double seconds);

}  // namespace xpusim::network
