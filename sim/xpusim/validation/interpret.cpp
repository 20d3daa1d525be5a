#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/validation/field_reader.h"
#include "xpusim/validation/measured_set.h"
#include "xpusim/validation/moe.h"

namespace xpusim::validation {
namespace {

/// Numbers, extents and types of a row.
class RowReader : public FieldReader {
 public:
  using FieldReader::FieldReader;

  double positive(std::string_view column) { return number(column, true); }
  std::int64_t count(std::string_view column) {
    const double x = number(column, true);
    if (x != std::floor(x)) wrong(column, "write a whole number");
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(x, 1e15)));
  }
  std::int64_t count_or(std::string_view column, std::int64_t otherwise) {
    return text(column).empty() ? otherwise : count(column);
  }
  std::int64_t whole_or_zero(std::string_view column) {
    return static_cast<std::int64_t>(number(column, false));
  }
  /// How many copies of the weights a GEMM set rotated: as its attribute says. Without one, five, as the
  /// published sets of graph replays did; weights are cold (0) where a column says how a row was timed.
  std::int64_t rotation() const {
    constexpr std::int64_t kPublished = 5;
    const auto found = csv().attributes.find("weight_copies");
    if (found == csv().attributes.end()) return csv().has("timing") ? 0 : kPublished;
    return std::strtoll(found->second.c_str(), nullptr, 10);
  }
  /// AxB or AxBxC: the first, and the product of the others.
  std::pair<std::int64_t, std::int64_t> extents(std::string_view column) {
    const std::string_view all = text(column);
    std::vector<std::int64_t> found;
    for (std::size_t at = 0; at <= all.size();) {
      const std::size_t end = std::min(all.find('x', at), all.size());
      std::int64_t x = 0;
      const auto parsed = std::from_chars(all.data() + at, all.data() + end, x);
      if (parsed.ec != std::errc() || parsed.ptr != all.data() + end || x <= 0 || x > (1LL << 32)) break;
      found.push_back(x);
      at = end + 1;
      if (end == all.size() && found.size() >= 2 && found.size() <= 3)
        return {found[0], found[1] * (found.size() == 3 ? found[2] : 1)};
    }
    wrong(column, "write ROWSxCOLS");
    return {1, 1};
  }
  Dtype dtype(std::string_view column) {
    static constexpr std::pair<std::string_view, Dtype> kNames[] = {
        {"bfloat16", Dtype::Bf16}, {"bf16", Dtype::Bf16}, {"float16", Dtype::Fp16}, {"fp16", Dtype::Fp16},
        {"half", Dtype::Fp16},     {"fp8", Dtype::Fp8},   {"int8", Dtype::Int8},    {"fp32", Dtype::Fp32},
        {"tf32", Dtype::Tf32},     {"hf32", Dtype::Tf32}};
    for (const auto& [name, type] : kNames)
      if (text(column) == name) return type;
    wrong(column, "bf16, fp16, fp8, int8, fp32 or tf32");
    return Dtype::Bf16;
  }

 private:
  double number(std::string_view column, bool above_zero) {
    if (const auto x = parsed(column); x && (above_zero ? *x > 0 : *x >= 0)) return *x;
    wrong(column, above_zero ? "write a number above 0" : "write a number, 0 or more");
    return 1;
  }
};

/// What a row stands for.
struct Call {
  std::optional<Operator> op;
  std::vector<Operator> before;
  Setup setup = Setup::None;
};

Operator rowwise(RowReader& r, RowwiseKind kind, std::string_view rows, std::string_view cols, Dtype dtype) {
  return {{}, RowwiseShape{.kind = kind, .rows = r.count(rows), .cols = r.count(cols), .dtype = dtype}, {}};
}

Call gemm(RowReader& r, Dtype dtype) {
  Operator o;
  o.work = GemmShape{
      .m = r.count("m"), .n = r.count("n"), .k = r.count("k"), .dtype = dtype, .weight_dtype = dtype};
  o.as<GemmShape>().weight_copies = r.rotation();
  return {o, {}, Setup::None};
}

/// Products of other sources than the serving library: dense ones, batches, and groups of m rows each.
/// Weights come round at once where the note says that the caches were warm.
Call gemm_of_other_source(RowReader& r) {
  const std::int64_t groups = r.count_or("groups", 1);
  Call call = gemm(r, r.dtype("dtype"));
  call.op->as<GemmShape>().batch = r.count_or("batch", 1);
  call.op->as<GemmShape>().weight_copies = r.text("note").find("l2_warm") == std::string_view::npos ? 0 : 1;
  if (groups == 1) return call;
  const GemmShape g = call.op->as<GemmShape>();
  call.op->work = GroupedGemmShape{
      .groups = groups, .m = groups * g.m, .n = g.n, .k = g.k, .dtype = g.dtype, .weight_dtype = g.dtype};
  return call;
}

/// A linear layer in fp8 less its quantisation, as the serving library runs it: the scale of the activations,
/// one number, still goes through a kernel of its own that makes it fp32 (TensorRT-LLM, linear.py).
Call linear_fp8(RowReader& r) {
  Call call = gemm(r, Dtype::Fp8);
  if (r.text("timing").empty()) {
    Operator scale;
    scale.work = RowwiseShape{.kind = RowwiseKind::Copy};
    call.before.push_back(scale);
  }
  return call;
}

/// What the sets of a serving library name alike: new and cached tokens, heads, data types.
Operator served_attention(RowReader& r, bool decode, std::string_view dtype) {
  Operator o;
  o.work = AttentionShape{};
  AttentionShape& a = o.as<AttentionShape>();
  a.batch = r.count("batch_size");
  a.heads = r.count("num_heads");
  a.dtype = r.dtype(dtype);
  a.kv_dtype = r.dtype("kv_cache_dtype");
  const std::int64_t cached = r.whole_or_zero("step");
  a.q_len = decode ? 1 : r.count("isl");
  a.prompt = !decode;
  a.kv_len = cached + a.q_len;
  return o;
}

/// The call around it. A kernel of its own rotates `rotated` elements of each token; 0: attention's does.
Call served_call(const Operator& o, bool decode, std::int64_t rotated) {
  Call call{o, {}, decode ? Setup::Decode : Setup::Prefill};
  if (rotated == 0) return call;
  Operator rope;
  rope.work = RowwiseShape{.kind = RowwiseKind::Rope,
                           .rows = o.as<AttentionShape>().batch * o.as<AttentionShape>().q_len,
                           .cols = rotated};
  call.before.push_back(rope);
  return call;
}

/// Attention of a serving library: one call rotates Q and K, writes K and V into the cache, and attends.
/// Where the cache holds 8-bit values, prefill computes in them too.
Call attention(RowReader& r, bool decode) {
  Operator o = served_attention(r, decode, "attn_dtype");
  AttentionShape& a = o.as<AttentionShape>();
  a.kv_heads = r.count_or("num_key_value_heads", a.heads);
  a.head_dim = r.count("head_dim");
  if (!decode && layout_of(a.kv_dtype).bits == 8) a.dtype = a.kv_dtype;
  return served_call(o, decode, decode ? 0 : (a.heads + 2 * a.kv_heads) * a.head_dim);
}

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434). Prefill expands the latent into keys of 128 +
/// 64 elements and values of 128 per head. Decoding attends over the latent itself, 512 + 64 elements that
/// all heads share.
Call latent_attention(RowReader& r, bool decode) {
  Operator o = served_attention(r, decode, "mla_dtype");
  AttentionShape& a = o.as<AttentionShape>();
  a.kv_heads = decode ? 1 : a.heads;
  a.head_dim = decode ? 512 + 64 : 128 + 64;
  a.value_dim = decode ? 512 : 128;
  a.latent = decode;
  const bool quantised = !decode && size_of(a.kv_dtype) < size_of(a.dtype);
  if (!decode) a.dtype = a.kv_dtype;
  Call call = served_call(o, decode, (a.heads + 1) * 64);  // the keys' part is shared
  if (quantised) {                                         // a kernel of its own makes Q, K and V 8-bit
    Operator quantise;
    quantise.work = RowwiseShape{.kind = RowwiseKind::Quantize,
                                 .rows = a.batch * a.q_len,
                                 .cols = a.heads * (2 * a.head_dim + a.value_dim)};
    call.before.push_back(quantise);
  }
  return call;
}

/// A kernel that names all of its shape.
Operator plain_attention(RowReader& r, std::string_view q_len, std::string_view kv_len,
                         std::string_view causal) {
  Operator o;
  o.work = AttentionShape{};
  AttentionShape& a = o.as<AttentionShape>();
  a.batch = r.count("batch");
  a.q_len = r.count(q_len);
  a.kv_len = r.count(kv_len);
  a.heads = r.count("heads");
  a.kv_heads = r.count("kv_heads");
  a.head_dim = r.count("head_dim");
  a.causal = r.text("causal") == causal;
  a.dtype = a.kv_dtype = r.dtype("dtype");
  return o;
}

/// Kernels of training: forward, backward, or one after the other.
Call training_attention(RowReader& r) {
  Operator o = plain_attention(r, "seq_q", "seq_kv", "1");
  o.as<AttentionShape>().window = r.count_or("window", 0);
  if (o.as<AttentionShape>().window > 0 && !o.as<AttentionShape>().causal) return {};  // no model looks ahead
  o.as<AttentionShape>().value_dim = r.count_or("head_dim_v", o.as<AttentionShape>().head_dim);
  Call call{o, {}, Setup::None};
  const std::string_view direction = r.text("direction");
  if (direction == "fwd_bwd") call.before.push_back(o);
  if (direction != "fwd") call.op->as<AttentionShape>().pass = Pass::Backward;
  return call;
}

/// A whole layer of experts: one rank's kernels, without communication.
Call moe_layer(RowReader& r) {
  MoeRow row;
  if (!r.text("distribution").empty() && r.text("distribution") != "balanced")
    r.wrong("distribution", "only balanced routing has a model");
  row.tokens = r.count("num_tokens");
  row.hidden = r.count("hidden_size");
  row.inter = r.count("inter_size");
  row.topk = r.count("topk");
  row.experts = r.count("num_experts");
  row.tensor = r.count("moe_tp_size");
  row.expert_parallel = r.count("moe_ep_size");
  if (const std::string wrong = mistake(row); !wrong.empty()) {
    r.wrong("num_experts", wrong);
    return {};
  }
  if (is_unmodelled_dtype(r.text("moe_dtype"))) return {};
  row.dtype = r.dtype("moe_dtype");
  std::vector<Operator> list = graph::moe_layer(layer_of(row));
  Call call;
  for (Operator& o : list) (o.name == "up" ? call.op.emplace() : call.before.emplace_back()) = std::move(o);
  return call;
}

/// One grouped product; its fused activation, where it has one, runs beside it.
Call grouped_gemm(RowReader& r) {
  if (r.text("op") != "grouped_gemm" && r.text("op") != "grouped_gemm_gelu") return {};
  Operator o;
  o.work = GroupedGemmShape{
      .groups = r.count("groups"), .m = r.count("m_total"), .n = r.count("n"), .k = r.count("k")};
  o.as<GroupedGemmShape>().dtype = o.as<GroupedGemmShape>().weight_dtype = r.dtype("dtype");
  return {o, {}, Setup::None};
}

/// A row whose "shape" is ROWSxCOLS; of swiglu, the columns of gate and up together.
Operator shaped(RowReader& r, RowwiseKind kind) {
  const auto [rows, cols] = r.extents("shape");
  Operator o;
  o.work = RowwiseShape{.kind = kind,
                        .rows = rows,
                        .cols = kind == RowwiseKind::SwiGlu ? std::max<std::int64_t>(1, cols / 2) : cols};
  o.as<RowwiseShape>().dtype = r.dtype("dtype");
  return o;
}

/// vector.csv names its operators itself: a suffix _bwd, a prefix add_ for a fused residual.
Call vector_operator(RowReader& r) {
  std::string name(r.text("op"));
  const bool backward = name.ends_with("_bwd");
  if (backward) name.resize(name.size() - 4);
  const bool residual = name.starts_with("add_") && name.ends_with("norm");
  if (residual) name = name.substr(4);
  const auto kind = enum_from<RowwiseKind>(name);
  if (!kind) return {};
  Operator o;
  if (!r.text("shape").empty()) {
    o = shaped(r, *kind);
  } else {
    if (r.text("cols").empty()) return {};
    o = rowwise(r, *kind, "rows", "cols", r.dtype("dtype"));
    o.as<RowwiseShape>().cold = true;  // these sets flush L2 between runs
  }
  o.as<RowwiseShape>().pass = backward ? Pass::Backward : Pass::Forward;
  o.as<RowwiseShape>().residual = residual;
  Call call{o, {}, Setup::None};
  if (*kind == RowwiseKind::CrossEntropy && !backward) {  // these sets time loss and gradient together
    call.before.push_back(o);
    call.op->as<RowwiseShape>().pass = Pass::Backward;
  }
  return call;
}

using Interpreter = std::function<Call(RowReader&)>;
struct Kind {
  std::vector<std::string_view> columns;
  Interpreter read;
};

const std::map<std::string, Kind, std::less<>>& kinds() {
  static const std::vector<std::string_view> mnk = {"m", "n", "k", "time_us"};
  static const std::vector<std::string_view> heads = {
      "batch_size", "isl", "num_heads", "head_dim", "attn_dtype", "kv_cache_dtype", "step", "time_us"};
  static const std::vector<std::string_view> latent = {
      "mla_dtype", "kv_cache_dtype", "num_heads", "batch_size", "isl", "step", "time_us"};
  static const std::map<std::string, Kind, std::less<>> table = {
      {"gemm_bf16", {mnk, [](RowReader& r) { return gemm(r, Dtype::Bf16); }}},
      {"gemm_fp16", {mnk, [](RowReader& r) { return gemm(r, Dtype::Fp16); }}},
      {"gemm_fp8", {mnk, linear_fp8}},
      {"gemm_int8", {mnk, [](RowReader& r) { return gemm(r, Dtype::Int8); }}},
      {"gemm_hf32", {mnk, [](RowReader& r) { return gemm(r, Dtype::Tf32); }}},
      {"gemm_extra", {{"m", "n", "k", "dtype", "time_us"}, gemm_of_other_source}},
      {"gemm_fp32", {mnk, [](RowReader& r) { return gemm(r, Dtype::Fp32); }}},
      {"attention_prefill", {heads, [](RowReader& r) { return attention(r, false); }}},
      {"attention_decode", {heads, [](RowReader& r) { return attention(r, true); }}},
      {"mla_prefill", {latent, [](RowReader& r) { return latent_attention(r, false); }}},
      {"mla_decode", {latent, [](RowReader& r) { return latent_attention(r, true); }}},
      {"attention",
       {{"batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "causal", "dtype", "time_us"},
        [](RowReader& r) {
          return Call{plain_attention(r, "q_len", "kv_len", "true"), {}, Setup::None};
        }}},
      {"attention_train",
       {{"batch", "seq_q", "seq_kv", "heads", "kv_heads", "head_dim", "causal", "dtype", "direction",
         "time_us"},
        training_attention}},
      {"moe",
       {{"moe_dtype", "num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size",
         "moe_ep_size", "time_us"},
        moe_layer}},
      {"grouped_gemm", {{"op", "groups", "m_total", "n", "k", "dtype", "time_us"}, grouped_gemm}},
      {"vector", {{"op", "dtype", "time_us"}, vector_operator}},
      {"scale_matrix",
       {{"m", "k", "time_us"},
        [](RowReader& r) {
          return Call{rowwise(r, RowwiseKind::Quantize, "m", "k", Dtype::Bf16), {}, Setup::None};
        }}},
  };
  return table;
}

/// Sets of the same folder tree whose kernels have no model yet: every row counts as skipped.
constexpr std::string_view kUnmodelled[] = {"computescale", "linear_attention", "utilisation",
                                            "microbench",   "memory",           "power",
                                            "nccl",         "custom_allreduce"};

/// What a row without an operator is called.
std::string_view unmodelled(const RowReader& r) {
  for (const std::string_view column : {"op", "moe_dtype"})
    if (!r.text(column).empty()) return r.text(column);
  return "a window";
}

Measurement read_row(const Csv& csv, const CsvRow& row, const Kind& kind, MistakeList& found) {
  RowReader r(csv, row, found);
  Measurement m;
  m.line = row.line;
  m.time_us = r.positive("time_us");
  Call call = kind.read(r);
  m.op = std::move(call.op);
  m.before = std::move(call.before);
  m.setup = call.setup;
  m.cores = r.count_or("cores", 0);
  const std::string_view timing = r.text("timing");
  m.launch = timing == "kernel" ? Launch::Kernel : timing == "eager" ? Launch::Eager : Launch::Graph;
  for (std::size_t i = 0; i < csv.columns.size() && csv.columns[i] != "time_us"; ++i)
    m.label += (i > 0 ? " " : "") + row.fields[i];
  if (!m.op) m.skipped = fmt::format("no model of {}", unmodelled(r));
  if (timing == "host") m.skipped = "timed by the host: the framework's own time is in it";
  if (r.text("note").starts_with("untuned")) m.skipped = "an untuned step of a tutorial";
  if (!m.skipped.empty()) m.op.reset();
  return m;
}

}  // namespace

MeasuredSet interpret(const Csv& csv) {
  MeasuredSet set;
  set.file = csv.file;
  const auto attribute = [&](const std::string& key) {
    const auto found = csv.attributes.find(key);
    return found == csv.attributes.end() ? std::string() : found->second;
  };
  set.chip = attribute("chip");
  set.op = attribute("op");
  MistakeList found;
  if (set.chip.empty()) found.push_back({{csv.file, 0, 0}, "", "no chip", "a line '# chip=ID op=NAME'"});
  if (set.op.empty()) found.push_back({{csv.file, 0, 0}, "", "no op", "a line '# chip=ID op=NAME'"});
  found.raise();

  if (std::find(std::begin(kUnmodelled), std::end(kUnmodelled), set.op) != std::end(kUnmodelled)) {
    for (const CsvRow& row : csv.rows) {
      Measurement m;
      m.line = row.line;
      m.skipped = fmt::format("no model of {} yet", set.op);
      set.rows.push_back(std::move(m));
    }
    return set;
  }
  // Sets of lone grouped products are filed as moe, too.
  const auto kind = kinds().find(set.op == "moe" && csv.has("groups") ? "grouped_gemm" : set.op);
  if (kind == kinds().end()) {
    std::vector<std::string_view> known;
    for (const auto& [name, unused] : kinds()) known.push_back(name);
    throw ConfigError(
        Diagnostic{{csv.file, 0, 0}, "op", "unknown op " + in_quotes(set.op), "known: " + join(known)});
  }
  for (const std::string_view column : kind->second.columns)
    if (!csv.has(column))
      found.push_back({{csv.file, 0, 0},
                       std::string(column),
                       "missing column",
                       fmt::format("a {} set has {}", set.op, join(kind->second.columns))});
  found.raise();
  for (const CsvRow& row : csv.rows) set.rows.push_back(read_row(csv, row, kind->second, found));
  found.raise();
  return set;
}

}  // namespace xpusim::validation
