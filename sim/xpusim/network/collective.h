#pragma once
#include <string>

#include "xpusim/core/units.h"
#include "xpusim/spec/graph.h"
#include "xpusim/spec/system.h"

/// How long a collective takes. Here by closed form over the links of the level that joins the ranks.
namespace xpusim::network {

/// A set of ranks: `ranks` devices, `stride` apart (tensor groups are neighbours, data groups stand tensor
/// apart).
struct Group {
  std::int64_t ranks = 1;
  std::int64_t stride = 1;
};

enum class Algorithm : std::uint8_t { None, Ring, Direct, OneShot, InSwitch };
inline constexpr std::array<std::string_view, 5> kAlgorithmNames = {"none", "ring", "direct", "one_shot",
                                                                    "in_switch"};

struct CollectiveTime {
  Seconds total;
  Algorithm algorithm = Algorithm::None;
  std::string level;             ///< that carries it
  BytesPerSecond bus_bandwidth;  ///< nccl-tests' busbw
};

/// The time of one algorithm, launch included (alpha-beta model, docs/model.md#collectives).
/// Throws InfeasibleError when the level cannot run it.
[[nodiscard]] CollectiveTime time_of(Algorithm, OpKind, Bytes, Group, const SystemSpec&);

/// The fastest algorithm that the system can run. No time for a group of one rank.
/// Throws InfeasibleError when the group is larger than the system.
[[nodiscard]] CollectiveTime bound(OpKind, Bytes, Group, const SystemSpec&);

}  // namespace xpusim::network
