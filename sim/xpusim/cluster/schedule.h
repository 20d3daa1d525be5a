#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "xpusim/core/units.h"
#include "xpusim/operators/graph.h"

/// When the operators of one rank run: in order on the compute stream, and on one stream for the overlapped
/// collectives of each kind of group.
namespace xpusim::cluster {

inline constexpr std::size_t kRankGroups = kRankGroupNames.size();
inline constexpr std::size_t kStreams = 1 + kRankGroups;
inline constexpr std::uint8_t kComputeStream = 0;
/// The stream that an operator runs on.
[[nodiscard]] std::uint8_t stream_of(const Operator&);

/// One run of one operator. Operators are named by their place in the graph.
struct OperatorSpan {
  std::uint32_t section = 0;
  std::uint32_t index = 0;
  std::uint8_t stream = kComputeStream;
  Seconds begin, end;
};

struct Schedule {
  std::vector<OperatorSpan> spans;
  Seconds total;
  Seconds exposed_communication;                 ///< time in which no kernel computes
  std::array<double, kRankGroups> exposed_by{};  ///< of it, seconds by the group that is waited for
  Seconds slowed;                                ///< that kernels took longer for the collectives beside them
};

using OperatorTime = std::function<Seconds(const Operator&)>;

/// Runs the graph's sections in order, each `repeat` times. An operator starts when its stream is free and
/// what it comes after has ended. Every rank does the same, so one rank stands for all. `core_share`: of the
/// cores, that overlapped collectives take from the kernels beside them while they run.
[[nodiscard]] Schedule schedule(const Graph&, const OperatorTime&, double core_share = 0);

}  // namespace xpusim::cluster
