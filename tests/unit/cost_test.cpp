#include <gtest/gtest.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/graph/experts.h"
#include "xpusim/operators/operator.h"

namespace {

using namespace xpusim;

Operator gemm(GemmShape shape) { return {"x", shape, {}}; }
Operator attention(AttentionShape shape) { return {"x", shape, {}}; }
Operator rowwise(RowwiseKind kind, RowwiseShape shape) {
  shape.kind = kind;
  return {"rowwise", shape, {}};
}

TEST(Cost, OfAGemmIsTwoFlopsPerProductAndEachOperandOnce) {
  const Cost c = cost(gemm({.m = 3, .n = 5, .k = 7, .batch = 2}));
  EXPECT_DOUBLE_EQ(c.matrix_flops.count(), 2 * 3 * 5 * 7 * 2);
  EXPECT_DOUBLE_EQ(c.weight_bytes, 5 * 7 * 2 * 2);
  EXPECT_DOUBLE_EQ(c.input_bytes, 3 * 7 * 2 * 2);
  EXPECT_DOUBLE_EQ(c.output_bytes, 3 * 5 * 2 * 2);
  EXPECT_EQ(c.vector_ops, 0);
}

Operator grouped(GroupedGemmShape shape) { return {"x", shape, {}}; }

TEST(Cost, OfAGroupedGemmReadsTheWeightsOfGroupsThatHaveRows) {
  const Cost c = cost(grouped({.groups = 8, .m = 3, .n = 5, .k = 7, .weight_dtype = Dtype::Int8}));
  EXPECT_DOUBLE_EQ(c.matrix_flops.count(), 2 * 3 * 5 * 7);
  EXPECT_DOUBLE_EQ(c.weight_bytes, 3 * 5 * 7) << "three rows reach three groups at most";
  EXPECT_DOUBLE_EQ(c.input_bytes, 3 * 7 * 2);
  EXPECT_DOUBLE_EQ(c.output_bytes, 3 * 5 * 2);
  EXPECT_DOUBLE_EQ(cost(grouped({.groups = 8, .m = 30, .n = 5, .k = 7, .active = 2})).weight_bytes,
                   2 * 5 * 7 * 2);
  EXPECT_EQ(cost(grouped({.groups = 8, .m = 30, .n = 5, .k = 7, .weight_copies = 1})).weight_bytes, 0);
}

TEST(RowsOfGroups, AreEvenOrOneIsBusier) {
  const auto rows = [](GroupedGemmShape g) {
    std::vector<std::pair<std::int64_t, std::int64_t>> list;
    for (const GroupRows& x : rows_of_groups(g)) list.emplace_back(x.rows, x.groups);
    return list;
  };
  using List = std::vector<std::pair<std::int64_t, std::int64_t>>;
  EXPECT_EQ(rows({.groups = 4, .m = 12}), (List{{3, 4}}));
  EXPECT_EQ(rows({.groups = 4, .m = 14}), (List{{4, 2}, {3, 2}}));
  EXPECT_EQ(rows({.groups = 4, .m = 2}), (List{{1, 2}}));
  EXPECT_EQ(rows({.groups = 4, .m = 12, .imbalance = 2}), (List{{6, 1}, {2, 3}}));
  EXPECT_EQ(rows({.groups = 4, .m = 13, .active = 3, .imbalance = 1.5}), (List{{7, 1}, {3, 2}}));
}

const Operator& named(const std::vector<Operator>& list, std::string_view name) {
  return *std::find_if(list.begin(), list.end(), [&](const Operator& o) { return o.name == name; });
}

TEST(MoeLayer, GathersMultipliesAndSumsTheRowsOfThisRank) {
  const graph::MoeLayer l{.tokens = 64,
                          .hidden = 128,
                          .inter = 32,
                          .topk = 4,
                          .experts = 16,
                          .local_experts = 8,
                          .rows = 128,
                          .active = 8};
  const std::vector<Operator> list = graph::moe_layer(l);
  EXPECT_EQ(named(list, "route").as<RowwiseShape>().pairs, 64 * 4);
  EXPECT_EQ(named(list, "permute").as<RowwiseShape>().rows, 128);
  EXPECT_EQ(named(list, "up").as<GroupedGemmShape>().n, 2 * 32) << "gate and up";
  EXPECT_EQ(named(list, "up").as<GroupedGemmShape>().k, 128);
  EXPECT_EQ(named(list, "activation").as<RowwiseShape>().cols, 32);
  EXPECT_EQ(named(list, "down").as<GroupedGemmShape>().n, 128);
  EXPECT_EQ(named(list, "down").as<GroupedGemmShape>().k, 32);
  const Cost sum = cost(named(list, "finalize"));
  EXPECT_DOUBLE_EQ(sum.input_bytes, 128 * (128 * 2 + 8)) << "each pair's row and weight, once";
  EXPECT_DOUBLE_EQ(sum.output_bytes, 64 * 128 * 2);

  graph::MoeLayer quantised = l;
  quantised.dtype = Dtype::Fp8;
  quantised.gated = false;
  const std::vector<Operator> other = graph::moe_layer(quantised);
  EXPECT_EQ(other.size(), list.size() + 2) << "scales, and the rows' quantisation";
  EXPECT_EQ(named(other, "up").as<GroupedGemmShape>().n, 32) << "no gate";
  EXPECT_EQ(named(other, "permute").as<RowwiseShape>().dtype, Dtype::Fp8);
}

TEST(MoeLayer, SortsManyTokensInMoreKernels) {
  graph::MoeLayer l{.tokens = 256, .topk = 8, .experts = 64, .local_experts = 64, .rows = 2048, .active = 64};
  const std::size_t few = graph::moe_layer(l).size();
  l.tokens = 257;
  EXPECT_EQ(graph::moe_layer(l).size(), few + 2);
  l.topk = 9;
  EXPECT_GT(graph::moe_layer(l).size(), few + 2) << "selection of more than eight experts";
}

TEST(Cost, OfAGemmCountsWeightsInTheirOwnType) {
  const Cost c = cost(gemm({.m = 3, .n = 5, .k = 7, .dtype = Dtype::Bf16, .weight_dtype = Dtype::Int8}));
  EXPECT_DOUBLE_EQ(c.weight_bytes, 5 * 7);
  EXPECT_DOUBLE_EQ(c.input_bytes, 3 * 7 * 2);
  EXPECT_EQ(c.matrix_dtype, Dtype::Bf16);
}

TEST(Dtype, BlockFormatsCountTheirScales) {
  EXPECT_EQ(size_of(Dtype::Bf16), 2);
  EXPECT_EQ(size_of(Dtype::Fp8), 1);
  EXPECT_EQ(size_of(Dtype::Int4), 0.5 + 2.0 / 128);
  EXPECT_EQ(size_of(Dtype::Mxfp8), 1 + 1.0 / 32);
  EXPECT_EQ(size_of(Dtype::Mxfp4), 0.5 + 1.0 / 32);
  EXPECT_EQ(size_of(Dtype::Nvfp4), 0.5 + 1.0 / 16);
  EXPECT_EQ(bare_size_of(Dtype::Nvfp4), 0.5);
  const Cost c =
      cost(gemm({.m = 16, .n = 64, .k = 128, .dtype = Dtype::Nvfp4, .weight_dtype = Dtype::Nvfp4}));
  EXPECT_EQ(c.weight_bytes, 64 * 128 * 0.5625);
  EXPECT_EQ(c.input_bytes, 16 * 128 * 0.5625);
  EXPECT_EQ(c.output_bytes, 16 * 64 * 2);
}

TEST(Dtype, NarrowProductsAreOfAClassOfTheirOwn) {
  const auto class_of = [](Dtype type, Dtype weight) {
    return accuracy_class(gemm({.dtype = type, .weight_dtype = weight}));
  };
  EXPECT_EQ(class_of(Dtype::Fp8, Dtype::Fp8), "gemm 8-bit");
  EXPECT_EQ(class_of(Dtype::Mxfp8, Dtype::Mxfp8), "gemm 8-bit, block scales");
  EXPECT_EQ(class_of(Dtype::Nvfp4, Dtype::Nvfp4), "gemm 4-bit");
  EXPECT_EQ(class_of(Dtype::Bf16, Dtype::Int4), "gemm 4-bit");
  EXPECT_EQ(class_of(Dtype::Bf16, Dtype::Int8), "gemm 16-bit");
}

TEST(Cost, OfAGemmOfRotatedWeightsMayFindThemInL2) {
  const Cost c = cost(gemm({.m = 3, .n = 5, .k = 7, .weight_copies = 2}));
  EXPECT_EQ(c.weight_bytes, 0);
  EXPECT_DOUBLE_EQ(c.input_bytes, (3 * 7 + 5 * 7) * 2);
}

TEST(Cost, OfAGemmOfActivationsReadsNoWeights) {
  const Cost c = cost(gemm(
      {.m = 3, .n = 5, .k = 7, .dtype = Dtype::Fp32, .weight_dtype = Dtype::Int8, .b_is_weight = false}));
  EXPECT_EQ(c.weight_bytes, 0);
  EXPECT_DOUBLE_EQ(c.input_bytes, (3 * 7 + 5 * 7) * 4);
}

TEST(Cost, OfAn8BitGemmWrites16BitResults) {
  const Cost c = cost(gemm({.m = 4, .n = 6, .k = 8, .dtype = Dtype::Int8, .weight_dtype = Dtype::Int8}));
  EXPECT_DOUBLE_EQ(c.output_bytes, 4 * 6 * 2);
  EXPECT_DOUBLE_EQ(c.input_bytes, 4 * 8);
}

TEST(CausalShare, CountsThePairsThatTheMaskLeaves) {
  const std::pair<int, int> shapes[] = {{1, 1}, {1, 9}, {4, 4}, {3, 10}, {17, 33}};
  for (const auto& [q, kv] : shapes) {
    double seen = 0;
    for (int i = 0; i < q; ++i) seen += kv - q + i + 1;
    const AttentionShape a{.q_len = q, .kv_len = kv, .causal = true};
    EXPECT_DOUBLE_EQ(causal_share(a), seen / (q * kv)) << q << " x " << kv;
  }
}

TEST(CausalShare, IsOneWithoutAMask) {
  EXPECT_EQ(causal_share({.q_len = 64, .kv_len = 64, .causal = false}), 1);
}

TEST(Cost, OfFullAttentionIsTwoProductsAndFourTensors) {
  const Cost c = cost(attention(
      {.batch = 2, .q_len = 8, .kv_len = 8, .heads = 4, .kv_heads = 2, .head_dim = 16, .causal = false}));
  const double scores = 2 * 4 * 8 * 8;
  EXPECT_DOUBLE_EQ(c.matrix_flops.count(), 2 * 2 * scores * 16);
  EXPECT_DOUBLE_EQ(c.special_ops, scores);
  EXPECT_DOUBLE_EQ(c.input_bytes, 2 * 8 * 16 * 2 * (4 + 2 * 2));  // Q, K, V
  EXPECT_DOUBLE_EQ(c.output_bytes, 2 * 8 * 16 * 2 * 4);
  EXPECT_EQ(c.weight_bytes, 0);
}

TEST(Cost, OfDecodingReadsTheKvCacheFromHbm) {
  const Cost c = cost(attention({.batch = 3,
                                 .q_len = 1,
                                 .kv_len = 100,
                                 .heads = 8,
                                 .kv_heads = 2,
                                 .head_dim = 64,
                                 .kv_dtype = Dtype::Int8}));
  EXPECT_DOUBLE_EQ(c.weight_bytes, 2.0 * 3 * 2 * 100 * 64);
  EXPECT_DOUBLE_EQ(c.input_bytes, 3 * 8 * 64 * 2);
  EXPECT_DOUBLE_EQ(c.matrix_flops.count(), 2.0 * 2 * 3 * 8 * 100 * 64);  // one token sees them all
}

TEST(Cost, OfBackwardAttentionIsFiveProducts) {
  const AttentionShape forward{
      .batch = 1, .q_len = 32, .kv_len = 32, .heads = 4, .kv_heads = 4, .head_dim = 64};
  AttentionShape backward = forward;
  backward.pass = Pass::Backward;
  const Cost f = cost(attention(forward)), b = cost(attention(backward));
  EXPECT_DOUBLE_EQ(b.matrix_flops.count(), f.matrix_flops.count() * 2.5);
  const double tensor = 32 * 4 * 64 * 2;
  EXPECT_DOUBLE_EQ(b.input_bytes, 5 * tensor);   // Q, K, V, O, dO
  EXPECT_DOUBLE_EQ(b.output_bytes, 3 * tensor);  // dQ, dK, dV
}

/// Tensors of rows x cols elements in 16 bit that an operator moves, and its operations per element.
struct RowwiseCase {
  RowwiseKind kind;
  Pass pass;
  double reads, writes;
  double ops, special;
};

class RowwiseCost : public testing::TestWithParam<RowwiseCase> {};

TEST_P(RowwiseCost, IsPerElement) {
  const RowwiseCase& w = GetParam();
  const double n = 6 * 10;
  const Cost c = cost(rowwise(w.kind, {.rows = 6, .cols = 10, .pass = w.pass}));
  EXPECT_DOUBLE_EQ(c.vector_ops, w.ops * n);
  EXPECT_DOUBLE_EQ(c.special_ops, w.special * n);
  EXPECT_DOUBLE_EQ(c.input_bytes + c.weight_bytes, w.reads * n * 2);
  EXPECT_DOUBLE_EQ(c.output_bytes, w.writes * n * 2);
  EXPECT_EQ(c.matrix_flops.count(), 0);
}

constexpr Pass kForward = Pass::Forward, kBackward = Pass::Backward;
INSTANTIATE_TEST_SUITE_P(Kinds, RowwiseCost,
                         testing::Values(RowwiseCase{RowwiseKind::Softmax, kForward, 1, 1, 5, 1},
                                         RowwiseCase{RowwiseKind::Softmax, kBackward, 2, 1, 4, 0},
                                         RowwiseCase{RowwiseKind::RmsNorm, kForward, 1, 1, 5, 0},
                                         RowwiseCase{RowwiseKind::RmsNorm, kBackward, 2, 1, 9, 0},
                                         RowwiseCase{RowwiseKind::LayerNorm, kForward, 1, 1, 7, 0},
                                         RowwiseCase{RowwiseKind::LayerNorm, kBackward, 2, 1, 11, 0},
                                         RowwiseCase{RowwiseKind::SwiGlu, kForward, 2, 1, 5, 2},
                                         RowwiseCase{RowwiseKind::SwiGlu, kBackward, 3, 2, 10, 2},
                                         RowwiseCase{RowwiseKind::Gelu, kForward, 1, 1, 8, 2},
                                         RowwiseCase{RowwiseKind::Gelu, kBackward, 2, 1, 12, 2},
                                         RowwiseCase{RowwiseKind::Add, kForward, 2, 1, 3, 0},
                                         RowwiseCase{RowwiseKind::Rope, kForward, 1, 1, 5, 0},
                                         RowwiseCase{RowwiseKind::Rope, kBackward, 1, 1, 5, 0},
                                         RowwiseCase{RowwiseKind::Embedding, kForward, 1, 1, 1, 0},
                                         RowwiseCase{RowwiseKind::Embedding, kBackward, 1, 1, 2, 0},
                                         RowwiseCase{RowwiseKind::CrossEntropy, kForward, 1, 0, 4, 1},
                                         RowwiseCase{RowwiseKind::CrossEntropy, kBackward, 1, 1, 4, 1},
                                         RowwiseCase{RowwiseKind::Copy, kForward, 1, 1, 1, 0}),
                         [](const auto& test) {
                           std::string text = std::string(enum_name(test.param.kind)) + "_" +
                                              std::string(enum_name(test.param.pass));
                           return text;
                         });

TEST(Cost, OfQuantizationHalvesTheBytes) {
  const Cost c = cost(rowwise(RowwiseKind::Quantize, {.rows = 6, .cols = 10}));
  EXPECT_DOUBLE_EQ(c.input_bytes, 6 * 10 * 2);
  EXPECT_DOUBLE_EQ(c.output_bytes, 6 * 10);
}

TEST(Cost, OfTheOptimizerReadsAndWritesThreeFp32StatesPerParameter) {
  const Cost c = cost(rowwise(RowwiseKind::Optimizer, {.rows = 1, .cols = 1000}));
  EXPECT_DOUBLE_EQ(c.weight_bytes, 12 * 1000);        // master weights, two moments
  EXPECT_DOUBLE_EQ(c.input_bytes, 2 * 1000);          // gradients
  EXPECT_DOUBLE_EQ(c.output_bytes, (12 + 2) * 1000);  // the states and the 16-bit weights
}

TEST(Cost, OfTopKReadsScoresAndWritesPicks) {
  const Cost c = cost(rowwise(RowwiseKind::TopK, {.rows = 3, .cols = 1000, .pairs = 3 * 64}));
  EXPECT_DOUBLE_EQ(c.input_bytes, 3 * 1000 * 4);
  EXPECT_DOUBLE_EQ(c.output_bytes, 3 * 64 * 4);
  EXPECT_DOUBLE_EQ(c.vector_ops, 9 * 3 * 1000);
}

TEST(Cost, OfAShortConvolutionAndAGateAreOnePass) {
  const Cost conv = cost(rowwise(RowwiseKind::ShortConv, {.rows = 7, .cols = 100}));
  EXPECT_DOUBLE_EQ(conv.input_bytes, 7 * 100 * 2);
  EXPECT_DOUBLE_EQ(conv.output_bytes, 7 * 100 * 2);
  EXPECT_DOUBLE_EQ(conv.vector_ops, 2 * 4 * 7 * 100);
  const Cost gate = cost(rowwise(RowwiseKind::Gate, {.rows = 7, .cols = 100}));
  EXPECT_DOUBLE_EQ(gate.input_bytes, 2 * 7 * 100 * 2);
  EXPECT_DOUBLE_EQ(gate.output_bytes, 7 * 100 * 2);
}

TEST(Cost, OfAnEmbeddingReadsItsTableFromHbm) {
  const Cost c = cost(rowwise(RowwiseKind::Embedding, {.rows = 6, .cols = 10}));
  EXPECT_DOUBLE_EQ(c.weight_bytes, 6 * 10 * 2);
  EXPECT_EQ(c.input_bytes, 0);
}

TEST(Cost, OfAFusedResidualIsOneMoreTensorReadAndWritten) {
  const Cost plain = cost(rowwise(RowwiseKind::RmsNorm, {.rows = 6, .cols = 10}));
  const Cost fused = cost(rowwise(RowwiseKind::RmsNorm, {.rows = 6, .cols = 10, .residual = true}));
  EXPECT_DOUBLE_EQ(fused.input_bytes - plain.input_bytes, 6 * 10 * 2);
  EXPECT_DOUBLE_EQ(fused.output_bytes - plain.output_bytes, 6 * 10 * 2);
  EXPECT_DOUBLE_EQ(fused.vector_ops - plain.vector_ops, 6 * 10);
}

TEST(Cost, OfACollectiveIsNotTheChips) {
  const Cost c = cost(CollectiveShape{.bytes = Bytes(1 << 20), .library = {}});
  EXPECT_EQ(c.matrix_flops.count() + c.vector_ops + c.weight_bytes + c.input_bytes + c.output_bytes, 0);
}

}  // namespace
