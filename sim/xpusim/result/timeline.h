#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "xpusim/core/units.h"
#include "xpusim/operators/collective.h"

/// What ran on which lane, and when.
namespace xpusim::result {

inline constexpr std::size_t kRankGroups = kRankGroupNames.size();
/// Lanes of a rank: computation, and the overlapped collectives of each kind of group.
inline constexpr std::size_t kStreams = 1 + kRankGroups;
inline constexpr std::uint8_t kComputeStream = 0;

/// One run of one operator on a stream, or of one step on an engine.
struct Span {
  std::uint32_t lane = 0;
  std::uint32_t section = 0, index = 0;  ///< of the graph's operators
  Seconds begin, end;
};

/// The operators of a rank.
struct Schedule {
  std::vector<Span> spans;
  Seconds total;
  Seconds exposed_communication;                 ///< time in which no kernel computes
  std::array<double, kRankGroups> exposed_by{};  ///< of it, seconds by the group that is waited for
  Seconds slowed;                                ///< that kernels took longer for the collectives beside them
};

enum class PassKind : std::uint8_t { Forward, Backward, Weight };
inline constexpr std::size_t kPassKinds = 3;
inline constexpr std::array<std::string_view, kPassKinds> kPassKindNames = {"forward", "backward", "weight"};

/// Seconds of one micro-batch on one virtual stage, by kind of pass. Weight: 0 where backward has it in it.
struct PassTimes {
  double forward = 0, backward = 0, weight = 0;
  [[nodiscard]] double total() const { return forward + backward + weight; }
};

/// A micro-batch's pass on a stage of a pipeline.
struct PassSpan {
  std::int64_t stage = 0, virtual_stage = 0, micro_batch = 0;
  PassKind kind = PassKind::Forward;
  double begin = 0, end = 0;
};

}  // namespace xpusim::result
