#include "xpusim/config/huggingface.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/samples.h"
#include "support/shipped.h"
#include "support/temporary_folder.h"
#include "xpusim/config/describe.h"
#include "xpusim/config/json_keys.h"

/// The import of Hugging Face's config.json. Fixtures: tests/models/hf/README.md.
namespace xpusim::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kFixtures = fs::path(XPUSIM_SOURCE_ROOT) / "tests" / "models" / "hf";

std::vector<std::string> fixtures() {
  std::vector<std::string> ids;
  for (const auto& entry : fs::directory_iterator(kFixtures))
    if (entry.is_directory()) ids.push_back(entry.path().filename().string());
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::string text_of(const std::string& id) { return read_text(kFixtures / id / "config.json"); }

config::ImportedModel import(const std::string& text) { return config::import_huggingface(text, "m.json"); }
ModelSpec model_of(const json& j) { return import(j.dump()).model; }

/// What describes the network, without what names the file.
nlohmann::ordered_json described(ModelSpec m) {
  m.id = m.name = m.source = "";
  return config::to_json(config::describer(m));
}

/// The messages of the refusal, one a line.
std::string refusal(const std::string& text) {
  try {
    static_cast<void>(import(text));
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "not refused";
}

json llama() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"num_hidden_layers", 32},
          {"hidden_size", 4096},
          {"intermediate_size", 14336},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 8},
          {"vocab_size", 128256},
          {"max_position_embeddings", 131072}};
}
json with(json j, const std::string& key, const json& value) {
  j[key] = value;
  return j;
}
json without(json j, const std::string& key) {
  j.erase(key);
  return j;
}

class Fixture : public testing::TestWithParam<std::string> {};

TEST_P(Fixture, BecomesTheShippedModel) {
  const config::ImportedModel m =
      config::import_huggingface(text_of(GetParam()), GetParam() + "/config.json");
  EXPECT_EQ(m.model.id, GetParam());
  EXPECT_EQ(described(m.model), described(test::model(GetParam())));
}

TEST_P(Fixture, IsWrittenAsAFileThatReadsBack) {
  const TemporaryFolder folder;
  const config::ImportedModel m =
      config::import_huggingface(text_of(GetParam()), GetParam() + "/config.json");
  const std::string file = folder.write(GetParam() + ".yaml", config::to_yaml(m));
  const ModelSpec read = test::library().model(file).value;
  EXPECT_EQ(described(read), described(m.model));
  EXPECT_EQ(read.source, m.model.source);
}

TEST_P(Fixture, AccountsForEachKeyOnce) {
  const json j = json::parse(text_of(GetParam()));
  const config::ImportedModel m = import(text_of(GetParam()));
  std::map<std::string, int> seen;
  for (const auto& list : {m.taken, m.ignored})
    for (const config::KeyNote& n : list) ++seen[n.key];
  const auto check = [&](const json& object, const std::string& prefix) {
    for (const auto& [key, value] : object.items())
      EXPECT_EQ(seen[prefix + key], key == "text_config" ? 0 : 1) << prefix << key;
  };
  check(j, "");
  if (j.contains("text_config")) check(j["text_config"], "text_config.");
}

INSTANTIATE_TEST_SUITE_P(HuggingFace, Fixture, testing::ValuesIn(fixtures()),
                         [](const auto& test) { return test.param; });

TEST(HuggingFace, AssumesWhatTheFileDoesNotSay) {
  const config::ImportedModel m = import(llama().dump());
  EXPECT_EQ(m.model.head_dim, 128);
  EXPECT_FALSE(m.model.tie_embeddings);
  ASSERT_EQ(m.assumed.size(), 2u);
  EXPECT_EQ(m.assumed[0].key, "tie_embeddings false");
  EXPECT_EQ(m.assumed[1].key, "head_dim 128");
  EXPECT_EQ(m.assumed[1].text, "hidden / heads");
}

TEST(HuggingFace, HasAWindowWhereTheFileUsesOne) {
  const auto layers = [](const json& j) { return model_of(j).attention_layers; };
  json mistral = with(llama(), "architectures", {"MistralForCausalLM"});
  EXPECT_TRUE(layers(mistral).empty());
  mistral["sliding_window"] = 4096;
  ASSERT_EQ(layers(mistral).size(), 1u);
  EXPECT_EQ(layers(mistral)[0].window, 4096);
  EXPECT_EQ(layers(mistral)[0].every, 1);

  json qwen = with(with(llama(), "architectures", {"Qwen2ForCausalLM"}), "sliding_window", 1024);
  EXPECT_TRUE(layers(qwen).empty());
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 20;
  ASSERT_EQ(layers(qwen).size(), 1u);
  const ModelSpec m = model_of(qwen);
  for (std::int64_t layer = 0; layer < m.layers; ++layer)
    EXPECT_EQ(layer_type(m, layer).attention, layer < 20 ? -1 : 0);
}

TEST(HuggingFace, FindsTheShortestPatternOfLayers) {
  Random r(1);
  for (int i = 0; i < 200; ++i) {
    const auto period = r.integer(1, 8), layers = r.integer(1, 40);
    std::vector<std::string> kinds;
    for (std::int64_t k = 0; k < layers; ++k)
      kinds.push_back(k < period ? r.pick<std::string>({"full_attention", "sliding_attention"})
                                 : kinds[static_cast<std::size_t>(k - period)]);
    json j = with(with(llama(), "architectures", {"GptOssForCausalLM"}), "layer_types", kinds);
    j.update({{"num_hidden_layers", layers},
              {"sliding_window", 128},
              {"num_local_experts", 8},
              {"num_experts_per_tok", 2}});
    const ModelSpec m = model_of(j);
    for (std::int64_t k = 0; k < layers; ++k)
      EXPECT_EQ(special_attention(m, layer_type(m, k)) != nullptr,
                kinds[static_cast<std::size_t>(k)] == "sliding_attention");
    for (const AttentionLayersSpec& a : m.attention_layers) EXPECT_LE(a.every, period);
  }
}

TEST(HuggingFace, KnowsTheOlderArchitectures) {
  json falcon = {{"architectures", {"FalconForCausalLM"}},
                 {"hidden_size", 4544},
                 {"num_attention_heads", 71},
                 {"num_hidden_layers", 32},
                 {"vocab_size", 65024},
                 {"multi_query", true},
                 {"parallel_attn", true},
                 {"new_decoder_architecture", false},
                 {"alibi", false},
                 {"bias", false}};
  ModelSpec m = model_of(falcon);
  EXPECT_EQ(m.kv_heads, 1);
  EXPECT_EQ(m.ffn, 4 * 4544);
  EXPECT_TRUE(m.parallel_block && m.tie_embeddings && !m.ffn_gated);
  EXPECT_NEAR(total_parameters(m) * 1e-9, 6.92, 0.05);  // Falcon 7B, arXiv 2311.16867
  falcon.update({{"new_decoder_architecture", true},
                 {"num_kv_heads", 8},
                 {"hidden_size", 8192},
                 {"num_attention_heads", 128},
                 {"num_hidden_layers", 60}});
  m = model_of(falcon);
  EXPECT_EQ(m.kv_heads, 8);
  EXPECT_NEAR(total_parameters(m) * 1e-9, 41.3, 0.5);  // Falcon 40B, the same

  m = model_of({{"architectures", {"GPT2LMHeadModel"}},
                {"n_embd", 768},
                {"n_head", 12},
                {"n_layer", 12},
                {"n_positions", 1024},
                {"n_ctx", 1024},
                {"vocab_size", 50257}});
  EXPECT_EQ(m.position, PositionKind::Learned);
  EXPECT_NEAR(total_parameters(m) * 1e-6, 124.4, 0.3);  // GPT-2 small

  m = model_of({{"model_type", "gpt_neox"},
                {"hidden_size", 6144},
                {"num_attention_heads", 64},
                {"num_hidden_layers", 44},
                {"intermediate_size", 24576},
                {"max_position_embeddings", 2048},
                {"rotary_pct", 0.25},
                {"vocab_size", 50432},
                {"tie_word_embeddings", false}});
  EXPECT_EQ(m.rotary_dim, 24);
  EXPECT_TRUE(m.parallel_block);
  EXPECT_NEAR(total_parameters(m) * 1e-9, 20.55, 0.1);  // GPT-NeoX-20B, arXiv 2204.06745

  // DeepSeek-V2-Lite: no rank of the query projection; arXiv 2405.04434 appendix B: 15.7 B, 2.4 B active.
  m = model_of({{"architectures", {"DeepseekV2ForCausalLM"}},
                {"num_hidden_layers", 27},
                {"hidden_size", 2048},
                {"num_attention_heads", 16},
                {"num_key_value_heads", 16},
                {"q_lora_rank", nullptr},
                {"kv_lora_rank", 512},
                {"qk_nope_head_dim", 128},
                {"qk_rope_head_dim", 64},
                {"v_head_dim", 128},
                {"intermediate_size", 10944},
                {"moe_intermediate_size", 1408},
                {"n_routed_experts", 64},
                {"n_shared_experts", 2},
                {"num_experts_per_tok", 6},
                {"first_k_dense_replace", 1},
                {"moe_layer_freq", 1},
                {"n_group", 1},
                {"topk_group", 1},
                {"vocab_size", 102400},
                {"max_position_embeddings", 163840}});
  EXPECT_EQ(m.latent->q_rank, 0);
  EXPECT_NEAR(total_parameters(m) * 1e-9, 15.7, 0.1);
  EXPECT_NEAR(active_parameters(m) * 1e-9, 2.66, 0.1);
}

TEST(HuggingFace, FollowsTheTextPartOfAnyContainer) {
  json text = llama();
  text.erase("architectures");
  text["model_type"] = "llama";
  const json both = {{"architectures", {"SomethingWithImages"}},
                     {"text_config", text},
                     {"vision_config", {{"hidden_size", 1}}},
                     {"tie_word_embeddings", true}};
  const ModelSpec m = model_of(both);
  EXPECT_EQ(m.hidden, 4096);
  EXPECT_TRUE(m.tie_embeddings);  // of the whole, where the text part does not say
}

TEST(HuggingFace, NamesTheModelByFileFolderOrContent) {
  const std::string text = llama().dump();
  const auto id = [&](const std::string& file) { return config::import_huggingface(text, file).model.id; };
  EXPECT_EQ(id("Meta-Llama-3.1-8B/config.json"), "meta_llama_3_1_8b");
  EXPECT_EQ(id("/x/Qwen--Qwen3-8B_config.json"), "qwen_qwen3_8b");
  EXPECT_EQ(id("config.json"), "llama_8_0b");
  const std::string named = with(llama(), "_name_or_path", "meta-llama/Llama-3.1-8B").dump();
  EXPECT_EQ(config::import_huggingface(named, "config.json").model.id, "llama_3_1_8b");
  EXPECT_EQ(config::import_huggingface(text, "config.json", "mine").model.id, "mine");
  EXPECT_THROW(static_cast<void>(config::import_huggingface(text, "config.json", "a/b")), ConfigError);
}

TEST(HuggingFace, RefusesAnUnknownArchitectureAndListsThoseItKnows) {
  const std::string unknown = refusal(with(llama(), "architectures", {"MambaForCausalLM"}).dump());
  EXPECT_TRUE(unknown.starts_with(
      "m.json: architectures: unknown architecture 'MambaForCausalLM' (known: LlamaForCausalLM, "))
      << unknown;
  EXPECT_TRUE(refusal(without(llama(), "architectures").dump())
                  .starts_with("m.json: architectures: missing key, and no model_type"));
  EXPECT_TRUE(refusal(with(llama(), "architectures", 7).dump())
                  .starts_with("m.json:1:2: architectures: cannot read '7' (write a list of texts)"));
}

TEST(HuggingFace, ReportsEveryMistakeWithItsKeyAndValue) {
  json j = without(llama(), "vocab_size");
  j["num_hidden_layers"] = "32";
  j["hidden_size"] = 0;
  j["intermediate_size"] = -5;
  j["num_key_value_heads"] = 7;
  j["max_position_embeddings"] = 1e30;
  j["tie_word_embeddings"] = 1;
  const std::string text = refusal(j.dump(1));
  for (const char* line : {"num_hidden_layers: cannot read '32' (write a whole number)",
                           "hidden_size: '0' is out of range (at least 1, at most 1048576)",
                           "intermediate_size: '-5' is out of range (at least 1, at most 1048576)",
                           "vocab_size: missing key (tokens of the vocabulary)",
                           "num_key_value_heads: 7 does not divide 32 heads (heads = kv_heads x group)",
                           "max_position_embeddings: '1e+30' is out of range",
                           "tie_word_embeddings: cannot read '1' (write true or false)"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6) << text;
  EXPECT_NE(text.find("m.json:5:2: hidden_size"), std::string::npos) << text;
}

TEST(HuggingFace, ReportsWhatContradicts) {
  EXPECT_EQ(
      refusal(with(llama(), "num_attention_heads", 24).dump()),
      "m.json:1:117: num_attention_heads: 24 heads do not divide a width of 4096 (hidden = heads x head_dim, "
      "or give head_dim)");
  json moe = with(with(llama(), "architectures", {"MixtralForCausalLM"}), "num_local_experts", 4);
  EXPECT_NE(refusal(with(moe, "num_experts_per_tok", 5).dump())
                .find("num_experts_per_tok: 5 is more than 4 experts"),
            std::string::npos);
  moe["num_experts_per_tok"] = 2;
  moe["experts_per_token"] = 3;
  EXPECT_NE(refusal(moe.dump()).find("experts_per_token: '3' is not '2' of num_experts_per_tok"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"model_type": "llama", "model_type": "mistral"})")
                .find("m.json:1:25: model_type: duplicate key"),
            std::string::npos);
  json layers = with(with(llama(), "architectures", {"Qwen3ForCausalLM"}), "layer_types", {"full_attention"});
  EXPECT_NE(refusal(layers.dump()).find("layer_types: 1 kinds for 32 layers (one for each layer)"),
            std::string::npos);
  layers["layer_types"] = {"mamba"};
  EXPECT_NE(refusal(layers.dump()).find("layer_types: unknown kind of layer 'mamba'"), std::string::npos);
}

TEST(HuggingFace, RefusesWhatIsNoConfig) {
  EXPECT_EQ(refusal(""), "m.json:1:1: not readable as JSON (a config.json is one object of keys)");
  EXPECT_EQ(refusal("{\n \"a\": }"),
            "m.json:2:7: not readable as JSON (a config.json is one object of keys)");
  EXPECT_EQ(refusal("[1, 2]"), "m.json: not an object of keys (a config.json is one object of keys)");
  EXPECT_EQ(refusal("{\"a\": 1e999}"),
            "m.json: a number is out of range (a config.json is one object of keys)");
  EXPECT_EQ(refusal(std::string(5 << 20, ' ')), "m.json: more than 4 MiB (a config.json has a few KiB)");
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  EXPECT_EQ(refusal("{\"a\": " + deep + "}"),
            "m.json:1:70: nesting deeper than 64 levels (a config.json has three or four)");
  EXPECT_EQ(refusal(std::string(3 << 20, '{')),
            "m.json:1:65: nesting deeper than 64 levels (a config.json has three or four)");
}

TEST(HuggingFace, TakesWhatPythonWritesForInfinity) {
  std::string text = with(llama(), "x", "NaN \\\" Infinity").dump();
  text.back() = ',';
  text += "\"time_step_limit\": [0.0, Infinity, -Infinity, NaN]}";
  EXPECT_EQ(import(text).model.layers, 32);
}

TEST(HuggingFace, ManyUnknownKeysDoNotFillTheFile) {
  json j = llama();
  for (int i = 0; i < 50'000; ++i) j["unknown_key_" + std::to_string(i)] = i;
  EXPECT_LT(config::to_yaml(import(j.dump())).size(), 20'000u);
}

TEST(HuggingFace, APathOfJsonIsAModelOfTheLibrary) {
  const TemporaryFolder folder;
  const std::string file = folder.write("Some-Model/config.json", text_of("qwen3_8b"));
  const auto loaded = test::library().model(file, {config::parse_override("model.layers=3")});
  EXPECT_EQ(loaded.value.id, "some_model");
  EXPECT_EQ(loaded.value.layers, 3);
  EXPECT_EQ(loaded.file, file);
  EXPECT_THROW(static_cast<void>(test::library().model(file, {config::parse_override("model.layer=3")})),
               ConfigError);
  ModelSpec own = test::model("qwen3_8b");
  const std::string own_json = folder.write("qwen3_8b.json", config::to_json(config::describer(own)).dump());
  EXPECT_EQ(described(test::library().model(own_json).value), described(own));
}

/// Some value of the object, or of an object in it, replaced, renamed, taken out or nested.
void mutate(json& j, Random& r) {
  json* at = &j;
  while (at->is_object() && at->contains("text_config") && (*at)["text_config"].is_object() && r.chance(0.7))
    at = &(*at)["text_config"];
  if (!at->is_object() || at->empty()) return;
  auto entry = at->begin();
  std::advance(entry, r.integer(0, static_cast<std::int64_t>(at->size()) - 1));
  const std::string key = entry.key();
  const std::vector<json> values = {nullptr,
                                    true,
                                    "",
                                    "x",
                                    0,
                                    -1,
                                    1,
                                    2,
                                    3,
                                    1e300,
                                    -0.5,
                                    4.0,
                                    1LL << 62,
                                    json::array(),
                                    json::object(),
                                    json::array({1, "a"}),
                                    r.log_integer(1, 1 << 30),
                                    18446744073709551615ULL};
  switch (r.integer(0, 4)) {
    case 0:
      at->erase(key);
      break;
    case 1:
      (*at)[key + "_"] = std::exchange((*at)[key], nullptr);
      break;
    case 2:
      (*at)[key] = json::array({(*at)[key]});
      break;
    default:
      (*at)[key] = r.pick(values);
  }
}

TEST(HuggingFace, MutatedConfigsAreImportedOrRefused) {
  Random r(20261201);
  std::vector<std::string> texts;
  for (const std::string& id : fixtures()) texts.push_back(text_of(id));
  int imported = 0, refused = 0;
  for (int i = 0; i < cases(4000); ++i) {
    std::string text = r.pick(texts);
    if (r.chance(0.8)) {
      json j = json::parse(text);
      for (auto n = r.integer(1, 3); n > 0; --n) mutate(j, r);
      text = j.dump();
    } else {
      for (auto n = r.integer(1, 4); n > 0 && !text.empty(); --n) {
        const auto at = static_cast<std::size_t>(r.integer(0, static_cast<std::int64_t>(text.size()) - 1));
        if (r.chance(0.2))
          text.resize(at);
        else
          text[at] = r.chance(0.5) ? static_cast<char>(r.integer(0, 255))
                                   : r.pick<char>({'{', '}', '[', ',', '"', '9'});
      }
    }
    try {
      static_cast<void>(config::to_yaml(import(text)));
      ++imported;
    } catch (const ConfigError& e) {
      EXPECT_FALSE(e.diagnostics().empty());
      ++refused;
    } catch (const std::exception& e) {
      FAIL() << e.what() << "\n" << text;
    }
  }
  EXPECT_GT(imported, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace xpusim::test
