#include "xpusim/operators/attention.h"

#include "xpusim/operators/sampling.h"

namespace xpusim {

void describe(Fields& f, AttentionShape& c) {
  f.optional("pass", c.pass, "forward or backward");
  f.required("batch", c.batch, "sequences", kExtent);
  f.required("q_len", c.q_len, "new tokens per sequence", kExtent);
  f.required("kv_len", c.kv_len, "keys per sequence, the new tokens among them", kExtent);
  f.required("heads", c.heads, "query heads", kExtent);
  f.required("kv_heads", c.kv_heads, "key and value heads", kExtent);
  f.required("head_dim", c.head_dim, "elements of a head", between(1, 1024));
  f.optional("value_dim", c.value_dim, "elements of a value; 0: head_dim", between(0, 1024));
  f.optional("latent", c.latent, "values are the first elements of the keys (multi-head latent attention)");
  f.optional("prompt", c.prompt, "one token that is a whole prompt: prefill's kernel runs it, not decode's");
  f.optional("causal", c.causal, "new token i sees the keys up to its own");
  f.optional("window", c.window, "causal: keys that a token sees at most, its own among them; 0: all",
             between(0, 1LL << 40));
  f.optional("picked", c.picked, "keys that each new token attends to, fetched row by row; 0: all",
             between(0, 1LL << 40));
  if (!f.reads()) return;
  if (c.causal && c.window >= c.kv_len) c.window = 0;
  if (c.picked >= c.kv_len) c.picked = 0;
  f.optional("dtype", c.dtype, "operand type of the products");
  if (f.reads()) c.kv_dtype = c.dtype;
  f.optional("kv_dtype", c.kv_dtype, "type of keys and values in memory; default: dtype");
}

double keys_of_rows(const AttentionShape& a, double rows) {
  const double before = d(a.kv_len - a.q_len);  // row r sees before + r keys, or the window
  const auto sum = [&](double r) { return r * before + r * (r + 1) / 2; };
  const bool limited = a.is_windowed() || a.is_picked();
  const double most = limited ? d(a.is_picked() ? a.picked : a.window) : d(a.kv_len);
  if (!a.causal) return rows * most;
  if (!limited) return sum(rows);
  const double growing = std::clamp(most - before, 0.0, rows);
  return sum(growing) + (rows - growing) * most;
}

double keys_read(const AttentionShape& a) {
  if (!a.is_picked()) return d(a.seen_keys());
  return std::min(keys_of_rows(a, d(a.q_len)), d(a.kv_len));
}

double causal_share(const AttentionShape& a) {
  if (a.is_windowed() || a.is_picked()) return keys_of_rows(a, d(a.q_len)) / d(a.q_len) / d(a.kv_len);
  if (!a.causal) return 1;
  // Row i of the last q_len rows sees kv_len - q_len + i + 1 keys.
  return (d(a.kv_len) - (d(a.q_len) - 1) / 2) / d(a.kv_len);
}

Cost cost(const AttentionShape& a) {
  Cost c;
  const double scores = d(a.batch) * d(a.heads) * d(a.q_len) * d(a.kv_len) * causal_share(a);
  const bool backward = a.pass == Pass::Backward;
  // Forward: Q K^T and P V. Backward: S again, dP, dV, dQ, dK.
  c.matrix_flops =
      Flops(2 * scores *
            (backward ? 3 * d(a.head_dim) + 2 * d(a.value_extent()) : d(a.head_dim) + d(a.value_extent())));
  c.matrix_dtype = a.dtype;
  c.vector_ops = scores * (backward ? 7 : 5);
  c.special_ops = scores;
  const double rows = d(a.batch) * d(a.heads) * d(a.q_len);
  const double q_bytes = rows * d(a.head_dim) * size_of(a.dtype);
  const double o_bytes = rows * d(a.value_extent()) * size_of(a.dtype);
  const double kv_bytes = d(a.batch) * d(a.kv_heads) * keys_read(a) *
                          d(a.head_dim + (a.latent ? 0 : a.value_extent())) * size_of(a.kv_dtype);
  const bool from_cache = a.q_len < a.kv_len;
  (from_cache ? c.weight_bytes : c.input_bytes) = kv_bytes;
  c.input_bytes += q_bytes + (backward ? 2 * o_bytes : 0);   // Q; backward also O and dO
  c.output_bytes = backward ? q_bytes + kv_bytes : o_bytes;  // O; backward dQ, dK, dV
  return c;
}

std::string_view accuracy_class(const AttentionShape& a) {
  if (a.pass == Pass::Backward) return "attention backward";
  if (a.is_picked()) return "attention over picked keys";
  if (a.drafts()) return "attention decode, several tokens";
  return a.decodes() ? "attention decode" : "attention prefill";
}

Extents accuracy_extents(const AttentionShape& a) {
  return {{"batch", d(a.batch)},
          {"kv_len", d(a.seen_keys())},
          {"heads", d(a.heads)},
          {"head_dim", d(a.head_dim)}};
}

/// Fewer sequences first, then fewer heads, then fewer keys; causal attention keeps its lengths, of which its
/// blocks differ.
AttentionShape sample_of(const AttentionShape& whole) {
  AttentionShape a = whole;
  double work = cost(a).matrix_flops.count() / 2;
  cut_extent(a.batch, work, kSampledAttentionMacs, 1);
  cut_heads(a.heads, a.kv_heads, work, kSampledAttentionMacs);
  if (!a.causal) cut_extent(a.kv_len, work, kSampledAttentionMacs, kSampledTiles);
  return a;
}

}  // namespace xpusim
