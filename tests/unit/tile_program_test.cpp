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
  ShapeBuilder s(4);
  s.step(load(Engine::CopyIn, 10, stages, {half}));
  s.step(compute(Engine::Matrix, 25, {Input{stages}}, {sums, true}, Flops(1000)));
  s.loop(5);
  s.step(post(Engine::Store, 8, {sums}, kNone, {c, 64}));
  s.loop(1);
  b.program.shapes.push_back(s.shape);
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

TEST(ShapeBuilder, LeavesNoTraceOfLoopsThatDoNotRun) {
  ShapeBuilder s(1);
  s.loop(3);
  s.step(compute(Engine::Vector, 1, {}, {}));
  s.loop(0);
  EXPECT_TRUE(s.shape.loops.empty());
  s.step(compute(Engine::Vector, 1, {}, {}));
  s.loop(2, 7);
  EXPECT_EQ(s.shape.steps.size(), 1U);
  ASSERT_EQ(s.shape.loops.size(), 1U);
  EXPECT_EQ(s.shape.loops[0].first_step, 0);
  EXPECT_EQ(s.shape.loops[0].steps, 1);
  EXPECT_EQ(s.shape.loops[0].repeat, 2);
  EXPECT_EQ(s.shape.loops[0].first_iteration, 7);
}

TEST(BlockCount, AddsUpTheShapes) {
  TileProgram p;
  p.shapes.resize(3);
  p.shapes[0].count = 4;
  p.shapes[2].count = 5;
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
    p.shapes.resize(1);
    p.shapes[0].count = r.m_tiles * r.n_tiles * r.splits * r.batch;

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

TEST(BlockAt, OfAGridKeepsAGroupOfRowsTogether) {
  TileProgram p;
  p.raster = {.kind = Raster::Grid, .m_tiles = 4, .n_tiles = 3, .group_m = 2};
  p.shapes.resize(1);
  p.shapes[0].count = 12;
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
  p.shapes.resize(1);
  p.shapes[0].count = 2 * 2 * 3 * 4;
  std::map<std::int64_t, int> readers;
  for (std::int64_t i = 0; i < block_count(p); ++i) {
    const Block b = block_at(p, i);
    EXPECT_EQ(b.first_tile[0], b.first_tile[1]);
    ++readers[b.first_tile[0]];
  }
  ASSERT_EQ(readers.size(), 8U);  // a key head's two splits each
  for (std::int64_t i = 0; i < 8; ++i) EXPECT_EQ(readers[i * 5], 2 * 3) << i;
}

TEST(BlockAt, TakesTheShapesInTheirOrder) {
  for (const Raster kind : {Raster::Rows, Raster::Heads}) {
    TileProgram p;
    p.raster.kind = kind;
    p.shapes.resize(3);
    p.shapes[0].count = 2;
    p.shapes[1].count = 1;
    p.shapes[2].count = 3;
    std::vector<std::uint32_t> order;
    for (std::int64_t i = 0; i < block_count(p); ++i) order.push_back(block_at(p, i).shape);
    EXPECT_EQ(order, (std::vector<std::uint32_t>{0, 0, 1, 2, 2, 2}));
  }
}

}  // namespace
