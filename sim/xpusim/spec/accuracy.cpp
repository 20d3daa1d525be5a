#include "xpusim/spec/accuracy.h"

#include <fmt/format.h>

#include <algorithm>

namespace xpusim {

void describe(Fields& f, ValidatedExtent& c) {
  f.label("name", c.name, "extent", true);
  f.required("low", c.low, "smallest that was measured", at_least(0));
  f.required("high", c.high, "largest that was measured", at_least(0));
}

void describe(Fields& f, ClassAccuracy& c) {
  f.label("chip", c.chip, "chip that was measured", true);
  f.label("family", c.family, "its family", true);
  f.label("operators", c.operators, "class of operators", true);
  f.required("rows", c.rows, "measurements", at_least(1));
  f.required("mape_pct", c.mape_pct, "mean absolute error", at_least(0));
  f.required("bias_pct", c.bias_pct, "mean signed error; below 0: predicted too fast", any_number());
  f.required("p90_pct", c.p90_pct, "nine of ten rows are off by less", at_least(0));
  f.optional("extents", c.extents, "measured range");
}

void describe(Fields& f, AccuracyTable& c) { f.required("classes", c.classes, "validated classes"); }

std::string_view accuracy_class(const Operator& o) {
  if (is_collective(o.kind)) return {};
  if (o.kind == OpKind::Gemm) {
    const std::int64_t bytes = size_of(o.gemm.dtype);
    return bytes == 1 ? "gemm 8-bit" : bytes == 2 ? "gemm 16-bit" : "gemm 32-bit";
  }
  if (o.kind == OpKind::Attention) {
    if (o.attention.pass == Pass::Backward) return "attention backward";
    return o.attention.decodes() ? "attention decode" : "attention prefill";
  }
  if (o.kind == OpKind::GroupedGemm) return "grouped gemm";
  return "row-wise";
}

std::vector<std::pair<std::string_view, double>> accuracy_extents(const Operator& o) {
  const auto d = [](std::int64_t x) { return static_cast<double>(x); };
  if (o.kind == OpKind::Gemm) return {{"m", d(o.gemm.m)}, {"n", d(o.gemm.n)}, {"k", d(o.gemm.k)}};
  if (o.kind == OpKind::Attention)
    return {{"batch", d(o.attention.batch)},
            {"kv_len", d(o.attention.kv_len)},
            {"heads", d(o.attention.heads)},
            {"head_dim", d(o.attention.head_dim)}};
  if (o.kind == OpKind::GroupedGemm)
    return {
        {"groups", d(o.grouped.groups)}, {"m", d(o.grouped.m)}, {"n", d(o.grouped.n)}, {"k", d(o.grouped.k)}};
  if (is_rowwise(o.kind)) return {{"elements", d(o.rowwise.rows) * d(o.rowwise.cols)}};
  return {};
}

std::optional<ErrorBand> error_band(const AccuracyTable& table, std::string_view chip,
                                    std::string_view family, std::string_view operators) {
  const ClassAccuracy *of_family = nullptr, *of_any = nullptr;
  for (const ClassAccuracy& c : table.classes) {
    if (c.operators != operators) continue;
    if (c.chip == chip) return ErrorBand{c.p90_pct, fmt::format("{} measured kernels", c.rows), &c};
    if (c.family == family && (of_family == nullptr || c.p90_pct > of_family->p90_pct)) of_family = &c;
    if (of_any == nullptr || c.p90_pct > of_any->p90_pct) of_any = &c;
  }
  constexpr double kFamily = 1.5, kAny = 2;
  if (of_family != nullptr)
    return ErrorBand{kFamily * of_family->p90_pct, fmt::format("never measured; from {}", of_family->chip),
                     nullptr};
  if (of_any != nullptr)
    return ErrorBand{kAny * of_any->p90_pct, fmt::format("never measured; from {}", of_any->chip), nullptr};
  return std::nullopt;
}

std::string outside_validated(const ClassAccuracy& c, const Operator& o) {
  std::string found;
  for (const auto& [name, value] : accuracy_extents(o)) {
    for (const ValidatedExtent& e : c.extents) {
      if (e.name != name || (value >= e.low && value <= e.high)) continue;
      found += fmt::format("{}{} {:.0f} (measured: {:.0f} to {:.0f})", found.empty() ? "" : ", ", name, value,
                           e.low, e.high);
    }
  }
  return found;
}

}  // namespace xpusim
