#include <nlohmann/json.hpp>

#include "xpusim/core/fields.h"
#include "xpusim/report/results.h"
#include "xpusim/result/version.h"

namespace xpusim::report {
namespace {

using result::OperatorRow;
using result::Result;

/// Seconds by cause.
Json seconds_of(const Breakdown& b) { return by_cause(b, "_s", 1); }

Json json_of(const result::Activity& a) {
  Json flops = Json::object(), busy = Json::object();
  for (const auto& [dtype, n] : a.flops) flops[std::string(name(dtype))] = n;
  for (std::size_t e = 0; e < result::kEngines; ++e)
    if (a.busy_s[e] > 0) busy[std::string(result::kEngineNames[e])] = a.busy_s[e];
  return {{"flops", std::move(flops)},
          {"vector_ops", a.vector_ops},
          {"special_ops", a.special_ops},
          {"l2_read_bytes", a.l2_read_bytes},
          {"l2_write_bytes", a.l2_write_bytes},
          {"hbm_read_bytes", a.hbm_read_bytes},
          {"hbm_write_bytes", a.hbm_write_bytes},
          {"network_bytes", a.network_bytes},
          {"busy_s", std::move(busy)}};
}

Json json_of(const OperatorRow& o) {
  return {{"section", o.section},
          {"name", o.name},
          {"op", enum_name(o.kind())},
          {"count", o.count},
          {"time_s", o.time.count()},
          {"flops", o.flops.count()},
          {"hbm_bytes", o.hbm_bytes},
          {"clock_hz", o.clock.count()},
          {"detail", o.detail},
          {"error_band_pct", or_null(o.band_pct)},
          {"breakdown", seconds_of(o.breakdown)}};
}

Json json_of(const Result& r, const result::TrainingSummary& t) {
  Json parts = Json::object();
  for (const result::Part& p : t.parts) parts[p.name + "_s"] = p.time.count();
  return {{"stack", t.stack},
          {"schedule", t.schedule},
          {"context_parallel", r.groups.context},
          {"pipeline_parallel", r.groups.pipeline},
          {"virtual_pipeline", t.chunks},
          {"expert_parallel", r.groups.expert},
          {"micro_batch", t.micro_batch},
          {"micro_batches", t.micro_batches},
          {"mfu", t.mfu},
          {"hfu", t.hfu},
          {"model_flops_per_s_per_device", t.model_rate.count()},
          {"bubble_fraction", t.bubble_fraction},
          {"forward_s", t.passes.forward},
          {"backward_s", t.passes.backward},
          {"weight_gradients_s", t.passes.weight},
          {"parts", std::move(parts)}};
}

Json json_of(const Result& r, const result::ServingSummary& s) {
  Json parts = Json::object();
  for (const result::Part& p : s.parts) parts[p.name + "_s"] = p.time.count();
  return {{"phase", s.phase},
          {"context_parallel", r.groups.context},
          {"pipeline_parallel", r.groups.pipeline},
          {"expert_parallel", r.groups.expert},
          {"micro_batches", s.micro_batches},
          {"steps", s.steps},
          {"samples", s.samples},
          {"tokens_per_sequence", s.tokens_per_sequence},
          {"ttft_s", s.ttft.count()},
          {"tpot_s", s.tpot.count()},
          {"dispatch_s", s.dispatch.count()},
          {"combine_s", s.combine.count()},
          {"parts", std::move(parts)}};
}

Json json_of(const Result& r, const result::FailureSummary& f) {
  return {{"mtbf_s", f.job.mtbf},
          {"checkpoint_interval_s", f.job.interval},
          {"checkpoint_write_s", f.job.write},
          {"restart_s", f.job.restart},
          {"goodput", f.goodput.work},
          {"checkpoints", f.goodput.checkpoints},
          {"lost_work", f.goodput.lost},
          {"restarts", f.goodput.restarts},
          {"tokens_per_day", r.tokens_per_s() * f.goodput.work * 86400},
          {"simulated_days", f.days},
          {"simulated_goodput", f.simulated.mean.work},
          {"simulated_standard_error", f.simulated.standard_error},
          {"simulated_worst_day", f.simulated.worst_day},
          {"simulated_best_day", f.simulated.best_day}};
}

}  // namespace

Json to_summary(const Result& r) {
  Json j = {{"workload", r.workload},
            {"system", r.system},
            {"chip", r.chip},
            {"variant", r.variant},
            {"fidelity", r.fidelity},
            {"chips", r.chips},
            {"devices", r.devices},
            {"tensor_parallel", r.groups.tensor},
            {"data_parallel", r.groups.data},
            {"step_time_s", r.total.count()},
            {"error_band_pct", or_null(r.band_pct)},
            {"error_band_evidence", r.band_evidence},
            {"tokens_per_step", r.tokens},
            {"tokens_per_s", r.tokens_per_s()},
            {"tokens_per_s_per_chip", r.tokens_per_s_per_chip()},
            {"flops_per_s_per_device", r.flops_per_s_per_device().count()},
            {"matrix_utilisation", r.matrix_utilisation},
            {"hbm_utilisation", r.hbm_utilisation},
            {"bound_by", largest(r.breakdown)},
            {"breakdown", seconds_of(r.breakdown)}};
  if (r.training) j["training"] = json_of(r, *r.training);
  if (r.serving) j["serving"] = json_of(r, *r.serving);
  if (r.failures) j["failures"] = json_of(r, *r.failures);
  j["memory"] = {{"capacity_bytes", r.memory_capacity.count()}, {"total_bytes", r.memory.total()},
                 {"weights_bytes", r.memory.weights},           {"kv_cache_bytes", r.memory.kv_cache},
                 {"activations_bytes", r.memory.activations},   {"gradients_bytes", r.memory.gradients},
                 {"optimizer_bytes", r.memory.optimizer}};
  return j;
}

namespace {

Json json_of(const Result& r) {
  Json j = to_summary(r);
  j["activity"] = json_of(r.activity());
  j["classes"] = Json::array();
  for (const result::ClassRow& c : r.classes)
    j["classes"].push_back({{"op", enum_name(c.kind)},
                            {"count", c.count},
                            {"time_s", c.time.count()},
                            {"error_band_pct", or_null(c.band_pct)},
                            {"breakdown", seconds_of(c.breakdown)}});
  j["operators"] = Json::array();
  for (const OperatorRow& o : r.operators) j["operators"].push_back(json_of(o));
  j["warnings"] = r.warnings;
  j["config_hash"] = r.config_hash;
  j["config"] = r.config;
  return j;
}

}  // namespace

Json to_json(const std::vector<Result>& results) {
  Json j = {{"schema", "xpusim.result/1"}, {"version", result::version()}, {"results", Json::array()}};
  for (const Result& r : results) j["results"].push_back(json_of(r));
  return j;
}

}  // namespace xpusim::report
