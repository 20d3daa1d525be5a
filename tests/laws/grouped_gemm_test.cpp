#include <algorithm>

#include "laws/law.h"
#include "xpusim/operators/operator.h"

namespace xpusim::test {
namespace {

/// A larger operator has other tilings to choose from: the best of them may be this much faster than the
/// smaller operator's best. Worst of 8,000 (XPUSIM_LAW_SCALE=20): 1.5 %.
constexpr double kMenu = 0.05;
/// The bytes of edge tiles are averaged (a known gap of the model): three tiles that hold 160 rows move fewer
/// bytes each than two with 128, and on idle cores end earlier. Worst of 8,000: 21 %.
constexpr double kEdges = 0.25;

Operator grouped(const GroupedGemmShape& shape) {
  Operator o;
  o.work = GroupedGemmShape{};
  o.name = "grouped_gemm";
  o.as<GroupedGemmShape>() = shape;
  return o;
}

double best_seconds(const Operator& o, const ChipSpec& c) { return bound_seconds(best(o, c), c); }

TEST(GroupedGemm, OfOneGroupIsAGemm) {
  Random r(60);
  for (int i = 0; i < cases(60); ++i) {
    const ChipSpec c = random_chip(r);
    Operator product = random_gemm(r, c);
    GemmShape& g = product.as<GemmShape>();
    g.batch = 1;
    g.b_is_weight = true;
    if (mapping::totals(best(product, c)).transactions > kMostTransactions) continue;
    const Operator o = grouped({.groups = 1,
                                .m = g.m,
                                .n = g.n,
                                .k = g.k,
                                .dtype = g.dtype,
                                .weight_dtype = g.weight_dtype,
                                .weight_copies = g.weight_copies});
    for (const chip::Fidelity f : {chip::Fidelity::Bound, chip::Fidelity::Tile}) {
      const chip::KernelTime one = chip::Estimator(c, f, Launch::Graph).time(o);
      const chip::KernelTime plain = chip::Estimator(c, f, Launch::Graph).time(product);
      EXPECT_EQ(one.total.count(), plain.total.count()) << text(product) << " | " << text(c);
      EXPECT_EQ(one.hbm_bytes, plain.hbm_bytes);
      EXPECT_EQ(one.tiling, plain.tiling);
    }
    EXPECT_EQ(chip::lower_bound(o, c).count(), chip::lower_bound(product, c).count());
  }
}

TEST(GroupedGemm, OfEqualGroupsHasTheBlocksOfABatch) {
  Random r(61);
  for (int i = 0; i < cases(200); ++i) {
    const ChipSpec c = random_chip(r);
    GemmShape g = random_gemm(r, c).as<GemmShape>();
    g.b_is_weight = true;
    g.weight_copies = 0;
    g.batch = r.integer(2, 6);
    const mapping::GemmTiling tiling{128, 128, 1};
    if (mapping::misfit(g, c, tiling)) continue;
    const mapping::TileProgram batch = mapping::gemm_program(g, c, tiling);
    const mapping::TileProgram groups = mapping::grouped_gemm_program({.groups = g.batch,
                                                                       .m = g.m * g.batch,
                                                                       .n = g.n,
                                                                       .k = g.k,
                                                                       .dtype = g.dtype,
                                                                       .weight_dtype = g.weight_dtype},
                                                                      c, tiling);
    ASSERT_EQ(mapping::block_count(batch), mapping::block_count(groups));
    for (std::int64_t b = 0; b < mapping::block_count(batch); ++b)
      ASSERT_EQ(mapping::block_at(batch, b).first_tile, mapping::block_at(groups, b).first_tile);
    EXPECT_DOUBLE_EQ(mapping::totals(batch).flops.count(), mapping::totals(groups).flops.count());
  }
}

TEST(GroupedGemm, RowsOfGroupsAddUpAndNoneIsEmpty) {
  Random r(62);
  for (int i = 0; i < cases(1000); ++i) {
    const GroupedGemmShape g = random_grouped_gemm(r, chip("h100_sxm")).as<GroupedGemmShape>();
    std::int64_t rows = 0, groups = 0, before = g.m;
    for (const GroupRows& x : rows_of_groups(g)) {
      EXPECT_GT(x.rows, 0);
      EXPECT_GT(x.groups, 0);
      EXPECT_LE(x.rows, before) << "the busiest comes first";
      before = x.rows;
      rows += x.rows * x.groups;
      groups += x.groups;
    }
    EXPECT_EQ(rows, g.m);
    EXPECT_EQ(groups, g.active_groups());
  }
}

TEST(GroupedGemm, MoreRowsOrGroupsAreNotFaster) {
  Random r(63);
  Worst rows, groups;
  for (int i = 0; i < cases(400); ++i) {
    const ChipSpec c = random_chip(r);
    GroupedGemmShape g = random_grouped_gemm(r, c).as<GroupedGemmShape>();
    g.groups = std::max<std::int64_t>(g.groups, 2);
    g.n = round_up(g.n, 256);
    g.k = round_up(g.k, 256);
    g.active = std::min(g.groups, g.m);
    g.imbalance = 1;
    g.weight_copies = 0;
    const double before = best_seconds(grouped(g), c);
    const auto gain = [&](const GroupedGemmShape& more) {
      return 1 - best_seconds(grouped(more), c) / before;
    };
    GroupedGemmShape more = g;
    more.m += r.log_integer(1, 4096);
    rows.see(gain(more), text(grouped(more)) + " | " + text(grouped(g)) + " | " + text(c));
    more = g;
    const std::int64_t added = r.log_integer(1, 64);  // with rows of their own
    more.groups += added;
    more.active += added;
    more.m += added * ceil_div(g.m, g.active);
    groups.see(gain(more), text(grouped(more)) + " | " + text(grouped(g)) + " | " + text(c));
  }
  expect_at_most(rows, kEdges, "rows");
  expect_at_most(groups, kMenu, "groups");
}

}  // namespace
}  // namespace xpusim::test
