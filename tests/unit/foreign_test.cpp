#include "xpusim/config/foreign.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/shipped.h"
#include "support/temporary_folder.h"

/// Files of other tools, a small specimen of each.
namespace xpusim::test {
namespace {

struct Specimen {
  std::string_view name;
  std::string_view file;
  std::string text;
  std::string_view says;
};

using namespace std::string_literals;

const std::vector<Specimen>& specimens() {
  static const std::vector<Specimen> all = {
      {"huggingface", "config.json", R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4096})",
       "this is a Hugging Face config (as a model: xpusim model import "},
      {"astra_network", "network.yaml",
       "topology: [ Switch ]\nnpus_count: [ 8 ]\nbandwidth: [ 450.0 ]\nlatency: [ 500.0 ]\n",
       "this is an ASTRA-sim network config (not read by XPUSim; "},
      {"astra_system", "system.json", R"({"scheduling-policy": "LIFO", "endpoint-delay": 10})",
       "this is an ASTRA-sim system config (not read by XPUSim)"},
      {"chakra", "rank.0.et",
       "\x07\x0a\x05"
       "0.0.4\x83\x02\x08\x01\x12\x09"
       "COMP_NODE"s,
       "this is a Chakra execution trace (not read by XPUSim; "},
      {"chakra_by_content", "trace.bin",
       "\x07\x0a\x05"
       "0.0.4\x83\x02\x08\x01"s,
       "this is a Chakra execution trace (not read by XPUSim; "},
      {"kineto", "trace.json",
       R"({"schemaVersion": 1, "deviceProperties": [{"id": 0}], "traceEvents": [{"ph": "X"}]})",
       "this is a PyTorch profiler (Kineto) trace (not read by XPUSim; "},
      {"chrome", "chrome.json", R"([{"traceEvents": []}])", "this is a Chrome trace (not read by XPUSim; "},
      {"own_trace", "own.json", "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{\"ph\":\"M\"}\n]}\n",
       "this is a timeline that XPUSim wrote (an output, not an input; "},
      {"own_result", "result.json", R"({"schema": "xpusim.result/1", "version": "1", "results": []})",
       "this is a result of XPUSim (an output, not an input; "},
      {"onnx", "model.onnx",
       "\x08\x07\x12\x07pytorch\x1a\x05"
       "2.0.1"s,
       "this is an ONNX graph (not read by XPUSim)"},
      {"protobuf", "graph.pb", "\x0a\x03\x01\x02\x03"s,
       "this is a binary file, by its beginning protobuf (not read by XPUSim)"},
      {"safetensors", "model.safetensors", "\x20\0\0\0\0\0\0\0{\"__metadata__\":{}}"s,
       "this is weights in safetensors (not read by XPUSim; "},
      {"gguf", "model.gguf", "GGUF\x03\0\0\0"s, "this is weights in GGUF (not read by XPUSim; "},
      {"index", "model.safetensors.index.json", R"({"metadata": {}, "weight_map": {}})",
       "this is an index of safetensors (not read by XPUSim; "},
      {"simai", "workload.txt",
       "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 8 ep: 1 pp: 1\n10\nlayer -1 556000 NONE "
       "0\n",
       "this is a SimAI workload (not read by XPUSim; "},
      {"serving", "bench.json", R"({"request_throughput": 3.1, "mean_ttft_ms": 12.5, "mean_tpot_ms": 9.9})",
       "this is a result of a serving benchmark (vLLM, SGLang) (not read by XPUSim)"},
      {"diffusers", "transformer.json", R"({"_class_name": "X", "_diffusers_version": "0.30"})",
       "this is a diffusers config (not read by XPUSim; "},
      {"gzip", "trace.json.gz", "\x1f\x8b\x08\0"s, "this is compressed by gzip (unpack it)"},
      {"zip", "model.pt", "PK\x03\x04\x14\0"s, "this is a zip archive (unpack it)"},
  };
  return all;
}

TEST(ForeignFile, IsNamedInOneLineWhereAnyKindIsMeant) {
  const TemporaryFolder folder;
  for (const Specimen& s : specimens()) {
    const std::string file = folder.write(std::string(s.name) + "/" + std::string(s.file), s.text);
    for (const config::FileKind kind :
         {config::FileKind::Chip, config::FileKind::System, config::FileKind::Model,
          config::FileKind::Scenario, config::FileKind::Trace}) {
      try {
        config::check_file(test::library(), kind, file);
        ADD_FAILURE() << s.name << " is taken as " << config::kind_name(kind);
      } catch (const ConfigError& e) {
        const std::string what = e.what();
        if (s.name == "huggingface" && kind == config::FileKind::Model)
          continue;  // imported, and refused for itself
        EXPECT_TRUE(what.starts_with(file + ": " + std::string(s.says))) << s.name << ": " << what;
        EXPECT_EQ(what.find('\n'), std::string::npos) << what;
      }
    }
  }
}

TEST(ForeignFile, IsNamedHoweverLarge) {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "trace.json", R"({"schemaVersion": 1, "traceEvents": [)" + std::string(6 << 20, ' ') + "]}");
  try {
    static_cast<void>(config::read_yaml(file));
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_NE(std::string(e.what()).find("this is a PyTorch profiler (Kineto) trace"), std::string::npos)
        << e.what();
  }
}

TEST(ForeignFile, NoShippedFileIsOne) {
  for (std::size_t k = 0; k < config::kFileKindNames.size(); ++k) {
    const auto kind = static_cast<config::FileKind>(k);
    for (const std::string& id : test::library().list(kind))
      EXPECT_FALSE(config::recognise_file(test::library().find(kind, id))) << id;
  }
}

}  // namespace
}  // namespace xpusim::test
