#include "xpusim/config/huggingface.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <filesystem>

#include "xpusim/config/documents.h"
#include "xpusim/config/import_notes.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

// Nothing that was ever published comes near; a slip of the keyboard should not pass.
constexpr std::int64_t kMostLayers = 10'000, kMostHeads = 1 << 14, kMostWidth = 1 << 20, kMostHeadDim = 1024;
constexpr std::int64_t kMostExperts = 1 << 16, kMostTokens = 1 << 24;

struct Importer;
/// Reads some keys into the model.
using Part = void (*)(Importer&);

/// What the readers of an architecture in transformers take for granted.
struct Family {
  std::array<Part, 6> parts;  ///< the rest null
  bool gated = true;          ///< feed-forward: SwiGLU or GeGLU
  NormKind norm = NormKind::RmsNorm;
  PositionKind position = PositionKind::Rope;
  bool tied = false;          ///< where the file does not say
  std::int64_t head_dim = 0;  ///< where the file does not say; 0: hidden / heads
  double rotary = 1;          ///< part of a head that is rotated, where the file does not say
  bool qk_norm = false;
  bool causal = true;
  bool parallel_block = false;
  bool sinks = false;
  bool output_gate = false;
  std::string_view left_out = {};  ///< what the family has and the model does not
};

/// How the attention of one layer differs.
enum class LayerKind : std::uint8_t { Full, Window, Chunk, Linear };

struct Importer {
  JsonKeys& keys;
  const Family& family;
  ImportedModel& out;
  ModelSpec& m;
  double rotary = 1;  ///< part of a head that is rotated

  void assume(std::string value, std::string ground) {
    out.assumed.push_back({std::move(value), std::move(ground)});
  }
  /// The value of a key that must be there; 0 where it is missing or wrong, which is reported.
  std::int64_t need(JsonKeys::Names names, std::string_view gives, std::string_view meaning,
                    std::int64_t high) {
    for (const std::string_view name : names)
      if (keys.has(name)) return keys.whole(names, gives, 1, high).value_or(0);
    keys.missing(names, meaning);
    return 0;
  }
  /// A key that other keys say as well.
  void pass(std::string_view key) {
    if (!keys.has(key)) return;
    out.ignored.push_back({keys.pass(key), "follows from other keys"});
  }
  /// The value of a key that may be missing.
  std::int64_t whole_or(JsonKeys::Names names, std::string_view gives, std::int64_t low, std::int64_t high,
                        std::int64_t otherwise, std::string_view ground) {
    for (const std::string_view name : names)
      if (keys.has(name)) return keys.whole(names, gives, low, high).value_or(low);
    if (!ground.empty()) assume(fmt::format("{} {}", gives, otherwise), std::string(ground));
    return otherwise;
  }
  bool flag_or(JsonKeys::Names names, std::string_view gives, bool otherwise, std::string_view ground) {
    for (const std::string_view name : names)
      if (keys.has(name)) return keys.flag(names, gives).value_or(otherwise);
    if (!ground.empty()) assume(fmt::format("{} {}", gives, otherwise), std::string(ground));
    return otherwise;
  }
};

constexpr std::string_view kDefault = "the format's default";

// ---- what nearly all have ----

void base(Importer& i) {
  i.m.layers = i.need({"num_hidden_layers", "n_layer"}, "layers", "number of layers", kMostLayers);
  i.m.hidden = i.need({"hidden_size", "n_embd"}, "hidden", "width of the residual stream", kMostWidth);
  i.m.vocab = i.need({"vocab_size"}, "vocab", "tokens of the vocabulary", kMostTokens);
  i.m.tie_embeddings = i.flag_or({"tie_word_embeddings"}, "tie_embeddings", i.family.tied, kDefault);
}

void longest(Importer& i) {
  i.m.max_position = i.need({"max_position_embeddings", "n_positions"}, "max_position",
                            "tokens of the longest sequence", kMostTokens);
}

/// Divides the width into heads where the file gives no width of a head.
std::int64_t head_dim_of(Importer& i) {
  if (i.keys.has("head_dim")) return i.keys.whole({"head_dim"}, "head_dim", 1, kMostHeadDim).value_or(1);
  if (i.family.head_dim > 0) {
    i.assume(fmt::format("head_dim {}", i.family.head_dim), std::string(kDefault));
    return i.family.head_dim;
  }
  if (i.m.hidden == 0 || i.m.heads == 0) return 1;
  if (i.m.hidden % i.m.heads != 0)
    i.keys.refuse(i.keys.has("n_head") ? "n_head" : "num_attention_heads",
                  fmt::format("{} heads do not divide a width of {}", i.m.heads, i.m.hidden),
                  "hidden = heads x head_dim, or give head_dim");
  i.assume(fmt::format("head_dim {}", i.m.hidden / i.m.heads), "hidden / heads");
  return std::max<std::int64_t>(1, i.m.hidden / i.m.heads);
}

void refuse_unequal_groups(Importer& i, std::string_view key) {
  if (i.m.kv_heads > 0 && i.m.heads % i.m.kv_heads != 0)
    i.keys.refuse(key, fmt::format("{} does not divide {} heads", i.m.kv_heads, i.m.heads),
                  "heads = kv_heads x group");
}

void rotation(Importer& i) {
  if (i.m.position != PositionKind::Rope) return;
  i.keys.spread("rope_parameters");
  double rotated = static_cast<double>(i.m.head_dim);
  if (i.keys.has("rotary_dim"))
    rotated = static_cast<double>(i.keys.whole({"rotary_dim"}, "rotary_dim", 1, kMostHeadDim).value_or(1));
  else if (i.keys.has("partial_rotary_factor") || i.keys.has("rotary_pct"))
    rotated *= i.keys.real({"partial_rotary_factor", "rotary_pct"}, "rotary_dim", 0, 1).value_or(1);
  else if (i.family.rotary < 1) {
    rotated *= i.family.rotary;
    i.assume(fmt::format("rotary_dim {}", std::floor(rotated)), std::string(kDefault));
  }
  i.m.rotary_dim = std::max<std::int64_t>(1, static_cast<std::int64_t>(rotated));
  if (i.m.rotary_dim > i.m.head_dim)
    i.keys.refuse("rotary_dim", fmt::format("{} is more than a head of {}", i.m.rotary_dim, i.m.head_dim),
                  fmt::format("at most {}", i.m.head_dim));
  if (i.m.rotary_dim == i.m.head_dim) i.m.rotary_dim = 0;
}

void heads(Importer& i) {
  i.m.heads = i.need({"num_attention_heads", "n_head"}, "heads", "query heads", kMostHeads);
  i.m.kv_heads =
      i.whole_or({"num_key_value_heads"}, "kv_heads", 1, kMostHeads, i.m.heads, "one for each query head");
  refuse_unequal_groups(i, "num_key_value_heads");
  i.m.head_dim = head_dim_of(i);
  rotation(i);
  i.m.qk_norm = i.flag_or({"use_qk_norm"}, "qk_norm", i.family.qk_norm, "");
}

void feed_forward(Importer& i) {
  i.m.ffn = i.need({"intermediate_size"}, "ffn", "width of the feed-forward block", kMostWidth);
}
/// GPT's: four times the width unless the file says another.
void feed_forward_4x(Importer& i) {
  i.m.ffn = i.whole_or({"n_inner", "intermediate_size", "ffn_hidden_size"}, "ffn", 1, kMostWidth,
                       4 * i.m.hidden, "4 x hidden");
}

// ---- attention ----

/// The layers of each kind as entries of attention_layers, in the shortest period that they repeat in.
std::vector<AttentionLayersSpec> entries_of(const std::vector<LayerKind>& kinds, std::int64_t window,
                                            std::int64_t chunk) {
  if (kinds.empty()) return {};
  const auto repeats = [&](std::size_t period) {
    return std::equal(kinds.begin() + static_cast<std::ptrdiff_t>(period), kinds.end(), kinds.begin());
  };
  std::size_t period = 1;
  while (period < kinds.size() && !repeats(period)) ++period;
  std::vector<AttentionLayersSpec> entries;
  for (std::size_t first = 0, last = 0; first < period; first = last) {
    while (last < period && kinds[last] == kinds[first]) ++last;
    if (kinds[first] == LayerKind::Full) continue;
    AttentionLayersSpec a;
    if (kinds[first] == LayerKind::Window) a.window = window;
    if (kinds[first] == LayerKind::Chunk) a.chunk = chunk;
    a.linear = kinds[first] == LayerKind::Linear;
    a.take = static_cast<std::int64_t>(last - first);
    a.every = static_cast<std::int64_t>(period);
    a.from = static_cast<std::int64_t>(first);
    entries.push_back(a);
  }
  return entries;
}

constexpr std::array<std::string_view, 4> kLayerKindNames = {"full_attention", "sliding_attention",
                                                             "chunked_attention", "linear_attention"};

/// The kinds that layer_types lists, or those that `otherwise` gives.
template <class Otherwise>
void set_layers(Importer& i, const Otherwise& otherwise) {
  std::vector<LayerKind> kinds;
  if (i.keys.has("layer_types")) {
    const auto names = i.keys.words({"layer_types"}, "attention_layers");
    for (const std::string& name : names) {
      const auto known = std::find(kLayerKindNames.begin(), kLayerKindNames.end(), name);
      if (known == kLayerKindNames.end())
        return i.keys.refuse("layer_types", "unknown kind of layer " + in_quotes(name),
                             "known: " + join(kLayerKindNames));
      kinds.push_back(static_cast<LayerKind>(known - kLayerKindNames.begin()));
    }
    if (!names.empty() && i.m.layers > 0 && names.size() != static_cast<std::size_t>(i.m.layers))
      return i.keys.refuse("layer_types", fmt::format("{} kinds for {} layers", names.size(), i.m.layers),
                           "one for each layer");
  } else {
    for (std::int64_t layer = 0; layer < i.m.layers; ++layer) kinds.push_back(otherwise(layer));
  }
  const auto has = [&](LayerKind kind) { return std::find(kinds.begin(), kinds.end(), kind) != kinds.end(); };
  std::int64_t window = 0, chunk = 0;
  if (has(LayerKind::Window))
    window = i.need({"sliding_window"}, "attention_layers.window", "tokens that a token sees", kMostTokens);
  if (has(LayerKind::Chunk))
    chunk = i.need({"attention_chunk_size"}, "attention_layers.chunk", "tokens of a chunk", kMostTokens);
  i.m.attention_layers = entries_of(kinds, window, chunk);
}

/// A window in every layer, where there is one.
void windows(Importer& i) {
  const bool windowed = i.keys.has("sliding_window");
  set_layers(i, [&](std::int64_t) { return windowed ? LayerKind::Window : LayerKind::Full; });
}

/// A window in the layers after the first max_window_layers, where use_sliding_window says so.
void windows_if_used(Importer& i) {
  const bool used = i.flag_or({"use_sliding_window"}, "attention_layers", false, "");
  const bool windowed = used && i.keys.has("sliding_window");
  std::int64_t first = i.m.layers;
  if (windowed)
    first = i.whole_or({"max_window_layers"}, "attention_layers.from", 0, kMostLayers, 28, kDefault);
  set_layers(i, [&](std::int64_t layer) { return layer >= first ? LayerKind::Window : LayerKind::Full; });
}

/// A window in every second layer, the first among them.
void windows_by_turns(Importer& i) {
  if (!i.keys.has("layer_types")) i.assume("attention_layers", "a window in every second layer");
  set_layers(i, [](std::int64_t layer) { return layer % 2 == 0 ? LayerKind::Window : LayerKind::Full; });
}

/// A window in all but the last layer of each period.
void windows_in_a_pattern(Importer& i) {
  std::int64_t period = 6;
  if (!i.keys.has("layer_types"))
    period = i.whole_or({"sliding_window_pattern", "_sliding_window_pattern"}, "attention_layers.every", 1,
                        kMostLayers, period, kDefault);
  set_layers(
      i, [&](std::int64_t layer) { return (layer + 1) % period == 0 ? LayerKind::Full : LayerKind::Window; });
}

/// Chunks in all layers that are rotated; by default one of four is not.
void chunks(Importer& i) {
  constexpr std::int64_t kPeriod = 4;
  std::vector<std::int64_t> rotated;
  if (i.keys.has("no_rope_layers")) {
    rotated = i.keys.wholes({"no_rope_layers"}, "attention_layers");
    if (!rotated.empty() && i.m.layers > 0 && rotated.size() != static_cast<std::size_t>(i.m.layers))
      return i.keys.refuse("no_rope_layers",
                           fmt::format("{} values for {} layers", rotated.size(), i.m.layers),
                           "one for each layer: 1 rotated and in chunks, 0 neither");
  }
  if (rotated.empty() && !i.keys.has("layer_types"))
    i.assume("attention_layers", "every fourth layer attends to all tokens, the format's default");
  set_layers(i, [&](std::int64_t layer) {
    const bool full =
        rotated.empty() ? (layer + 1) % kPeriod == 0 : rotated[static_cast<std::size_t>(layer)] == 0;
    return full ? LayerKind::Full : LayerKind::Chunk;
  });
}

void linear_layers(Importer& i) {
  std::int64_t period = 4;
  if (!i.keys.has("layer_types"))
    period =
        i.whole_or({"full_attention_interval"}, "attention_layers.every", 1, kMostLayers, period, kDefault);
  else
    i.pass("full_attention_interval");
  set_layers(
      i, [&](std::int64_t layer) { return (layer + 1) % period == 0 ? LayerKind::Full : LayerKind::Linear; });
  LinearAttentionSpec l;
  l.key_heads = i.need({"linear_num_key_heads"}, "linear.key_heads", "query and key heads", kMostHeads);
  l.value_heads = i.need({"linear_num_value_heads"}, "linear.value_heads", "value heads", kMostHeads);
  l.key_dim = i.need({"linear_key_head_dim"}, "linear.key_dim", "elements of a key", kMostHeadDim);
  l.value_dim = i.need({"linear_value_head_dim"}, "linear.value_dim", "elements of a value", kMostHeadDim);
  l.conv = i.whole_or({"linear_conv_kernel_dim"}, "linear.conv", 1, 64, l.conv, kDefault);
  if (l.key_heads > 0 && l.value_heads % l.key_heads != 0)
    i.keys.refuse("linear_num_key_heads", fmt::format("{} does not divide {}", l.key_heads, l.value_heads),
                  "value heads = key heads x group");
  if (std::any_of(i.m.attention_layers.begin(), i.m.attention_layers.end(),
                  [](const AttentionLayersSpec& a) { return a.linear; }))
    i.m.linear = l;
  i.m.output_gate = i.flag_or({"attn_output_gate"}, "output_gate", i.family.output_gate, "");
}

/// Latent attention, with an indexer where there is one.
void latent(Importer& i) {
  i.m.heads = i.need({"num_attention_heads"}, "heads", "query heads", kMostHeads);
  i.m.kv_heads = i.m.heads;
  i.pass("num_key_value_heads");
  i.pass("head_dim");
  i.pass("qk_head_dim");
  LatentAttentionSpec l;
  l.q_rank =
      i.whole_or({"q_lora_rank"}, "latent.q_rank", 0, kMostWidth, 0, "no rank of the query projection");
  l.kv_rank = i.need({"kv_lora_rank"}, "latent.kv_rank", "rank of keys and values", kMostWidth);
  l.nope_dim =
      i.need({"qk_nope_head_dim"}, "latent.nope_dim", "elements of a key that are not rotated", kMostHeadDim);
  l.rope_dim = i.need({"qk_rope_head_dim"}, "latent.rope_dim", "rotated elements of a key", kMostHeadDim);
  l.value_dim = i.need({"v_head_dim"}, "latent.value_dim", "elements of a value", kMostHeadDim);
  i.m.latent = l;
  i.m.head_dim = l.nope_dim + l.rope_dim;
  if (!i.keys.has("index_topk")) return;
  SparseAttentionSpec s;
  s.heads = i.need({"index_n_heads"}, "sparse.heads", "heads of the indexer", kMostHeads);
  s.dim = i.need({"index_head_dim"}, "sparse.dim", "elements of an indexer's head", kMostHeadDim);
  s.topk = i.need({"index_topk"}, "sparse.topk", "tokens that a token attends to", kMostTokens);
  i.m.sparse = s;
  if (i.keys.has("indexer_types"))
    i.assume("sparse", "an indexer in every layer, though indexer_types shares some");
}

// ---- experts ----

void refuse_wrong_experts(Importer& i, std::string_view per_token, std::string_view dense) {
  const ExpertsSpec& e = *i.m.experts;
  if (e.count > 0 && e.per_token > e.count)
    i.keys.refuse(per_token, fmt::format("{} is more than {} experts", e.per_token, e.count),
                  fmt::format("at most {}", e.count));
  if (i.m.layers > 0 && e.dense_layers > i.m.layers)
    i.keys.refuse(dense, fmt::format("{} is more than {} layers", e.dense_layers, i.m.layers),
                  fmt::format("at most {}", i.m.layers));
}

std::int64_t experts_per_token(Importer& i) {
  return i.need({"num_experts_per_tok", "experts_per_token"}, "experts.per_token",
                "experts that a token goes to", kMostExperts);
}

/// All layers have experts, as wide as intermediate_size.
void experts_everywhere(Importer& i) {
  ExpertsSpec e;
  e.count = i.need({"num_local_experts"}, "experts.count", "experts of a layer", kMostExperts);
  e.per_token = experts_per_token(i);
  e.ffn = i.m.ffn = i.need({"intermediate_size"}, "experts.ffn", "width of one expert", kMostWidth);
  if (i.keys.has("shared_intermediate_size")) {
    e.shared_ffn =
        i.keys.whole({"shared_intermediate_size"}, "experts.shared_ffn", 0, kMostWidth).value_or(0);
    e.shared = e.shared_ffn > 0 ? 1 : 0;
  }
  i.m.experts = e;
  refuse_wrong_experts(i, "num_experts_per_tok", "num_hidden_layers");
}

/// Experts in every decoder_sparse_step-th layer but those of mlp_only_layers, and one shared with a width of
/// its own.
void experts_by_step(Importer& i) {
  if (!i.keys.has("num_experts")) return feed_forward(i);
  ExpertsSpec e;
  e.count = i.need({"num_experts"}, "experts.count", "experts of a layer", kMostExperts);
  e.per_token = experts_per_token(i);
  e.ffn = i.need({"moe_intermediate_size"}, "experts.ffn", "width of one expert", kMostWidth);
  e.every = i.whole_or({"decoder_sparse_step"}, "experts.every", 1, kMostLayers, 1, "");
  e.shared_ffn = i.whole_or({"shared_expert_intermediate_size"}, "experts.shared_ffn", 0, kMostWidth, 0, "");
  e.shared = e.shared_ffn > 0 ? 1 : 0;
  if (i.keys.has("mlp_only_layers")) {
    std::vector<std::int64_t> dense = i.keys.wholes({"mlp_only_layers"}, "experts.dense_layers");
    std::sort(dense.begin(), dense.end());
    e.dense_layers = static_cast<std::int64_t>(dense.size());
    for (std::size_t place = 0; place < dense.size(); ++place)
      if (dense[place] != static_cast<std::int64_t>(place))
        return i.keys.refuse("mlp_only_layers", "layers without experts that are not the first ones",
                             "0, 1, 2, ...: only leading dense layers are modelled");
  }
  i.m.experts = e;
  refuse_wrong_experts(i, "num_experts_per_tok", "mlp_only_layers");
  if (i.m.dense_layers() > 0)
    feed_forward(i);
  else
    i.m.ffn = e.ffn;
}

/// Experts after the leading dense layers, shared ones as wide as the others.
void experts_after_dense(Importer& i) {
  if (!i.keys.has("n_routed_experts")) return feed_forward(i);
  ExpertsSpec e;
  e.count = i.need({"n_routed_experts"}, "experts.count", "routed experts of a layer", kMostExperts);
  e.per_token = experts_per_token(i);
  e.ffn = i.need({"moe_intermediate_size"}, "experts.ffn", "width of one expert", kMostWidth);
  e.shared = i.whole_or({"n_shared_experts"}, "experts.shared", 0, 1 << 10, 0, "no shared experts");
  e.dense_layers = i.whole_or({"first_k_dense_replace"}, "experts.dense_layers", 0, kMostLayers, 0, kDefault);
  if (i.whole_or({"moe_layer_freq"}, "experts.every", 1, kMostLayers, 1, "") != 1)
    i.keys.refuse("moe_layer_freq", "experts in some of the layers",
                  "1: only leading dense layers are modelled");
  const std::int64_t groups = i.whole_or({"n_group"}, "experts.max_nodes", 1, kMostExperts, 1, "");
  const std::int64_t picked = i.whole_or({"topk_group"}, "experts.max_nodes", 1, kMostExperts, groups, "");
  if (groups > 1 && picked < groups) {
    e.max_nodes = picked;
    i.assume(fmt::format("experts.max_nodes {}", picked), "a group of experts lies on a node");
  }
  i.m.experts = e;
  refuse_wrong_experts(i, "num_experts_per_tok", "first_k_dense_replace");
  if (i.m.dense_layers() > 0)
    feed_forward(i);
  else
    i.m.ffn = e.ffn;
  i.m.mtp_layers = i.whole_or({"num_nextn_predict_layers"}, "mtp_layers", 0, 64, 0, "");
}

/// Experts in every interleave_moe_layer_step-th layer, and one shared that is as wide.
void experts_interleaved(Importer& i) {
  ExpertsSpec e;
  e.count = i.need({"num_local_experts"}, "experts.count", "routed experts of a layer", kMostExperts);
  e.per_token = experts_per_token(i);
  e.ffn = i.need({"intermediate_size"}, "experts.ffn", "width of one expert", kMostWidth);
  e.every = i.whole_or({"interleave_moe_layer_step"}, "experts.every", 1, kMostLayers, 1, kDefault);
  e.shared = 1;
  i.assume("experts.shared 1", std::string(kDefault));
  if (i.keys.has("moe_layers")) {
    const auto layers = i.keys.wholes({"moe_layers"}, "experts.every");
    std::vector<std::int64_t> expected;
    for (std::int64_t layer = e.every - 1; layer < i.m.layers; layer += e.every) expected.push_back(layer);
    if (layers != expected)
      i.keys.refuse("moe_layers", "not the layers that interleave_moe_layer_step gives", "leave it out");
  }
  i.m.experts = e;
  refuse_wrong_experts(i, "num_experts_per_tok", "num_hidden_layers");
  i.m.ffn = i.m.dense_layers() > 0
                ? i.need({"intermediate_size_mlp"}, "ffn", "width of the dense block", kMostWidth)
                : e.ffn;
}

void mtp_modules(Importer& i) {
  const bool used = i.flag_or({"use_mtp"}, "mtp_layers", true, "");
  const std::int64_t modules = i.whole_or({"num_mtp_modules"}, "mtp_layers", 0, 64, 0, "");
  const std::int64_t layers = i.whole_or({"mtp_transformer_layers"}, "mtp_layers", 0, 64, 1, "");
  i.m.mtp_layers = used ? std::min<std::int64_t>(64, modules * layers) : 0;
}

void mtp_layers(Importer& i) {
  i.m.mtp_layers = i.whole_or({"mtp_num_hidden_layers"}, "mtp_layers", 0, 64, 0, "");
}

// ---- older ones ----

/// One key and value head for all with multi_query, several in the newer layout.
void heads_of_falcon(Importer& i) {
  i.m.heads = i.need({"num_attention_heads", "n_head"}, "heads", "query heads", kMostHeads);
  const bool grouped = i.flag_or({"new_decoder_architecture"}, "kv_heads", false, "");
  const bool shared = i.flag_or({"multi_query"}, "kv_heads", true, "");
  if (grouped) {
    i.m.kv_heads = i.need({"num_kv_heads", "n_head_kv"}, "kv_heads", "key and value heads", kMostHeads);
    refuse_unequal_groups(i, i.keys.has("num_kv_heads") ? "num_kv_heads" : "n_head_kv");
  } else {
    i.m.kv_heads = shared ? 1 : i.m.heads;
    i.pass("num_kv_heads");
    i.pass("n_head_kv");
  }
  if (i.flag_or({"alibi"}, "position", false, ""))
    i.keys.refuse("alibi", "positions by a bias of the scores are not modelled", "false");
  i.m.head_dim = head_dim_of(i);
  i.m.parallel_block = grouped || i.flag_or({"parallel_attn"}, "parallel_block", true, kDefault);
  i.pass("parallel_attn");
  i.m.max_position = i.whole_or({"max_position_embeddings"}, "max_position", 1, kMostTokens, 2048, kDefault);
}

void parallel_residual(Importer& i) {
  i.m.parallel_block = i.flag_or({"use_parallel_residual"}, "parallel_block", true, kDefault);
}

void absolute_positions(Importer& i) {
  if (i.keys.has("position_embedding_type") &&
      i.keys.word({"position_embedding_type"}, "position").value_or("absolute") != "absolute")
    i.keys.refuse("position_embedding_type", "positions that depend on distance are not modelled",
                  "absolute");
}

constexpr std::string_view kTwoMoreNorms = "the two further norms of each layer";

constexpr Family kLlama = {.parts = {base, longest, heads, feed_forward}};
constexpr Family kMistral = {.parts = {base, longest, heads, feed_forward, windows}};
constexpr Family kMixtral = {.parts = {base, longest, heads, experts_everywhere, windows}};
constexpr Family kQwen2 = {.parts = {base, longest, heads, feed_forward, windows_if_used}};
constexpr Family kQwen2Moe = {.parts = {base, longest, heads, experts_by_step, windows_if_used}};
constexpr Family kQwen3 = {
    .parts = {base, longest, heads, feed_forward, windows_if_used}, .head_dim = 128, .qk_norm = true};
constexpr Family kQwen3Moe = {.parts = {base, longest, heads, experts_by_step, windows_if_used},
                              .qk_norm = true};
constexpr Family kQwen3Next = {.parts = {base, longest, heads, experts_by_step, linear_layers, mtp_layers},
                               .head_dim = 256,
                               .rotary = 0.25,
                               .qk_norm = true,
                               .output_gate = true};
constexpr Family kDeepSeek = {.parts = {base, longest, latent, experts_after_dense}};
constexpr Family kGptOss = {
    .parts = {base, longest, heads, experts_everywhere, windows_by_turns}, .head_dim = 64, .sinks = true};
constexpr Family kGlm4 = {
    .parts = {base, longest, heads, feed_forward}, .head_dim = 128, .rotary = 0.5, .left_out = kTwoMoreNorms};
constexpr Family kGlm4Moe = {
    .parts = {base, longest, heads, experts_after_dense}, .head_dim = 128, .rotary = 0.5};
constexpr Family kMiniMaxM2 = {.parts = {base, longest, heads, experts_everywhere, mtp_modules},
                               .qk_norm = true};
constexpr Family kGemma = {.parts = {base, longest, heads, feed_forward}, .tied = true, .head_dim = 256};
constexpr Family kGemma2 = {.parts = {base, longest, heads, feed_forward, windows_by_turns},
                            .tied = true,
                            .head_dim = 256,
                            .left_out = kTwoMoreNorms};
constexpr Family kGemma3 = {.parts = {base, longest, heads, feed_forward, windows_in_a_pattern},
                            .tied = true,
                            .head_dim = 256,
                            .qk_norm = true,
                            .left_out = kTwoMoreNorms};
constexpr Family kLlama4 = {.parts = {base, longest, heads, experts_interleaved, chunks}, .qk_norm = true};
constexpr Family kNemotron = {.parts = {base, longest, heads, feed_forward},
                              .gated = false,
                              .norm = NormKind::LayerNorm,
                              .rotary = 0.5};
constexpr Family kFalcon = {.parts = {base, heads_of_falcon, feed_forward_4x},
                            .gated = false,
                            .norm = NormKind::LayerNorm,
                            .tied = true};
constexpr Family kGptJ = {.parts = {base, longest, heads, feed_forward_4x},
                          .gated = false,
                          .norm = NormKind::LayerNorm,
                          .parallel_block = true};
constexpr Family kGptNeoX = {.parts = {base, longest, heads, feed_forward_4x, parallel_residual},
                             .gated = false,
                             .norm = NormKind::LayerNorm,
                             .rotary = 0.25};
constexpr Family kGpt2 = {.parts = {base, longest, heads, feed_forward_4x},
                          .gated = false,
                          .norm = NormKind::LayerNorm,
                          .position = PositionKind::Learned,
                          .tied = true};
constexpr Family kBert = {.parts = {base, longest, heads, feed_forward, absolute_positions},
                          .gated = false,
                          .norm = NormKind::LayerNorm,
                          .position = PositionKind::Learned,
                          .tied = true,
                          .causal = false,
                          .left_out = "the pooler and the head's further product"};

/// The names are those of the format: "architectures" and "model_type".
struct Architecture {
  std::string_view name, model_type;
  const Family* family;
};
constexpr std::array kArchitectures = {
    Architecture{"LlamaForCausalLM", "llama", &kLlama},
    Architecture{"MistralForCausalLM", "mistral", &kMistral},
    Architecture{"MixtralForCausalLM", "mixtral", &kMixtral},
    Architecture{"Qwen2ForCausalLM", "qwen2", &kQwen2},
    Architecture{"Qwen2MoeForCausalLM", "qwen2_moe", &kQwen2Moe},
    Architecture{"Qwen3ForCausalLM", "qwen3", &kQwen3},
    Architecture{"Qwen3MoeForCausalLM", "qwen3_moe", &kQwen3Moe},
    Architecture{"Qwen3VLForConditionalGeneration", "qwen3_vl", &kQwen3},
    Architecture{"Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe", &kQwen3Moe},
    Architecture{"Qwen3NextForCausalLM", "qwen3_next", &kQwen3Next},
    Architecture{"Qwen3_5ForConditionalGeneration", "qwen3_5", &kQwen3Next},
    Architecture{"Qwen3_5MoeForConditionalGeneration", "qwen3_5_moe", &kQwen3Next},
    Architecture{"DeepseekV2ForCausalLM", "deepseek_v2", &kDeepSeek},
    Architecture{"DeepseekV3ForCausalLM", "deepseek_v3", &kDeepSeek},
    Architecture{"DeepseekV32ForCausalLM", "deepseek_v32", &kDeepSeek},
    Architecture{"KimiK2ForCausalLM", "kimi_k2", &kDeepSeek},
    Architecture{"KimiK25ForConditionalGeneration", "kimi_k25", &kDeepSeek},
    Architecture{"GlmMoeDsaForCausalLM", "glm_moe_dsa", &kDeepSeek},
    Architecture{"GptOssForCausalLM", "gpt_oss", &kGptOss},
    Architecture{"GlmForCausalLM", "glm", &kGlm4},
    Architecture{"Glm4ForCausalLM", "glm4", &kGlm4},
    Architecture{"Glm4MoeForCausalLM", "glm4_moe", &kGlm4Moe},
    Architecture{"MiniMaxM2ForCausalLM", "minimax_m2", &kMiniMaxM2},
    Architecture{"GemmaForCausalLM", "gemma", &kGemma},
    Architecture{"Gemma2ForCausalLM", "gemma2", &kGemma2},
    Architecture{"Gemma3ForCausalLM", "gemma3_text", &kGemma3},
    Architecture{"Gemma3ForConditionalGeneration", "gemma3", &kGemma3},
    Architecture{"Llama4ForCausalLM", "llama4_text", &kLlama4},
    Architecture{"Llama4ForConditionalGeneration", "llama4", &kLlama4},
    Architecture{"NemotronForCausalLM", "nemotron", &kNemotron},
    Architecture{"FalconForCausalLM", "falcon", &kFalcon},
    Architecture{"GPTJForCausalLM", "gptj", &kGptJ},
    Architecture{"GPTNeoXForCausalLM", "gpt_neox", &kGptNeoX},
    Architecture{"GPT2LMHeadModel", "gpt2", &kGpt2},
    Architecture{"BertForMaskedLM", "bert", &kBert},
};

const Architecture* architecture_of(std::string_view name) {
  for (const Architecture& a : kArchitectures)
    if (a.name == name || a.model_type == name) return &a;
  return nullptr;
}

/// The first name of the file that is known: of the architecture, then of the model type, each in the text
/// part first.
const Architecture& find_architecture(JsonKeys& keys, const std::string& file) {
  std::vector<std::string> names;
  if (keys.has("architectures"))
    for (std::string& name : keys.words({"architectures"}, "the kind of model"))
      names.push_back(std::move(name));
  if (const auto type = keys.word({"model_type"}, "the kind of model")) names.push_back(*type);
  for (const std::string& name : names)
    if (const Architecture* known = architecture_of(name)) return *known;
  std::vector<std::string_view> known;
  for (const Architecture& a : kArchitectures) known.push_back(a.name);
  std::vector<Diagnostic> mistakes = keys.mistakes();
  if (names.empty() && mistakes.empty())
    mistakes.push_back({{file, 0, 0},
                        "architectures",
                        "missing key, and no model_type: is this a config.json of a model?",
                        "known: " + join(known)});
  else if (mistakes.empty())
    mistakes.push_back({{file, 0, 0},
                        "architectures",
                        "unknown architecture " + in_quotes(names.front()),
                        "known: " + join(known)});
  throw ConfigError(std::move(mistakes));
}

// ---- names ----

/// The name that the file or its folder gives, without what every such file is called.
std::string name_of_path(const std::string& file) {
  const std::filesystem::path path(file);
  std::string stem = path.stem().string();
  if (stem.ends_with("_config")) stem.resize(stem.size() - std::string_view("_config").size());
  if (stem != "config") return stem;
  return path.parent_path().filename().string();
}

std::string last_part(const std::string& path) {
  const std::size_t slash = path.find_last_of("/\\");
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

void name_it(ImportedModel& out, JsonKeys& keys, const std::string& id, std::string_view model_type) {
  const double billions = total_parameters(out.model) / 1e9;
  std::string name = name_of_path(out.file);
  if (as_id(name).empty() && keys.has("_name_or_path"))
    name = last_part(keys.word({"_name_or_path"}, "name").value_or(""));
  if (as_id(name).empty())
    name = billions < 10 ? fmt::format("{} {:.1f}B", model_type, billions)
                         : fmt::format("{} {:.0f}B", model_type, billions);
  out.model.name = one_line(name);
  out.model.id = id.empty() ? as_id(name) : id;
  out.model.source = fmt::format("{} (a config.json of {})", one_line(out.file), one_line(out.architecture));
}

}  // namespace

std::string as_id(std::string_view text) {
  std::string id;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z', plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (upper || plain)
      id += upper ? static_cast<char>(c - 'A' + 'a') : c;
    else if (!id.empty() && id.back() != '_')
      id += '_';
  }
  while (!id.empty() && id.back() == '_') id.pop_back();
  return id;
}

ImportedModel import_huggingface(const std::string& json_text, const std::string& file,
                                 const std::string& id) {
  if (!std::all_of(id.begin(), id.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("_-.").find(c) != std::string_view::npos;
      }))
    throw ConfigError(Diagnostic{
        {file, 0, 0}, "id", in_quotes(id) + " is no id", "letters, digits and _-., e.g. " + as_id(id)});
  JsonKeys keys(json_text, file);
  ImportedModel out;
  out.file = file;
  keys.enter("text_config");
  const Architecture& known = find_architecture(keys, file);
  out.architecture = known.name;
  const Family& family = *known.family;
  ModelSpec& m = out.model;
  m.ffn_gated = family.gated;
  m.norm = family.norm;
  m.position = family.position;
  m.causal = family.causal;
  m.parallel_block = family.parallel_block;
  m.sinks = family.sinks;
  Importer importer{keys, family, out, m};
  for (const Part part : family.parts)
    if (part != nullptr) part(importer);
  if (keys.has_mistakes()) throw ConfigError(keys.mistakes());
  name_it(out, keys, id, known.model_type);
  out.taken = keys.taken();
  if (!family.left_out.empty()) out.ignored.push_back({std::string(family.left_out), "left out"});
  for (const auto& [key, value] : keys.unused())
    out.ignored.push_back(
        {key, keys.is_shadowed(key) ? "the text part has its own" : reason_of(key, *value)});
  // What was read must be what a file of XPUSim may say.
  static_cast<void>(read<ModelSpec>(parse_yaml(to_yaml(out), file), m.id + ".yaml"));
  return out;
}

}  // namespace xpusim::config
