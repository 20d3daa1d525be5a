#include "xpusim/config/foreign.h"

#include <array>

#include "xpusim/core/file.h"

namespace xpusim::config {
namespace {

constexpr std::size_t kHead = std::size_t{64}
                              << 10;  ///< bytes that tell: keys stand at the top of all of these

/// The beginning of a file, and the name of the file.
struct Head {
  std::string_view text, path;

  [[nodiscard]] bool has(std::string_view part) const { return text.find(part) != std::string_view::npos; }
  [[nodiscard]] bool has_key(std::string_view key) const {  // of JSON
    for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1))
      if (at > 0 && text[at - 1] == '"' && text.substr(at + key.size()).starts_with('"')) return true;
    return false;
  }
  /// Does a line begin with it?
  [[nodiscard]] bool has_line(std::string_view begin) const {
    for (std::size_t at = text.find(begin); at != std::string_view::npos; at = text.find(begin, at + 1))
      if (at == 0 || text[at - 1] == '\n') return true;
    return false;
  }
  [[nodiscard]] bool is_json() const {
    const std::size_t first = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
    return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
  }
  [[nodiscard]] unsigned byte(std::size_t i) const {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  }
  [[nodiscard]] bool is_binary() const {
    for (const char c : text.substr(0, 512))
      if (const auto b = static_cast<unsigned char>(c);
          (b < 0x20 && b != '\t' && b != '\n' && b != '\r') || b == 0x7f)
        return true;
    return false;
  }
};

bool is_gguf(const Head& h) { return h.text.starts_with("GGUF"); }
/// Eight bytes of length, then JSON.
bool is_safetensors(const Head& h) {
  return h.text.size() > 10 && h.byte(7) == 0 && h.byte(6) == 0 && h.text.substr(8).starts_with("{\"");
}
bool is_zip(const Head& h) { return h.text.starts_with("PK\x03\x04"); }
bool is_gzip(const Head& h) { return h.text.starts_with("\x1f\x8b"); }
/// A message GlobalMetadata behind its length: field 1, the text of a version.
bool is_chakra(const Head& h) {
  if (h.path.ends_with(".et")) return h.is_binary();
  return h.is_binary() && h.byte(0) > 2 && h.byte(1) == 0x0a && h.byte(2) > 0 && h.byte(2) < 16 &&
         h.text.substr(3, h.byte(2)).find('.') != std::string_view::npos;
}
/// Field 1 of a ModelProto is a small number, field 2 the producer's name.
bool is_onnx(const Head& h) {
  if (h.path.ends_with(".onnx")) return h.is_binary();
  return h.byte(0) == 0x08 && h.byte(1) < 32 && (h.byte(2) == 0x12 || h.byte(2) == 0x3a || h.byte(2) == 0x42);
}
bool is_protobuf(const Head& h) { return h.is_binary() && (h.path.ends_with(".pb") || h.byte(0) == 0x08); }
bool is_result(const Head& h) { return h.is_json() && h.has_key("schema") && h.has("\"xpusim.result/"); }
bool is_own_trace(const Head& h) {
  return h.is_json() && h.has_key("traceEvents") && h.has("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
}
bool is_kineto(const Head& h) {
  return h.is_json() && h.has_key("traceEvents") &&
         (h.has_key("schemaVersion") || h.has_key("deviceProperties"));
}
bool is_chrome_trace(const Head& h) { return h.is_json() && h.has_key("traceEvents"); }
bool is_diffusers(const Head& h) { return h.is_json() && h.has_key("_diffusers_version"); }
bool is_weight_index(const Head& h) { return h.is_json() && h.has_key("weight_map"); }
bool is_huggingface(const Head& h) {
  return h.is_json() && (h.has_key("architectures") || h.has_key("model_type")) &&
         (h.has_key("hidden_size") || h.has_key("n_embd") || h.has_key("vocab_size") ||
          h.has_key("text_config") || h.has_key("transformers_version"));
}
bool is_serving_benchmark(const Head& h) {
  return h.is_json() && h.has_key("mean_ttft_ms") &&
         (h.has_key("request_throughput") || h.has_key("output_throughput"));
}
bool is_astra_system(const Head& h) { return h.is_json() && h.has_key("scheduling-policy"); }
bool is_astra_network(const Head& h) { return h.has_line("topology:") && h.has_line("npus_count:"); }
bool is_simai_workload(const Head& h) {
  return h.text.starts_with("HYBRID_") || h.has("model_parallel_NPU_group");
}

struct Kind {
  bool (*fits)(const Head&);
  ForeignFile file;
};
constexpr std::string_view kNotRead = "not read by XPUSim";
constexpr std::string_view kAsTrace =
    "not read by XPUSim; a workload trace lists operators, see docs/guide.md";
/// The first that fits counts.
constexpr std::array kKinds = {
    Kind{is_gguf, {"weights in GGUF", "not read by XPUSim; the model's config.json is: xpusim model import"}},
    Kind{is_safetensors,
         {"weights in safetensors", "not read by XPUSim; the model's config.json is: xpusim model import"}},
    Kind{is_zip, {"a zip archive", "unpack it"}},
    Kind{is_gzip, {"compressed by gzip", "unpack it"}},
    Kind{is_onnx, {"an ONNX graph", kNotRead}},
    Kind{is_chakra, {"a Chakra execution trace", kAsTrace}},
    Kind{is_protobuf, {"a binary file, by its beginning protobuf", kNotRead}},
    Kind{is_result, {"a result of XPUSim", "an output, not an input; run the scenario that it names"}},
    Kind{is_own_trace,
         {"a timeline that XPUSim wrote", "an output, not an input; open it in ui.perfetto.dev"}},
    Kind{is_kineto, {"a PyTorch profiler (Kineto) trace", kAsTrace}},
    Kind{is_chrome_trace, {"a Chrome trace", kAsTrace}},
    Kind{is_diffusers,
         {"a diffusers config", "not read by XPUSim; write a model file, see workloads/models"}},
    Kind{
        is_weight_index,
        {"an index of safetensors", "not read by XPUSim; the config.json beside it is: xpusim model import"}},
    Kind{is_serving_benchmark, {"a result of a serving benchmark (vLLM, SGLang)", kNotRead}},
    Kind{is_huggingface, {"a Hugging Face config", "as a model: xpusim model import FILE", true}},
    Kind{is_astra_system, {"an ASTRA-sim system config", kNotRead}},
    Kind{is_astra_network,
         {"an ASTRA-sim network config",
          "not read by XPUSim; write its levels as a system, see docs/guide.md"}},
    Kind{is_simai_workload, {"a SimAI workload", kAsTrace}},
};

}  // namespace

std::optional<ForeignFile> recognise(std::string_view head, std::string_view path) {
  const Head h{head.substr(0, kHead), path};
  for (const Kind& k : kKinds)
    if (k.fits(h)) return k.file;
  return std::nullopt;
}

std::optional<ForeignFile> recognise_file(const std::string& path) {
  try {
    return recognise(read_bytes(path, kHead), path);
  } catch (const ConfigError&) {  // what cannot be read has no kind
    return std::nullopt;
  }
}

ConfigError foreign_error(const ForeignFile& f, const std::string& path) {
  std::string advice(f.advice);
  if (const std::size_t at = advice.find("FILE"); at != std::string::npos) advice.replace(at, 4, path);
  return ConfigError(Diagnostic{{path, 0, 0}, "", "this is " + std::string(f.what), advice});
}

}  // namespace xpusim::config
