#include <gtest/gtest.h>

#include <set>

#include "support/shipped.h"
#include "xpusim/core/error.h"
#include "xpusim/graph/memory.h"
#include "xpusim/graph/passes.h"
#include "xpusim/operators/operator.h"

namespace {

using namespace xpusim;
/// Tensor ranks and replicas.
struct Parallelism {
  std::int64_t tensor = 1, data = 1;
};

double matrix_flops(const Graph& graph) {
  double sum = 0;
  for (const Section& s : graph.sections)
    for (const Operator& o : s.operators) sum += cost(o).matrix_flops.count() * d(s.repeat);
  return sum;
}

const Operator* find(const Graph& graph, const std::string& name) {
  for (const Section& s : graph.sections)
    for (const Operator& o : s.operators)
      if (o.name == name) return &o;
  return nullptr;
}

graph::Plan plan_of(const ModelSpec& m, ScenarioSpec s, const Parallelism& p) {
  s.parallelism.tp = p.tensor;
  s.parallelism.dp = p.data;
  return graph::resolve(m, s, {}, p.tensor * p.data);
}
/// The operators of one rank.
Graph build_graph(const ModelSpec& m, const ScenarioSpec& s, const Parallelism& p) {
  const graph::Plan plan = plan_of(m, s, p);
  return graph::passes_of(graph::chunks_of(m, plan).front(), m, plan, {}).forward;
}

template <class Kind>
std::size_t count(const Graph& graph, Kind kind) {
  std::size_t n = 0;
  for (const Section& s : graph.sections)
    for (const Operator& o : s.operators) n += is_kind(o, kind) ? static_cast<std::size_t>(s.repeat) : 0;
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

/// Products of a matrix-vector pass over all weights but the embedding table (a look-up), and the norms
/// (vector work).
double product_weights(const ModelSpec& m) {
  const double norms = d(m.layers) * (2 * d(m.hidden) * (m.norm == NormKind::LayerNorm ? 2 : 1) +
                                      (m.qk_norm ? 2 * d(m.head_dim) : 0));
  return d(m.layers) * layer_parameters(m, {}) - norms + d(m.vocab) * d(m.hidden);
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

/// Parameters in all and, of mixtures of experts, those that a token meets, in billions, as published: in the
/// papers that the models' files name, in model cards, or in the architecture's own name.
struct PublishedSize {
  const char* id;
  double total, active;
};
class PublishedModel : public testing::TestWithParam<PublishedSize> {};

TEST_P(PublishedModel, HasItsSize) {
  const ModelSpec m = test::model(GetParam().id);
  EXPECT_NEAR(total_parameters(m) * 1e-9, GetParam().total, 0.015 * GetParam().total);
  if (GetParam().active > 0) {
    EXPECT_NEAR(active_parameters(m) * 1e-9, GetParam().active, 0.04 * GetParam().active);
  }
}
INSTANTIATE_TEST_SUITE_P(
    Models, PublishedModel,
    testing::Values(PublishedSize{"llama2_7b", 6.74, 0}, PublishedSize{"llama2_13b", 13.02, 0},
                    PublishedSize{"llama2_70b", 68.98, 0}, PublishedSize{"llama31_405b", 405.85, 0},
                    PublishedSize{"qwen3_8b", 8.2, 0}, PublishedSize{"qwen25_72b", 72.7, 0},
                    PublishedSize{"nemotron4_15b", 15.65, 0}, PublishedSize{"nemotron4_340b", 341, 0},
                    PublishedSize{"palm_540b", 540.35, 0}, PublishedSize{"pangu_ultra_135b", 135, 0},
                    PublishedSize{"mixtral_8x7b", 46.7, 12.9}, PublishedSize{"mixtral_8x22b", 140.6, 39.1},
                    PublishedSize{"grok1", 314, 0}, PublishedSize{"qwen3_30b_a3b", 30.5, 3.3},
                    PublishedSize{"qwen3_235b_a22b", 235, 22}, PublishedSize{"deepseek_v3", 671, 37},
                    PublishedSize{"kimi_k2", 1040, 32.6}, PublishedSize{"pangu_ultra_moe", 718, 39},
                    PublishedSize{"bert_large", 0.3351, 0}, PublishedSize{"resnet50", 0.02556, 0},
                    PublishedSize{"wan21_14b", 14, 0}),
    [](const auto& test) { return std::string(test.param.id); });

TEST(PublishedModel, OfConvolutionsHasItsWork) {
  // ResNet-50 v1.5: 4.1 G multiply-adds an image (3.8 of v1, arXiv 1512.03385 table 1, more for the later
  // stride).
  double macs = 0;
  for (const ConvolutionSpec& c : test::model("resnet50").convolutions)
    macs +=
        d(c.repeat) * d(c.out_size * c.out_size * c.out_channels) * d(c.in_channels * c.kernel * c.kernel);
  EXPECT_NEAR(macs * 1e-9, 4.1, 0.05);
}

TEST(BuildGraph, PrefillHasTwoFlopsPerWeightAndTokenPlusAttention) {
  for (const char* id : {"llama31_8b", "qwen3_32b", "gpt3_175b"}) {
    const ModelSpec m = test::model(id);
    const ScenarioSpec s = prefill(2, 1024);
    const double tokens = 2 * 1024;
    // Only the last token of a sequence goes through the output head.
    const double expected = 2 * (product_weights(m) - head_weights(m)) * tokens + 2 * head_weights(m) * 2 +
                            attention_flops(m, 2, 1024);
    EXPECT_NEAR(matrix_flops(build_graph(m, s, {1, 1})), expected, 1e-9 * expected) << id;
  }
}

TEST(BuildGraph, DecodeHasTwoFlopsPerWeightAndSequencePlusAttention) {
  const ModelSpec m = test::model("llama31_8b");
  const double seen = 2048 + 1;
  const double expected =
      2 * product_weights(m) * 16 + d(m.layers) * 2 * 2 * 16 * d(m.heads) * d(m.head_dim) * seen;
  EXPECT_NEAR(matrix_flops(build_graph(m, decode(16, 2048), {1, 1})), expected, 1e-9 * expected);
}

TEST(BuildGraph, TensorParallelismDividesTheProducts) {
  const ModelSpec m = test::model("llama31_70b");
  for (const ScenarioSpec& s : {prefill(1, 512), decode(8, 1000)}) {
    const double whole = matrix_flops(build_graph(m, s, {1, 1}));
    for (const std::int64_t tensor : {2, 4, 8})
      EXPECT_NEAR(matrix_flops(build_graph(m, s, {tensor, 1})), whole / d(tensor), 1e-9 * whole) << tensor;
  }
}

TEST(BuildGraph, DataParallelismDividesTheSequences) {
  const ModelSpec m = test::model("llama31_8b");
  for (const ScenarioSpec& s : {prefill(8, 512), decode(8, 1000)}) {
    const double whole = matrix_flops(build_graph(m, s, {1, 1}));
    EXPECT_NEAR(matrix_flops(build_graph(m, s, {1, 4})), whole / 4, 1e-9 * whole);
  }
}

TEST(BuildGraph, MoreTensorRanksThanKvHeadsKeepOneEach) {
  const ModelSpec m = test::model("llama31_70b");  // 8 KV heads
  const Graph g = build_graph(m, decode(4, 100), {16, 1});
  const Operator* attention = find(g, "attention");
  ASSERT_NE(attention, nullptr);
  EXPECT_EQ(attention->as<AttentionShape>().heads, 64 / 16);
  EXPECT_EQ(attention->as<AttentionShape>().kv_heads, 1);
}

TEST(BuildGraph, OneRankCommunicatesNothing) {
  const ModelSpec m = test::model("llama31_8b");
  for (const ScenarioSpec& s : {prefill(2, 256), decode(2, 256)})
    for (const CollectiveKind kind : {CollectiveKind::AllReduce, CollectiveKind::AllGather,
                                      CollectiveKind::ReduceScatter, CollectiveKind::AllToAll})
      EXPECT_EQ(count(build_graph(m, s, {1, 1}), kind), 0U);
}

TEST(BuildGraph, ATensorGroupReducesTwiceALayerAndOnceTheEmbedding) {
  const ModelSpec m = test::model("llama31_8b");
  const Graph g = build_graph(m, prefill(2, 256), {4, 1});
  EXPECT_EQ(count(g, CollectiveKind::AllReduce), static_cast<std::size_t>(2 * m.layers + 1));
  EXPECT_EQ(find(g, "reduce_ffn")->as<CollectiveShape>().bytes.count(), 2 * 256 * m.hidden * 2);
  EXPECT_EQ(g.groups.tensor, 4);
}

TEST(BuildGraph, QuantisesTheActivationsOfEightBitProducts) {
  const ModelSpec m = test::model("llama31_8b");
  ScenarioSpec s = prefill(1, 128);
  s.precision = {Dtype::Fp8, Dtype::Fp8, Dtype::Bf16, {}};
  const Graph g = build_graph(m, s, {1, 1});
  EXPECT_EQ(find(g, "qkv")->as<GemmShape>().dtype, Dtype::Fp8);
  EXPECT_EQ(find(g, "attention")->as<AttentionShape>().dtype, Dtype::Bf16);
  ASSERT_NE(find(g, "quantize_qkv"), nullptr);
  s.precision = {Dtype::Int8, Dtype::Bf16, Dtype::Bf16, {}};  // weights alone
  const Graph weights = build_graph(m, s, {1, 1});
  EXPECT_EQ(find(weights, "quantize_qkv"), nullptr);
  EXPECT_EQ(find(weights, "qkv")->as<GemmShape>().weight_dtype, Dtype::Int8);
}

TEST(BuildGraph, FollowsTheModelsNormsAndPositions) {
  const Graph gpt = build_graph(test::model("gpt3_175b"), prefill(1, 128), {1, 1});
  EXPECT_EQ(
      count(gpt, RowwiseKind::RmsNorm) + count(gpt, RowwiseKind::Rope) + count(gpt, RowwiseKind::SwiGlu), 0U);
  EXPECT_GT(count(gpt, RowwiseKind::LayerNorm), 0U);
  EXPECT_GT(count(gpt, RowwiseKind::Gelu), 0U);
  EXPECT_NE(find(gpt, "add_positions"), nullptr);
  const Graph qwen = build_graph(test::model("qwen3_32b"), prefill(1, 128), {1, 1});
  EXPECT_NE(find(qwen, "qk_norm"), nullptr);
}

TEST(BuildGraph, NamesAreUniqueInASection) {
  for (const auto& [id, s] : {std::pair{"llama31_8b", decode(4, 256)},
                              {"qwen3_32b", decode(4, 100)},
                              {"gpt3_175b", prefill(4, 100)}})
    for (const Section& section : build_graph(test::model(id), s, {2, 2}).sections) {
      std::set<std::string> names;
      for (const Operator& o : section.operators) EXPECT_TRUE(names.insert(o.name).second) << o.name;
    }
}

TEST(ResolveParallelism, TakesAllDevicesThatTensorLeaves) {
  ScenarioSpec s = decode(64, 100);
  s.parallelism.tp = 4;
  const RankGroups g = graph::resolve(test::model("llama31_8b"), s, {}, 16).groups;
  EXPECT_EQ(g.tensor, 4);
  EXPECT_EQ(g.data, 4);
  s.parallelism.dp = 2;
  EXPECT_EQ(graph::resolve(test::model("llama31_8b"), s, {}, 16).groups.data, 2);
}

std::string why_not(ScenarioSpec s, const Parallelism& p, std::int64_t devices,
                    const std::string& id = "llama31_8b") {
  s.parallelism.tp = p.tensor;
  s.parallelism.dp = p.data;
  try {
    static_cast<void>(graph::resolve(test::model(id), s, {}, devices));
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
  const std::string tokens = why_not(prefill(1, 4096), {1, 1}, 8, "gpt3_175b");
  EXPECT_TRUE(says(tokens, "4096 tokens per sequence")) << tokens;
  EXPECT_TRUE(says(tokens, "2048")) << tokens;
}

TEST(ResolveParallelism, SaysWhichPartOfAModelIsMissing) {
  const auto refusal = [](const auto& change) -> std::string {
    ScenarioSpec s = decode(64, 100);
    ModelSpec m = test::model("llama31_8b");
    change(s, m);
    try {
      static_cast<void>(graph::resolve(m, s, {}, 8));
    } catch (const InfeasibleError& e) {
      return e.what();
    }
    return "";
  };
  const auto experts = refusal([](ScenarioSpec& s, ModelSpec&) { s.parallelism.ep = 2; });
  EXPECT_TRUE(says(experts, "llama31_8b has no experts")) << experts;
  const auto encoder = refusal([](ScenarioSpec&, ModelSpec& m) { m.causal = false; });
  EXPECT_TRUE(says(encoder, "decode needs causal attention")) << encoder;
  const auto network = refusal([](ScenarioSpec&, ModelSpec& m) { m.convolutions.resize(1); });
  EXPECT_TRUE(says(network, "decode needs layers")) << network;
  const auto drafts = refusal([](ScenarioSpec& s, ModelSpec&) { s.speculation = SpeculationSpec{1, 0.7}; });
  EXPECT_TRUE(says(drafts, "no MTP layers")) << drafts;
  EXPECT_EQ(refusal([](ScenarioSpec&, ModelSpec&) {}), "");
}

TEST(MemoryPerRank, OfDecodingIsWeightsKvCacheAndLittleElse) {
  const ModelSpec m = test::model("llama31_70b");
  const graph::MemoryUse use = graph::fullest_of_serving(m, plan_of(m, decode(64, 4095), {8, 1}));
  const double parameters = d(m.layers) * layer_parameters(m, {}) + embedding_parameters(m);
  EXPECT_DOUBLE_EQ(use.weights, parameters / 8 * 2);
  // Two tensors, 80 layers, one KV head of 128 on each rank, 4096 tokens of 64 sequences, 2 bytes.
  EXPECT_DOUBLE_EQ(use.kv_cache, 2.0 * 80 * 1 * 128 * 4096 * 64 * 2);
  EXPECT_EQ(use.gradients + use.optimizer, 0);
  EXPECT_LT(use.activations, 0.01 * use.total());
}

TEST(MemoryPerRank, FollowsThePrecision) {
  const ModelSpec m = test::model("llama31_8b");
  ScenarioSpec s = decode(8, 1023);
  const graph::MemoryUse wide = graph::fullest_of_serving(m, plan_of(m, s, {1, 1}));
  s.precision = {Dtype::Int8, Dtype::Bf16, Dtype::Fp8, {}};
  const graph::MemoryUse narrow = graph::fullest_of_serving(m, plan_of(m, s, {1, 1}));
  EXPECT_DOUBLE_EQ(narrow.weights * 2, wide.weights);
  EXPECT_DOUBLE_EQ(narrow.kv_cache * 2, wide.kv_cache);
}

TEST(CheckMemory, NamesTheLeastTensorParallelismThatFits) {
  const ModelSpec m = test::model("llama31_70b");
  ScenarioSpec s = decode(64, 4096);
  s.parallelism.dp = 1;
  const Bytes capacity(std::int64_t{80} << 30);
  const auto why_not = [&](Parallelism p, std::int64_t devices) -> std::string {
    try {
      s.parallelism.tp = p.tensor;
      graph::check_serving_memory(m, s, graph::fullest_of_serving(m, plan_of(m, s, p)), devices, capacity,
                                  "a_chip");
    } catch (const InfeasibleError& e) {
      return e.what();
    }
    return "";
  };
  const std::string text = why_not({1, 1}, 8);
  EXPECT_TRUE(says(text, "llama31_70b does not fit a_chip")) << text;
  EXPECT_TRUE(says(text, "scenario.parallelism.tp=4 is the least that fits")) << text;
  EXPECT_NE(why_not({2, 1}, 8), "");
  EXPECT_EQ(why_not({4, 1}, 8), "");
  const std::string few = why_not({1, 1}, 2);
  EXPECT_TRUE(says(few, "4 devices instead of 2")) << few;
}

}  // namespace
