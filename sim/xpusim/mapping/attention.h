#pragma once
#include "xpusim/mapping/tile_program.h"
#include "xpusim/spec/chip.h"
#include "xpusim/spec/graph.h"

namespace xpusim::mapping {

/// A flash-attention tiling: query rows of one block, keys of one iteration, and blocks that share one head's
/// keys.
struct AttentionTiling {
  std::int64_t q = 128, kv = 128;
  std::int64_t splits = 1;
};

/// Query rows that share their keys: the heads of one group stand under each other (grouped-query decoding).
[[nodiscard]] std::int64_t packed_rows(const AttentionShape&);
[[nodiscard]] TileProgram attention_program(const AttentionShape&, const ChipSpec&, const AttentionTiling&);

}  // namespace xpusim::mapping
