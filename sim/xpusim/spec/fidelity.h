#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "xpusim/core/fields.h"

namespace xpusim {

/// How closely a run looks: by closed form, or event by event.
enum class Fidelity : std::uint8_t { Bound, Tile };
inline constexpr std::array<std::string_view, 2> kFidelityNames = {"bound", "tile"};
template <>
struct EnumNames<Fidelity> {
  static constexpr std::span<const std::string_view> value = kFidelityNames;
};

}  // namespace xpusim
