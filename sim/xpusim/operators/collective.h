#pragma once
#include <string>

#include "xpusim/operators/work.h"

namespace xpusim {

enum class CollectiveKind : std::uint8_t {
  AllReduce,
  AllGather,
  ReduceScatter,
  AllToAll,
  Broadcast,
  SendRecv,
  Dispatch,
  Combine,
};
inline constexpr std::array<std::string_view, 8> kCollectiveKindNames = {
    "all_reduce", "all_gather", "reduce_scatter", "all_to_all",
    "broadcast",  "send_recv",  "dispatch",       "combine"};
template <>
struct EnumNames<CollectiveKind> {
  static constexpr std::span<const std::string_view> value = kCollectiveKindNames;
};

/// Ranks that communicate: sharers of a layer, of a sequence (context), of a layer's experts, neighbouring
/// pipeline stages; replicas (of sequences: with context), those that share one copy of the weights (shard)
/// and those that hold the same part of it (copy), and the replicas of experts.
enum class RankGroup : std::uint8_t { Tensor, Data, Context, Expert, Pipeline, Shard, Copy, ExpertData };
inline constexpr std::array<std::string_view, 8> kRankGroupNames = {
    "tensor", "data", "context", "expert", "pipeline", "shard", "copy", "expert_data"};
template <>
struct EnumNames<RankGroup> {
  static constexpr std::span<const std::string_view> value = kRankGroupNames;
};

/// bytes follow nccl-tests: all_reduce and broadcast the buffer; all_gather what a rank holds after;
/// reduce_scatter and all_to_all what a rank holds before; send_recv the message. Of dispatch and combine
/// (mixture of experts): all routed copies of a rank's tokens.
struct CollectiveShape {
  CollectiveKind kind = CollectiveKind::AllReduce;
  Bytes bytes{1};
  RankGroup group = RankGroup::Tensor;
  bool overlap = false;        ///< runs on its own stream beside computation
  std::string library;         ///< of the system; empty: its first
  std::int64_t copies = 1;     ///< dispatch, combine: experts of a token
  std::int64_t max_nodes = 0;  ///< dispatch, combine: that a token's experts are on at most; 0: any
  auto operator<=>(const CollectiveShape&) const = default;
};

void describe(Fields&, CollectiveShape&);
/// A chip computes nothing of it.
[[nodiscard]] inline Cost cost(const CollectiveShape&) { return {}; }
[[nodiscard]] inline std::string_view accuracy_class(const CollectiveShape&) { return {}; }
[[nodiscard]] inline Extents accuracy_extents(const CollectiveShape&) { return {}; }
[[nodiscard]] inline CollectiveShape sample_of(const CollectiveShape& c) { return c; }

}  // namespace xpusim
