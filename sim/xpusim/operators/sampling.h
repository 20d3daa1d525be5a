#pragma once
#include <cstdint>

/// How much of a long kernel is played event by event in its stead (ADR 0012).
namespace xpusim {

/// Multiply-adds, and elements of row-wise operators, that are played in some hundredths of a second; a part
/// of a longer kernel is as long.
inline constexpr double kSampledMacs = 4e11;
inline constexpr double kSampledAttentionMacs = 2e12;  // larger blocks: fewer events
inline constexpr double kSampledElements = 1 << 25;
inline constexpr std::int64_t kSampledTiles = 2048;  // whole waves of tiles more or less

/// Cuts an extent so that `work`, which goes with it, comes down to `limit`; whole multiples of `grain`.
void cut_extent(std::int64_t& extent, double& work, double limit, std::int64_t grain);

/// The same of heads in groups that share keys: of those, whole groups.
void cut_heads(std::int64_t& heads, std::int64_t& key_heads, double& work, double limit);

}  // namespace xpusim
