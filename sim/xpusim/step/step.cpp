#include "xpusim/step/step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "xpusim/graph/memory.h"
#include "xpusim/step/passes.h"
#include "xpusim/step/update.h"

namespace xpusim::step {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The part of a step that an operator is counted in.
struct PartOfStep {
  const char* operator()(const GemmShape&) const { return "matrix products"; }
  const char* operator()(const GroupedGemmShape&) const { return "matrix products"; }
  const char* operator()(const AttentionShape&) const { return "attention"; }
  const char* operator()(const LinearScanShape&) const { return "attention"; }
  const char* operator()(const RowwiseShape&) const { return "other kernels"; }
  const char* operator()(const CollectiveShape&) const { return "communication"; }
};

/// The passes of a chunk.
struct ChunkTimes {
  Pass forward, backward, weight;
  [[nodiscard]] PassTimes times() const { return {forward.seconds, backward.seconds, weight.seconds}; }
};

/// What is known before anything is timed.
struct Setup {
  graph::Plan plan;
  std::vector<graph::Chunk> chunks;  ///< by virtual stage
  Pipeline pipeline;                 ///< without times
  graph::MemoryUse memory;           ///< of the fullest stage
};

Pipeline pipeline_of(const graph::Plan& plan) {
  Pipeline p;
  p.schedule = plan.schedule;
  p.stages = plan.groups.pipeline;
  p.chunks = plan.chunks;
  p.micro_batches = plan.micro_batches;
  p.transfers_overlap = !plan.trains || plan.overlap.pipeline;
  p.forward_only = !plan.trains;
  return p;
}

graph::MemoryUse fullest_stage(const Request& q, const graph::Plan& plan, const Stages& stages) {
  graph::MemoryUse fullest;
  for (std::int64_t s = 0; s < stages.count(); ++s) {
    // Later stages hold fewer micro-batches: each is one pass nearer to its backward pass.
    const double most = most_in_flight(plan.schedule, stages.count(), plan.chunks, plan.micro_batches);
    const bool falls = plan.schedule == PipelineSchedule::OneFOneB || plan.schedule == PipelineSchedule::ZbH1;
    const double held = stages.count() == 1 ? 1 : falls ? std::min(most, d(stages.count() - s)) : most;
    const graph::MemoryUse use = graph::memory_of(q.model, plan, q.stack, stages.chunks_on(s), held);
    if (use.total() > fullest.total()) fullest = use;
  }
  return fullest;
}

/// Where scenario and stack leave recomputation open: the least that fits; else all.
void choose_recompute(const Request& q, Setup& s) {
  const Stages stages{s.plan, s.chunks, s.pipeline};
  if (s.plan.recompute == Recompute::Auto) s.plan.recompute = q.stack.recompute;
  const bool is_open = s.plan.trains && s.plan.recompute == Recompute::Auto;
  for (const Recompute r : {Recompute::None, Recompute::Selective, Recompute::Full}) {
    if (is_open) s.plan.recompute = r;
    s.memory = fullest_stage(q, s.plan, stages);
    if (!is_open || s.memory.total() <= d(q.chip.hbm.capacity.count())) return;
  }
}

Setup set_up(const Request& q, std::int64_t devices, bool checks_memory) {
  Setup s;
  s.plan = graph::resolve(q.model, q.scenario, q.stack, devices);
  s.chunks = graph::chunks_of(q.model, s.plan);
  s.pipeline = pipeline_of(s.plan);
  choose_recompute(q, s);
  if (!checks_memory) return s;
  if (s.plan.trains)
    graph::check_training_memory(q.model, s.plan, s.memory, q.chip.hbm.capacity, q.chip.id);
  else
    graph::check_serving_memory(q.model, q.scenario, s.memory, devices, q.chip.hbm.capacity, q.chip.id);
  return s;
}

/// Drafts are made one after the other behind the head, before the next step verifies them.
void add_drafts(const Request& q, const graph::Plan& plan, OperatorTimer& timer, Pass& forward) {
  const auto& speculation = q.scenario.speculation;
  if (plan.trains || !speculation || speculation->drafter == Drafter::None) return;
  Pass draft = time_pass(graph::draft_of(q.model, plan, q.stack), q.stack, q.chip.family, timer);
  forward.add(draft, d(speculation->drafts));
  for (result::OperatorRow& row : draft.rows) {
    row.count *= speculation->drafts;
    forward.rows.push_back(std::move(row));
  }
}

std::map<graph::Chunk, ChunkTimes> time_chunks(const Request& q, const Setup& s, const Options& options,
                                               OperatorTimer& timer) {
  std::map<graph::Chunk, ChunkTimes> times;
  for (const graph::Chunk& c : s.chunks) {
    const auto [found, is_new] = times.try_emplace(c);
    if (!is_new) continue;
    const graph::ChunkPasses work = graph::passes_of(c, q.model, s.plan, q.stack);
    const auto time = [&](const Graph& g, const Progress& progress) {
      return time_pass(g, q.stack, q.chip.family, timer, progress);
    };
    found->second.forward = time(work.forward, s.plan.trains ? Progress{} : options.progress);
    found->second.backward = time(work.backward, {});
    found->second.weight = time(work.weight, {});
    if (c.head) add_drafts(q, s.plan, timer, found->second.forward);
    if (s.plan.trains && options.progress) options.progress(times.size(), s.chunks.size());
  }
  return times;
}

/// How much longer the slowest rank takes than the typical one.
double slower(const Request& q, const graph::Plan& plan) {
  if (!plan.trains) return 1;
  const double slowest = std::sqrt(2 * std::log(d(plan.groups.devices())));
  return 1 + q.stack.spread * slowest + q.scenario.training.speed_spread;
}

// ---- the pipeline

/// At bound fidelity the closed form gives the total; stages end together.
PipelineRun played(const Pipeline& p, Fidelity fidelity, bool with_spans) {
  if (fidelity == Fidelity::Tile) return play(p, with_spans);
  PipelineRun run;
  run.total = closed_form(p);
  run.busy.assign(index(p.stages), 0);
  run.last_backward.assign(p.times.size(), run.total);
  for (std::int64_t v = 0; v < p.virtual_stages(); ++v)
    for (const std::int64_t m : {std::int64_t{0}, std::int64_t{1}})
      run.busy[index(p.stage_of(v, m))] += p.times[index(v)].total() * d(p.micro_batches) / 2;
  return run;
}

struct Played {
  PipelineRun run;
  double without_transfers = 0;
  std::int64_t longest = 0;  ///< stage
};

void set_times(Pipeline& p, const Request& q, const Setup& s, const std::map<graph::Chunk, ChunkTimes>& times,
               OperatorTimer& timer) {
  for (const graph::Chunk& c : s.chunks) {
    PassTimes t = times.at(c).times();
    t.forward *= slower(q, s.plan);
    t.backward *= slower(q, s.plan);
    t.weight *= slower(q, s.plan);
    p.times.push_back(t);
  }
  if (p.stages == 1) return;
  CollectiveShape send{.kind = CollectiveKind::SendRecv, .group = RankGroup::Pipeline, .library = {}};
  send.bytes = Bytes(std::max<std::int64_t>(1, std::llround(graph::transfer_bytes(q.model, s.plan))));
  p.transfer = timer.row({"transfer", send, {}}, s.plan.groups).time.count();
}

/// Running sequences come back to the first stage with their next token, micro-batch after micro-batch: a
/// round takes the way through all stages, or the longest stage's work for all of them.
void close_round(PipelineRun& run, const Pipeline& p) {
  double way = p.transfer * d(p.stages);
  for (const PassTimes& t : p.times) way += t.forward;
  run.total = std::max(way, *std::max_element(run.busy.begin(), run.busy.end()));
}

Played play_pipeline(const Request& q, const Pipeline& p, const Options& options) {
  Played result;
  result.run = played(p, options.fidelity, options.engine_spans);
  Pipeline at_once = p;
  at_once.transfer = 0;
  result.without_transfers = p.stages > 1 ? played(at_once, options.fidelity, false).total : result.run.total;
  if (q.scenario.phase == Phase::Decode && p.stages > 1) {
    close_round(result.run, p);
    result.without_transfers = result.run.total;
  }
  result.longest = std::max_element(result.run.busy.begin(), result.run.busy.end()) - result.run.busy.begin();
  return result;
}

// ---- the result

/// Turns what was timed into a result. Times are of the stage that works longest.
class Report {
 public:
  Report(const Request& q, const Setup& s, const Played& played, const Options& options)
      : q_(q), s_(s), played_(played) {
    r_.workload = q.scenario.name;
    r_.chip = q.chip.id;
    r_.fidelity = kFidelityNames[static_cast<std::size_t>(options.fidelity)];
    r_.groups = s.plan.groups;
    r_.memory = s.memory;
    r_.memory_capacity = q.chip.hbm.capacity;
    r_.engine_names = engine_names(q.chip);
  }

  /// All passes of the longest stage, and how its time divides.
  void add_passes(const std::map<graph::Chunk, ChunkTimes>& times) {
    const Stages stages{s_.plan, s_.chunks, s_.pipeline};
    const double both_ways =
        s_.plan.schedule == PipelineSchedule::DualPipe && s_.pipeline.stages > 1 ? 0.5 : 1;
    const double visits = d(s_.plan.micro_batches) * both_ways;
    for (const std::int64_t v : stages.virtual_stages_of(played_.longest)) {
      const ChunkTimes& c = times.at(s_.chunks[index(v)]);
      one_.forward += c.forward.seconds * visits / d(s_.plan.micro_batches);
      one_.backward += c.backward.seconds * visits / d(s_.plan.micro_batches);
      one_.weight += c.weight.seconds * visits / d(s_.plan.micro_batches);
      for (const Pass* pass : {&c.forward, &c.backward, &c.weight}) {
        work_.add(*pass, visits);
        for (result::OperatorRow row : pass->rows) {
          row.count = std::llround(d(row.count) * visits);
          r_.operators.push_back(std::move(row));
        }
      }
    }
    add_computation();
    add_waiting();
  }

  void add_update(Update u) {
    for (result::OperatorRow& row : u.rows) {
      r_.breakdown.add(row.breakdown);
      r_.operators.push_back(std::move(row));
    }
    update_ = std::move(u);
  }

  result::Result finish_training() {
    result::TrainingSummary& t = r_.training.emplace();
    t.stack = q_.stack.id;
    t.schedule = s_.pipeline.stages > 1 ? std::string(enum_name(s_.plan.schedule)) : "none";
    t.stages = s_.pipeline.stages;
    t.chunks = s_.plan.chunks;
    t.micro_batch = s_.plan.micro_batch();
    t.micro_batches = s_.plan.micro_batches;
    t.passes = one_;
    r_.tokens = d(q_.scenario.batch) * d(q_.scenario.sequence);
    const double busy = played_.run.busy[index(played_.longest)];
    t.bubble_fraction = busy > 0 ? std::max(0.0, played_.without_transfers / busy - 1) : 0;
    const double host_step = q_.stack.host.step.count();
    const double others = busy * (1 - 1 / slower(q_, s_.plan));
    add_part("gradients between replicas", update_.gradients_end - played_.run.total);
    add_part("optimizer", update_.optimizer);
    add_part("weights between replicas", update_.weights);
    add_part("slower ranks", others);
    add_part("host", work_.host + host_step);
    r_.breakdown[Bound::Communication] += update_.gradients_end - played_.run.total + update_.weights;
    r_.breakdown[Bound::Host] += others + work_.host + host_step;
    t.spans = played_.run.spans;
    finish(update_.gradients_end + update_.optimizer + update_.weights + host_step);
    const graph::StepFlops f = graph::step_flops(q_.model, s_.plan);
    const double peak = matrix_peak(q_.chip, q_.scenario.precision.weights).count() *
                        d(s_.plan.groups.devices()) * r_.total.count();
    t.mfu = f.model / peak;  // the convention: 16-bit peak, also of 8-bit products
    t.hfu = (f.model + f.recomputed) / peak;
    t.model_rate = FlopsPerSecond(f.model / d(s_.plan.groups.devices()) / r_.total.count());
    t.parts = std::move(parts_);
    return std::move(r_);
  }

  result::Result finish_serving() {
    result::ServingSummary& s = r_.serving.emplace();
    s.phase = enum_name(q_.scenario.phase);
    s.micro_batches = s_.plan.micro_batches;
    const double replicas = d(s_.plan.groups.data);
    const double verified = q_.scenario.speculation ? q_.scenario.speculation->tokens() : 1;
    switch (q_.scenario.phase) {
      case Phase::Decode:
        r_.tokens = d(q_.scenario.batch) * verified;
        s.tokens_per_sequence = verified;
        break;
      case Phase::Step:
        r_.tokens = d(graph::new_tokens(s_.plan.shape) * s_.plan.micro_batches) * replicas;
        break;
      case Phase::Denoise:
        break;
      case Phase::Prefill:
      case Phase::Generate:
      case Phase::Training:
        r_.tokens = d(q_.scenario.batch) * d(q_.scenario.sequence);
        break;
    }
    add_part("host", work_.host);
    r_.breakdown[Bound::Host] += work_.host;
    finish(played_.run.total);
    for (const result::OperatorRow& row : r_.operators) {
      const double seconds = row.time.count() * d(row.count);
      if (is_kind(row.op, CollectiveKind::Dispatch)) s.dispatch += Seconds(seconds);
      if (is_kind(row.op, CollectiveKind::Combine)) s.combine += Seconds(seconds);
    }
    if (q_.scenario.phase == Phase::Decode) s.tpot = Seconds(r_.total.count() / verified);
    if (q_.scenario.phase == Phase::Prefill) s.ttft = r_.total;
    s.parts = std::move(parts_);
    return std::move(r_);
  }

  result::Result& draft() { return r_; }

 private:
  void add_part(std::string name, double seconds) { parts_.push_back({std::move(name), Seconds(seconds)}); }

  /// Computation by class: kernels take what the pass leaves them when all waiting is off.
  void add_computation() {
    double kernels = 0;
    for (const result::OperatorRow& row : r_.operators)
      if (!is_collective(row.op)) kernels += row.time.count() * d(row.count);
    // Cores are lent to collectives beside them.
    const double stretch = kernels > 0 ? (work_.seconds - work_.host - work_.waiting()) / kernels : 0;
    std::map<std::string, double> by_class;
    double flops = 0;
    for (const result::OperatorRow& row : r_.operators) {
      if (is_collective(row.op)) continue;
      const double times = d(row.count) * stretch;
      by_class[std::visit(PartOfStep{}, row.op.work)] += row.time.count() * times;
      r_.breakdown.add(row.breakdown, times);
      flops += row.flops.count() * d(row.count);
    }
    r_.flops = Flops(flops);
    for (const char* name : {"matrix products", "attention", "other kernels"}) add_part(name, by_class[name]);
  }

  void add_waiting() {
    const double busy = played_.run.busy[index(played_.longest)];
    const double transfers = std::max(0.0, played_.run.total - played_.without_transfers);
    const double bubble = std::max(0.0, played_.run.total - transfers - busy);
    const auto of = [&](RankGroup g) { return work_.exposed[static_cast<std::size_t>(g)]; };
    add_part("wait for tensor ranks", of(RankGroup::Tensor));
    add_part("wait for context ranks", of(RankGroup::Context));
    add_part("wait for expert ranks", of(RankGroup::Expert));
    add_part("wait for sharded weights", of(RankGroup::Shard));
    add_part("pipeline transfers", transfers);
    add_part("pipeline bubble", bubble);
    r_.breakdown[Bound::Communication] += transfers + work_.waiting();
    r_.breakdown[Bound::Bubble] += bubble;
  }

  void finish(double total) {
    r_.total = Seconds(total);
    r_.classes = result::by_class(r_.operators);
    double hbm_bytes = 0, useful_seconds = 0;
    for (const result::OperatorRow& row : r_.operators) {
      hbm_bytes += row.hbm_bytes * d(row.count);
      if (row.flops.count() > 0)
        useful_seconds +=
            (row.flops / matrix_peak(q_.chip, cost(row.op).matrix_dtype)).count() * d(row.count);
    }
    if (total <= 0) return;
    r_.matrix_utilisation = useful_seconds / total;  // each product by its own type's peak
    r_.hbm_utilisation = hbm_bytes / q_.chip.hbm.bandwidth.count() / total;
  }

  const Request& q_;
  const Setup& s_;
  const Played& played_;
  Pass work_;      ///< all passes of the longest stage
  PassTimes one_;  ///< of one micro-batch
  Update update_;
  std::vector<result::Part> parts_;
  result::Result r_;
};

void warn_of_idle(const graph::Plan& plan, std::int64_t devices, result::Result& r) {
  const RankGroups& g = plan.groups;
  const std::int64_t used = g.devices();
  if (used < devices)
    r.warnings.push_back(fmt::format(
        "{} of {} devices are idle: tensor {} x data {}{}", devices - used, devices, g.tensor, g.data,
        g.context * g.pipeline > 1 ? fmt::format(" x {} others", g.context * g.pipeline) : ""));
}

}  // namespace

std::vector<std::string> engine_names(const ChipSpec& c) {
  return {c.copy_in.name, c.operand_feed.name,     c.matrix.name,           c.vector.name,
          c.store.name,   c.vector.name + " load", c.vector.name + " store"};
}

result::Result run(const Request& q, std::int64_t devices, const Options& options, OperatorTimer& timer) {
  Setup s = set_up(q, devices, options.checks_memory);
  const auto times = time_chunks(q, s, options, timer);
  set_times(s.pipeline, q, s, times, timer);
  const Played played = play_pipeline(q, s.pipeline, options);
  Report report(q, s, played, options);
  report.add_passes(times);
  if (s.plan.trains) {
    report.add_update(time_update({s.plan, s.chunks, s.pipeline}, played.run, q, timer));
    return report.finish_training();
  }
  result::Result r = report.finish_serving();
  if (s.pipeline.stages == 1)
    draw(graph::passes_of(s.chunks.front(), q.model, s.plan, q.stack).forward, r, timer);
  warn_of_idle(s.plan, devices, r);
  return r;
}

Graph graph_of(const Request& q, std::int64_t devices) {
  const Setup s = set_up(q, devices, false);
  graph::ChunkPasses passes = graph::passes_of(s.chunks.front(), q.model, s.plan, q.stack);
  Graph graph = std::move(passes.forward);
  graph.name = q.scenario.name;
  if (s.plan.trains || s.pipeline.stages > 1) graph.name += ", one micro-batch on the first stage";
  for (const Graph* more : {&passes.backward, &passes.weight})
    graph.sections.insert(graph.sections.end(), more->sections.begin(), more->sections.end());
  return graph;
}

}  // namespace xpusim::step
