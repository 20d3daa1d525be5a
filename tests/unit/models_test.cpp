#include <gtest/gtest.h>

#include <algorithm>

#include "support/shipped.h"

/// The shipped models against what is published of them.
namespace xpusim::test {
namespace {

struct Published {
  std::string_view id;
  double total, active;     ///< billions of parameters
  double tolerance = 0.01;  ///< norms and biases are left out, and papers round
};

/// Names, model cards and papers; where those give two digits only, the count of the published dimensions
/// (attention, feed-forward, router, embeddings), made by others than this code. What a figure leaves out
/// stands beside it.
constexpr std::array kPublished = {
    Published{"bert_large", 0.334, 0.334},
    Published{"deepseek_r1", 671, 37.55},
    Published{"deepseek_v3", 671, 37.55},
    Published{"deepseek_v31", 671, 37.55},
    Published{"deepseek_v32", 671 + 0.85, 37.55 + 0.85},  // and the indexers
    Published{"dlrm", 22.78, 22.78},
    Published{"falcon_180b", 180, 180},
    Published{"flux_dev", 11.9, 11.9},
    Published{"gemma3_27b", 25.600 + 1.416, 25.600 + 1.416},
    Published{"glm45", 355, 32 + 1.55},  // the card counts no embeddings as active
    Published{"glm45_air", 106, 12 + 1.24, 0.015},
    Published{"glm47", 355, 32 + 1.55},
    Published{"glm51", 744, 40 + 1.9},
    Published{"gpt3_175b", 174.6, 174.6},
    Published{"gpt_ft_1_3b", 1.313, 1.313},
    Published{"gpt_ft_20b", 20.246, 20.246},
    Published{"gpt_ft_350m", 0.354, 0.354},
    Published{"gpt_ft_6_7b", 6.652, 6.652},
    Published{"gpt_ft_89b", 87.602, 87.602},
    Published{"gpt_j_6b", 6.05, 6.05},
    Published{"gpt_oss_120b", 116.83,
              5.13 + 0.58},  // arXiv 2508.10925 counts the head as active, not the table
    Published{"gpt_oss_20b", 20.91, 3.61 + 0.58},
    Published{"grok1", 314, 84},
    Published{"hunyuan_video", 12.46, 12.46},
    Published{"kimi_k2", 1026.4, 32.86},
    Published{"kimi_k25", 1026.4, 32.86},
    Published{"llama2_13b", 13.02, 13.02},
    Published{"llama2_70b", 68.98, 68.98},
    Published{"llama2_7b", 6.74, 6.74},
    Published{"llama31_405b", 405.85, 405.85},
    Published{"llama31_70b", 70.55, 70.55},
    Published{"llama31_8b", 8.03, 8.03},
    Published{"llama33_70b", 70.55, 70.55},
    Published{"llama4_maverick", 400, 17, 0.012},
    Published{"megatron_530b", 530, 530},
    Published{"minimax_m25", 228.69, 11.03},
    Published{"minimax_m27", 228.69, 11.03},
    Published{"mistral_7b", 7.24, 7.24},
    Published{"mixtral_8x22b", 140.6, 39.1},
    Published{"mixtral_8x7b", 46.7, 12.9},
    Published{"nemotron4_15b", 15.65, 15.65},
    Published{"nemotron4_340b", 341, 341},
    Published{"palm_540b", 540.35, 540.35},
    Published{"pangu_pro_moe_72b_a16b", 72, 16.5},
    Published{"pangu_ultra_135b", 135, 135},
    Published{"pangu_ultra_moe", 718, 39 + 1.18},  // the paper counts one of table and head as active
    Published{"qwen25_72b", 72.7, 72.7},
    Published{"qwen35_122b_a10b", 122, 10, 0.025},  // of the name
    Published{"qwen35_27b", 26.89, 26.89},
    Published{"qwen35_397b_a17b", 397, 17, 0.025},  // of the name
    Published{"qwen35_9b", 9, 9},
    Published{"qwen36_27b", 26.89, 26.89},
    Published{"qwen36_35b_a3b", 35, 3 + 0.51, 0.02},  // of the name, which counts one of table and head
    Published{"qwen3_1_7b", 1.4 + 0.311, 1.4 + 0.311},
    Published{"qwen3_235b_a22b", 235, 22},
    Published{"qwen3_30b_a3b", 30.5, 3.35},
    Published{"qwen3_32b", 32.8, 32.8},
    Published{"qwen3_8b", 8.2, 8.2},
    Published{"qwen3_coder_480b_a35b", 480, 35, 0.015},
    Published{"qwen3_next_80b_a3b", 80, 3.9},
    Published{"resnet50", 0.02556, 0.02556},
    Published{"vit_l", 0.3043, 0.3043},
    Published{"wan21_14b", 14.05, 14.05},
    Published{"wan21_1_3b", 1.39, 1.39},
    Published{"wan21_i2v_14b", 14.05, 14.05},
    Published{"wan22_t2v_a14b", 14.05, 14.05},
    Published{"yolo_v8_l", 0.04369, 0.04369},
};

class ShippedModel : public testing::TestWithParam<Published> {};

TEST_P(ShippedModel, HasThePublishedNumberOfParameters) {
  const Published& p = GetParam();
  const ModelSpec m = test::model(std::string(p.id));
  EXPECT_NEAR(total_parameters(m) * 1e-9, p.total, p.tolerance * p.total);
  EXPECT_NEAR(active_parameters(m) * 1e-9, p.active, p.tolerance * p.active);
  EXPECT_FALSE(m.source.empty());
}
INSTANTIATE_TEST_SUITE_P(Models, ShippedModel, testing::ValuesIn(kPublished),
                         [](const auto& test) { return std::string(test.param.id); });

TEST(ShippedModels, AreAllInTheTable) {
  for (const std::string& id : test::library().list(config::FileKind::Model))
    EXPECT_TRUE(std::any_of(kPublished.begin(), kPublished.end(), [&](const Published& p) {
      return p.id == id;
    })) << id;
}

TEST(ShippedModels, OfConvolutionsHaveThePublishedWork) {
  const auto multiply_adds = [](const char* id) {
    double sum = 0;
    for (const ConvolutionSpec& c : test::model(id).convolutions)
      sum +=
          d(c.repeat) * d(c.out_size * c.out_size * c.out_channels) * d(c.in_channels * c.kernel * c.kernel);
    return sum;
  };
  EXPECT_NEAR(multiply_adds("yolo_v8_l") * 1e-9, 165.7 / 2, 0.5);  // ultralytics' yolov8.yaml: 165.7 GFLOP
}

TEST(ShippedModels, HaveTheLayersOfTheirPattern) {
  const auto layers_of = [](const char* id, std::int64_t attention) {
    std::int64_t count = 0;
    const ModelSpec m = test::model(id);
    for (const auto& [type, n] : layer_types(m, 0, m.layers))
      if (type.attention == attention) count += n;
    return count;
  };
  EXPECT_EQ(layers_of("gpt_oss_120b", 0), 18);
  EXPECT_EQ(layers_of("qwen3_next_80b_a3b", 0), 36);
  EXPECT_EQ(layers_of("llama4_maverick", 0), 36);
  EXPECT_EQ(layers_of("gemma3_27b", -1), 10);
  EXPECT_EQ(test::model("llama4_maverick").expert_layers(), 24);
  EXPECT_EQ(test::model("deepseek_v3").expert_layers(), 58);
}

TEST(EmbeddingParameters, OfPatchesHaveLearnedPositionsToo) {
  ModelSpec m = test::model("vit_l");
  const double learned = embedding_parameters(m);
  m.position = PositionKind::Rope;
  EXPECT_EQ(learned - embedding_parameters(m), 197.0 * 1024);
}

}  // namespace
}  // namespace xpusim::test
