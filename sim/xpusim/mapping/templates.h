#pragma once
#include <functional>
#include <vector>

#include "xpusim/mapping/tile_program.h"
#include "xpusim/spec/chip.h"
#include "xpusim/spec/graph.h"

/// Kernel templates: how an operator is cut into tiles for a chip. One template per kind of kernel, for every
/// vendor.
namespace xpusim::mapping {

/// A GEMM's tiling: the output tile of one block and the number of blocks that share one tile's depth.
struct GemmTiling {
  std::int64_t m = 128, n = 128;
  std::int64_t split_k = 1;
};

/// The program of one tiling. Throws InfeasibleError when it does not fit the chip's buffers (says which, by
/// how much).
[[nodiscard]] TileProgram gemm_program(const GemmShape&, const ChipSpec&, const GemmTiling&);
[[nodiscard]] TileProgram rowwise_program(const Operator&, const ChipSpec&);

/// All programs worth trying for an operator, in a fixed order. Never empty: throws InfeasibleError when
/// nothing fits.
[[nodiscard]] std::vector<TileProgram> candidates(const Operator&, const ChipSpec&);

using ProgramCost = std::function<double(const TileProgram&)>;
/// The cheapest candidate; the first of equals.
[[nodiscard]] TileProgram best_program(const Operator&, const ChipSpec&, const ProgramCost&);

}  // namespace xpusim::mapping
