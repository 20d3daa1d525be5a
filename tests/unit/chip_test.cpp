#include <gtest/gtest.h>

#include "support/round_chip.h"
#include "xpusim/chip/kernel.h"
#include "xpusim/core/error.h"
#include "xpusim/mapping/builder.h"
#include "xpusim/mapping/templates.h"

namespace {

using namespace xpusim;
using namespace xpusim::mapping;
using test::free_memory;
using test::round_chip;

constexpr double kNs = 1e-9;

double tile_ns(const TileProgram& p, const ChipSpec& c) {
  return chip::execute(p, c, c.clock.max, Seconds(0)).total.count() / kNs;
}
double bound_ns(const TileProgram& p, const ChipSpec& c) {
  return chip::bound(p, c, c.clock.max, Seconds(0)).total.count() / kNs;
}

/// `blocks` blocks that each load `iterations` tiles of `bytes` and compute on them, through `slots` stages.
struct Pipeline {
  double load_cycles = 0, compute_cycles = 0;
  std::int64_t iterations = 1, slots = 2, blocks = 1;
  double bytes = 0;
  bool resident = false;
  std::int64_t tiles = 0;   ///< tags of the operand; 0: all data is new
  std::int64_t passes = 1;  ///< over the same tiles
  double store_cycles = 0, store_bytes = 0;

  [[nodiscard]] TileProgram program() const {
    Builder b;
    const auto a =
        b.operand({.name = "A", .tiles = tiles, .tile_bytes = bytes, .resident = resident ? 1.0 : 0.0});
    const auto c = b.operand({.name = "C", .write = true});
    const auto stages = b.buffer("stages", slots);
    const auto sums = b.buffer("sums", 1);
    BlockShape block(blocks);
    b.step(load(Engine::CopyIn, load_cycles, stages, {Access{a, bytes}}));
    b.step(compute(Engine::Matrix, compute_cycles, {Input{stages}}, {sums, true}, Flops(1)));
    const auto products = b.body();
    for (std::int64_t pass = 0; pass < passes; ++pass) block.run(products, iterations);
    b.step(post(Engine::Store, store_cycles, {sums}, kNone, {c, store_bytes}));
    block.run(b.body(), 1);
    b.program.shapes.push_back(block);
    b.program.raster.kind = tiles > 0 ? Raster::Grid : Raster::Rows;
    b.program.raster.k_tiles = iterations;
    b.program.raster.k_tiles_per_split = iterations;
    b.program.raster.n_tiles = blocks;  // all blocks read the same row of A
    return b.program;
  }
};

TEST(Execute, TwoStagesHideTheLoadsBehindTheProducts) {
  Pipeline p{.load_cycles = 100, .compute_cycles = 200, .iterations = 5};
  EXPECT_NEAR(tile_ns(p.program(), free_memory(round_chip())), 100 + 5 * 200, 1e-3);
}

TEST(Execute, TwoStagesHideTheProductsBehindTheLoads) {
  Pipeline p{.load_cycles = 300, .compute_cycles = 200, .iterations = 5};
  EXPECT_NEAR(tile_ns(p.program(), free_memory(round_chip())), 5 * 300 + 200, 1e-3);
}

TEST(Execute, OneStageSerialisesLoadsAndProducts) {
  Pipeline p{.load_cycles = 100, .compute_cycles = 200, .iterations = 5, .slots = 1};
  EXPECT_NEAR(tile_ns(p.program(), free_memory(round_chip())), 5 * (100 + 200), 1e-3);
}

TEST(Execute, MoreStagesHideTheLatencyOfMemory) {
  ChipSpec c = free_memory(round_chip());
  c.l2.latency = c.hbm.latency = Seconds(900 * kNs);
  Pipeline p{.load_cycles = 100, .compute_cycles = 100, .iterations = 30, .resident = true};
  p.bytes = 1;
  p.slots = 1;
  EXPECT_NEAR(tile_ns(p.program(), c), 30 * (100 + 900 + 100), 1e-3);
  p.slots = 2;  // two tiles in a loop of load, latency and product
  EXPECT_NEAR(tile_ns(p.program(), c), 15 * (100 + 900 + 100) + 100, 1e-3);
  p.slots = 11;  // all of the loop in flight
  EXPECT_NEAR(tile_ns(p.program(), c), 100 + 900 + 30 * 100, 1e-3);
}

TEST(Execute, SumsLeaveWhenTheLastProductHasEnded) {
  Pipeline p{.load_cycles = 10, .compute_cycles = 20, .iterations = 4, .store_cycles = 70, .store_bytes = 1};
  EXPECT_NEAR(tile_ns(p.program(), free_memory(round_chip())), 10 + 4 * 20 + 70, 1e-3);
  p.blocks = 3;  // one slot of sums: the next block's products wait for the store
  EXPECT_NEAR(tile_ns(p.program(), free_memory(round_chip())), 10 + 3 * (4 * 20 + 70), 1e-3);
}

/// Blocks of 100 + 5 x 200 + 70 cycles; the accumulators hold two of them.
TileProgram blocks_of_1170(std::int64_t blocks) {
  TileProgram p = Pipeline{.load_cycles = 100,
                           .compute_cycles = 200,
                           .iterations = 5,
                           .blocks = blocks,
                           .store_cycles = 70,
                           .store_bytes = 1}
                      .program();
  p.buffers.back().slots = 2;
  return p;
}

TEST(Execute, ABlockAloneOnACoreHidesNeitherStartNorEnd) {
  const ChipSpec c = free_memory(round_chip());
  TileProgram p = blocks_of_1170(4);
  EXPECT_NEAR(tile_ns(p, c), 100 + 4 * 1000 + 70, 1e-3) << "no limit";
  p.resident_blocks = 1;
  EXPECT_NEAR(tile_ns(p, c), 4 * 1170, 1e-3);
  EXPECT_NEAR(bound_ns(p, c), 4 * 1170, 1e-6);
  p.block_start = Seconds(300 * kNs);
  EXPECT_NEAR(tile_ns(p, c), 4 * (300 + 1170), 1e-3);
  EXPECT_NEAR(bound_ns(p, c), 4 * (300 + 1170), 1e-6);
}

TEST(Execute, TwoBlocksOnACoreHideEachOthersEnds) {
  const ChipSpec c = free_memory(round_chip());
  TileProgram p = blocks_of_1170(4);
  p.resident_blocks = 2;
  EXPECT_NEAR(tile_ns(p, c), 100 + 4 * 1000 + 70, 1e-3);
  p.block_start = Seconds(10'000 * kNs);  // too long to hide: two at a time
  EXPECT_NEAR(bound_ns(p, c), (4 / 2 + 0.5) * 10'000, 3000);
  EXPECT_GT(tile_ns(p, c), 2 * 10'000);
  EXPECT_LT(tile_ns(p, c), 3 * 10'000 + 4 * 1170);
}

TEST(Execute, CoresShareTheBandwidthOfHbm) {
  ChipSpec c = free_memory(round_chip());
  c.cores.count = 4;
  c.hbm.bandwidth = BytesPerSecond(1e11);
  c.hbm.achieved_fraction = 0.5;  // 20 ps a byte
  const Pipeline p{.load_cycles = 1, .iterations = 10, .slots = 4, .blocks = 4, .bytes = 1000};
  EXPECT_NEAR(tile_ns(p.program(), c), 4 * 10 * 1000 * 0.02, 1e-3);
}

TEST(Execute, CoresShareTheBandwidthOfL2) {
  ChipSpec c = free_memory(round_chip());
  c.cores.count = 4;
  c.l2.bandwidth = BytesPerSecond(1e12);
  const Pipeline p{
      .load_cycles = 1, .iterations = 10, .slots = 4, .blocks = 4, .bytes = 1000, .resident = true};
  EXPECT_NEAR(tile_ns(p.program(), c), 4 * 10 * 1000 * 0.001, 1e-3);
}

TEST(Execute, ATileComesFromHbmOnceForAllCores) {
  ChipSpec c = round_chip();
  c.cores.count = 4;
  const Pipeline p{.load_cycles = 1, .iterations = 10, .slots = 4, .blocks = 4, .bytes = 1000, .tiles = 10};
  const chip::KernelTime t = chip::execute(p.program(), c, c.clock.max, Seconds(0));
  EXPECT_DOUBLE_EQ(t.hbm_bytes, 10 * 1000);
  EXPECT_DOUBLE_EQ(t.l2_bytes, 4 * 10 * 1000);
}

TEST(Execute, L2KeepsWhatFitsBetweenTwoPasses) {
  ChipSpec c = round_chip();
  Pipeline p{.load_cycles = 1, .iterations = 8, .bytes = 1 << 20, .tiles = 8, .passes = 2};
  c.l2.capacity = Bytes(8 << 20);
  c.l2.held_fraction = 1;
  EXPECT_DOUBLE_EQ(chip::execute(p.program(), c, c.clock.max, Seconds(0)).hbm_bytes, 8 << 20);
  c.l2.capacity = Bytes(4 << 20);  // least recently used: a cyclic pass finds nothing
  EXPECT_DOUBLE_EQ(chip::execute(p.program(), c, c.clock.max, Seconds(0)).hbm_bytes, 16 << 20);
  c.l2.capacity = Bytes(10 << 20);
  c.l2.held_fraction = 0.6;  // each tile comes round after 8 of 10 MiB: half of it is still there
  const double bytes = chip::execute(p.program(), c, c.clock.max, Seconds(0)).hbm_bytes;
  EXPECT_GT(bytes, 8 << 20);
  EXPECT_LT(bytes, 13 << 20);
  p.resident = true;
  EXPECT_EQ(chip::execute(p.program(), round_chip(), c.clock.max, Seconds(0)).hbm_bytes, 0);
}

TEST(Execute, OneTileIsLoadProductAndStore) {
  const ChipSpec c = round_chip();
  GemmShape g{.m = 64, .n = 64, .k = 32};
  // 4 KiB of weights from HBM, in front of the activations' 4 KiB from L2; 262144 FLOP; 8 KiB of results.
  const double load = 4096 * 0.01 + 300, product = 262144 / 1000.0, store = 8192 / 32.0;
  EXPECT_NEAR(tile_ns(gemm_program(g, c, {64, 64, 1}), c), load + product + store, 0.01);
}

TEST(Execute, AddsTheLaunchInFront) {
  const ChipSpec c = round_chip();
  const TileProgram p = Pipeline{.load_cycles = 100, .compute_cycles = 200}.program();
  const chip::KernelTime with = chip::execute(p, c, c.clock.max, Seconds(5e-6));
  const chip::KernelTime without = chip::execute(p, c, c.clock.max, Seconds(0));
  EXPECT_DOUBLE_EQ(with.total.count(), without.total.count() + 5e-6);
  EXPECT_DOUBLE_EQ(with.breakdown[Bound::Launch], 5e-6);
  EXPECT_EQ(without.breakdown[Bound::Launch], 0);
}

TEST(Execute, CountsBusyTimeAndWaiting) {
  ChipSpec c = free_memory(round_chip());
  c.hbm.bandwidth = BytesPerSecond(1e10);  // 100 ps a byte
  const TileProgram p =
      Pipeline{.load_cycles = 1, .compute_cycles = 20, .iterations = 10, .bytes = 1000, .store_cycles = 30}
          .program();
  const Breakdown b = chip::execute(p, c, c.clock.max, Seconds(0)).breakdown;
  EXPECT_NEAR(b[Bound::Matrix] / kNs, 10 * 20, 1e-3);
  EXPECT_NEAR(b[Bound::FillDrain] / kNs, 100 + 30, 1e-3);  // the first load, the store
  EXPECT_NEAR(b[Bound::Hbm] / kNs, 9 * (100 - 20), 1e-3);
  EXPECT_NEAR(b[Bound::WaveTail], 0, 1e-15);
}

TEST(Execute, CountsCoresWithoutWorkAsWaveTail) {
  ChipSpec c = free_memory(round_chip());
  c.cores.count = 4;
  const TileProgram p = Pipeline{.load_cycles = 1, .compute_cycles = 100, .blocks = 5}.program();
  const chip::KernelTime t = chip::execute(p, c, c.clock.max, Seconds(0));
  EXPECT_NEAR(t.total.count() / kNs, 1 + 200, 1e-3);
  EXPECT_NEAR(t.breakdown[Bound::WaveTail] / kNs, 200 - 5 * 100 / 4.0, 1e-3);
  EXPECT_NEAR(chip::bound(p, c, c.clock.max, Seconds(0)).breakdown[Bound::WaveTail] / kNs, 75, 1e-3);
}

TEST(Execute, RecordsTheEnginesOfOneCoreInOrder) {
  ChipSpec c = free_memory(round_chip());
  c.cores.count = 2;
  const TileProgram p =
      Pipeline{.load_cycles = 10, .compute_cycles = 20, .iterations = 3, .blocks = 2}.program();
  const chip::KernelTime t = chip::execute(p, c, c.clock.max, Seconds(0), true);
  ASSERT_EQ(t.spans.size(), 3U + 3 + 1);
  std::map<std::uint32_t, Seconds> free;
  for (const result::Span& s : t.spans) {
    EXPECT_LE(free[s.lane], s.begin);
    EXPECT_LE(s.begin, s.end);
    free[s.lane] = s.end;
  }
  EXPECT_TRUE(chip::execute(p, c, c.clock.max, Seconds(0)).spans.empty());
}

TEST(Execute, RefusesAProgramThatIsTooWide) {
  TileProgram p = Pipeline{}.program();
  p.buffers.resize(kMaxBuffers + 1);
  EXPECT_THROW(static_cast<void>(tile_ns(p, round_chip())), ModelError);
}

TEST(BoundOf, APipelineIsItsSlowestStagePlusItsEnds) {
  const ChipSpec c = free_memory(round_chip());
  EXPECT_NEAR(bound_ns(Pipeline{.load_cycles = 100, .compute_cycles = 200, .iterations = 5}.program(), c),
              1100, 1e-6);
  const Pipeline serial{.load_cycles = 100, .compute_cycles = 200, .iterations = 1000, .slots = 1};
  EXPECT_NEAR(bound_ns(serial.program(), c), 1000 * 300 + 100, 1e-6);
}

TEST(BoundOf, EqualBlocksRunInWaves) {
  ChipSpec c = free_memory(round_chip());
  c.cores.count = 4;
  const auto waves = [&](std::int64_t blocks) {
    return bound_ns(Pipeline{.compute_cycles = 100, .blocks = blocks}.program(), c) / 100;
  };
  EXPECT_NEAR(waves(1), 1, 1e-9);
  EXPECT_NEAR(waves(4), 1, 1e-9);
  EXPECT_NEAR(waves(5), 2, 1e-9);
  EXPECT_NEAR(waves(8), 2, 1e-9);
  EXPECT_NEAR(waves(9), 3, 1e-9);
}

TEST(BoundOf, TheLongestOfEnginesL2AndHbmDecides) {
  const ChipSpec c = round_chip();
  TileProgram p = Pipeline{.load_cycles = 1, .compute_cycles = 1, .iterations = 100, .bytes = 1e5}.program();
  p.hbm_read_bytes = 100 * 1e5;
  EXPECT_NEAR(bound_ns(p, c), 100 * 1e5 * 0.01, 500);
  EXPECT_EQ(chip::bound(p, c, c.clock.max, Seconds(0)).breakdown.largest(), Bound::Hbm);
  p.hbm_read_bytes = 0;
  p.operands[0].resident = 1;
  ChipSpec slow = c;
  slow.l2.bandwidth = BytesPerSecond(1e10);
  EXPECT_EQ(chip::bound(p, slow, c.clock.max, Seconds(0)).breakdown.largest(), Bound::L2);
}

TEST(LowerBound, IsTheSlowestOfMatrixVectorAndWeights) {
  const ChipSpec c = round_chip();
  Operator o;
  o.work = GemmShape{.m = 1000, .n = 1000, .k = 1000};
  EXPECT_DOUBLE_EQ(chip::lower_bound(o, c).count() / kNs, 2e9 / 1000);
  o.as<GemmShape>().m = 1;
  EXPECT_DOUBLE_EQ(chip::lower_bound(o, c).count() / kNs, 2e6 * 0.01);
  o.work = RowwiseShape{.kind = RowwiseKind::Softmax, .rows = 100, .cols = 640};
  EXPECT_DOUBLE_EQ(chip::lower_bound(o, c).count() / kNs, 5 * 64000 / 64);
}

TEST(LowerBound, NeedsAMatrixRate) {
  Operator o;
  o.work = GemmShape{};
  o.as<GemmShape>().dtype = Dtype::Fp32;
  EXPECT_THROW(static_cast<void>(chip::lower_bound(o, round_chip())), InfeasibleError);
}

/// A 128 x 128 GEMM on free memory: the matrix engine alone.
TileProgram matrix_bound(const ChipSpec& c) {
  return gemm_program({.m = 1024, .n = 1024, .k = 4096}, c, {128, 128, 1});
}

TEST(ClockUnderCap, IsTheMaximumWherePowerAllows) {
  const ChipSpec c = round_chip();  // 500 W of 1000
  EXPECT_EQ(chip::clock_under_cap(matrix_bound(c), c), c.clock.max);
}

TEST(ClockUnderCap, GivesWayWithTheCubeRootOfThePower) {
  ChipSpec c = free_memory(round_chip());
  c.power.cap = Watts(300);  // half of the 400 W above idle
  EXPECT_NEAR(chip::clock_under_cap(matrix_bound(c), c).count() / 1e9, std::cbrt(0.5), 0.01);
}

TEST(ClockUnderCap, LeavesVectorKernelsAlone) {
  ChipSpec c = round_chip();
  c.power.cap = Watts(101);
  const RowwiseShape o{.kind = RowwiseKind::RmsNorm, .rows = 1000, .cols = 1000};
  EXPECT_EQ(chip::clock_under_cap(mapping::rowwise_program(o, c, 8), c), c.clock.max);
}

TEST(LaunchOverhead, IsTheGapBetweenKernelsAndTheStartOfOne) {
  const Operator gemm_op{"gemm", GemmShape{}, {}}, add_op{"add", RowwiseShape{.kind = RowwiseKind::Add}, {}};
  ChipSpec c = round_chip();
  c.overheads.kernel_launch = Seconds(5e-6);
  c.overheads.graph_node = Seconds(2e-6);
  c.overheads.kernel_start = Seconds(1e-6);
  c.overheads.vector_start = Seconds(0.5e-6);
  EXPECT_DOUBLE_EQ(chip::launch_overhead(c, Launch::Eager, gemm_op).count(), 6e-6);
  EXPECT_DOUBLE_EQ(chip::launch_overhead(c, Launch::Graph, gemm_op).count(), 3e-6);
  EXPECT_DOUBLE_EQ(chip::launch_overhead(c, Launch::Kernel, gemm_op).count(), 1e-6);
  EXPECT_DOUBLE_EQ(chip::launch_overhead(c, Launch::Kernel, add_op).count(), 0.5e-6);
}

TEST(Estimator, ComputesEqualOperatorsOnce) {
  chip::Estimator e(round_chip(), chip::Fidelity::Bound, Launch::Graph);
  Operator a;
  a.name = "first";
  a.work = GemmShape{.m = 64, .n = 64, .k = 64};
  Operator b = a;
  b.name = "second";
  const chip::KernelTime& first = e.time(a);
  EXPECT_EQ(&first, &e.time(b));
  EXPECT_EQ(e.distinct(), 1U);
  b.as<GemmShape>().k = 128;
  EXPECT_NE(&first, &e.time(b));
  EXPECT_EQ(e.distinct(), 2U);
}

TEST(Estimator, TellsShapesApartAndNotNames) {
  chip::Estimator e(round_chip(), chip::Fidelity::Bound, Launch::Graph);
  const auto norm = [](RowwiseKind kind, bool cold) {
    return Operator{"norm", RowwiseShape{.kind = kind, .rows = 8, .cols = 64, .cold = cold}, {}};
  };
  static_cast<void>(e.time(norm(RowwiseKind::Softmax, false)));
  static_cast<void>(e.time(norm(RowwiseKind::RmsNorm, false)));
  static_cast<void>(e.time(norm(RowwiseKind::RmsNorm, true)));
  EXPECT_EQ(e.distinct(), 3U);
}

}  // namespace
