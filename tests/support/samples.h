#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "support/shipped.h"
#include "xpusim/chip/kernel.h"
#include "xpusim/mapping/templates.h"

/// Random chips and operators for the laws. Every law draws from its own seed, so a failure repeats.
namespace xpusim::test {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr int kSanitizerShare = 25;  ///< a sanitizer build runs one case in so many
#else
inline constexpr int kSanitizerShare = 1;
#endif

/// Cases of a law: `n`, times the environment's XPUSIM_LAW_SCALE (20 looks for rare violations).
inline int cases(int n) {
  const char* scale = std::getenv("XPUSIM_LAW_SCALE");
  return std::max(1, n * (scale == nullptr ? 1 : std::atoi(scale)) / kSanitizerShare);
}

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  double real(double low, double high) { return std::uniform_real_distribution<double>(low, high)(engine_); }
  /// Every factor of two between low and high equally often.
  double log_real(double low, double high) { return std::exp(real(std::log(low), std::log(high))); }
  std::int64_t log_integer(std::int64_t low, std::int64_t high) {
    const double x = log_real(static_cast<double>(low), static_cast<double>(high) + 1);
    return std::clamp(static_cast<std::int64_t>(x), low, high);
  }
  bool chance(double probability) { return real(0, 1) < probability; }
  template <class T>
  const T& pick(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(integer(0, static_cast<std::int64_t>(list.size()) - 1))];
  }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

template <class Q>
void scale(Q& value, double factor) {
  if constexpr (std::is_integral_v<typename Q::rep>)
    value = Q(std::max<typename Q::rep>(1, std::llround(static_cast<double>(value.count()) * factor)));
  else
    value = Q(value.count() * factor);
}

/// A shipped chip with its numbers scaled, each on its own.
inline ChipSpec random_chip(Random& r) {
  ChipSpec c = r.pick(chips());
  c.cores.count =
      std::max<std::int64_t>(1, std::llround(static_cast<double>(c.cores.count) * r.log_real(1.0 / 32, 1.5)));
  c.cores.multicast_cores = r.pick(std::vector<std::int64_t>{1, 2, 4});
  scale(c.clock.max, r.log_real(0.5, 2));
  c.power.full_load_clock = c.clock.max * r.real(0.6, 1.2);
  c.matrix.issue_efficiency = r.real(0.7, 1);
  scale(c.copy_in.port, r.log_real(0.25, 4));
  scale(c.staging.capacity, r.log_real(0.7, 4));
  scale(c.operand_feed.a_rate, r.log_real(0.5, 4));
  scale(c.operand_feed.b_rate, r.log_real(0.5, 4));
  scale(c.accumulator.capacity, r.log_real(0.7, 3));
  scale(c.store.rate, r.log_real(0.25, 4));
  scale(c.vector.ops_per_cycle, r.log_real(0.25, 4));
  scale(c.vector.special_per_cycle, r.log_real(0.25, 4));
  scale(c.vector.read_port, r.log_real(0.25, 4));
  scale(c.vector.write_port, r.log_real(0.25, 4));
  scale(c.vector.buffer, r.log_real(0.25, 4));
  c.vector.special_pipeline = r.chance(0.5) ? SpecialPipeline::Own : SpecialPipeline::Shared;
  c.vector.exchange = r.chance(0.5) ? Exchange::Registers : Exchange::L2;
  c.moe.hbm_fraction = r.real(0.5, 1);
  c.moe.gather_fraction = r.real(0.3, 1);
  c.attention.matrix_efficiency = r.real(0.4, 1);
  c.attention.softmax_overlap = r.real(0, 1);
  c.attention.resident_blocks = r.integer(1, 3);
  c.attention.prefill_block = c.attention.decode_block = Seconds(r.real(0, 5e-6));
  scale(c.l2.capacity, r.log_real(0.02, 4));
  scale(c.l2.bandwidth, r.log_real(0.1, 8));
  scale(c.l2.write_bandwidth, r.log_real(0.1, 8));
  scale(c.l2.latency, r.log_real(0.1, 5));
  scale(c.hbm.bandwidth, r.log_real(0.1, 8));
  c.hbm.achieved_fraction = r.real(0.5, 1);
  c.hbm.latency = c.l2.latency * r.log_real(1, 5);
  return c;
}

/// A time in us, and the numbers of a chip that decide it: what to repeat a failure with.
inline std::string text(const ChipSpec& c) {
  return fmt::format(
      "{} cores={} multicast={} clock={:.4g} issue={:.4g} copy={:.4g} staging={} feed={:.4g}/{:.4g} sums={} "
      "store={:.4g} ops={:.4g} special={:.4g},{} ports={:.4g}/{:.4g} buffer={} exchange={} "
      "l2={}B,{:.4g}/{:.4g}B/s,{:.4g}s "
      "hbm={:.4g}B/s x {:.4g},{:.4g}s",
      c.id, c.cores.count, c.cores.multicast_cores, c.clock.max.count(), c.matrix.issue_efficiency,
      c.copy_in.port.count(), c.staging.capacity.count(), c.operand_feed.a_rate.count(),
      c.operand_feed.b_rate.count(), c.accumulator.capacity.count(), c.store.rate.count(),
      c.vector.ops_per_cycle.count(), c.vector.special_per_cycle.count(),
      enum_name(c.vector.special_pipeline), c.vector.read_port.count(), c.vector.write_port.count(),
      c.vector.buffer.count(), enum_name(c.vector.exchange), c.l2.capacity.count(), c.l2.bandwidth.count(),
      c.l2.write_bandwidth.count(), c.l2.latency.count(), c.hbm.bandwidth.count(), c.hbm.achieved_fraction,
      c.hbm.latency.count());
}
inline std::string text(const Operator& o) {
  if (o.is<GemmShape>()) {
    const GemmShape& g = o.as<GemmShape>();
    return fmt::format(
        "gemm m={} n={} k={} batch={} dtype={} weight_dtype={} b_is_weight={} weight_copies={}", g.m, g.n,
        g.k, g.batch, name(g.dtype), name(g.weight_dtype), g.b_is_weight, g.weight_copies);
  }
  if (o.is<AttentionShape>()) {
    const AttentionShape& a = o.as<AttentionShape>();
    return fmt::format(
        "attention pass={} batch={} q_len={} kv_len={} heads={} kv_heads={} head_dim={} value_dim={} "
        "latent={} causal={} window={} picked={} "
        "dtype={} kv_dtype={}",
        enum_name(a.pass), a.batch, a.q_len, a.kv_len, a.heads, a.kv_heads, a.head_dim, a.value_dim, a.latent,
        a.causal, a.window, a.picked, name(a.dtype), name(a.kv_dtype));
  }
  if (o.is<GroupedGemmShape>()) {
    const GroupedGemmShape& g = o.as<GroupedGemmShape>();
    return fmt::format(
        "grouped_gemm groups={} m={} n={} k={} active={} imbalance={} dtype={} weight_dtype={} "
        "weight_copies={}",
        g.groups, g.m, g.n, g.k, g.active, g.imbalance, name(g.dtype), name(g.weight_dtype), g.weight_copies);
  }
  if (o.is<LinearScanShape>()) {
    const LinearScanShape& s = o.as<LinearScanShape>();
    return fmt::format(
        "linear_scan batch={} q_len={} key_heads={} heads={} key_dim={} value_dim={} chunk={} dtype={} "
        "state_dtype={}",
        s.batch, s.q_len, s.key_heads, s.heads, s.key_dim, s.value_dim, s.chunk, name(s.dtype),
        name(s.state_dtype));
  }
  const RowwiseShape& w = o.as<RowwiseShape>();
  return fmt::format("{} rows={} cols={} pairs={} pass={} dtype={} residual={}", enum_name(w.kind), w.rows,
                     w.cols, w.pairs, enum_name(w.pass), name(w.dtype), w.residual);
}

/// The classes of operators that the laws go through.
enum class Class : std::uint8_t { Gemm, Prefill, Backward, Decode, Rowwise, Grouped, Scan };
inline constexpr std::array<std::string_view, 7> kClassNames = {
    "Gemm",    "AttentionForward", "AttentionBackward", "AttentionDecode",
    "Rowwise", "GroupedGemm",      "LinearScan"};
inline const std::vector<Class> kClasses = {Class::Gemm,    Class::Prefill, Class::Backward, Class::Decode,
                                            Class::Rowwise, Class::Grouped, Class::Scan};

inline Operator random_gemm(Random& r, const ChipSpec& c) {
  std::vector<Dtype> types;
  for (const auto& [type, unused] : c.matrix.flops_per_cycle) types.push_back(type);
  Operator o;
  o.work = GemmShape{};
  o.name = "gemm";
  const auto extent = [&r](std::int64_t most) {
    const std::int64_t x = r.log_integer(1, most);
    return x > 64 && r.chance(0.5) ? round_up(x, 64) : x;
  };
  o.as<GemmShape>().m = extent(2048);
  o.as<GemmShape>().n = extent(4096);
  o.as<GemmShape>().k = extent(4096);
  o.as<GemmShape>().batch = r.chance(0.2) ? r.integer(2, 6) : 1;
  o.as<GemmShape>().dtype = r.pick(types);
  o.as<GemmShape>().weight_dtype = o.as<GemmShape>().dtype;
  if (r.chance(0.3)) {
    const bool narrow = c.matrix.unpack_rate.count() > 0 && r.chance(0.5);
    o.as<GemmShape>().weight_dtype =
        narrow ? r.pick(std::vector<Dtype>{Dtype::Int4, Dtype::Nvfp4}) : Dtype::Int8;
  }
  o.as<GemmShape>().b_is_weight = r.chance(0.7);
  o.as<GemmShape>().weight_copies = r.chance(0.15) ? r.integer(1, 6) : 0;
  return o;
}

inline Operator random_grouped_gemm(Random& r, const ChipSpec& c) {
  const Operator product = random_gemm(r, c);
  Operator o;
  o.work = GroupedGemmShape{};
  o.name = "grouped_gemm";
  GroupedGemmShape& g = o.as<GroupedGemmShape>();
  g.groups = r.log_integer(1, 64);
  g.m = product.as<GemmShape>().m;
  g.n = product.as<GemmShape>().n;
  g.k = product.as<GemmShape>().k;
  g.dtype = product.as<GemmShape>().dtype;
  g.weight_dtype = product.as<GemmShape>().weight_dtype;
  g.weight_copies = product.as<GemmShape>().weight_copies;
  if (r.chance(0.4)) g.active = r.integer(1, std::min(g.groups, g.m));
  if (r.chance(0.4)) {
    const auto active = static_cast<double>(g.active_groups()), rows = static_cast<double>(g.m);
    g.imbalance = r.real(1, std::max(1.0, (rows - active + 1) * active / rows));
  }
  return o;
}

inline Operator random_attention(Random& r, const ChipSpec& c, Class kind) {
  Operator o;
  o.work = AttentionShape{};
  o.name = "attention";
  AttentionShape& a = o.as<AttentionShape>();
  a.pass = kind == Class::Backward ? Pass::Backward : Pass::Forward;
  a.kv_heads = r.integer(1, 8);
  a.heads = a.kv_heads * r.pick(std::vector<std::int64_t>{1, 1, 2, 4, 8});
  a.head_dim = r.pick(std::vector<std::int64_t>{64, 128});
  if (r.chance(0.3)) a.value_dim = r.pick(std::vector<std::int64_t>{64, 128});
  a.latent = kind == Class::Decode && r.chance(0.2);
  a.kv_len = r.log_integer(16, kind == Class::Decode ? 16384 : 2048);
  a.batch = r.log_integer(1, kind == Class::Decode ? 16 : 2);
  a.causal = r.chance(0.7);
  if (kind == Class::Decode)
    a.q_len = 1;
  else
    a.q_len = r.chance(0.7) ? a.kv_len : r.integer(2, a.kv_len);
  std::vector<Dtype> types;
  for (const Dtype type : {Dtype::Bf16, Dtype::Fp16})
    if (c.matrix.flops_per_cycle.contains(type)) types.push_back(type);
  a.dtype = r.pick(types);
  a.kv_dtype = kind == Class::Decode && r.chance(0.3) ? Dtype::Int8 : a.dtype;
  if (a.causal && r.chance(0.2))
    a.window = r.log_integer(1, a.kv_len);
  else if (kind != Class::Backward && r.chance(0.15))
    a.picked = r.log_integer(1, a.kv_len);
  return o;
}

inline Operator random_scan(Random& r, const ChipSpec& c) {
  LinearScanShape o;
  o.batch = r.log_integer(1, 8);
  o.q_len = r.log_integer(1, 2048);
  o.key_heads = r.integer(1, 4);
  o.heads = o.key_heads * r.integer(1, 4);
  o.key_dim = r.pick(std::vector<std::int64_t>{64, 128});
  o.value_dim = r.pick(std::vector<std::int64_t>{64, 128});
  o.chunk = r.pick(std::vector<std::int64_t>{32, 64});
  o.dtype = half_type(c);
  o.state_dtype = r.pick(std::vector<Dtype>{Dtype::Fp32, Dtype::Bf16});
  return {"linear_scan", o, {}};
}

inline Operator random_rowwise(Random& r) {
  Operator o;
  const auto last = static_cast<std::int64_t>(kRowwiseKindNames.size()) - 1;
  o.work = RowwiseShape{.kind = static_cast<RowwiseKind>(r.integer(0, last))};
  o.name = std::string(enum_name(o.as<RowwiseShape>().kind));
  o.as<RowwiseShape>().rows = r.log_integer(1, 8192);
  o.as<RowwiseShape>().cols = r.log_integer(1, 16384);
  o.as<RowwiseShape>().pass = r.chance(0.3) ? Pass::Backward : Pass::Forward;
  o.as<RowwiseShape>().dtype = r.pick(std::vector<Dtype>{Dtype::Bf16, Dtype::Fp32, Dtype::Int8});
  o.as<RowwiseShape>().residual = r.chance(0.3);
  o.as<RowwiseShape>().cold = r.chance(0.3);
  if (has_pairs(o.as<RowwiseShape>().kind)) o.as<RowwiseShape>().pairs = r.log_integer(1, 65536);
  return o;
}

inline Operator random_operator(Random& r, const ChipSpec& c, Class kind) {
  if (kind == Class::Gemm) return random_gemm(r, c);
  if (kind == Class::Rowwise) return random_rowwise(r);
  if (kind == Class::Grouped) return random_grouped_gemm(r, c);
  if (kind == Class::Scan) return random_scan(r, c);
  return random_attention(r, c, kind);
}
inline Operator random_operator(Random& r, const ChipSpec& c) {
  return random_operator(r, c, r.pick(kClasses));
}

inline double bound_seconds(const mapping::TileProgram& p, const ChipSpec& c) {
  return chip::bound(p, c, c.clock.max, Seconds(0)).total.count();
}
inline double tile_seconds(const mapping::TileProgram& p, const ChipSpec& c) {
  return chip::execute(p, c, c.clock.max, Seconds(0)).total.count();
}
/// The program that an Estimator would take.
inline mapping::TileProgram best(const Operator& o, const ChipSpec& c) {
  return chip::choose(o, c, 0).front().program;
}

}  // namespace xpusim::test
