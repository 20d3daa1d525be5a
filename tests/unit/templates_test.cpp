#include "xpusim/mapping/templates.h"

#include <gtest/gtest.h>

#include <set>

#include "support/round_chip.h"
#include "support/shipped.h"
#include "xpusim/core/error.h"
#include "xpusim/operators/operator.h"

namespace {

using namespace xpusim;
using namespace xpusim::mapping;
using test::round_chip;

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

template <class F>
std::string why_not(const F& f) {
  try {
    f();
  } catch (const InfeasibleError& e) {
    return e.what();
  }
  return "";
}

Operator gemm(std::int64_t m, std::int64_t n, std::int64_t k) {
  Operator o;
  o.work = GemmShape{.m = m, .n = n, .k = k};
  return o;
}

TEST(GemmProgram, SaysWhichBufferIsTooSmallAndByHowMuch) {
  ChipSpec c = round_chip();
  c.accumulator.capacity = Bytes(60'000);
  const std::string sums = why_not([&] {
    static_cast<void>(gemm_program({.m = 512, .n = 512, .k = 512}, c, {128, 128, 1}));
  });
  EXPECT_TRUE(says(sums, "128x128")) << sums;
  EXPECT_TRUE(says(sums, "needs 65536 B of accumulators, 5536 B more than its 60000 B")) << sums;
  c = round_chip();
  c.staging.capacity = Bytes(1000);
  const std::string stages = why_not([&] {
    static_cast<void>(gemm_program({.m = 512, .n = 512, .k = 512}, c, {128, 128, 1}));
  });
  EXPECT_TRUE(says(stages, "staging buffer")) << stages;
}

TEST(GemmProgram, HasABlockPerTileSplitAndProduct) {
  const ChipSpec c = round_chip();
  EXPECT_EQ(block_count(gemm_program({.m = 300, .n = 200, .k = 64, .batch = 3}, c, {128, 64, 1})), 3 * 4 * 3);
  EXPECT_EQ(block_count(gemm_program({.m = 128, .n = 128, .k = 65536}, c, {128, 128, 8})), 8);
}

TEST(GemmProgram, PadsToTheMenuOrCutsEvenly) {
  ChipSpec c = round_chip();
  const auto cycles = [&](std::int64_t m) {
    const TileProgram p = gemm_program({.m = m, .n = 128, .k = 1024}, c, {128, 128, 1});
    return totals(p).busy_cycles[static_cast<std::size_t>(Engine::Matrix)];
  };
  c.matrix.tile_shapes = TileShapes::Coarse;
  EXPECT_DOUBLE_EQ(cycles(129), cycles(256));
  c.matrix.tile_shapes = TileShapes::Flexible;
  EXPECT_DOUBLE_EQ(cycles(129), cycles(256) * 160 / 256);  // two tiles of 80 rows, in steps of 16
  EXPECT_DOUBLE_EQ(cycles(256), cycles(128) * 2);
}

TEST(GemmProgram, MulticastSparesL2) {
  ChipSpec c = round_chip();
  c.cores.count = 16;
  const GemmShape g{.m = 2048, .n = 2048, .k = 512};
  const ProgramTotals one = totals(gemm_program(g, c, {128, 128, 1}));
  c.cores.multicast_cores = 2;
  const ProgramTotals two = totals(gemm_program(g, c, {128, 128, 1}));
  EXPECT_DOUBLE_EQ(one.load_bytes, two.load_bytes);
  EXPECT_DOUBLE_EQ(two.l2_read_bytes, 0.75 * one.l2_read_bytes);  // one operand of the two is shared
}

TEST(Candidates, ComeInAFixedOrder) {
  const ChipSpec c = test::chip("h100_sxm");
  const Operator o = gemm(512, 512, 512);
  const std::vector<TileProgram> first = candidates(o, c), second = candidates(o, c);
  ASSERT_FALSE(first.empty());
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].label, second[i].label);
}

TEST(Candidates, ExistForEveryKindOnEveryShippedChip) {
  for (const ChipSpec& c : test::chips()) {
    const Dtype half = test::half_type(c);
    std::vector<Work> works = {GemmShape{.dtype = half, .weight_dtype = half},
                               AttentionShape{.dtype = half, .kv_dtype = half},
                               GroupedGemmShape{.dtype = half, .weight_dtype = half}};
    for (std::size_t kind = 0; kind < kRowwiseKindNames.size(); ++kind)
      works.emplace_back(RowwiseShape{.kind = static_cast<RowwiseKind>(kind)});
    for (const Work& work : works)
      EXPECT_FALSE(candidates({"x", work, {}}, c).empty()) << c.id << " " << enum_name(kind_of(work));
    for (const auto& [dtype, unused] : c.matrix.flops_per_cycle) {
      Operator o = gemm(1, 8192, 8192);
      o.as<GemmShape>().dtype = o.as<GemmShape>().weight_dtype = dtype;
      EXPECT_FALSE(candidates(o, c).empty()) << c.id << " " << name(dtype);
    }
  }
}

TEST(Candidates, ExistForAnyNumberOfSmallProducts) {
  for (const ChipSpec& c : test::chips()) {
    Operator o = gemm(27, 27, 128);
    o.as<GemmShape>().batch = 1 << 20;
    o.as<GemmShape>().dtype = o.as<GemmShape>().weight_dtype = test::half_type(c);
    EXPECT_FALSE(candidates(o, c).empty()) << c.id;
  }
}

TEST(Candidates, SayWhyNothingFits) {
  ChipSpec c = round_chip();
  c.accumulator.capacity = Bytes(100);
  const std::string gemms = why_not([&] { static_cast<void>(candidates(gemm(64, 64, 64), c)); });
  EXPECT_TRUE(says(gemms, "round")) << gemms;
  EXPECT_TRUE(says(gemms, "accumulators")) << gemms;
  Operator o;
  o.work = AttentionShape{.q_len = 128, .kv_len = 128, .heads = 8, .kv_heads = 8};
  const std::string attention = why_not([&] { static_cast<void>(candidates(o, c)); });
  EXPECT_TRUE(says(attention, "accumulators")) << attention;
}

TEST(Candidates, NeedAMatrixRate) {
  Operator o = gemm(64, 64, 64);
  o.as<GemmShape>().dtype = Dtype::Fp8;
  const std::string text = why_not([&] { static_cast<void>(candidates(o, round_chip())); });
  EXPECT_TRUE(says(text, "round has no fp8 matrix rate (it has bf16, int8)")) << text;
}

TEST(Candidates, OfBlockFormatsRunWhereTheEngineHasThem) {
  const ChipSpec c = test::chip("b200_sxm");
  EXPECT_EQ(matrix_rate(c, Dtype::Nvfp4), matrix_rate(c, Dtype::Mxfp4));
  EXPECT_EQ(matrix_rate(c, Dtype::Mxfp8), matrix_rate(c, Dtype::Fp8));
  for (const ChipSpec& chip : test::chips()) {
    for (const Dtype type : {Dtype::Mxfp8, Dtype::Mxfp4, Dtype::Nvfp4}) {
      Operator o = gemm(4096, 4096, 4096);
      o.as<GemmShape>().dtype = o.as<GemmShape>().weight_dtype = type;
      if (chip.matrix.flops_per_cycle.contains(type))
        EXPECT_FALSE(candidates(o, chip).empty()) << chip.id << " " << name(type);
      else
        EXPECT_THROW(static_cast<void>(candidates(o, chip)), InfeasibleError) << chip.id << " " << name(type);
    }
  }
}

TEST(Candidates, SurviveAnyGranularity) {
  for (const std::int64_t grain : {1, 3, 7, 20, 48, 100, 256, 512, 1024}) {
    ChipSpec c = round_chip();
    c.staging.capacity = Bytes(64 << 20);
    c.accumulator.capacity = Bytes(64 << 20);
    c.matrix.granularity = {grain, grain, Bytes(32)};
    EXPECT_FALSE(candidates(gemm(2048, 2048, 2048), c).empty()) << grain;
  }
}

TEST(GemmProgram, FindsLessOfWeightsThatFillMoreOfL2) {
  const ChipSpec c = test::chip("h100_sxm");
  const auto resident = [&](double share_of_l2) {
    const auto n =
        static_cast<std::int64_t>(share_of_l2 * static_cast<double>(c.l2.capacity.count()) / 2 / 1024);
    return gemm_program({.m = 1, .n = n, .k = 1024, .weight_copies = 1}, c, {64, 64, 1}).operands[1].resident;
  };
  EXPECT_EQ(resident(c.l2.held_fraction - 0.05), 1);
  EXPECT_EQ(resident(1.01), 0);
  double before = 1;
  for (double share = c.l2.held_fraction; share < 1; share += 0.05) {
    EXPECT_LE(resident(share), before);
    before = resident(share);
  }
  EXPECT_GT(resident(0.9), 0);
}

TEST(AttentionProgram, OfAPromptOfOneTokenIsNotOneOfDecoding) {
  const ChipSpec c = test::chip("h100_sxm");
  AttentionShape a{.q_len = 1, .kv_len = 1, .heads = 16, .kv_heads = 2};
  EXPECT_EQ(packed_heads(a, c), 8);
  a.prompt = true;
  EXPECT_EQ(packed_heads(a, c), 1);
  EXPECT_EQ(attention_program(a, c, {64, 64, 1}).block_start, c.attention.prefill_block);
}

TEST(PackedRows, StackTheHeadsOfAGroupInDecoding) {
  EXPECT_EQ(packed_heads({.q_len = 1, .heads = 32, .kv_heads = 8}, test::chip("h100_sxm")), 4);
  EXPECT_EQ(packed_heads({.q_len = 7, .heads = 32, .kv_heads = 8}, test::chip("h100_sxm")), 1);
  EXPECT_EQ(packed_heads({.q_len = 7, .kv_len = 70, .heads = 32, .kv_heads = 8}, test::chip("h100_sxm")), 4);
}

TEST(AttentionProgram, SkipsTheTilesThatTheMaskHides) {
  const ChipSpec c = test::chip("h100_sxm");
  AttentionShape a{.q_len = 4096, .kv_len = 4096, .heads = 8, .kv_heads = 8};
  const double causal =
      totals(attention_program(a, c, {128, 128, 1})).busy_cycles[static_cast<std::size_t>(Engine::Matrix)];
  a.causal = false;
  const double full =
      totals(attention_program(a, c, {128, 128, 1})).busy_cycles[static_cast<std::size_t>(Engine::Matrix)];
  EXPECT_NEAR(causal / full, 0.5 * (1 + 1.0 / 32), 1e-9);  // 32 tiles: the diagonal ones are computed whole
}

TEST(AttentionProgram, OfLatentKeysBringsThemOnce) {
  const ChipSpec c = test::chip("h100_sxm");
  AttentionShape a{.batch = 4, .q_len = 1, .kv_len = 4096, .heads = 16, .kv_heads = 1, .head_dim = 576};
  a.value_dim = 512;
  const double separate = totals(attention_program(a, c, {64, 32, 1})).load_bytes;
  a.latent = true;
  const double latent = totals(attention_program(a, c, {64, 32, 1})).load_bytes;
  EXPECT_NEAR(separate - latent, 4.0 * 4096 * 512 * 2, 1);
}

TEST(AttentionProgram, SoftmaxThatDoesNotHideHoldsTheMatrixEngine) {
  ChipSpec c = test::chip("h100_sxm");
  const AttentionShape a{.batch = 1, .q_len = 1024, .kv_len = 1024, .heads = 1, .kv_heads = 1};
  const auto busy = [&](Engine e) {
    return totals(attention_program(a, c, {128, 128, 1})).busy_cycles[static_cast<std::size_t>(e)];
  };
  c.attention.softmax_overlap = 1;
  const double hidden = busy(Engine::Matrix);
  c.attention.softmax_overlap = 0;
  const Cost work = cost(a);
  EXPECT_GE(busy(Engine::Matrix) - hidden, work.special_ops / c.vector.special_per_cycle.count());
  c.vector.exchange = Exchange::L2;  // engines of their own
  const double apart = busy(Engine::Matrix);
  c.attention.softmax_overlap = 1;
  EXPECT_DOUBLE_EQ(busy(Engine::Matrix), apart);
}

TEST(GemmProgram, OfFewRowsIsComputedTransposedWhereThatPadsLess) {
  ChipSpec c = test::chip("h100_sxm");
  const GemmShape few{.m = 16, .n = 4096, .k = 4096};
  const auto matrix = [&](bool swapped, const GemmTiling& t) {
    GemmTiling tiling = t;
    tiling.swapped = swapped;
    return totals(gemm_program(few, c, tiling)).busy_cycles[static_cast<std::size_t>(Engine::Matrix)];
  };
  EXPECT_LT(matrix(true, {16, 64, 1}), matrix(false, {64, 64, 1}));
  EXPECT_EQ(gemm_grain(c, true).m, c.matrix.granularity.n);
  EXPECT_EQ(gemm_grain(c, false).m, c.matrix.granularity.m);
}

TEST(RowwiseProgram, ComesInBlocksThatFitAndAreWorthATransfer) {
  for (const ChipSpec& c : test::chips())
    for (const std::int64_t rows : {1000, 4096, 50000}) {
      const RowwiseShape o{.kind = RowwiseKind::SwiGlu, .rows = rows, .cols = 8192};
      const Cost work = cost(o);
      const double moved = work.input_bytes + work.weight_bytes + work.output_bytes;
      const double room = d(c.vector.buffer.count()) * d(c.vector.units_per_core) / 2;
      const std::vector<TileProgram> all = candidates({"swiglu", o, {}}, c);
      EXPECT_GT(all.size(), 2) << c.id;
      for (const TileProgram& p : all) {
        EXPECT_LE(moved / d(block_count(p)), room) << c.id << " " << rows;
        EXPECT_GE(moved / d(block_count(p)), 4096) << c.id << " " << rows;
      }
    }
}

TEST(RowwiseProgram, OfMoreRoomOnlyHasMoreCuts) {
  ChipSpec c = test::chip("h100_sxm");
  const Operator o{"norm", RowwiseShape{.kind = RowwiseKind::RmsNorm, .rows = 64, .cols = 8192}, {}};
  const auto cuts = [&] {
    std::set<std::int64_t> blocks;
    for (const TileProgram& p : candidates(o, c)) blocks.insert(block_count(p));
    return blocks;
  };
  const auto before = cuts();
  c.vector.buffer = c.vector.buffer * 4;
  const auto after = cuts();
  EXPECT_TRUE(std::includes(after.begin(), after.end(), before.begin(), before.end()));
}

}  // namespace
