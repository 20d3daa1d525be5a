#pragma once
#include <functional>

#include "xpusim/network/flow.h"
#include "xpusim/operators/graph.h"
#include "xpusim/result/timeline.h"

/// When the operators of one rank run: in order on the compute stream, and on one stream for the overlapped
/// collectives of each kind of group.
namespace xpusim::step {

using result::kComputeStream;
using result::kRankGroups;
using result::kStreams;
using result::Schedule;

/// The stream that an operator runs on.
[[nodiscard]] std::uint8_t stream_of(const Operator&);

/// Whether a collective runs on a stream of its own. Else operators follow one another.
[[nodiscard]] bool overlaps(const Section&);
[[nodiscard]] bool overlaps(const Graph&);

using OperatorTime = std::function<Seconds(const Operator&)>;
/// What a collective keeps busy; null where it uses no network.
using OperatorFlow = std::function<const network::Flow*(const Operator&)>;

/// Runs the graph's sections in order, each `repeat` times. An operator starts when its stream is free and
/// what it comes after has ended. Every rank does the same, so one rank stands for all. `core_share`: of the
/// cores, that overlapped collectives take from the kernels beside them while they run. Collectives in flight
/// share the links of `flow`; without it they do not meet.
[[nodiscard]] Schedule schedule(const Graph&, const OperatorTime&, double core_share = 0,
                                const OperatorFlow& flow = {});

}  // namespace xpusim::step
