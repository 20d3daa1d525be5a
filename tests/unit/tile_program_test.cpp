#include "xpusim/mapping/tile_program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <tuple>

#include "xpusim/mapping/builder.h"

namespace {

using namespace xpusim;
using namespace xpusim::mapping;

/// Two loops over three engines with round numbers.
TileProgram example() {
  Builder b;
  const auto a = b.operand({.name = "A", .tiles = 30, .tile_bytes = 100});
  const auto c = b.operand({.name = "C", .write = true});
  const auto stages = b.buffer("stages", 3);
  const auto sums = b.buffer("sums", 1);
  Access half{a, 100};
  half.l2_share = 0.5;
  b.step(load(Engine::CopyIn, 10, stages, {half}));
  b.step(compute(Engine::Matrix, 25, {Input{stages}}, {sums, true}, Flops(1000)));
  BlockShape block(4);
  block.run(b.body(), 5);
  b.step(post(Engine::Store, 8, {sums}, kNone, {c, 64}));
  block.run(b.body(), 1);
  b.program.shapes.push_back(block);
  return b.program;
}

TEST(Totals, AddUpTheStepsOfAllLoopsAndBlocks) {
  const ProgramTotals t = totals(example());
  EXPECT_DOUBLE_EQ(t.flops.count(), 4 * 5 * 1000);
  EXPECT_DOUBLE_EQ(t.load_bytes, 4 * 5 * 100);
  EXPECT_DOUBLE_EQ(t.store_bytes, 4 * 64);
  EXPECT_DOUBLE_EQ(t.busy_cycles[static_cast<std::size_t>(Engine::CopyIn)], 4 * 5 * 10);
  EXPECT_DOUBLE_EQ(t.busy_cycles[static_cast<std::size_t>(Engine::Matrix)], 4 * 5 * 25);
  EXPECT_DOUBLE_EQ(t.busy_cycles[static_cast<std::size_t>(Engine::Store)], 4 * 8);
  EXPECT_EQ(t.busy_cycles[static_cast<std::size_t>(Engine::Vector)], 0);
  EXPECT_EQ(t.transactions, 4 * (5 + 5 + 1));  // loads, products, stores
}

TEST(Totals, ChargeL2ForAMulticastReadOnce) {
  const ProgramTotals t = totals(example());
  EXPECT_DOUBLE_EQ(t.l2_read_bytes, 4 * 5 * 50);
  EXPECT_DOUBLE_EQ(t.l2_write_bytes, 4 * 64);
}

TEST(Totals, OfNothingAreNothing) {
  const ProgramTotals t = totals(TileProgram{});
  EXPECT_EQ(t.flops.count() + t.load_bytes + t.store_bytes, 0);
  EXPECT_EQ(t.transactions, 0);
}

TEST(BlockShape, LeavesNoTraceOfLoopsThatDoNotRun) {
  BlockShape block(1);
  block.run(3, 0);
  EXPECT_TRUE(block.loops().empty());
  block.run(4, 2, 7);
  ASSERT_EQ(block.loops().size(), 1U);
  EXPECT_EQ(block.loops()[0].body, 4);
  EXPECT_EQ(block.loops()[0].repeat, 2);
  EXPECT_EQ(block.loops()[0].first_iteration, 7);
}

TEST(Builder, MakesABodyOfTheStepsSinceTheLast) {
  Builder b;
  b.step(compute(Engine::Vector, 1, {}, {}));
  EXPECT_EQ(b.body(), 0);
  b.step(compute(Engine::Vector, 2, {}, {}));
  b.step(compute(Engine::Vector, 3, {}, {}));
  EXPECT_EQ(b.body(), 1);
  EXPECT_EQ(b.body(), 2) << "an empty body";
  EXPECT_EQ(steps_of(b.program, b.program.bodies[0]).size(), 1U);
  ASSERT_EQ(steps_of(b.program, b.program.bodies[1]).size(), 2U);
  EXPECT_EQ(steps_of(b.program, b.program.bodies[1])[0].busy.count(), 2);
  EXPECT_TRUE(steps_of(b.program, b.program.bodies[2]).empty());
}

TEST(BlockCount, AddsUpTheShapes) {
  TileProgram p;
  for (const std::int64_t blocks : {4, 0, 5}) p.shapes.emplace_back(blocks);
  EXPECT_EQ(block_count(p), 9);
}

TEST(BlockAt, OfAGridVisitsEveryTileAndSplitOnce) {
  std::mt19937 engine(7);
  const auto from = [&engine](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine);
  };
  for (int i = 0; i < 300; ++i) {
    RasterSpec r;
    r.kind = Raster::Grid;
    r.m_tiles = from(1, 20);
    r.n_tiles = from(1, 20);
    r.splits = from(1, 4);
    r.batch = from(1, 3);
    r.group_m = from(1, r.m_tiles);
    r.k_tiles_per_split = from(1, 5);
    r.k_tiles = r.k_tiles_per_split * r.splits;
    TileProgram p;
    p.raster = r;
    p.shapes.emplace_back(r.m_tiles * r.n_tiles * r.splits * r.batch);

    std::set<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>> seen;
    for (std::int64_t index = 0; index < block_count(p); ++index) {
      const Block b = block_at(p, index);
      ASSERT_EQ(b.shape, 0U);
      const std::int64_t k = b.first_tile[0] % r.k_tiles;
      ASSERT_EQ(k % r.k_tiles_per_split, 0);
      ASSERT_EQ(b.first_tile[1] % r.k_tiles, k) << "A and B meet at the same depth";
      const std::int64_t row = b.first_tile[0] / r.k_tiles, column = b.first_tile[1] / r.k_tiles;
      ASSERT_EQ(row / r.m_tiles, column / r.n_tiles) << "A and B are of the same product";
      ASSERT_LT(row, r.m_tiles * r.batch);
      ASSERT_LT(column, r.n_tiles * r.batch);
      seen.emplace(row / r.m_tiles, row % r.m_tiles, column % r.n_tiles, k / r.k_tiles_per_split);
    }
    ASSERT_EQ(static_cast<std::int64_t>(seen.size()), block_count(p))
        << r.m_tiles << "x" << r.n_tiles << " groups of " << r.group_m;
  }
}

TEST(BlockAt, OfGroupsGoesThroughOneAfterTheOther) {
  TileProgram p;
  p.raster = {.kind = Raster::Grid, .n_tiles = 2, .k_tiles = 10, .k_tiles_per_split = 10};
  p.grids = {{.m_tiles = 2, .group_m = 2}, {.m_tiles = 1, .group_m = 1, .first_row = 2, .first_product = 1}};
  p.shapes.emplace_back(4);      // one group of two rows of tiles
  p.shapes.emplace_back(2 * 2);  // two of one
  std::vector<std::tuple<std::uint32_t, std::int64_t, std::int64_t>> order;
  for (std::int64_t i = 0; i < block_count(p); ++i) {
    const Block b = block_at(p, i);
    order.emplace_back(b.shape, b.first_tile[0] / 10, b.first_tile[1] / 10);
  }
  const std::vector<std::tuple<std::uint32_t, std::int64_t, std::int64_t>> expected{
      {0, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 1, 1}, {1, 2, 2}, {1, 2, 3}, {1, 3, 4}, {1, 3, 5}};
  EXPECT_EQ(order, expected);
}

TEST(BlockAt, OfAGridKeepsAGroupOfRowsTogether) {
  TileProgram p;
  p.raster = {.kind = Raster::Grid, .m_tiles = 4, .n_tiles = 3, .group_m = 2};
  p.shapes.emplace_back(12);
  std::vector<std::pair<std::int64_t, std::int64_t>> order;
  for (std::int64_t i = 0; i < 12; ++i) {
    const Block b = block_at(p, i);
    order.emplace_back(b.first_tile[0], b.first_tile[1]);
  }
  const std::vector<std::pair<std::int64_t, std::int64_t>> expected{
      {0, 0}, {1, 0}, {0, 1}, {1, 1}, {0, 2}, {1, 2}, {2, 0}, {3, 0}, {2, 1}, {3, 1}, {2, 2}, {3, 2}};
  EXPECT_EQ(order, expected);
}

TEST(BlockAt, OfHeadsReadsTheSharedKeysOfEachGroup) {
  // Two query tiles of three heads, which share one key head, in two splits; four key heads.
  TileProgram p;
  p.raster.kind = Raster::Heads;
  p.raster.m_tiles = 2;
  p.raster.splits = 2;
  p.raster.heads_per_kv = 3;
  p.raster.k_tiles_per_split = 5;
  p.raster.k_tiles = 10;
  p.raster.batch = p.raster.heads_at_once = 3 * 4;
  p.shapes.emplace_back(2 * 2 * 3 * 4);
  std::map<std::int64_t, int> readers;
  for (std::int64_t i = 0; i < block_count(p); ++i) {
    const Block b = block_at(p, i);
    EXPECT_EQ(b.first_tile[0], b.first_tile[1]);
    ++readers[b.first_tile[0]];
  }
  ASSERT_EQ(readers.size(), 8U);  // a key head's two splits each
  for (std::int64_t i = 0; i < 8; ++i) EXPECT_EQ(readers[i * 5], 2 * 3) << i;
}

TEST(BlockAt, OfHeadsPassesOverAllHeadsForEachQueryTileOfAShape) {
  TileProgram p;  // two query tiles of six heads have one shape; three heads share a key head
  p.raster.kind = Raster::Heads;
  p.raster.batch = p.raster.heads_at_once = 6;
  p.raster.heads_per_kv = 3;
  p.raster.k_tiles = p.raster.k_tiles_per_split = 7;
  p.shapes.emplace_back(2 * 6);
  std::vector<std::int64_t> first;
  for (std::int64_t i = 0; i < block_count(p); ++i) first.push_back(block_at(p, i).first_tile[0]);
  EXPECT_EQ(first, (std::vector<std::int64_t>{0, 0, 0, 7, 7, 7, 0, 0, 0, 7, 7, 7}));
}

TEST(BlockAt, OfHeadsFinishesAGroupOfHeadsBeforeTheNext) {
  TileProgram p;  // three heads, two at once; two shapes of one query tile each
  p.raster.kind = Raster::Heads;
  p.raster.batch = 3;
  p.raster.heads_at_once = 2;
  p.raster.k_tiles = p.raster.k_tiles_per_split = 5;
  p.shapes.emplace_back(3);
  p.shapes.emplace_back(3);
  std::vector<std::pair<std::uint32_t, std::int64_t>> order;
  for (std::int64_t i = 0; i < block_count(p); ++i)
    order.emplace_back(block_at(p, i).shape, block_at(p, i).first_tile[0] / 5);
  const std::vector<std::pair<std::uint32_t, std::int64_t>> expected{{0, 0}, {0, 1}, {1, 0},
                                                                     {1, 1}, {0, 2}, {1, 2}};
  EXPECT_EQ(order, expected);
}

TEST(BlockAt, TakesTheShapesInTheirOrder) {
  for (const Raster kind : {Raster::Rows, Raster::Heads}) {
    TileProgram p;
    p.raster.kind = kind;
    for (const std::int64_t blocks : {2, 1, 3}) p.shapes.emplace_back(blocks);
    std::vector<std::uint32_t> order;
    for (std::int64_t i = 0; i < block_count(p); ++i) order.push_back(block_at(p, i).shape);
    EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 0, 1, 2, 2, 2}));
  }
}

}  // namespace
