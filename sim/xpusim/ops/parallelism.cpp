#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/ops/training.h"

/// The choices of a training step, and how its layers lie on the pipeline.
namespace xpusim::ops {
namespace {

/// The divisors of `value` next to `wanted`, as advice.
std::string near_divisors(std::int64_t value, std::int64_t wanted) {
  std::int64_t below = 1, above = value;
  for (std::int64_t k = 1; k * k <= value; ++k) {
    if (value % k != 0) continue;
    for (const std::int64_t divisor : {k, value / k}) {
      if (divisor <= wanted) below = std::max(below, divisor);
      if (divisor >= wanted) above = std::min(above, divisor);
    }
  }
  return below == above ? fmt::format("{}", below) : fmt::format("{} or {}", below, above);
}

/// Collects what does not fit together, so that all of it is said at once.
class Complaints {
 public:
  void need_divides(std::string_view field, std::int64_t divisor, std::int64_t value, std::string_view what) {
    if (value % divisor == 0) return;
    add(fmt::format("scenario.{}: {} does not divide {} {} (nearest that does: {})", field, divisor, value,
                    what, near_divisors(value, divisor)));
  }
  void add(std::string text) { list_.push_back(std::move(text)); }
  void raise() const {
    if (!list_.empty()) throw InfeasibleError(join(views(list_), "\n  "));
  }

 private:
  std::vector<std::string> list_;
};

void check_devices(const ParallelismSpec& p, std::int64_t dp, std::int64_t devices, Complaints& wrong) {
  const std::int64_t used = p.tp * p.cp * p.pp * dp;
  if (p.dp > 0 && used != devices)
    wrong.add(fmt::format("scenario.parallelism: tp {} x cp {} x pp {} x dp {} = {} devices, there are {}",
                          p.tp, p.cp, p.pp, dp, used, devices));
  if (p.dp == 0 && devices % (p.tp * p.cp * p.pp) != 0)
    wrong.add(fmt::format(
        "scenario.parallelism: tp {} x cp {} x pp {} = {} does not divide {} devices (nearest "
        "that does: {})",
        p.tp, p.cp, p.pp, p.tp * p.cp * p.pp, devices, near_divisors(devices, p.tp * p.cp * p.pp)));
}

void check_model(const ModelSpec& m, const ScenarioSpec& s, Complaints& wrong) {
  const ParallelismSpec& p = s.parallelism;
  wrong.need_divides("parallelism.tp", p.tp, m.heads, "heads");
  if (m.kv_heads % p.tp != 0 && p.tp % m.kv_heads != 0)
    wrong.need_divides("parallelism.tp", p.tp, m.kv_heads, "KV heads");
  if (m.dense_layers() > 0) wrong.need_divides("parallelism.tp", p.tp, m.ffn, "FFN columns");
  if (p.pp * p.vpp > m.layers + 2)  // a stage may hold the embedding or the head alone
    wrong.add(fmt::format("scenario.parallelism.pp: {} stages of {} chunks are more than the {} layers of {}",
                          p.pp, p.vpp, m.layers, m.id));
  if (!m.convolutions.empty() && p.tp * p.cp * p.pp * p.vpp > 1)
    wrong.add(fmt::format(
        "scenario.parallelism: tp {} x cp {} x pp {} x vpp {}; convolutional networks like {} take "
        "replicas alone (write 1)",
        p.tp, p.cp, p.pp, p.vpp, m.id));
  wrong.need_divides("parallelism.cp", p.cp, s.sequence, "tokens of a sequence");
  if (p.ep > 1 && !m.experts)
    wrong.add(fmt::format("scenario.parallelism.ep: {}, but {} has no experts (write 1)", p.ep, m.id));
  if (m.experts) wrong.need_divides("parallelism.ep", p.ep, m.experts->count, "experts");
}

bool splits_backward(PipelineSchedule s) {
  return s == PipelineSchedule::ZbH1 || s == PipelineSchedule::ZbH2 || s == PipelineSchedule::ZbV ||
         s == PipelineSchedule::DualPipe;
}

PipelineSchedule choose_schedule(const ParallelismSpec& p, PipelineSchedule asked) {
  if (asked != PipelineSchedule::Auto) return asked;
  return p.vpp > 1 ? PipelineSchedule::Interleaved : PipelineSchedule::OneFOneB;
}

void check_schedule(const TrainingPlan& plan, Complaints& wrong) {
  const std::int64_t pp = plan.groups.pipeline;
  if (pp == 1) return;
  const PipelineSchedule kind = plan.schedule;
  if (kind == PipelineSchedule::Interleaved)
    wrong.need_divides("parallelism.pp", pp, plan.micro_batches,
                       "micro-batches of a replica, as the interleaved schedule needs");
  const std::int64_t chunks = kind == PipelineSchedule::ZbV ? 2 : 1;
  if (kind != PipelineSchedule::Interleaved && plan.chunks != chunks)
    wrong.add(fmt::format("scenario.parallelism.vpp: {} chunks; {} places {} on each stage", plan.chunks,
                          enum_name(kind), chunks));
  if (kind == PipelineSchedule::DualPipe) {
    wrong.need_divides("parallelism.pp", 2, pp, "stages, as dualpipe needs");
    wrong.need_divides("micro_batch", 2, plan.micro_batches, "micro-batches of a replica, as dualpipe needs");
    if (plan.micro_batches < 2 * pp)
      wrong.add(
          fmt::format("scenario.batch: {} micro-batches of a replica; dualpipe needs two for each of the {} "
                      "stages (at least {})",
                      plan.micro_batches, pp, 2 * pp));
  }
}

StackOverlaps choose_overlaps(const OverlapSpec& asked, const StackOverlaps& stack) {
  StackOverlaps o = stack;
  o.tensor = resolve(asked.tensor, stack.tensor);
  o.gradients = resolve(asked.gradients, stack.gradients);
  o.parameters = resolve(asked.parameters, stack.parameters);
  o.pipeline = resolve(asked.pipeline, stack.pipeline);
  o.experts = resolve(asked.experts, stack.experts);
  return o;
}

}  // namespace

TrainingPlan resolve_training(const ModelSpec& m, const ScenarioSpec& s, const StackSpec& stack,
                              std::int64_t devices) {
  const ParallelismSpec& p = s.parallelism;
  Complaints wrong;
  TrainingPlan plan;
  const std::int64_t dp = p.dp > 0 ? p.dp : std::max<std::int64_t>(1, devices / (p.tp * p.cp * p.pp));
  check_devices(p, dp, devices, wrong);
  check_model(m, s, wrong);
  const std::int64_t etp = !m.experts ? 1 : p.etp > 0 ? p.etp : p.tp;
  plan.groups = {p.tp, p.cp, dp, p.pp, p.ep, etp, s.training.sharding_group};
  if (const std::int64_t replicas = dp * p.cp; s.training.sharding_group > 0)
    wrong.need_divides("training.sharding_group", s.training.sharding_group, replicas, "replicas");
  if (m.experts) {
    wrong.need_divides("parallelism.ep", p.ep * etp, p.tp * p.cp * dp,
                       "ranks of a pipeline stage (ep x etp)");
    wrong.need_divides("parallelism.etp", etp, m.experts->ffn, "columns of an expert");
    if (p.tp % etp != 0) wrong.need_divides("parallelism.etp", etp, p.tp, "tensor ranks");
  }
  wrong.need_divides("micro_batch", s.micro_batch, s.batch, "sequences of the batch");
  if (s.batch % s.micro_batch == 0)
    wrong.need_divides("parallelism.dp", dp, s.batch / s.micro_batch, "micro-batches of the batch");
  plan.chunks = p.vpp;
  plan.micro_batch = s.micro_batch;
  plan.micro_batches = std::max<std::int64_t>(1, s.batch / (s.micro_batch * dp));
  plan.sequence = s.sequence;
  plan.sequence_parallel = p.tp > 1 && resolve(p.sequence_parallel, true);
  plan.schedule = choose_schedule(p, s.training.schedule);
  plan.sharding = s.training.sharding;
  plan.recompute = s.recompute;
  plan.recompute_layers = s.training.recompute_layers;
  plan.precision = s.precision;
  plan.overlap = choose_overlaps(s.training.overlap, stack.overlap);
  plan.expert_imbalance = s.training.expert_imbalance;
  plan.splits_backward = p.pp > 1 && splits_backward(plan.schedule);
  check_schedule(plan, wrong);
  wrong.raise();
  return plan;
}

std::vector<Chunk> chunks_of(const ModelSpec& m, const TrainingPlan& plan) {
  const std::int64_t virtual_stages = plan.groups.pipeline * plan.chunks;
  std::vector<Chunk> list(static_cast<std::size_t>(virtual_stages));
  // The embedding and the head count as layers where that makes the stages even.
  const auto is_even = [&](std::int64_t more) {
    return (m.layers + m.mtp_layers + more) % virtual_stages == 0;
  };
  const std::int64_t head = !is_even(0) && virtual_stages > 1 && (is_even(1) || is_even(2)) ? 1 : 0;
  const std::int64_t embedding = head == 1 && !is_even(1) ? 1 : 0;
  const std::int64_t places = m.layers + m.mtp_layers + head + embedding;
  const std::int64_t each = places / virtual_stages, left = places % virtual_stages;
  std::int64_t layer = 0;
  for (std::int64_t v = 0; v < virtual_stages; ++v) {
    Chunk& c = list[static_cast<std::size_t>(v)];
    std::int64_t count = each + (v < left ? 1 : 0);
    if (v == 0) count -= embedding;
    if (v == virtual_stages - 1) count = std::max<std::int64_t>(0, m.layers - layer);
    for (const std::int64_t end = layer + count; layer < end; ++layer)
      ++(layer < m.dense_layers() ? c.dense_layers : c.expert_layers);
  }
  list.front().embedding = m.convolutions.empty();
  list.back().head = m.convolutions.empty();
  list.back().mtp_layers = m.mtp_layers;
  return list;
}

}  // namespace xpusim::ops
