#include "xpusim/operators/sampling.h"

#include <algorithm>

namespace xpusim {

void cut_extent(std::int64_t& extent, double& work, double limit, std::int64_t grain) {
  if (work <= limit) return;
  const auto part = static_cast<std::int64_t>(static_cast<double>(extent) * limit / work) / grain * grain;
  const std::int64_t kept = std::clamp<std::int64_t>(part, std::min(extent, grain), extent);
  work *= static_cast<double>(kept) / static_cast<double>(extent);
  extent = kept;
}

void cut_heads(std::int64_t& heads, std::int64_t& key_heads, double& work, double limit) {
  const std::int64_t group = heads / key_heads;
  cut_extent(key_heads, work, limit, 1);
  heads = key_heads * group;
}

}  // namespace xpusim
