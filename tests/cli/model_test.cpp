#include <filesystem>

#include "cli/command.h"

/// xpusim model import, and files of other tools where one of XPUSim's is meant.
namespace xpusim::test {
namespace {

namespace fs = std::filesystem;

class ModelImport : public Command {
 protected:
  const std::string qwen =
      read_text(fs::path(kSources) / "tests" / "models" / "hf" / "qwen3_8b" / "config.json");
};

TEST_F(ModelImport, PrintsAModelThatReadsBack) {
  write("qwen3_8b/config.json", qwen);
  const Outcome o = run({"model", "import", "qwen3_8b/config.json"});
  EXPECT_EQ(o.code, kOk) << o.err;
  EXPECT_EQ(o.err, "");
  EXPECT_TRUE(o.out.starts_with("# From qwen3_8b/config.json, Qwen3ForCausalLM. 8.191 billion parameters"))
      << o.out;
  EXPECT_NE(o.out.find("# Ignored, biases cost nothing in the model: attention_bias\n"), std::string::npos);
  write("qwen3_8b.yaml", o.out);
  EXPECT_EQ(run({"config", "check", "--kind", "model", "qwen3_8b.yaml"}).out, "1 file ok\n");
}

TEST_F(ModelImport, WritesAFileThatIsNamedAsItsModel) {
  write("config.json", qwen);
  EXPECT_EQ(run({"model", "import", "config.json", "-o", "mine.yaml"}).code, kOk);
  EXPECT_EQ(run({"config", "check", "--kind", "model", "mine.yaml"}).out, "1 file ok\n");
  EXPECT_NE(read_text(path("mine.yaml")).find("\nid: mine\n"), std::string::npos);
  expect_refusal({"model", "import", "config.json", "-o", "mine.yaml", "--id", "other"}, kUsage,
                 "mine.yaml: id: 'other' is not the file's name (write other.yaml)");
  EXPECT_NE(run({"model", "import", "config.json", "--id", "other"}).out.find("\nid: other\n"),
            std::string::npos);
}

TEST_F(ModelImport, LeavesNoFileBehindWhenItRefuses) {
  write("config.json", "{\"architectures\": [\"LlamaForCausalLM\"]}");
  EXPECT_EQ(run({"model", "import", "config.json", "-o", "out.yaml"}).code, kUsage);
  EXPECT_FALSE(fs::exists(path("out.yaml")));
  expect_refusal({"model", "import", "none.json"}, kUsage, "none.json: there is no such file");
  write("bench.json", R"({"request_throughput": 3.1, "mean_ttft_ms": 12.5})");
  expect_refusal({"model", "import", "bench.json"}, kUsage,
                 "bench.json: this is a result of a serving benchmark (vLLM, SGLang) (not read by XPUSim)");
}

TEST_F(ModelImport, ScenariosTakeTheJsonItself) {
  write("config.json", qwen);
  EXPECT_EQ(run({"config", "check", "--kind", "model", "config.json"}).out, "1 file ok\n");
  const auto step_time = [&](const std::string& model) {
    const Outcome o = run({"run", "llama31_8b_decode", "--fidelity", "bound", "--set",
                           "scenario.model=" + model, "--json", "-"});
    EXPECT_EQ(o.code, kOk) << o.err;
    return nlohmann::json::parse(o.out)["results"][0]["step_time_s"].get<double>();
  };
  EXPECT_EQ(step_time("config.json"), step_time("qwen3_8b"));
}

TEST_F(ModelImport, AHostileFileIsRefused) {
  write("config.json", "{\"a\": " + std::string(1 << 20, '[') + "}");
  const Outcome o = run({"model", "import", "config.json"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_EQ(o.err, "config.json:1:70: nesting deeper than 64 levels (a config.json has three or four)\n");
  write("config.json", std::string(20 << 20, ' '));
  EXPECT_EQ(run({"model", "import", "config.json"}).err,
            "config.json: more than 4 MiB (a config.json has a few KiB)\n");
}

class ForeignInput : public Command {};

TEST_F(ForeignInput, IsNamedByRun) {
  write("config.json", R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4096})");
  expect_refusal({"run", "config.json"}, kUsage,
                 "config.json: this is a Hugging Face config (as a model: xpusim model import config.json)");
  write("rank.0.et", std::string("\x07\x0a\x05") + "0.0.4\x83\x02");
  const Outcome o = run({"run", "rank.0.et"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_TRUE(o.err.starts_with("rank.0.et: this is a Chakra execution trace (not read by XPUSim")) << o.err;
}

TEST_F(ForeignInput, OwnOutputsAreNoInputs) {
  ASSERT_EQ(
      run({"run", "llama31_8b_decode", "--fidelity", "bound", "--json", "r.json", "--trace", "t.json"}).code,
      kOk);
  EXPECT_TRUE(run({"run", "r.json"}).err.starts_with("r.json: this is a result of XPUSim (an output"));
  EXPECT_TRUE(
      run({"run", "t.json"}).err.starts_with("t.json: this is a timeline that XPUSim wrote (an output"));
}

}  // namespace
}  // namespace xpusim::test
