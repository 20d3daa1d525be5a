#pragma once
#include <optional>
#include <string>
#include <vector>

#include "xpusim/mapping/tile_program.h"
#include "xpusim/operators/operator.h"
#include "xpusim/spec/chip.h"

/// Kernel templates: how an operator is cut into tiles for a chip. One template per kind of kernel, for every
/// vendor.
namespace xpusim::mapping {

/// A GEMM's tiling: the output tile of one block and the number of blocks that share one tile's depth.
struct GemmTiling {
  std::int64_t m = 128, n = 128;
  std::int64_t split_k = 1;
  bool swapped = false;  ///< computed transposed, where that pads fewer rows
};

/// A flash-attention tiling: query rows of one block, keys of one iteration, and blocks that share one head's
/// keys.
struct AttentionTiling {
  std::int64_t q = 128, kv = 128;
  std::int64_t splits = 1;
  bool drafts = false;  ///< the decode kernel, for several new tokens
  /// Blocks that share the columns of the values: each computes all scores, and its part of the output.
  std::int64_t value_parts = 1;
  bool swapped = false;  ///< products are computed transposed: keys stand where queries do else
};

/// How a linear scan is run: token by token on the vector units, or by chunks; and the blocks that share the
/// columns of a head's values.
struct ScanTiling {
  bool recurrent = false;
  std::int64_t value_parts = 1;
};

/// Rows and columns that a product is padded up to; those of the engine, or of the product computed
/// transposed.
struct Grain {
  std::int64_t m, n;
};
[[nodiscard]] Grain gemm_grain(const ChipSpec&, bool swapped);
/// The product of one group, the busiest: what all groups' tiles are laid out for.
[[nodiscard]] GemmShape busiest_product(const GroupedGemmShape&);

/// Why a tiling does not run on a chip: the buffer that is too small for it.
struct Misfit {
  std::string buffer;
  Bytes need, have;
};
[[nodiscard]] std::string describe_misfit(const ChipSpec&, std::int64_t rows, std::int64_t columns,
                                          const Misfit&);

[[nodiscard]] std::optional<Misfit> misfit(const GemmShape&, const ChipSpec&, const GemmTiling&);
[[nodiscard]] std::optional<Misfit> misfit(const GroupedGemmShape&, const ChipSpec&, const GemmTiling&);
[[nodiscard]] std::optional<Misfit> misfit(const AttentionShape&, const ChipSpec&, const AttentionTiling&);
[[nodiscard]] std::optional<Misfit> misfit(const LinearScanShape&, const ChipSpec&, const ScanTiling&);

/// The program of one tiling. Throws InfeasibleError when it does not fit the chip's buffers (says which, by
/// how much).
[[nodiscard]] TileProgram gemm_program(const GemmShape&, const ChipSpec&, const GemmTiling&);
[[nodiscard]] TileProgram grouped_gemm_program(const GroupedGemmShape&, const ChipSpec&, const GemmTiling&);
[[nodiscard]] TileProgram attention_program(const AttentionShape&, const ChipSpec&, const AttentionTiling&);
[[nodiscard]] TileProgram linear_scan_program(const LinearScanShape&, const ChipSpec&, const ScanTiling&);
[[nodiscard]] TileProgram rowwise_program(const RowwiseShape&, const ChipSpec&, std::int64_t blocks);

/// Cycles at least that a core is busy with its blocks of a tiling, whichever of its engines is.
[[nodiscard]] Cycles least_cycles(const GemmShape&, const ChipSpec&, const GemmTiling&);
[[nodiscard]] Cycles least_cycles(const GroupedGemmShape&, const ChipSpec&, const GemmTiling&);
[[nodiscard]] inline Cycles least_cycles(const AttentionShape&, const ChipSpec&, const AttentionTiling&) {
  return {};
}
[[nodiscard]] inline Cycles least_cycles(const LinearScanShape&, const ChipSpec&, const ScanTiling&) {
  return {};
}

/// The blocks that a row-wise operator may be cut into.
struct RowwiseCuts {
  std::int64_t fewest, most;
};
[[nodiscard]] RowwiseCuts cuts_of(const RowwiseShape&, const ChipSpec&);

/// Where keys are picked: the attention of each new token on its own, over as many keys as one picks on
/// average, by the decode kernel.
[[nodiscard]] AttentionShape one_token(const AttentionShape&);

/// How the query heads of a key head are spread over blocks. A decode kernel puts them under each other, in
/// as few equal parts as the chip's kernels can pack; others take one by one.
struct HeadPacks {
  std::int64_t heads;  ///< of one block, at most
  std::int64_t parts;  ///< of a group
};
[[nodiscard]] HeadPacks head_packs(const AttentionShape&, const ChipSpec&, bool by_decode_kernel);
[[nodiscard]] inline std::int64_t packed_heads(const AttentionShape& a, const ChipSpec& chip) {
  return head_packs(a, chip, a.decodes() || a.drafts()).heads;
}

/// Looks at candidates.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void see(TileProgram) = 0;
  /// May a program be the one that is looked for if some core is busy for so many cycles? Else it is not
  /// made.
  [[nodiscard]] virtual bool may_win(Cycles) const { return true; }
};
/// Shows all programs worth trying for an operator, in a fixed order: at least one. Throws InfeasibleError
/// when nothing fits.
void visit_candidates(const Operator&, const ChipSpec&, Visitor&);
[[nodiscard]] std::vector<TileProgram> candidates(const Operator&, const ChipSpec&);

}  // namespace xpusim::mapping
