#include "xpusim/config/import_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "xpusim/config/describe.h"
#include "xpusim/config/huggingface.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

struct Reason {
  std::string_view key;  ///< a part of it with a star before, after, or both
  std::string_view why;
};
constexpr std::string_view kBias = "biases cost nothing in the model",
                           kAngles = "any angle of rotation costs the same",
                           kPrecision = "the scenario says the precision", kTraining = "of training",
                           kLoading = "of loading and generating",
                           kScores = "how experts are scored costs nothing",
                           kActivation = "an activation costs as the family's does",
                           kTextOnly = "only the text part is read",
                           kElement = "a few operations an element are left out";
constexpr std::array kReasons = {
    Reason{"*_bias", kBias},
    Reason{"bias", kBias},
    Reason{"rope_*", kAngles},
    Reason{"rotary_emb*", kAngles},
    Reason{"*dtype", kPrecision},
    Reason{"quantization_config", kPrecision},
    Reason{"compression_config", kPrecision},
    Reason{"*dropout*", kTraining},
    Reason{"*pdrop*", kTraining},
    Reason{"initializer*", kTraining},
    Reason{"*aux_loss*", kTraining},
    Reason{"aux_loss*", kTraining},
    Reason{"seq_aux", kTraining},
    Reason{"ep_size", kTraining},
    Reason{"pretraining_tp", kTraining},
    Reason{"gradient_checkpointing", kTraining},
    Reason{"*_eps", "a constant"},
    Reason{"*epsilon*", "a constant"},
    Reason{"hidden_act*", kActivation},
    Reason{"activation*", kActivation},
    Reason{"*token_id*", kLoading},
    Reason{"*token_index*", kLoading},
    Reason{"transformers_version", kLoading},
    Reason{"_name_or_path", kLoading},
    Reason{"auto_map", kLoading},
    Reason{"use_cache", kLoading},
    Reason{"output_*", kLoading},
    Reason{"*beam*", kLoading},
    Reason{"*label*", kLoading},
    Reason{"task_specific_params", kLoading},
    Reason{"norm_topk_prob", kScores},
    Reason{"scoring_func", kScores},
    Reason{"topk_method", kScores},
    Reason{"routed_scaling_factor", kScores},
    Reason{"use_routing_bias", kScores},
    Reason{"swiglu_limit", kElement},
    Reason{"*softcap*", kElement},
    Reason{"query_pre_attn_scalar", "a scale of the scores"},
    Reason{"scale_attn*", "a scale of the scores"},
    Reason{"qk_norm_type", "queries and keys are normed head by head here"},
    Reason{"*vision*", kTextOnly},
    Reason{"*audio*", kTextOnly},
    Reason{"*image*", kTextOnly},
    Reason{"*video*", kTextOnly},
    Reason{"architectures", kTextOnly},
    Reason{"model_type", kTextOnly},
    Reason{"type_vocab_size", "a table of a few rows"},
    Reason{"sliding_window", "no layer has a window"},
    Reason{"max_window_layers", "no layer has a window"},
    Reason{"intermediate_size", "no layer has the dense block"},
    Reason{"intermediate_size_mlp", "no layer has the dense block"},
};

bool fits(std::string_view pattern, std::string_view key) {
  const bool before = pattern.starts_with('*'), after = pattern.ends_with('*');
  if (before) pattern.remove_prefix(1);
  if (after) pattern.remove_suffix(1);
  if (before && after) return key.find(pattern) != std::string_view::npos;
  if (before) return key.ends_with(pattern);
  if (after) return key.starts_with(pattern);
  return key == pattern;
}

/// Lines of comment, broken between words.
std::string comment(const std::string& text, std::string_view indent) {
  constexpr std::size_t kWidth = 110;
  std::string out, line;
  for (const std::string& word : split(text, ' ')) {
    if (!line.empty() && line.size() + 1 + word.size() > kWidth) {
      out += fmt::format("#{}{}\n", out.empty() ? "" : indent, line);
      line.clear();
    }
    line += " " + word;
  }
  return out + fmt::format("#{}{}\n", out.empty() ? "" : indent, line);
}

constexpr std::size_t kMostListed = 200;

/// "a (x), b (y)"; of a file with thousands of keys the first.
std::string listed(const std::vector<KeyNote>& notes) {
  std::string text;
  for (std::size_t i = 0; i < std::min(notes.size(), kMostListed); ++i)
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", one_line(printable(notes[i].key)), notes[i].text);
  if (notes.size() > kMostListed) text += fmt::format(", and {} more", notes.size() - kMostListed);
  return text;
}

}  // namespace

std::string reason_of(std::string_view path, const nlohmann::json& value) {
  if (value.is_null()) return "null";
  const std::string_view key =
      path.substr(path.rfind('.') == std::string_view::npos ? 0 : path.rfind('.') + 1);
  for (const Reason& r : kReasons)
    if (fits(r.key, key)) return std::string(r.why);
  return "not known here: see that it costs nothing";
}

std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  return line;
}

std::string to_yaml(const ImportedModel& imported) {
  ModelSpec model = imported.model;
  std::string text =
      comment(fmt::format("From {}, {}. {:.4g} billion parameters, of which a token meets {:.4g}.",
                          one_line(imported.file), imported.architecture, total_parameters(model) / 1e9,
                          active_parameters(model) / 1e9),
              "");
  text += comment("Taken: " + listed(imported.taken), "  ");
  if (!imported.assumed.empty()) text += comment("Assumed: " + listed(imported.assumed), "  ");
  std::vector<KeyNote> by_reason;  // its keys, the reason
  for (const KeyNote& n : imported.ignored) {
    auto same =
        std::find_if(by_reason.begin(), by_reason.end(), [&](const KeyNote& r) { return r.text == n.text; });
    if (same == by_reason.end()) same = by_reason.insert(same, {"", n.text});
    constexpr std::size_t kMostText = 4000;
    if (same->key.size() > kMostText)
      same->key.replace(same->key.size() - 3, 3, "...");
    else
      same->key += (same->key.empty() ? "" : ", ") + one_line(printable(n.key));
  }
  for (const KeyNote& r : by_reason) text += comment(fmt::format("Ignored, {}: {}", r.text, r.key), "  ");
  return text + to_yaml(describer(model), "model", nullptr);
}

}  // namespace xpusim::config
