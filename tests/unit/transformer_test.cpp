#include "xpusim/ops/transformer.h"

#include <gtest/gtest.h>

#include <set>

#include "support/shipped.h"
#include "xpusim/core/error.h"
#include "xpusim/ops/cost.h"

namespace {

using namespace xpusim;
using ops::Parallelism;

double d(std::int64_t x) { return static_cast<double>(x); }

double matrix_flops(const Graph& graph) {
  double sum = 0;
  for (const Section& s : graph.sections)
    for (const Operator& o : s.operators) sum += ops::cost(o).matrix_flops.count() * d(s.repeat);
  return sum;
}

const Operator* find(const Graph& graph, const std::string& name) {
  for (const Section& s : graph.sections)
    for (const Operator& o : s.operators)
      if (o.name == name) return &o;
  return nullptr;
}

std::size_t count(const Graph& graph, OpKind kind) {
  std::size_t n = 0;
  for (const Section& s : graph.sections)
    for (const Operator& o : s.operators) n += o.kind == kind ? static_cast<std::size_t>(s.repeat) : 0;
  return n;
}

ScenarioSpec prefill(std::int64_t batch, std::int64_t sequence) {
  ScenarioSpec s;
  s.phase = Phase::Prefill;
  s.batch = batch;
  s.sequence = sequence;
  return s;
}
ScenarioSpec decode(std::int64_t batch, std::int64_t context) {
  ScenarioSpec s;
  s.phase = Phase::Decode;
  s.batch = batch;
  s.context = context;
  return s;
}
ScenarioSpec training(std::int64_t batch, std::int64_t micro_batch, std::int64_t sequence) {
  ScenarioSpec s;
  s.phase = Phase::Training;
  s.batch = batch;
  s.micro_batch = micro_batch;
  s.sequence = sequence;
  return s;
}

/// Products of a matrix-vector pass over all weights but the embedding table (a look-up), and the norms
/// (vector work).
double product_weights(const ModelSpec& m) {
  const double norms = d(m.layers) * (2 * d(m.hidden) * (m.norm == NormKind::LayerNorm ? 2 : 1) +
                                      (m.qk_norm ? 2 * d(m.head_dim) : 0));
  return d(m.layers) * layer_parameters(m) - norms + d(m.vocab) * d(m.hidden);
}
double head_weights(const ModelSpec& m) { return d(m.vocab) * d(m.hidden); }
/// Q K^T and P V of a causal self-attention over `sequence` tokens, all layers.
double attention_flops(const ModelSpec& m, double sequences, double sequence) {
  return d(m.layers) * 2 * 2 * sequences * d(m.heads) * d(m.head_dim) * sequence * (sequence + 1) / 2;
}

struct ModelSize {
  const char* id;
  double billions;
};
class ShippedModel : public testing::TestWithParam<ModelSize> {};

// Parameters counted from the architectures' published config.json files (ai-dynamo/aiconfigurator 095f58a),
// norms and biases left out.
TEST_P(ShippedModel, HasItsPublishedParameters) {
  EXPECT_NEAR(total_parameters(test::model(GetParam().id)) * 1e-9, GetParam().billions,
              0.005 * GetParam().billions);
}
INSTANTIATE_TEST_SUITE_P(Models, ShippedModel,
                         testing::Values(ModelSize{"llama31_8b", 8.03}, ModelSize{"llama31_70b", 70.552},
                                         ModelSize{"qwen3_32b", 32.761}, ModelSize{"gpt3_175b", 174.575}),
                         [](const auto& test) { return std::string(test.param.id); });

TEST(BuildGraph, PrefillHasTwoFlopsPerWeightAndTokenPlusAttention) {
  for (const char* id : {"llama31_8b", "qwen3_32b", "gpt3_175b"}) {
    const ModelSpec m = test::model(id);
    const ScenarioSpec s = prefill(2, 1024);
    const double tokens = 2 * 1024;
    // Only the last token of a sequence goes through the output head.
    const double expected = 2 * (product_weights(m) - head_weights(m)) * tokens + 2 * head_weights(m) * 2 +
                            attention_flops(m, 2, 1024);
    EXPECT_NEAR(matrix_flops(ops::build_graph(m, s, {1, 1})), expected, 1e-9 * expected) << id;
  }
}

TEST(BuildGraph, DecodeHasTwoFlopsPerWeightAndSequencePlusAttention) {
  const ModelSpec m = test::model("llama31_8b");
  const double seen = 2048 + 1;
  const double expected =
      2 * product_weights(m) * 16 + d(m.layers) * 2 * 2 * 16 * d(m.heads) * d(m.head_dim) * seen;
  EXPECT_NEAR(matrix_flops(ops::build_graph(m, decode(16, 2048), {1, 1})), expected, 1e-9 * expected);
}

TEST(BuildGraph, TrainingHasThreeTimesTheForwardProducts) {
  const ModelSpec m = test::model("llama31_8b");
  const double tokens = 4 * 1024;
  // Backward attention recomputes the scores: five products for the forward pass's two.
  const double expected = 3 * 2 * product_weights(m) * tokens + 3.5 * attention_flops(m, 4, 1024);
  EXPECT_NEAR(matrix_flops(ops::build_graph(m, training(4, 1, 1024), {1, 1})), expected, 1e-9 * expected);
}

TEST(BuildGraph, FullRecomputationRunsTheLayersForwardTwice) {
  const ModelSpec m = test::model("llama31_8b");
  ScenarioSpec s = training(4, 2, 1024);
  const double without = matrix_flops(ops::build_graph(m, s, {1, 1}));
  s.recompute = Recompute::Full;
  const double again = 2 * (product_weights(m) - head_weights(m)) * 4 * 1024 + attention_flops(m, 4, 1024);
  EXPECT_NEAR(matrix_flops(ops::build_graph(m, s, {1, 1})), without + again, 1e-9 * without);
}

TEST(BuildGraph, TensorParallelismDividesTheProducts) {
  const ModelSpec m = test::model("llama31_70b");
  for (const ScenarioSpec& s : {prefill(1, 512), decode(8, 1000), training(8, 1, 512)}) {
    const double whole = matrix_flops(ops::build_graph(m, s, {1, 1}));
    for (const std::int64_t tensor : {2, 4, 8})
      EXPECT_NEAR(matrix_flops(ops::build_graph(m, s, {tensor, 1})), whole / d(tensor), 1e-9 * whole)
          << tensor;
  }
}

TEST(BuildGraph, DataParallelismDividesTheSequences) {
  const ModelSpec m = test::model("llama31_8b");
  for (const ScenarioSpec& s : {prefill(8, 512), decode(8, 1000), training(8, 1, 512)}) {
    const double whole = matrix_flops(ops::build_graph(m, s, {1, 1}));
    EXPECT_NEAR(matrix_flops(ops::build_graph(m, s, {1, 4})), whole / 4, 1e-9 * whole);
  }
}

TEST(BuildGraph, MoreTensorRanksThanKvHeadsKeepOneEach) {
  const ModelSpec m = test::model("llama31_70b");  // 8 KV heads
  const Graph graph = ops::build_graph(m, decode(4, 100), {16, 1});
  const Operator* attention = find(graph, "attention");
  ASSERT_NE(attention, nullptr);
  EXPECT_EQ(attention->attention.heads, 64 / 16);
  EXPECT_EQ(attention->attention.kv_heads, 1);
}

TEST(BuildGraph, OneRankCommunicatesNothing) {
  const ModelSpec m = test::model("llama31_8b");
  for (const ScenarioSpec& s : {prefill(2, 256), decode(2, 256), training(2, 1, 256)})
    for (const OpKind kind : {OpKind::AllReduce, OpKind::AllGather, OpKind::ReduceScatter, OpKind::AllToAll})
      EXPECT_EQ(count(ops::build_graph(m, s, {1, 1}), kind), 0U);
}

TEST(BuildGraph, ATensorGroupReducesTwiceALayerAndOnceTheEmbedding) {
  const ModelSpec m = test::model("llama31_8b");
  const Graph graph = ops::build_graph(m, prefill(2, 256), {4, 1});
  EXPECT_EQ(count(graph, OpKind::AllReduce), static_cast<std::size_t>(2 * m.layers + 1));
  EXPECT_EQ(find(graph, "reduce_ffn")->collective.bytes.count(), 2 * 256 * m.hidden * 2);
  EXPECT_EQ(graph.tensor, 4);
}

TEST(BuildGraph, ReplicasReduceEachGradientOnceAStepBesideTheBackwardPass) {
  const ModelSpec m = test::model("llama31_8b");
  const Graph graph = ops::build_graph(m, training(16, 1, 256), {2, 4});  // four passes of each replica
  double bytes = 0;
  for (const Section& s : graph.sections)
    for (const Operator& o : s.operators)
      if (is_collective(o.kind) && o.collective.group == RankGroup::Data) {
        EXPECT_TRUE(o.collective.overlap);
        bytes += d(o.collective.bytes.count()) * d(s.repeat);
      }
  const double gradients = (d(m.layers) * layer_parameters(m) + embedding_parameters(m)) / 2 * 2;
  EXPECT_NEAR(bytes, gradients, 1e-6 * gradients);
  EXPECT_TRUE(graph.sections.back().barrier);
}

TEST(BuildGraph, QuantisesTheActivationsOfEightBitProducts) {
  const ModelSpec m = test::model("llama31_8b");
  ScenarioSpec s = prefill(1, 128);
  s.precision = {Dtype::Fp8, Dtype::Fp8, Dtype::Bf16};
  const Graph graph = ops::build_graph(m, s, {1, 1});
  EXPECT_EQ(find(graph, "qkv")->gemm.dtype, Dtype::Fp8);
  EXPECT_EQ(find(graph, "attention")->attention.dtype, Dtype::Bf16);
  ASSERT_NE(find(graph, "quantize_qkv"), nullptr);
  s.precision = {Dtype::Int8, Dtype::Bf16, Dtype::Bf16};  // weights alone
  const Graph weights = ops::build_graph(m, s, {1, 1});
  EXPECT_EQ(find(weights, "quantize_qkv"), nullptr);
  EXPECT_EQ(find(weights, "qkv")->gemm.weight_dtype, Dtype::Int8);
}

TEST(BuildGraph, FollowsTheModelsNormsAndPositions) {
  const Graph gpt = ops::build_graph(test::model("gpt3_175b"), prefill(1, 128), {1, 1});
  EXPECT_EQ(count(gpt, OpKind::RmsNorm) + count(gpt, OpKind::Rope) + count(gpt, OpKind::SwiGlu), 0U);
  EXPECT_GT(count(gpt, OpKind::LayerNorm), 0U);
  EXPECT_GT(count(gpt, OpKind::Gelu), 0U);
  EXPECT_NE(find(gpt, "add_positions"), nullptr);
  const Graph qwen = ops::build_graph(test::model("qwen3_32b"), prefill(1, 128), {1, 1});
  EXPECT_NE(find(qwen, "qk_norm"), nullptr);
}

TEST(BuildGraph, NamesAreUniqueInASection) {
  for (const auto& [id, s] : {std::pair{"llama31_8b", training(4, 1, 256)},
                              {"qwen3_32b", decode(4, 100)},
                              {"gpt3_175b", prefill(4, 100)}})
    for (const Section& section : ops::build_graph(test::model(id), s, {2, 2}).sections) {
      std::set<std::string> names;
      for (const Operator& o : section.operators) EXPECT_TRUE(names.insert(o.name).second) << o.name;
    }
}

TEST(ResolveParallelism, TakesAllDevicesThatTensorLeaves) {
  ScenarioSpec s = decode(64, 100);
  s.parallel = {4, 0};
  const Parallelism p = ops::resolve_parallelism(test::model("llama31_8b"), s, 16);
  EXPECT_EQ(p.tensor, 4);
  EXPECT_EQ(p.data, 4);
  s.parallel = {4, 2};
  EXPECT_EQ(ops::resolve_parallelism(test::model("llama31_8b"), s, 16).data, 2);
}

std::string why_not(ScenarioSpec s, ParallelSpec p, std::int64_t devices,
                    const std::string& id = "llama31_8b") {
  s.parallel = p;
  try {
    static_cast<void>(ops::resolve_parallelism(test::model(id), s, devices));
  } catch (const InfeasibleError& e) {
    return e.what();
  }
  return "";
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(ResolveParallelism, SaysWhatDoesNotDivide) {
  const std::string devices = why_not(decode(64, 100), {3, 0}, 8);
  EXPECT_TRUE(says(devices, "3 does not divide 8 devices")) << devices;
  const std::string many = why_not(decode(64, 100), {4, 4}, 8);
  EXPECT_TRUE(says(many, "needs 16 devices, the system has 8")) << many;
  const std::string heads = why_not(decode(64, 100), {3, 1}, 8);
  EXPECT_TRUE(says(heads, "32 heads")) << heads;
  EXPECT_TRUE(says(heads, "14336 FFN columns")) << heads;
  EXPECT_TRUE(says(heads, "8 KV heads")) << heads;
  const std::string batch = why_not(decode(9, 100), {1, 8}, 8);
  EXPECT_TRUE(says(batch, "9 sequences do not divide over 8 replicas")) << batch;
  const std::string passes = why_not(training(12, 8, 128), {1, 1}, 8);
  EXPECT_TRUE(says(passes, "micro_batch 8")) << passes;
  const std::string tokens = why_not(prefill(1, 4096), {1, 1}, 8, "gpt3_175b");
  EXPECT_TRUE(says(tokens, "4096 tokens per sequence")) << tokens;
  EXPECT_TRUE(says(tokens, "2048")) << tokens;
}

TEST(MemoryPerRank, OfDecodingIsWeightsKvCacheAndLittleElse) {
  const ModelSpec m = test::model("llama31_70b");
  const ops::MemoryUse use = ops::memory_per_rank(m, decode(64, 4095), {8, 1});
  const double parameters = d(m.layers) * layer_parameters(m) + embedding_parameters(m);
  EXPECT_DOUBLE_EQ(use.weights, parameters / 8 * 2);
  // Two tensors, 80 layers, one KV head of 128 on each rank, 4096 tokens of 64 sequences, 2 bytes.
  EXPECT_DOUBLE_EQ(use.kv_cache, 2.0 * 80 * 1 * 128 * 4096 * 64 * 2);
  EXPECT_EQ(use.gradients + use.optimizer, 0);
  EXPECT_LT(use.activations, 0.01 * use.total());
}

TEST(MemoryPerRank, FollowsThePrecision) {
  const ModelSpec m = test::model("llama31_8b");
  ScenarioSpec s = decode(8, 1023);
  const ops::MemoryUse wide = ops::memory_per_rank(m, s, {1, 1});
  s.precision = {Dtype::Int8, Dtype::Bf16, Dtype::Fp8};
  const ops::MemoryUse narrow = ops::memory_per_rank(m, s, {1, 1});
  EXPECT_DOUBLE_EQ(narrow.weights * 2, wide.weights);
  EXPECT_DOUBLE_EQ(narrow.kv_cache * 2, wide.kv_cache);
}

TEST(MemoryPerRank, OfTrainingHoldsGradientsAndFp32States) {
  const ModelSpec m = test::model("llama31_8b");
  const ops::MemoryUse use = ops::memory_per_rank(m, training(8, 1, 1024), {2, 4});
  const double parameters = (d(m.layers) * layer_parameters(m) + embedding_parameters(m)) / 2;
  EXPECT_DOUBLE_EQ(use.weights, 2 * parameters);
  EXPECT_DOUBLE_EQ(use.gradients, 2 * parameters);
  EXPECT_DOUBLE_EQ(use.optimizer, 12 * parameters);
  EXPECT_EQ(use.kv_cache, 0);
}

TEST(MemoryPerRank, RecomputationKeepsOnlyTheLayersInputs) {
  const ModelSpec m = test::model("llama31_8b");
  ScenarioSpec s = training(8, 2, 1024);
  const double tokens = 2 * 1024;
  const double kept = ops::memory_per_rank(m, s, {1, 1}).activations;
  s.recompute = Recompute::Full;
  const double recomputed = ops::memory_per_rank(m, s, {1, 1}).activations;
  // 16 bit per token and layer: four of the hidden width, Q, K, V and the output of the heads, and gate, up
  // and down's input; one layer's worth stays while it is computed again.
  const double layer = 2 * (4.0 * 4096 + (2.0 * 32 + 2 * 8) * 128 + 3.0 * 14336);
  EXPECT_DOUBLE_EQ(kept - recomputed, tokens * 32 * (layer - 2.0 * 4096));
}

TEST(CheckMemory, NamesTheLeastTensorParallelismThatFits) {
  const ModelSpec m = test::model("llama31_70b");
  ScenarioSpec s = decode(64, 4096);
  s.parallel = {1, 1};
  const Bytes capacity(std::int64_t{80} << 30);
  const auto why_not = [&](Parallelism p, std::int64_t devices) -> std::string {
    try {
      ops::check_memory(m, s, p, devices, capacity, "a_chip");
    } catch (const InfeasibleError& e) {
      return e.what();
    }
    return "";
  };
  const std::string text = why_not({1, 1}, 8);
  EXPECT_TRUE(says(text, "llama31_70b does not fit a_chip")) << text;
  EXPECT_TRUE(says(text, "scenario.parallel.tensor=4 is the least that fits")) << text;
  EXPECT_NE(why_not({2, 1}, 8), "");
  EXPECT_EQ(why_not({4, 1}, 8), "");
  const std::string few = why_not({1, 1}, 2);
  EXPECT_TRUE(says(few, "4 devices instead of 2")) << few;
}

TEST(TokensPerStep, AreThoseThatComeForward) {
  EXPECT_EQ(ops::tokens_per_step(decode(64, 4096)), 64);
  EXPECT_EQ(ops::tokens_per_step(prefill(2, 4096)), 8192);
}

}  // namespace
