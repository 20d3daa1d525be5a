#include "xpusim/operators/linear_scan.h"

#include "xpusim/operators/sampling.h"

namespace xpusim {

void describe(Fields& f, LinearScanShape& c) {
  f.required("batch", c.batch, "sequences", kExtent);
  f.required("q_len", c.q_len, "new tokens per sequence", kExtent);
  f.required("heads", c.heads, "value heads: each has a state", kExtent);
  f.required("key_heads", c.key_heads, "query and key heads", kExtent);
  f.required("key_dim", c.key_dim, "elements of a key", between(1, 1024));
  f.required("value_dim", c.value_dim, "elements of a value", between(1, 1024));
  f.optional("chunk", c.chunk, "tokens that the chunkwise kernel turns into products together",
             between(16, 256));
  f.optional("dtype", c.dtype, "operand type of the products");
  f.optional("state_dtype", c.state_dtype, "type of the state in memory");
}

/// What the recurrence needs, token by token: S k, the update of S by an outer product, and S q. The
/// chunkwise kernel computes more, which is its own affair.
Cost cost(const LinearScanShape& o) {
  const double tokens = d(o.batch) * d(o.q_len), states = d(o.batch) * d(o.heads);
  const double keys = d(o.key_dim), values = d(o.value_dim);
  const double state_bytes = states * keys * values * size_of(o.state_dtype);
  Cost c;
  c.matrix_flops = Flops(6 * tokens * d(o.heads) * keys * values);
  c.matrix_dtype = o.dtype;
  c.vector_ops = tokens * d(o.heads) * (keys + 2 * values);  // keys and values scaled, the output converted
  c.special_ops = tokens * d(o.heads);                       // the decay
  c.weight_bytes = state_bytes;
  c.input_bytes = tokens * ((2 * d(o.key_heads) * keys + d(o.heads) * values) * size_of(o.dtype) +
                            d(o.heads) * 2 * 4);  // decay and step, fp32
  c.output_bytes = tokens * d(o.heads) * values * size_of(o.dtype) + state_bytes;
  return c;
}

Extents accuracy_extents(const LinearScanShape& o) {
  return {{"batch", d(o.batch)}, {"q_len", d(o.q_len)}, {"heads", d(o.heads)}, {"key_dim", d(o.key_dim)}};
}

/// Fewer sequences first, then fewer heads, then fewer chunks.
LinearScanShape sample_of(const LinearScanShape& whole) {
  LinearScanShape o = whole;
  double work = cost(o).matrix_flops.count() / 2;
  cut_extent(o.batch, work, kSampledMacs, 1);
  cut_heads(o.heads, o.key_heads, work, kSampledMacs);
  cut_extent(o.q_len, work, kSampledMacs, o.chunk);
  return o;
}

}  // namespace xpusim
