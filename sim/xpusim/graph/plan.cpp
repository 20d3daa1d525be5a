#include "xpusim/graph/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"

/// The choices of a step, and how its layers lie on the pipeline.
namespace xpusim::graph {
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

// ---- what all phases ask

void check_devices(const ParallelismSpec& p, std::int64_t devices, Complaints& wrong) {
  const std::int64_t shared = p.tp * p.cp * p.pp;
  if (p.dp == 0 && devices % shared != 0)
    wrong.add(fmt::format(
        "scenario.parallelism: tp {} x cp {} x pp {} = {} does not divide {} devices (nearest that does: {})",
        p.tp, p.cp, p.pp, shared, devices, near_divisors(devices, shared)));
}

/// A network without layers runs on replicas alone.
bool has_layers(const ModelSpec& m) { return m.convolutions.empty() && !m.recommender; }

void check_layers(const ModelSpec& m, const ParallelismSpec& p, Complaints& wrong) {
  if (!has_layers(m)) {
    const std::int64_t tables = m.recommender ? 1 : p.tp;
    if (tables * p.cp * p.pp * p.vpp * p.ep > 1)
      wrong.add(
          fmt::format("scenario.parallelism: tp {} x cp {} x pp {} x vpp {}; convolutional networks like {} "
                      "take replicas "
                      "alone (write 1)",
                      p.tp, p.cp, p.pp, p.vpp, m.id));
    if (m.recommender) wrong.need_divides("parallelism.tp", p.tp, m.recommender->tables, "embedding tables");
    return;
  }
  wrong.need_divides("parallelism.tp", p.tp, m.heads, "heads");
  if (m.kv_heads % p.tp != 0 && p.tp % m.kv_heads != 0)
    wrong.need_divides("parallelism.tp", p.tp, m.kv_heads, "KV heads");
  if (m.linear) wrong.need_divides("parallelism.tp", p.tp, m.linear->value_heads, "linear attention heads");
  if (m.dense_layers() > 0) wrong.need_divides("parallelism.tp", p.tp, m.ffn, "FFN columns");
  if (p.pp * p.vpp > m.layers + 2)  // a stage may hold the embedding or the head alone
    wrong.add(fmt::format("scenario.parallelism.pp: {} stages of {} chunks are more than the {} layers of {}",
                          p.pp, p.vpp, m.layers, m.id));
}

/// `etp`: resolved. `ranks`: of a pipeline stage.
void check_experts(const ModelSpec& m, const ScenarioSpec& s, std::int64_t etp, std::int64_t ranks,
                   Complaints& wrong) {
  const ParallelismSpec& p = s.parallelism;
  const ExpertPlacement& e = s.experts;
  if (!m.experts) {
    if (p.ep > 1)
      wrong.add(fmt::format("scenario.parallelism.ep: {}, but {} has no experts (write 1)", p.ep, m.id));
    if (e.redundant + e.shared_replicas > 0)
      wrong.add(fmt::format("scenario.experts: {} has no experts (leave it out)", m.id));
    return;
  }
  const std::int64_t places = m.experts->count + e.redundant + e.shared_replicas;
  wrong.need_divides("parallelism.ep", p.ep, places,
                     places == m.experts->count
                         ? "experts"
                         : fmt::format("places of experts ({} routed, {} redundant, {} shared)",
                                       m.experts->count, e.redundant, e.shared_replicas));
  if (e.shared_replicas > 0 && m.experts->shared == 0)
    wrong.add(fmt::format("scenario.experts.shared_replicas: {}, but {} has no shared experts (write 0)",
                          e.shared_replicas, m.id));
  wrong.need_divides(
      "parallelism.ep", p.ep * etp, ranks,
      p.etp == 0 && etp > 1
          ? fmt::format("ranks of a pipeline stage (ep x etp; etp is tp, {}, where it is left out: "
                        "etp: 1 keeps experts whole)",
                        etp)
          : "ranks of a pipeline stage (ep x etp)");
  wrong.need_divides("parallelism.etp", etp, m.experts->ffn, "columns of an expert");
  if (p.tp % etp != 0) wrong.need_divides("parallelism.etp", etp, p.tp, "tensor ranks");
}

std::int64_t resolved_etp(const ModelSpec& m, const ParallelismSpec& p) {
  if (!m.experts) return 1;
  return p.etp > 0 ? p.etp : p.tp;
}

// ---- training

bool splits_backward(PipelineSchedule s) {
  return s == PipelineSchedule::ZbH1 || s == PipelineSchedule::ZbH2 || s == PipelineSchedule::ZbV ||
         s == PipelineSchedule::DualPipe;
}

PipelineSchedule choose_schedule(const ParallelismSpec& p, PipelineSchedule asked) {
  if (asked != PipelineSchedule::Auto) return asked;
  return p.vpp > 1 ? PipelineSchedule::Interleaved : PipelineSchedule::OneFOneB;
}

void check_schedule(const Plan& plan, Complaints& wrong) {
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

void check_trainable(const ModelSpec& m, const ScenarioSpec& s, Complaints& wrong) {
  const auto refuse = [&](bool there, std::string_view part) {
    if (there) wrong.add(fmt::format("{}: the training of {} is not modelled", m.id, part));
  };
  refuse(m.linear.has_value(), "linear attention");
  refuse(m.sparse.has_value(), "sparse attention");
  refuse(!m.attention_layers.empty(), "windowed and chunked attention");
  refuse(m.joint_text.has_value(), "a joint text");
  refuse(m.recommender.has_value(), "embedding tables");
  refuse(m.output_gate, "gated attention");
  wrong.need_divides("parallelism.cp", s.parallelism.cp, s.sequence, "tokens of a sequence");
}

Plan resolve_training(const ModelSpec& m, const ScenarioSpec& s, const StackSpec& stack,
                      std::int64_t devices) {
  const ParallelismSpec& p = s.parallelism;
  Complaints wrong;
  Plan plan;
  const std::int64_t dp = p.dp > 0 ? p.dp : std::max<std::int64_t>(1, devices / (p.tp * p.cp * p.pp));
  check_devices(p, devices, wrong);
  if (p.dp > 0 && p.tp * p.cp * p.pp * dp != devices)
    wrong.add(fmt::format("scenario.parallelism: tp {} x cp {} x pp {} x dp {} = {} devices, there are {}",
                          p.tp, p.cp, p.pp, dp, p.tp * p.cp * p.pp * dp, devices));
  check_layers(m, p, wrong);
  check_trainable(m, s, wrong);
  const std::int64_t etp = resolved_etp(m, p);
  check_experts(m, s, etp, p.tp * p.cp * dp, wrong);
  plan.trains = true;
  plan.groups = {p.tp, p.cp, dp, p.pp, p.ep, etp, s.training.sharding_group};
  if (const std::int64_t replicas = dp * p.cp; s.training.sharding_group > 0)
    wrong.need_divides("training.sharding_group", s.training.sharding_group, replicas, "replicas");
  wrong.need_divides("micro_batch", s.micro_batch, s.batch, "sequences of the batch");
  if (s.batch % s.micro_batch == 0)
    wrong.need_divides("parallelism.dp", dp, s.batch / s.micro_batch, "micro-batches of the batch");
  plan.chunks = p.vpp;
  plan.shape = {{s.micro_batch, s.sequence, 0, s.sequence}};
  plan.micro_batches = std::max<std::int64_t>(1, s.batch / (s.micro_batch * dp));
  plan.sequence_parallel = p.tp > 1 && resolve(p.sequence_parallel, true);
  plan.schedule = choose_schedule(p, s.training.schedule);
  plan.sharding = s.training.sharding;
  plan.recompute = s.recompute;
  plan.recompute_layers = s.training.recompute_layers;
  plan.precision = s.precision;
  plan.overlap = choose_overlaps(s.training.overlap, stack.overlap);
  plan.experts.imbalance = s.training.expert_imbalance;
  plan.splits_backward = p.pp > 1 && splits_backward(plan.schedule);
  check_schedule(plan, wrong);
  wrong.raise();
  return plan;
}

// ---- serving

/// The part that a model lacks for a phase.
void check_phase(const ModelSpec& m, const ScenarioSpec& s, Complaints& wrong) {
  const auto refuse = [&](std::string_view why) {
    wrong.add(fmt::format("{}: {} {}", m.id, enum_name(s.phase), why));
  };
  if (s.phase == Phase::Denoise) {
    if (!has_layers(m) || m.causal) refuse("takes a diffusion transformer: layers with causal: false");
    if (m.latent || m.linear || !m.attention_layers.empty())
      refuse("is modelled with attention over all tokens alone");
    return;
  }
  const bool generates = s.phase == Phase::Decode || s.phase == Phase::Generate;
  if (generates && !has_layers(m)) refuse("needs layers that remember tokens; phase: prefill runs it once");
  if (generates && has_layers(m) && !m.causal)
    refuse("needs causal attention, of which earlier tokens' keys can be kept; phase: prefill runs it once");
  if (s.speculation && s.speculation->drafter == Drafter::Mtp && m.mtp_layers == 0)
    wrong.add(fmt::format("scenario.speculation: {} has no MTP layers (drafter: none costs nothing)", m.id));
}

/// The sequences of one replica, all micro-batches together.
StepShape shape_of(const ModelSpec& m, const ScenarioSpec& s, std::int64_t dp) {
  const std::int64_t each = ceil_div(s.batch, dp);
  const std::int64_t verified = s.speculation ? 1 + s.speculation->drafts : 1;
  switch (s.phase) {
    case Phase::Decode:
      return {{each, verified, s.context, verified}};
    case Phase::Step:
      return s.groups;
    case Phase::Denoise: {
      // Padded to what the ranks share evenly, as the published code of Wan 2.1 does.
      const std::int64_t ranks = s.parallelism.ulysses * s.parallelism.ring;
      const std::int64_t tokens =
          ceil_div(s.sequence + (m.joint_text ? m.joint_text->tokens : 0), ranks) * ranks;
      return {{each, tokens, 0, tokens}};
    }
    case Phase::Prefill:
    case Phase::Generate:
    case Phase::Training:
      break;
  }
  return {{each, s.sequence, s.context, 1}};
}

void check_shape(const ModelSpec& m, const Plan& plan, Complaints& wrong) {
  for (const SequenceGroup& g : plan.shape) {
    if (g.sampled > g.new_tokens)
      wrong.add(fmt::format("scenario.groups: {} sampled of {} new tokens", g.sampled, g.new_tokens));
    if (g.seen() > m.max_position && has_layers(m))
      wrong.add(fmt::format("scenario: {} tokens per sequence, {} takes {}", g.seen(), m.id, m.max_position));
    if (plan.groups.context > 1 && g.new_tokens > 1 && g.cached_tokens == 0)
      wrong.need_divides("parallelism.cp", plan.groups.context, g.new_tokens, "tokens of a sequence");
  }
}

/// Of a pipeline, the running sequences are as many micro-batches, that all its stages may work.
void split_over_pipeline(Plan& plan) {
  std::int64_t most = 1;
  for (const SequenceGroup& g : plan.shape) most = std::max(most, g.sequences);
  plan.micro_batches = std::min(plan.groups.pipeline, most);
  for (SequenceGroup& g : plan.shape) g.sequences = ceil_div(g.sequences, plan.micro_batches);
}

Plan resolve_serving(const ModelSpec& m, const ScenarioSpec& s, std::int64_t devices) {
  ParallelismSpec p = s.parallelism;
  p.cp *= p.ulysses * p.ring;
  const std::int64_t shared = p.tp * p.cp * p.pp * p.cfg;
  const std::int64_t dp = p.dp > 0 ? p.dp : std::max<std::int64_t>(1, devices / shared);
  Complaints wrong;
  check_phase(m, s, wrong);
  check_devices(p, devices / p.cfg, wrong);
  if (p.dp > 0 && shared * dp > devices)
    wrong.add(fmt::format("scenario.parallelism: tp {} x {}dp {} needs {} devices, the system has {}", p.tp,
                          shared > p.tp ? fmt::format("{} others x ", shared / p.tp) : "", dp, shared * dp,
                          devices));
  check_layers(m, p, wrong);
  Plan plan;
  const std::int64_t etp = resolved_etp(m, p);
  check_experts(m, s, etp, p.tp * p.cp * dp, wrong);
  plan.groups = {p.tp, p.cp, dp * p.cfg, p.pp, p.ep, etp};
  plan.ulysses = p.ulysses;
  plan.precision = s.precision;
  plan.experts = s.experts;
  plan.samples = s.phase != Phase::Denoise && m.causal;
  // Tokens of a tensor group are on all its ranks: one of them sends each to experts of other replicas.
  plan.sequence_parallel = p.tp > 1 && plan.exchanges_experts();
  wrong.need_divides("parallelism.ulysses", p.ulysses, std::max<std::int64_t>(1, m.heads / p.tp),
                     "heads of a rank");
  if (s.phase == Phase::Denoise)
    wrong.need_divides("parallelism.cfg", p.cfg, s.denoise.passes, "passes of a step");
  // Replicas that exchange tokens with each other may hold unequally many: a step ends with the fullest.
  if (s.phase != Phase::Step && s.batch % dp != 0 && !plan.exchanges_experts())
    wrong.add(fmt::format("scenario.batch: {} sequences do not divide over {} replicas", s.batch, dp));
  plan.shape = shape_of(m, s, dp);
  check_shape(m, plan, wrong);
  wrong.raise();
  split_over_pipeline(plan);
  return plan;
}

}  // namespace

std::int64_t new_tokens(const StepShape& shape) {
  std::int64_t sum = 0;
  for (const SequenceGroup& g : shape) sum += g.tokens();
  return sum;
}

std::int64_t sequences(const StepShape& shape) {
  std::int64_t sum = 0;
  for (const SequenceGroup& g : shape) sum += g.sequences;
  return sum;
}

Plan resolve(const ModelSpec& m, const ScenarioSpec& s, const StackSpec& stack, std::int64_t devices) {
  return s.phase == Phase::Training ? resolve_training(m, s, stack, devices) : resolve_serving(m, s, devices);
}

std::map<LayerType, std::int64_t> Chunk::all_layers(const ModelSpec& m) const {
  std::map<LayerType, std::int64_t> all = layers;
  if (mtp_layers > 0) all[mtp_layer_type(m)] += mtp_layers;
  return all;
}

std::vector<Chunk> chunks_of(const ModelSpec& m, const Plan& plan) {
  const std::int64_t virtual_stages = plan.groups.pipeline * plan.chunks;
  const std::int64_t mtp_layers = plan.trains ? m.mtp_layers : 0;
  std::vector<Chunk> list(static_cast<std::size_t>(virtual_stages));
  // The embedding and the head count as layers where that makes the stages even.
  const auto is_even = [&](std::int64_t more) {
    return (m.layers + mtp_layers + more) % virtual_stages == 0;
  };
  const std::int64_t head = !is_even(0) && virtual_stages > 1 && (is_even(1) || is_even(2)) ? 1 : 0;
  const std::int64_t embedding = head == 1 && !is_even(1) ? 1 : 0;
  const std::int64_t places = m.layers + mtp_layers + head + embedding;
  const std::int64_t each = places / virtual_stages, left = places % virtual_stages;
  std::int64_t layer = 0;
  for (std::int64_t v = 0; v < virtual_stages; ++v) {
    std::int64_t count = each + (v < left ? 1 : 0);
    if (v == 0) count -= embedding;
    if (v == virtual_stages - 1) count = std::max<std::int64_t>(0, m.layers - layer);
    list[static_cast<std::size_t>(v)].layers = layer_types(m, layer, layer + count);
    layer += count;
  }
  list.front().embedding = has_layers(m);
  list.back().head = has_layers(m);
  list.back().mtp_layers = mtp_layers;
  return list;
}

}  // namespace xpusim::graph
