#pragma once
#include <vector>

#include "xpusim/network/collective.h"
#include "xpusim/network/topology.h"

/// Collective algorithms as steps in which every rank sends to peers.
namespace xpusim::network {

enum class Pattern : std::uint8_t { Shift, Xor, All, Root, Traffic, Switch };

/// Ranks that stand `stride` apart, `ranks` of them: one of the equal parts into which a group falls.
struct Subgroup {
  std::int64_t ranks = 1;
  std::int64_t stride = 1;
  [[nodiscard]] std::int64_t position(std::int64_t rank) const { return rank / stride % ranks; }
  /// The rank at another position of the same part.
  [[nodiscard]] std::int64_t at(std::int64_t rank, std::int64_t position) const {
    return rank + (position - this->position(rank)) * stride;
  }
};

/// What each rank sends in a step.
struct Move {
  Pattern pattern = Pattern::Shift;
  Subgroup part;
  std::int64_t distance = 1;  ///< Shift: positions ahead; Xor: the mask
  double bytes = 0;           ///< to each peer; Switch: out of and into each rank
};

/// Steps that look the same. A step begins when what the rank waits for has come in.
struct Phase {
  std::vector<Move> moves;
  std::int64_t steps = 1;
  bool waits = true;      ///< each step pays latency; else the bytes follow those before
  bool averages = false;  ///< its way takes each move in turn: latency by the moves' bytes, else the longest
  double reduced = 0;     ///< bytes that each rank adds up in a step
};

struct Plan {
  Algorithm algorithm = Algorithm::None;
  std::vector<Phase> phases;
  double own = 0;              ///< bytes of the rank's own share, copied from input to output
  double first = 0;            ///< bytes of a first step's message: what fills a staged protocol's chunk
  double largest_message = 0;  ///< bytes to one peer
  bool in_switch = false;
  Transfers transfers = Transfers::Collectives;
};

/// How a group falls into nodes: the same number of ranks in each, neighbours in rank. A group that does not
/// is one node of all ranks.
struct Shape {
  std::vector<std::int64_t> counts;  ///< ranks per innermost instance, instances per next, ...
  std::vector<std::int32_t> levels;  ///< that each count is joined by
  bool regular = true;               ///< every rank sees the same
  std::int64_t node = 0;             ///< ranks that the library takes for one node; 0: the inner levels
  [[nodiscard]] std::int64_t inner() const;  ///< ranks of a node: of the largest part below the top
  [[nodiscard]] std::int64_t inner_or_all(std::int64_t ranks) const;  ///< all where there is one level
};
/// `node`: devices that the library takes for one node; 0: those of the inner levels.
[[nodiscard]] Shape shape_of(const Group&, const Topology&, std::int64_t node = 0);

/// The algorithm for a call. Throws InfeasibleError when it cannot run the call on this topology.
[[nodiscard]] Plan plan_of(Algorithm, const Call&, const Topology&, const Shape&);

/// Calls visit(peer rank, bytes) for all that `rank` sends in a move.
template <class Visit>
void for_each_peer(const Move& m, const Call& call, std::int64_t rank, const Visit& visit) {
  const std::int64_t n = m.part.ranks, here = m.part.position(rank);
  switch (m.pattern) {
    case Pattern::Shift:
      if (m.distance % n != 0) visit(m.part.at(rank, ((here + m.distance) % n + n) % n), m.bytes);
      return;
    case Pattern::Xor:
      if ((here ^ m.distance) < n) visit(m.part.at(rank, here ^ m.distance), m.bytes);
      return;
    case Pattern::All:  // each begins with its next neighbour, so that no receiver is crowded
      for (std::int64_t d = 1; d < n; ++d) visit(m.part.at(rank, (here + d) % n), m.bytes);
      return;
    case Pattern::Root:
      if (here == 0)
        for (std::int64_t d = 1; d < n; ++d) visit(m.part.at(rank, d), m.bytes);
      return;
    case Pattern::Traffic:
      for (std::int64_t d = 1; d < n; ++d) {
        const std::int64_t peer = (rank + d) % n;
        const double bytes = call.traffic[static_cast<std::size_t>(rank * n + peer)];
        if (bytes > 0) visit(peer, bytes);
      }
      return;
    case Pattern::Switch:
      return;
  }
}

}  // namespace xpusim::network
