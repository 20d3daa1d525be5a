#pragma once
#include <algorithm>

#include "xpusim/operators/work.h"

namespace xpusim {

/// softmax(Q K^T) V. q_len new tokens against kv_len keys (kv_len counts the new ones).
struct AttentionShape {
  Pass pass = Pass::Forward;
  std::int64_t batch = 1, q_len = 1, kv_len = 1, heads = 1, kv_heads = 1, head_dim = 128;
  std::int64_t value_dim = 0;  ///< elements of a value; 0: head_dim, as queries and keys have
  bool latent = false;         ///< values are the first elements of the keys: memory holds both once (MLA)
  bool prompt = false;         ///< one token that is a whole prompt: prefill's kernel runs it, not decode's
  bool causal = true;
  /// Keys that each token attends to, picked from all that it sees and fetched row by row (sparse attention
  /// of DeepSeek-V3.2); 0: all. Forward only.
  std::int64_t picked = 0;
  std::int64_t window = 0;  ///< keys that a token sees at most, its own among them; 0: all. Causal only.
  Dtype dtype = Dtype::Bf16;
  Dtype kv_dtype = Dtype::Bf16;
  [[nodiscard]] bool decodes() const { return q_len == 1 && !prompt; }
  /// Several new tokens behind a cache, to be verified: a library may run its decode kernel for them. Beyond
  /// the rows of a prefill kernel's largest tile they are a piece of a prompt; latent keys are shared by all
  /// heads, so that the decode kernel pays for any number of tokens.
  [[nodiscard]] bool drafts() const {
    constexpr std::int64_t kMostDrafts = 128;
    return pass == Pass::Forward && !is_picked() && causal && !prompt && q_len > 1 && q_len < kv_len &&
           (latent || q_len <= kMostDrafts);
  }
  [[nodiscard]] bool is_windowed() const { return causal && window > 0 && window < kv_len; }
  [[nodiscard]] bool is_picked() const { return pass == Pass::Forward && picked > 0 && picked < kv_len; }
  /// Keys that any of the new tokens sees: those further back are never read.
  [[nodiscard]] std::int64_t seen_keys() const {
    return is_windowed() ? std::min(kv_len, window + q_len - 1) : kv_len;
  }
  [[nodiscard]] std::int64_t value_extent() const { return value_dim > 0 ? value_dim : head_dim; }
  auto operator<=>(const AttentionShape&) const = default;
};

void describe(Fields&, AttentionShape&);
[[nodiscard]] Cost cost(const AttentionShape&);
[[nodiscard]] std::string_view accuracy_class(const AttentionShape&);
[[nodiscard]] Extents accuracy_extents(const AttentionShape&);
[[nodiscard]] AttentionShape sample_of(const AttentionShape&);

/// Keys that the first `rows` of the new tokens attend to, summed up.
[[nodiscard]] double keys_of_rows(const AttentionShape&, double rows);
/// Keys of a sequence that memory has to bring: a picked one comes once, however many tokens pick it.
[[nodiscard]] double keys_read(const AttentionShape&);
/// Share of the q_len x kv_len score matrix that mask and picks leave.
[[nodiscard]] double causal_share(const AttentionShape&);

}  // namespace xpusim
