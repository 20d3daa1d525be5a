#include "laws/what_if.h"

#include "xpusim/core/error.h"

namespace xpusim::test {
namespace {

double factor(Random& r) {
  if (r.chance(0.2)) return r.real(1, 1.5);
  return r.pick(std::vector<double>{1.01, 1.05, 1.1, 1.25, 1.5, 2, 3, 4, 8});
}

template <class Q>
bool raise(Q& value, Random& r) {
  if constexpr (std::is_arithmetic_v<Q>) {
    if (value == 0) return false;
    value = std::is_integral_v<Q>
                ? std::max<Q>(value + 1, static_cast<Q>(std::llround(static_cast<double>(value) * factor(r))))
                : static_cast<Q>(static_cast<double>(value) * factor(r));
  } else {
    if (value.count() == 0) return false;
    scale(value, factor(r));
  }
  return true;
}
bool raise_share(double& value, Random& r) {
  if (value <= 0 || value >= 1) return false;
  value = std::min(1.0, value * factor(r));
  return true;
}
template <class Q>
bool lower(Q& value, Random& r) {
  if (value.count() == 0) return false;
  value = r.chance(0.1) ? Q(0) : value * (1 / factor(r));
  return true;
}

}  // namespace

const std::vector<Key>& keys() {
#define XPUSIM_KEY(how, member)                                               \
  Key {                                                                       \
#member, [](ChipSpec & c, Random & r, Dtype) { return how(c.member, r); } \
  }
  static const std::vector<Key> all = {
      XPUSIM_KEY(raise, cores.count),
      XPUSIM_KEY(raise, cores.multicast_cores),
      XPUSIM_KEY(raise, clock.max),
      XPUSIM_KEY(raise, power.cap),
      XPUSIM_KEY(raise, power.full_load_clock),
      Key{"matrix.flops_per_cycle",
          [](ChipSpec& c, Random& r, Dtype t) {
            const auto rate = c.matrix.flops_per_cycle.find(t);
            return rate != c.matrix.flops_per_cycle.end() && raise(rate->second, r);
          }},
      XPUSIM_KEY(raise_share, matrix.issue_efficiency),
      XPUSIM_KEY(raise, matrix.unpack_rate),
      XPUSIM_KEY(raise, copy_in.port),
      XPUSIM_KEY(raise, staging.capacity),
      XPUSIM_KEY(raise, operand_feed.a_rate),
      XPUSIM_KEY(raise, operand_feed.b_rate),
      XPUSIM_KEY(raise, operand_feed.a_capacity),
      XPUSIM_KEY(raise, operand_feed.b_capacity),
      XPUSIM_KEY(raise, accumulator.capacity),
      XPUSIM_KEY(raise, store.rate),
      XPUSIM_KEY(raise, vector.units_per_core),
      XPUSIM_KEY(raise, vector.ops_per_cycle),
      XPUSIM_KEY(raise, vector.special_per_cycle),
      XPUSIM_KEY(raise, vector.read_port),
      XPUSIM_KEY(raise, vector.write_port),
      XPUSIM_KEY(raise, vector.buffer),
      XPUSIM_KEY(raise_share, vector.kernel_efficiency),
      XPUSIM_KEY(raise, l2.capacity),
      XPUSIM_KEY(raise, l2.bandwidth),
      XPUSIM_KEY(raise, l2.write_bandwidth),
      XPUSIM_KEY(raise_share, l2.held_fraction),
      XPUSIM_KEY(lower, l2.latency),
      XPUSIM_KEY(raise, hbm.bandwidth),
      XPUSIM_KEY(raise_share, hbm.achieved_fraction),
      XPUSIM_KEY(lower, hbm.latency),
      XPUSIM_KEY(raise_share, attention.matrix_efficiency),
      XPUSIM_KEY(raise_share, attention.softmax_overlap),
      XPUSIM_KEY(lower, attention.prefill_block),
      XPUSIM_KEY(lower, attention.decode_block),
      XPUSIM_KEY(lower, attention.head_block),
      XPUSIM_KEY(raise_share, moe.hbm_fraction),
      XPUSIM_KEY(raise_share, moe.gather_fraction),
      XPUSIM_KEY(lower, overheads.kernel_launch),
      XPUSIM_KEY(lower, overheads.graph_node),
      XPUSIM_KEY(lower, overheads.block_sync),
      XPUSIM_KEY(lower, overheads.kernel_start),
      XPUSIM_KEY(lower, overheads.vector_start),
  };
#undef XPUSIM_KEY
  return all;
}

namespace {

using Extent = std::vector<std::int64_t>;
const Extent kRows = {1,   2,   3,   4,   5,   7,    8,    12,   16,   17,   24,   31,   32,
                      33,  48,  63,  64,  65,  96,   100,  127,  128,  129,  192,  255,  256,
                      257, 384, 512, 513, 768, 1000, 1024, 1536, 2048, 3000, 4096, 8192, 16384};
const Extent kColumns = {128,   256,   512,   576,   640,   768,   1024,  1280,  1536,  1792,  2048,  2304,
                         2560,  3072,  3584,  4096,  4608,  5120,  6144,  7168,  8192,  9216,  10240, 11008,
                         12288, 13824, 14336, 16384, 18432, 20480, 22016, 24576, 28672, 29568, 32768, 53248};

Dtype asked_type(Random& r, const ChipSpec& c, bool half) {
  if (half || r.chance(0.6)) return half_type(c);
  std::vector<Dtype> types;
  for (const Dtype t : {Dtype::Bf16, Dtype::Fp16, Dtype::Fp8, Dtype::Int8})
    if (c.matrix.flops_per_cycle.contains(t)) types.push_back(t);
  return r.pick(types);
}

std::int64_t key_heads(Random& r, std::int64_t heads) {
  Extent list;
  for (const std::int64_t n : {std::int64_t{1}, std::int64_t{2}, std::int64_t{4}, std::int64_t{8}, heads})
    if (heads % n == 0) list.push_back(n);
  return r.pick(list);
}

GemmShape asked_gemm(Random& r, const ChipSpec& c) {
  GemmShape g{
      .m = r.pick(kRows), .n = r.pick(kColumns), .k = r.pick(kColumns), .dtype = asked_type(r, c, false)};
  g.weight_dtype = g.dtype;
  if (r.chance(0.15)) g.batch = r.pick(Extent{2, 4, 8, 32});
  if (r.chance(0.1) && layout_of(g.dtype).bits == 16) g.weight_dtype = Dtype::Int8;
  if (r.chance(0.1)) g.b_is_weight = false;
  return g;
}

AttentionShape asked_attention(Random& r, const ChipSpec& c, std::size_t kind) {
  AttentionShape a;
  const bool mla = kAsked[kind] == "mla", decode = kAsked[kind] == "decode" || (mla && r.chance(0.6));
  a.dtype = a.kv_dtype = asked_type(r, c, kAsked[kind] == "backward");
  if (mla) {
    a.heads = r.pick(Extent{8, 16, 32, 64, 128});
    a.latent = decode;
    a.kv_heads = decode ? 1 : a.heads;
    a.head_dim = decode ? 576 : 192;
    a.value_dim = decode ? 512 : 128;
  } else {
    a.heads = r.pick(Extent{1, 2, 4, 8, 12, 16, 32, 40, 64});
    a.kv_heads = key_heads(r, a.heads);
    a.head_dim = r.pick(Extent{64, 80, 128, 128, 128, 192, 256});
  }
  if (decode) {
    a.batch = r.pick(Extent{1, 2, 3, 4, 8, 16, 31, 32, 33, 63, 64, 65, 128, 256});
    a.kv_len =
        r.pick(Extent{128, 512, 1000, 1024, 2048, 4095, 4096, 4097, 8192, 16384, 32768, 65536, 131072});
    a.q_len = mla ? r.pick(Extent{1, 1, 2}) : 1;
    if (!mla && r.chance(0.15)) a.kv_dtype = Dtype::Int8;
    return a;
  }
  a.batch = r.pick(Extent{1, 1, 2, 4, 8, 16});
  a.q_len = r.pick(Extent{64, 100, 128, 256, 512, 1000, 1024, 1500, 2048, 3000, 4096, 4097, 8192, 16384});
  a.kv_len = a.q_len + (mla ? 0 : r.pick(Extent{0, 0, 0, 1024, 4096}));
  a.causal = r.chance(0.67);
  if (kAsked[kind] != "backward") return a;
  a.pass = Pass::Backward;
  a.kv_len = a.q_len = r.pick(Extent{512, 1024, 2048, 4096, 8192});
  a.batch = r.pick(Extent{1, 2, 4});
  a.head_dim = 128;
  return a;
}

RowwiseShape asked_rowwise(Random& r, bool usual) {
  const std::vector<RowwiseKind> norms = {RowwiseKind::RmsNorm, RowwiseKind::LayerNorm, RowwiseKind::Softmax,
                                          RowwiseKind::SwiGlu,  RowwiseKind::Gelu,      RowwiseKind::Add,
                                          RowwiseKind::Rope,    RowwiseKind::Quantize};
  const std::vector<RowwiseKind> others = {
      RowwiseKind::Embedding, RowwiseKind::CrossEntropy, RowwiseKind::Optimizer,  RowwiseKind::MoeRoute,
      RowwiseKind::MoeSort,   RowwiseKind::MoeFinalize,  RowwiseKind::MoePermute, RowwiseKind::TopK,
      RowwiseKind::ShortConv, RowwiseKind::Copy};
  RowwiseShape o{.kind = r.pick(usual ? norms : others), .rows = r.pick(kRows), .cols = r.pick(kColumns)};
  o.cold = r.chance(0.4);
  o.residual = (o.kind == RowwiseKind::RmsNorm || o.kind == RowwiseKind::LayerNorm) && r.chance(0.3);
  if (has_pairs(o.kind)) o.pairs = o.rows * r.pick(Extent{1, 2, 8});
  return o;
}

GroupedGemmShape asked_grouped(Random& r, const ChipSpec& c) {
  GroupedGemmShape g;
  g.groups = r.pick(Extent{1, 2, 4, 8, 16, 32, 64, 128, 256});
  g.m = r.pick(r.chance(0.1) ? Extent{32768, 65536} : kRows);
  g.n = r.pick(kColumns);
  g.k = r.pick(Extent(kColumns.begin(), kColumns.begin() + 20));
  g.dtype = g.weight_dtype = asked_type(r, c, false);
  const double most = static_cast<double>(std::min(g.groups, g.m));
  if (r.chance(0.3)) g.imbalance = std::min(most, r.pick(std::vector<double>{1.1, 1.5, 2, 4}));
  return g;
}

}  // namespace

Operator asked_operator(Random& r, const ChipSpec& c, std::size_t kind) {
  Operator o;
  o.name = kAsked[kind];
  if (kAsked[kind] == "gemm")
    o.work = asked_gemm(r, c);
  else if (kAsked[kind] == "grouped_gemm")
    o.work = asked_grouped(r, c);
  else if (kAsked[kind].starts_with("rowwise"))
    o.work = asked_rowwise(r, kAsked[kind] == "rowwise");
  else
    o.work = asked_attention(r, c, kind);
  return o;
}

void search_operators(std::uint32_t seed, int pairs, Fidelity fidelity, std::size_t kind,
                      const std::function<void(const WhatIf&)>& see) {
  constexpr double kMostFlops = 2e11;  // longer ones say no more, and take the event kernel seconds
  Random r(seed);
  for (int done = 0; done < pairs;) {
    WhatIf w;
    w.chip = r.pick(chips());
    w.kind = kind;
    w.op = asked_operator(r, w.chip, w.kind);
    const Dtype type = cost(w.op).matrix_dtype;
    if (fidelity == Fidelity::Tile && cost(w.op).matrix_flops.count() > kMostFlops) continue;
    if (r.chance(0.3)) r.pick(keys()).improve(w.chip, r, type);  // a what-if on a what-if
    const Launch launch = r.chance(0.15) ? Launch::Eager : Launch::Graph;
    double before = 0;
    std::string tiling;
    try {
      chip::Estimator estimator(w.chip, fidelity, launch);
      const chip::KernelTime& t = estimator.time(w.op);
      before = t.total.count();
      tiling = t.tiling;
    } catch (const InfeasibleError&) {
      continue;
    }
    for (int i = 0; i < (fidelity == Fidelity::Tile ? 4 : 8); ++i) {
      const Key& key = r.pick(keys());
      w.better = w.chip;
      if (!key.improve(w.better, r, type)) continue;
      w.key = key.name;
      chip::Estimator estimator(w.better, fidelity, launch);
      const chip::KernelTime& t = estimator.time(w.op);
      w.worse = t.total.count() / before - 1;
      w.text = fmt::format("{:+.3f} % {} {} | {:.5g} s -> {:.5g} s | {} -> {} | {} || {} -> {}",
                           100 * w.worse, w.key, w.chip.id, before, t.total.count(), tiling, t.tiling,
                           text(w.op), text(w.chip), text(w.better));
      ++done;
      see(w);
    }
  }
}

}  // namespace xpusim::test
