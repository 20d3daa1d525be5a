#pragma once
#include <string>
#include <utility>

#include "support/shipped.h"
#include "xpusim/chip/kernel.h"
#include "xpusim/mapping/templates.h"
#include "xpusim/network/collective.h"
#include "xpusim/simulate.h"

/// The work whose cost is measured: in seconds by bench.cpp, in instructions by instructions.cpp.
namespace xpusim::test {

inline Operator gemm(std::int64_t m, std::int64_t n, std::int64_t k, Dtype dtype = Dtype::Bf16) {
  Operator o;
  o.name = "gemm";
  o.work = GemmShape{.m = m, .n = n, .k = k, .dtype = dtype, .weight_dtype = dtype};
  return o;
}

inline Operator grouped(std::int64_t groups, std::int64_t m, Dtype dtype = Dtype::Bf16) {
  Operator o;
  o.name = "grouped_gemm";
  o.work =
      GroupedGemmShape{.groups = groups, .m = m, .n = 4096, .k = 4096, .dtype = dtype, .weight_dtype = dtype};
  return o;
}

inline Operator attention(AttentionShape shape, Dtype dtype) {
  Operator o;
  o.work = AttentionShape{};
  o.name = "attention";
  o.as<AttentionShape>() = shape;
  o.as<AttentionShape>().dtype = o.as<AttentionShape>().kv_dtype = dtype;
  return o;
}

inline Operator rowwise(RowwiseKind kind, std::int64_t rows, std::int64_t cols) {
  Operator o;
  o.name = std::string(enum_name(kind));
  o.work = RowwiseShape{.kind = kind, .rows = rows, .cols = cols};
  return o;
}

inline Operator prefill(Dtype dtype = Dtype::Bf16) {
  return attention({.q_len = 8192, .kv_len = 8192, .heads = 8, .kv_heads = 1}, dtype);
}

inline Operator decode(Dtype dtype = Dtype::Bf16) {
  return attention({.batch = 64, .q_len = 1, .kv_len = 4096, .heads = 8, .kv_heads = 1}, dtype);
}

/// The program that an estimator would take by the closed form.
inline mapping::TileProgram fastest_program(const Operator& o, const ChipSpec& c) {
  return chip::choose(o, c, 0).front().program;
}

/// A shipped scenario on its own system, or on another one.
inline Request request(const std::string& scenario_id, const std::string& system_id = "") {
  Request q{.chip = {}, .system = {}, .model = {}, .scenario = scenario(scenario_id), .stack = {}};
  q.system = system(system_id.empty() ? q.scenario.system : system_id);
  q.chip = chip(q.system.chip);
  q.model = model(q.scenario.model);
  q.stack = stack(q.scenario.training.stack);
  return q;
}

inline Options at(Fidelity fidelity) {
  Options options;
  options.fidelity = fidelity;
  return options;
}

/// An all-reduce of 1 GiB, and nodes of 8 behind rails that are large enough for it.
inline std::pair<network::Call, SystemSpec> all_reduce(Algorithm algorithm, std::int64_t ranks,
                                                       bool slow_rank = false) {
  SystemSpec s = system("superpod_h100");
  s.levels.back().endpoints = 131072;
  network::Call call;
  call.size = Bytes(std::int64_t{1} << 30);
  call.group.ranks = ranks;
  call.algorithm = algorithm;
  if (slow_rank) call.faults.ranks.push_back({17, 0.5});
  return {call, s};
}

}  // namespace xpusim::test
