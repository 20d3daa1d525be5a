#pragma once
#include <string>
#include <vector>

#include "xpusim/core/fields.h"
#include "xpusim/core/units.h"

namespace xpusim {

enum class LevelKind : std::uint8_t { FullMesh, Switch, FatTree, Torus, Dragonfly, Ring };
inline constexpr std::array<std::string_view, 6> kLevelKindNames = {"full_mesh", "switch",    "fat_tree",
                                                                    "torus",     "dragonfly", "ring"};
template <>
struct EnumNames<LevelKind> {
  static constexpr std::span<const std::string_view> value = kLevelKindNames;
};

enum class Medium : std::uint8_t { Copper, Optical };
inline constexpr std::array<std::string_view, 2> kMediumNames = {"copper", "optical"};
template <>
struct EnumNames<Medium> {
  static constexpr std::span<const std::string_view> value = kMediumNames;
};

/// What a device or switch on the way does with a message.
enum class Forwarding : std::uint8_t { CutThrough, StoreAndForward };
inline constexpr std::array<std::string_view, 2> kForwardingNames = {"cut_through", "store_and_forward"};
template <>
struct EnumNames<Forwarding> {
  static constexpr std::span<const std::string_view> value = kForwardingNames;
};

/// A tier of switches of a fat tree below its top, and its links up.
struct TierSpec {
  std::string name;
  std::int64_t endpoints = 1;   ///< devices below one of its switches (of all rails together)
  double oversubscription = 1;  ///< bandwidth from below over bandwidth to above
  Seconds latency;              ///< added to a way over the tier above
};

/// One level of the interconnect, innermost first. Devices (dies) are its endpoints.
struct LevelSpec {
  std::string name;
  std::string plane;  ///< of levels that join the same devices by another way; levels of a plane nest
  LevelKind kind = LevelKind::Switch;
  std::int64_t endpoints = 1;    ///< devices that one instance of this level joins
  BytesPerSecond bandwidth;      ///< of one device into this level, per direction, all its links together
  Seconds latency;               ///< device to device; of a torus or ring, per hop
  double achieved_fraction = 1;  ///< of bandwidth, by long messages of the collective library
  bool in_switch_reduction = false;
  double in_switch_fraction = 1;  ///< of bandwidth, by in-switch reductions
  bool host_driven = false;       ///< a thread of the host posts its messages (proxy)
  Forwarding forwarding = Forwarding::CutThrough;
  std::int64_t links = 1;  ///< of one device into this level
  Medium medium = Medium::Copper;
  Watts module_power;                 ///< of one optical module, or end of a cable
  std::int64_t rails = 1;             ///< switch, fat_tree: networks of equal devices of all nodes
  std::vector<TierSpec> tiers;        ///< fat_tree: below the top, innermost first
  std::vector<std::int64_t> dims;     ///< torus
  std::int64_t router_endpoints = 1;  ///< dragonfly: devices of one router
  std::int64_t group_endpoints = 1;   ///< dragonfly: devices of one group of routers, joined pair by pair
  BytesPerSecond local_bandwidth;     ///< dragonfly: of one router to the others of its group
  BytesPerSecond global_bandwidth;    ///< dragonfly: of one router to other groups
};

/// What kind of transfers a protocol carries: of all ranks with all, of which experts' dispatch and combine
/// are two kernels; one lone message; any of them.
enum class Transfers : std::uint8_t {
  Collectives,
  Exchanges,
  Messages,
  PointToPoint,
  Dispatches,
  Combines,
  All
};
inline constexpr std::array<std::string_view, 7> kTransfersNames = {
    "collectives", "exchanges", "messages", "point_to_point", "dispatches", "combines", "all"};
template <>
struct EnumNames<Transfers> {
  static constexpr std::span<const std::string_view> value = kTransfersNames;
};

/// A way of the library to hand bytes on: flags beside the data (fast start), or whole chunks (full rate).
struct ProtocolSpec {
  std::string name;
  Transfers transfers = Transfers::All;
  Seconds startup;                   ///< once per collective
  Seconds step;                      ///< per step, besides the wire's latency
  double bandwidth_fraction = 1;     ///< of what the level achieves
  BytesPerSecond rate{0};            ///< that a rank's kernels move at most, over all levels; 0: any
  Bytes chunk{0};                    ///< staged before the receiver begins: filled once per collective
  Bytes largest_message{0};          ///< to one peer; 0: any
  BytesPerSecond copy_bandwidth{0};  ///< of the own share, by channels of its own; 0: the library's
};

/// How a collective runs. None ("auto"): the library chooses.
enum class Algorithm : std::uint8_t {
  None,
  Ring,
  Tree,
  DoubleTree,
  HalvingDoubling,
  Direct,
  Hierarchical,
  InSwitch,
  Bruck,
  Pairwise,
  OneShot,
};
inline constexpr std::array<std::string_view, 11> kAlgorithmNames = {
    "auto",         "ring",      "tree",  "double_tree", "halving_doubling", "direct",
    "hierarchical", "in_switch", "bruck", "pairwise",    "one_shot"};
template <>
struct EnumNames<Algorithm> {
  static constexpr std::span<const std::string_view> value = kAlgorithmNames;
};

/// The collective library's own costs.
struct LibrarySpec {
  std::string name;
  std::vector<std::string> measured_as;  ///< sources of measured sets that ran this one
  std::string calls;             ///< library that does the work; this one is a framework's way to call it
  Seconds launch;                ///< of one collective in a graph, before data moves
  Seconds exchange_launch;       ///< the same besides, of an exchange: its messages are enqueued one by one
  Seconds eager_launch;          ///< least time of a collective that the host launches on its own
  BytesPerSecond eager_copy{0};  ///< of an all-reduce's message to another buffer, on its own; 0: none
  Seconds message;               ///< per further peer of one step: posting, flags
  Seconds proxy;                 ///< per step over a level that the host drives
  bool in_place = false;         ///< its all-reduces leave the sum where their input was
  BytesPerSecond copy_bandwidth{0};    ///< of the rank's own share from input to output; 0: no such copy
  BytesPerSecond reduce_bandwidth{0};  ///< of a received share into the sum, where not hidden; 0: hidden
  Seconds in_switch_startup;           ///< once per collective that the switch reduces
  Bytes in_switch_chunk{0};           ///< of a rank\'s share that goes up to the switch before any comes down
  std::int64_t node = 0;              ///< devices that it takes for one node; 0: those of the inner levels
  Bytes largest{0};                   ///< message that it takes; 0: any
  std::vector<Algorithm> algorithms;  ///< that it has; none: all
  std::vector<Algorithm> exchanges;   ///< the same for all_to_all, send_recv, dispatch and combine
  std::vector<ProtocolSpec> protocols;
};

struct SystemSpec {
  std::string id;
  std::string name;
  std::string notes;
  std::string chip;                      ///< id of a chip; none: only for collectives
  std::vector<std::string> measured_as;  ///< names of the system in measured sets
  std::int64_t chips = 1;                ///< packages
  std::vector<LevelSpec> levels;
  std::vector<LibrarySpec> libraries;  ///< the first is the default
};

void describe(Fields&, TierSpec&);
void describe(Fields&, LevelSpec&);
void describe(Fields&, ProtocolSpec&);
void describe(Fields&, LibrarySpec&);
void describe(Fields&, SystemSpec&);

/// The system with the level inside its packages, which the chip describes: a device is a die.
struct ChipSpec;
[[nodiscard]] SystemSpec with_package_level(const SystemSpec&, const ChipSpec&);

/// The system with more chips than it is described with: its outermost level joins as many.
[[nodiscard]] SystemSpec with_chips(const SystemSpec&, std::int64_t chips, std::int64_t dies_per_chip);

/// A library of the system by name; the first for an empty name. Throws InfeasibleError when there is none.
[[nodiscard]] const LibrarySpec& library_of(const SystemSpec&, const std::string& name);

/// The same where it does the work itself; else the library that it calls, with what the caller adds.
[[nodiscard]] LibrarySpec working_library(const SystemSpec&, const std::string& name);

/// What is wrong with how levels, tiers and dims fit together, by the key's path below the system.
struct TopologyMistake {
  std::string path, message, hint;
};
[[nodiscard]] std::vector<TopologyMistake> topology_mistakes(const SystemSpec&);

}  // namespace xpusim
