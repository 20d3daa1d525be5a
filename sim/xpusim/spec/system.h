#pragma once
#include <string>
#include <vector>

#include "xpusim/core/fields.h"
#include "xpusim/core/units.h"

namespace xpusim {

enum class LevelKind : std::uint8_t { FullMesh, Switch };
inline constexpr std::array<std::string_view, 2> kLevelKindNames = {"full_mesh", "switch"};
template <>
struct EnumNames<LevelKind> {
  static constexpr std::span<const std::string_view> value = kLevelKindNames;
};

/// One level of the interconnect, innermost first. Devices (dies) are its endpoints.
struct LevelSpec {
  std::string name;
  LevelKind kind = LevelKind::Switch;
  std::int64_t endpoints = 1;    ///< devices that one instance of this level joins
  BytesPerSecond bandwidth;      ///< of one device into this level, per direction, all its links together
  Seconds latency;               ///< one hop, device to device
  double achieved_fraction = 1;  ///< of bandwidth, by long messages of the collective library
  bool in_switch_reduction = false;
  double in_switch_fraction = 1;  ///< of bandwidth, by in-switch reductions
};

/// The collective library's own costs.
struct LibrarySpec {
  std::string name;
  Seconds launch;  ///< of one collective, before data moves
  Seconds step;    ///< of each step of an algorithm, besides the wire's latency
};

struct SystemSpec {
  std::string id;
  std::string name;
  std::string notes;
  std::string chip;        ///< id of a chip
  std::int64_t chips = 1;  ///< packages
  std::vector<LevelSpec> levels;
  LibrarySpec library;
};

void describe(Fields&, LevelSpec&);
void describe(Fields&, LibrarySpec&);
void describe(Fields&, SystemSpec&);

}  // namespace xpusim
