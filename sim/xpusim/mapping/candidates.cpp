#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "xpusim/core/error.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::mapping {
namespace {

/// The extents that a library's kernels come in.
std::span<const std::int64_t> menu(TileShapes shapes) {
  static constexpr std::int64_t kCoarse[] = {16, 32, 64, 128, 256};
  static constexpr std::int64_t kFine[] = {16, 32, 64, 96, 128, 160, 192, 224, 256};
  static constexpr std::int64_t kFlexible[] = {16, 32, 64, 128, 192, 256};  // the even cut does the rest
  if (shapes == TileShapes::Coarse) return kCoarse;
  if (shapes == TileShapes::Fine) return kFine;
  return kFlexible;
}

/// Tile extents that kernels come in, multiples of the grain, from the smallest up to the first that covers
/// `extent`.
std::vector<std::int64_t> extents(std::int64_t grain, std::int64_t extent, TileShapes shapes) {
  std::vector<std::int64_t> list;
  for (const std::int64_t size : menu(shapes)) {
    const std::int64_t rounded = round_up(size, grain);
    if (!list.empty() && rounded <= list.back()) continue;
    list.push_back(rounded);
    if (rounded >= extent) break;
  }
  return list;
}

/// Operands may change places: a product of few rows is computed transposed where that pads less.
void add_gemm_tilings(const GemmShape& g, const ChipSpec& chip, bool swapped, std::vector<GemmTiling>& list) {
  const Grain grain = gemm_grain(chip, swapped);
  const std::vector<std::int64_t> rows = extents(grain.m, g.m, chip.matrix.tile_shapes);
  const std::vector<std::int64_t> columns = extents(grain.n, g.n, chip.matrix.tile_shapes);
  for (const std::int64_t m : rows) {
    for (const std::int64_t n : columns) {
      const std::int64_t blocks = ceil_div(g.m, m) * ceil_div(g.n, n) * g.batch;
      // Small tiles balance the cores and cost operand reads: beyond many waves nothing is left to balance.
      constexpr std::int64_t kMostWaves = 64, kLarge = 128;
      const bool is_small = m < kLarge && n < kLarge && (m < rows.back() || n < columns.back());
      if (blocks > kMostWaves * chip.cores.count && is_small) continue;
      list.push_back({m, n, 1, swapped});
      // Splitting pays only where blocks are too few for the cores, and each split keeps a deep enough
      // product.
      for (const std::int64_t split : {2, 3, 4, 6, 8, 12, 16})
        if (blocks * split <= 2 * chip.cores.count && g.k / split >= 256)
          list.push_back({m, n, split, swapped});
    }
  }
}

std::vector<GemmTiling> gemm_tilings(const GemmShape& g, const ChipSpec& chip) {
  constexpr std::int64_t kFewRows = 256;  // of more rows, little is padding
  std::vector<GemmTiling> list;
  add_gemm_tilings(g, chip, false, list);
  const MatrixGranularity& grain = chip.matrix.granularity;
  if (grain.n < grain.m && g.m <= kFewRows) add_gemm_tilings(g, chip, true, list);
  return list;
}

/// Columns of a weight that a grouped kernel's tile spans at least (those of CUTLASS for Hopper come with 128
/// and more).
constexpr std::int64_t kGroupedColumns = 128;

/// A grouped kernel takes the tiles of all groups off one list. It does not split k, and has fewer shapes of
/// tiles. A lone group is a plain product.
std::vector<GemmTiling> grouped_gemm_tilings(const GroupedGemmShape& g, const ChipSpec& chip) {
  const GemmShape busiest = busiest_product(g);
  std::vector<GemmTiling> list = gemm_tilings(busiest, chip);
  if (g.groups == 1) return list;
  std::erase_if(list, [&](const GemmTiling& t) {
    return t.split_k > 1 || t.n < std::min(kGroupedColumns, round_up(g.n, gemm_grain(chip, t.swapped).n));
  });
  return list;
}

/// Query rows that blocks come with: 64 and 128, as far as there are so many. Those of drafts are whole
/// tokens where the kernel packs no more than the chip file says, and one token's, so that tokens cost no
/// more together than one by one.
std::vector<std::int64_t> row_tiles(const AttentionShape& a, const ChipSpec& chip, bool drafts) {
  constexpr std::int64_t kSmall = 64, kLarge = 128;
  if (drafts) {
    const std::int64_t packed = packed_heads(a, chip);
    const std::int64_t tokens = std::max<std::int64_t>(1, chip.attention.packed_heads / packed);
    const std::int64_t most = a.latent ? kLarge : std::min(kLarge, tokens * packed);
    std::vector<std::int64_t> list = {std::min(packed, most), std::min(kSmall, most), most};
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return list;
  }
  if (a.q_len * (a.decodes() ? packed_heads(a, chip) : 1) <= kSmall) return {kSmall};
  // Libraries with fine tiles compute in warpgroups of 64 rows, two to a block of a prompt where both fit.
  const bool paired = chip.matrix.tile_shapes == TileShapes::Fine && !a.decodes() &&
                      a.pass == Pass::Forward && !misfit(a, chip, {kLarge, 32, 1});
  if (paired) return {kLarge};
  return {kSmall, kLarge};
}

/// `kind`: which kernel the tilings are of, and how it lays out wide values.
void add_attention_tilings(const AttentionShape& a, const ChipSpec& chip, AttentionTiling kind,
                           std::vector<AttentionTiling>& list) {
  const bool drafts = kind.drafts, decodes = a.decodes() || drafts;
  const HeadPacks packs = head_packs(a, chip, decodes);
  const std::int64_t packed = packs.heads;
  const std::int64_t heads = a.batch * a.kv_heads * packs.parts;
  // Drafts may be split as one token is: as many times its blocks then take as many times its waves.
  const std::int64_t rows = drafts ? packed : a.q_len * packed;
  for (const std::int64_t q : row_tiles(a, chip, drafts)) {
    const bool wide = a.head_dim + a.value_extent() > 2 * 128;  // fewer keys at a time only of heads so wide
    for (const std::int64_t kv : {32, 64, 128, 256}) {
      if (kv == 32 && !wide) continue;
      kind.q = q;
      kind.splits = 1;
      kind.kv = kv;
      list.push_back(kind);
      const std::int64_t blocks = heads * ceil_div(rows, q) * kind.value_parts;
      for (std::int64_t split = 2;
           decodes && blocks * split <= 4 * chip.cores.count && a.seen_keys() / split >= kv; split *= 2) {
        kind.splits = split;
        list.push_back(kind);
      }
    }
  }
}

/// A user's library has both kernels, and takes the faster one. Only the decode kernel knows latent keys.
void add_kernels(const AttentionShape& a, const ChipSpec& chip, AttentionTiling kind,
                 std::vector<AttentionTiling>& list) {
  if (!a.drafts() || !a.latent) add_attention_tilings(a, chip, kind, list);
  kind.drafts = true;
  if (a.drafts()) add_attention_tilings(a, chip, kind, list);
}

/// Where tiles may not hold the sums of whole values: products swapped, so that few rows are padded less, or
/// blocks that share the columns of the values.
std::vector<AttentionTiling> attention_tilings(const AttentionShape& a, const ChipSpec& chip) {
  constexpr std::int64_t kMostParts = 8, kWideValues = 256;
  std::vector<AttentionTiling> list;
  add_kernels(a, chip, {}, list);
  if (a.pass == Pass::Backward || a.value_extent() <= kWideValues) return list;
  if (chip.matrix.granularity.n < chip.matrix.granularity.m) add_kernels(a, chip, {.swapped = true}, list);
  for (std::int64_t parts = 2; parts <= kMostParts; parts *= 2)
    add_kernels(a, chip, {.value_parts = parts}, list);
  return list;
}

/// More than a chunk's tokens are not worth the vector units.
std::vector<ScanTiling> scan_tilings(const LinearScanShape& o) {
  constexpr std::int64_t kLeastColumns = 16, kMostParts = 8;
  std::vector<ScanTiling> list;
  for (const bool recurrent : {false, true}) {
    if (recurrent && o.q_len > o.chunk) continue;
    for (std::int64_t parts = 1; parts <= kMostParts; parts *= 2)
      if (parts == 1 || (o.value_dim % parts == 0 && o.value_dim / parts >= kLeastColumns))
        list.push_back({recurrent, parts});
  }
  return list;
}

/// Numbers of blocks that a row-wise kernel may be cut into: whole waves, so that no core idles while a few
/// others take one more block, of blocks that fit a core's buffer and are worth a transfer of their own.
std::vector<std::int64_t> rowwise_cuts(const RowwiseShape& r, const ChipSpec& chip) {
  const RowwiseCuts all = cuts_of(r, chip);
  if (all.most == 1) return {1};
  std::vector<std::int64_t> list;
  for (std::int64_t waves = 1; waves * chip.cores.count < all.most;
       waves += std::max<std::int64_t>(1, waves / 3))
    if (waves * chip.cores.count >= all.fewest) list.push_back(waves * chip.cores.count);
  list.push_back(all.most);
  return list;
}

/// Visits the programs of the tilings that fit. Where none does, says why the first, smallest one does not.
template <class Shape, class Tiling, class Make>
void visit_fitting(const Shape& shape, const ChipSpec& chip, const std::vector<Tiling>& tilings,
                   const Make& make, Visitor& visitor) {
  bool any = false;
  for (const Tiling& t : tilings) {
    if (misfit(shape, chip, t)) continue;
    any = true;
    if (visitor.may_win(least_cycles(shape, chip, t))) visitor.see(make(shape, chip, t));
  }
  if (!any) static_cast<void>(make(shape, chip, tilings.front()));
}

/// Every program worth trying, kind by kind.
struct Candidates {
  const ChipSpec& chip;
  Visitor& visit;

  void operator()(const GemmShape& g) const {
    visit_fitting(g, chip, gemm_tilings(g, chip), gemm_program, visit);
  }
  void operator()(const GroupedGemmShape& g) const {
    visit_fitting(g, chip, grouped_gemm_tilings(g, chip), grouped_gemm_program, visit);
  }
  void operator()(const AttentionShape& a) const {
    visit_fitting(a, chip, attention_tilings(a.is_picked() ? one_token(a) : a, chip), attention_program,
                  visit);
  }
  void operator()(const LinearScanShape& o) const {
    visit_fitting(o, chip, scan_tilings(o), linear_scan_program, visit);
  }
  void operator()(const RowwiseShape& r) const {
    for (const std::int64_t blocks : rowwise_cuts(r, chip)) visit.see(rowwise_program(r, chip, blocks));
  }
  void operator()(const CollectiveShape&) const { throw ModelError("a collective has no program on a chip"); }
};

}  // namespace

void visit_candidates(const Operator& o, const ChipSpec& chip, Visitor& visitor) {
  std::visit(Candidates{chip, visitor}, o.work);
}

std::string describe_misfit(const ChipSpec& chip, std::int64_t rows, std::int64_t columns, const Misfit& m) {
  return fmt::format("{}: tile {}x{} needs {} B of {}, {} B more than its {} B; take a smaller tile", chip.id,
                     rows, columns, m.need.count(), m.buffer, (m.need - m.have).count(), m.have.count());
}

std::vector<TileProgram> candidates(const Operator& o, const ChipSpec& chip) {
  struct Collect : Visitor {
    std::vector<TileProgram> list;
    void see(TileProgram p) override { list.push_back(std::move(p)); }
  } collect;
  visit_candidates(o, chip, collect);
  return std::move(collect.list);
}

}  // namespace xpusim::mapping
