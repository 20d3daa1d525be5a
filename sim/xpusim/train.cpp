#include "xpusim/train.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "xpusim/cluster/pipeline.h"
#include "xpusim/cluster/schedule.h"
#include "xpusim/ops/training.h"

namespace xpusim {
namespace {

/// One micro-batch's pass on one chunk: how long, and what of it is not computation.
struct Pass {
  double seconds = 0;
  std::array<double, cluster::kRankGroups> exposed{};
  double host = 0;                        ///< waiting for the host
  std::vector<result::OperatorRow> rows;  ///< with the count of one pass

  Pass& add(const Pass& o, double times = 1) {
    seconds += o.seconds * times;
    for (std::size_t g = 0; g < exposed.size(); ++g) exposed[g] += o.exposed[g] * times;
    host += o.host * times;
    return *this;
  }
};

struct Passes {
  Pass forward, backward, weight;
  [[nodiscard]] cluster::PassTimes times() const {
    return {forward.seconds, backward.seconds, weight.seconds};
  }
};

/// Of a stack's kernel over the chip's best.
struct StackRate {
  const StackKernels& kernels;
  const std::string& family;

  double operator()(const GemmShape& g) const { return of_product(g.dtype); }
  double operator()(const GroupedGemmShape& g) const { return of_product(g.dtype); }
  double operator()(const AttentionShape&) const {
    const auto rate = kernels.attention_rate.find(family);
    return rate != kernels.attention_rate.end() ? rate->second : 1;
  }
  double operator()(const RowwiseShape&) const { return 1; }
  double operator()(const CollectiveShape&) const { return 1; }
  [[nodiscard]] double of_product(Dtype t) const { return size_of(t) < 2 ? kernels.rate_8bit : 1; }
};

/// The part of a step that an operator is counted in.
struct PartOfStep {
  const char* operator()(const GemmShape&) const { return "matrix products"; }
  const char* operator()(const GroupedGemmShape&) const { return "matrix products"; }
  const char* operator()(const AttentionShape&) const { return "attention"; }
  const char* operator()(const RowwiseShape&) const { return "other kernels"; }
  const char* operator()(const CollectiveShape&) const { return "communication"; }
};

class TrainingStep {
 public:
  TrainingStep(const Request& q, std::int64_t devices, const Options& options, OperatorTimer& timer)
      : q_(q),
        options_(options),
        timer_(timer),
        plan_(ops::resolve_training(q.model, q.scenario, q.stack, devices)),
        chunks_(ops::chunks_of(q.model, plan_)) {}

  result::Result run() {
    begin_result();
    choose_recompute();
    if (options_.checks_memory)
      ops::check_training_memory(q_.model, plan_, r_.memory, q_.chip.hbm.capacity, q_.chip.id);
    for (const ops::Chunk& c : chunks_) time_chunk(c);
    play_pipeline();
    exchange_gradients();
    finish();
    return std::move(r_);
  }

 private:
  [[nodiscard]] static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] std::int64_t stages() const { return plan_.groups.pipeline; }
  [[nodiscard]] std::vector<std::int64_t> virtual_stages_of(std::int64_t stage) const {
    std::vector<std::int64_t> list;
    for (std::int64_t v = 0; v < pipeline_.virtual_stages(); ++v)
      if (pipeline_.stage_of(v, 0) == stage || pipeline_.stage_of(v, 1) == stage) list.push_back(v);
    return list;
  }
  [[nodiscard]] std::vector<ops::Chunk> chunks_on(std::int64_t stage) const {
    std::vector<ops::Chunk> list;
    for (const std::int64_t v : virtual_stages_of(stage)) list.push_back(chunks_[index(v)]);
    return list;
  }

  void begin_result() {
    r_.workload = q_.scenario.name;
    r_.chip = q_.chip.id;
    r_.fidelity = chip::kFidelityNames[static_cast<std::size_t>(options_.fidelity)];
    r_.groups = plan_.groups;
    r_.memory_capacity = q_.chip.hbm.capacity;
    r_.tokens = d(q_.scenario.batch) * d(q_.scenario.sequence);
    r_.training.emplace();
    r_.training->stack = q_.stack.id;
    r_.training->schedule = stages() > 1 ? std::string(enum_name(plan_.schedule)) : "none";
    r_.training->stages = stages();
    r_.training->chunks = plan_.chunks;
    r_.training->micro_batch = plan_.micro_batch;
    r_.training->micro_batches = plan_.micro_batches;
    pipeline_.schedule = plan_.schedule;
    pipeline_.stages = stages();
    pipeline_.chunks = plan_.chunks;
    pipeline_.micro_batches = plan_.micro_batches;
    pipeline_.transfers_overlap = plan_.overlap.pipeline;
  }

  /// Where scenario and stack leave it open: the least that fits; else all.
  void choose_recompute() {
    if (plan_.recompute == Recompute::Auto) plan_.recompute = q_.stack.recompute;
    if (plan_.recompute != Recompute::Auto) return find_fullest();
    for (const Recompute r : {Recompute::None, Recompute::Selective, Recompute::Full}) {
      plan_.recompute = r;
      find_fullest();
      if (r_.memory.total() <= d(q_.chip.hbm.capacity.count())) return;
    }
  }
  void find_fullest() {
    r_.memory = {};
    for (std::int64_t s = 0; s < stages(); ++s) {
      // Later stages hold fewer micro-batches: each is one pass nearer to its backward pass.
      const double most =
          cluster::most_in_flight(plan_.schedule, stages(), plan_.chunks, plan_.micro_batches);
      const bool falls =
          plan_.schedule == PipelineSchedule::OneFOneB || plan_.schedule == PipelineSchedule::ZbH1;
      const double held = stages() == 1 ? 1 : falls ? std::min(most, d(stages() - s)) : most;
      const ops::MemoryUse use = ops::training_memory(q_.model, plan_, q_.stack, chunks_on(s), held);
      if (use.total() > r_.memory.total()) r_.memory = use;
    }
  }

  // ---- passes
  void time_chunk(const ops::Chunk& c) {
    const auto [found, is_new] = passes_.try_emplace(c);
    if (!is_new) return;
    const ops::ChunkPasses work = ops::passes_of(c, q_.model, plan_, q_.stack);
    found->second = {time_pass(work.forward), time_pass(work.backward), time_pass(work.weight)};
    if (options_.progress) options_.progress(passes_.size(), chunks_.size());
  }

  Pass time_pass(const Graph& graph) {
    Pass pass;
    for (const Section& section : graph.sections) add_section(pass, section);
    return pass;
  }

  /// A section's runs repeat: the second run adds what every further one does.
  void add_section(Pass& pass, const Section& section) {
    std::vector<double> seconds;
    for (const Operator& o : section.operators) {
      pass.rows.push_back(timer_.row(o, plan_.groups));
      result::OperatorRow& row = pass.rows.back();
      row.section = section.name;
      row.count = section.repeat;
      if (!is_collective(o)) slow_down(row, rate_of(o));
      seconds.push_back(row.time.count());
    }
    const cluster::Schedule one = schedule(section, seconds, 1);
    const cluster::Schedule two = section.repeat > 1 ? schedule(section, seconds, 2) : one;
    const double more = d(section.repeat - 1);
    Pass all;
    all.seconds = one.total.count() + more * (two.total - one.total).count();
    for (std::size_t g = 0; g < all.exposed.size(); ++g)
      all.exposed[g] = one.exposed_by[g] + more * (two.exposed_by[g] - one.exposed_by[g]);
    const double host =
        q_.stack.host.kernel.count() * d(section.repeat) * d(static_cast<std::int64_t>(seconds.size()));
    all.host = std::max(0.0, host - all.seconds);
    all.seconds += all.host;
    pass.add(all);
  }
  [[nodiscard]] double rate_of(const Operator& o) const {
    return q_.stack.kernels.rate * std::visit(StackRate{q_.stack.kernels, q_.chip.family}, o.work);
  }
  static void slow_down(result::OperatorRow& row, double rate) {
    row.time = Seconds(row.time.count() / rate);
    Breakdown slower;
    slower.add(row.breakdown, 1 / rate);
    row.breakdown = slower;
  }
  cluster::Schedule schedule(const Section& section, const std::vector<double>& seconds,
                             std::int64_t repeat) const {
    Graph g;
    g.groups = plan_.groups;
    g.sections = {section};
    g.sections.front().repeat = repeat;
    std::size_t next = 0;
    return cluster::schedule(
        g, [&](const Operator&) { return Seconds(seconds[next++]); }, q_.stack.core_share);
  }

  // ---- pipeline
  /// How much longer the slowest rank takes than the typical one.
  [[nodiscard]] double slower() const {
    const double slowest = std::sqrt(2 * std::log(d(plan_.groups.devices())));
    return 1 + q_.stack.spread * slowest + q_.scenario.training.speed_spread;
  }

  void play_pipeline() {
    for (const ops::Chunk& c : chunks_) {
      cluster::PassTimes t = passes_.at(c).times();
      t.forward *= slower();
      t.backward *= slower();
      t.weight *= slower();
      pipeline_.times.push_back(t);
    }
    if (stages() > 1) {
      Operator send{"transfer", CollectiveShape{.kind = CollectiveKind::SendRecv, .library = {}}, {}};
      send.as<CollectiveShape>().bytes =
          Bytes(std::max<std::int64_t>(1, std::llround(ops::transfer_bytes(q_.model, plan_))));
      send.as<CollectiveShape>().group = RankGroup::Pipeline;
      pipeline_.transfer = timer_.row(send, plan_.groups).time.count();
    }
    played_ = played(pipeline_, options_.engine_spans);
    cluster::Pipeline at_once = pipeline_;
    at_once.transfer = 0;
    without_transfers_ = stages() > 1 ? played(at_once, false).total : played_.total;
    longest_ = std::max_element(played_.busy.begin(), played_.busy.end()) - played_.busy.begin();
  }
  /// At bound fidelity the closed form gives the total; stages end together.
  [[nodiscard]] cluster::PipelineRun played(const cluster::Pipeline& p, bool with_spans) const {
    if (options_.fidelity == chip::Fidelity::Tile) return cluster::play(p, with_spans);
    cluster::PipelineRun run;
    run.total = cluster::closed_form(p);
    run.busy.assign(index(p.stages), 0);
    run.last_backward.assign(p.times.size(), run.total);
    for (std::int64_t v = 0; v < p.virtual_stages(); ++v)
      for (const std::int64_t m : {std::int64_t{0}, std::int64_t{1}})
        run.busy[index(p.stage_of(v, m))] += p.times[index(v)].total() * d(p.micro_batches) / 2;
    return run;
  }

  // ---- gradients and weights
  [[nodiscard]] double time_all(const std::vector<Operator>& list) {
    double sum = 0;
    for (const Operator& o : list) sum += timer_.row(o, plan_.groups).time.count();
    return sum;
  }

  /// A kernel over many elements, each on its own: the time of a piece that is long beside its start, as
  /// often as it fits.
  [[nodiscard]] double time_stream(const Operator& o) {
    constexpr std::int64_t kPiece = 1 << 24;
    if (o.as<RowwiseShape>().cols <= kPiece) return timer_.row(o, plan_.groups).time.count();
    Operator piece = o;
    piece.as<RowwiseShape>().cols = kPiece;
    return timer_.row(piece, plan_.groups).time.count() * d(o.as<RowwiseShape>().cols) / d(kPiece);
  }

  void exchange_gradients() {
    for (std::int64_t s = 0; s < stages(); ++s) {
      ops::ChunkParameters all;
      double stream = 0, end = played_.total;
      for (const std::int64_t v : virtual_stages_of(s)) {
        const ops::ChunkParameters p = ops::parameters_of(chunks_[index(v)], q_.model, plan_);
        all.dense += p.dense;
        all.experts += p.experts;
        if (plan_.overlap.gradients) stream = overlapped_end(v, p, stream);
      }
      const ops::GradientExchange exchange = ops::gradient_exchange(all, plan_, q_.stack);
      if (plan_.overlap.gradients)
        end = std::max(end, stream);
      else
        end += time_all(exchange.gradients);
      gradients_end_ = std::max(gradients_end_, end);
      double updated = 0;
      for (const Section& section : ops::optimizer_graph(all, plan_, q_.stack).sections)
        for (const Operator& o : section.operators) updated += time_stream(o) / q_.stack.kernels.rate;
      optimizer_ = std::max(optimizer_, updated);
      // Beside the next step's first passes, only the first layer's weights are waited for.
      const double hidden = plan_.overlap.parameters ? d(layers_on(s)) : 1;
      weights_ = std::max(weights_, time_all(exchange.weights) / hidden);
    }
  }
  [[nodiscard]] std::int64_t layers_of(const ops::Chunk& c) const {
    return std::max<std::int64_t>(1, c.dense_layers + c.expert_layers + c.mtp_layers);
  }
  [[nodiscard]] std::int64_t layers_on(std::int64_t stage) const {
    std::int64_t sum = 0;
    for (const ops::Chunk& c : chunks_on(stage)) sum += layers_of(c);
    return sum;
  }
  /// Gradients of a chunk go out layer by layer beside its last backward pass, behind those of other chunks.
  [[nodiscard]] double overlapped_end(std::int64_t v, const ops::ChunkParameters& p, double stream) {
    const double exchange = time_all(ops::gradient_exchange(p, plan_, q_.stack).gradients);
    const double backward = pipeline_.times[index(v)].backward, layers = d(layers_of(chunks_[index(v)]));
    const double end = played_.last_backward[index(v)];
    const double first_layer = end - backward * (1 - 1 / layers);
    const double taken = q_.stack.core_share * std::min(exchange, backward);
    return std::max(std::max(stream, first_layer) + exchange, end + taken + exchange / layers);
  }

  // ---- result
  void finish() {
    result::TrainingSummary& t = *r_.training;
    const double total = gradients_end_ + optimizer_ + weights_ + q_.stack.host.step.count();
    r_.total = Seconds(total);
    const double busy = played_.busy[index(longest_)];
    Pass work = work_of_longest();
    t.bubble_fraction = busy > 0 ? std::max(0.0, without_transfers_ / busy - 1) : 0;
    const double transfers = std::max(0.0, played_.total - without_transfers_);
    const double bubble = std::max(0.0, played_.total - transfers - busy);
    const double others = busy * (1 - 1 / slower());
    add_computation(work);
    add_part("wait for tensor ranks", work.exposed[static_cast<std::size_t>(RankGroup::Tensor)]);
    add_part("wait for context ranks", work.exposed[static_cast<std::size_t>(RankGroup::Context)]);
    add_part("wait for expert ranks", work.exposed[static_cast<std::size_t>(RankGroup::Expert)]);
    add_part("wait for sharded weights", work.exposed[static_cast<std::size_t>(RankGroup::Shard)]);
    add_part("pipeline transfers", transfers);
    add_part("pipeline bubble", bubble);
    add_part("gradients between replicas", gradients_end_ - played_.total);
    add_part("optimizer", optimizer_);
    add_part("weights between replicas", weights_);
    add_part("slower ranks", others);
    add_part("host", work.host + q_.stack.host.step.count());
    double waiting = transfers + gradients_end_ - played_.total + weights_;
    for (const double x : work.exposed) waiting += x;
    r_.breakdown[Bound::Communication] += waiting;
    r_.breakdown[Bound::Bubble] += bubble;
    r_.breakdown[Bound::Host] += others + work.host + q_.stack.host.step.count();
    r_.breakdown[Bound::Hbm] += optimizer_;
    r_.classes = result::by_class(r_.operators);
    t.spans = std::move(played_.spans);
    set_utilisation(total);
  }

  void add_part(std::string name, double seconds) {
    r_.training->parts.push_back({std::move(name), Seconds(seconds)});
  }

  /// All passes of the stage that works longest.
  [[nodiscard]] Pass work_of_longest() {
    Pass work;
    cluster::PassTimes& one = r_.training->passes;
    for (const std::int64_t v : virtual_stages_of(longest_)) {
      const Passes& p = passes_.at(chunks_[index(v)]);
      const double visits =
          d(plan_.micro_batches) * (plan_.schedule == PipelineSchedule::DualPipe && stages() > 1 ? 0.5 : 1);
      one.forward += p.forward.seconds * visits / d(plan_.micro_batches);
      one.backward += p.backward.seconds * visits / d(plan_.micro_batches);
      one.weight += p.weight.seconds * visits / d(plan_.micro_batches);
      for (const Pass* pass : {&p.forward, &p.backward, &p.weight}) {
        work.add(*pass, visits);
        for (result::OperatorRow row : pass->rows) {
          row.count = std::llround(d(row.count) * visits);
          r_.operators.push_back(std::move(row));
        }
      }
    }
    return work;
  }

  /// Computation by class: kernels take what the pass leaves them when all waiting is off.
  void add_computation(const Pass& work) {
    double waiting = work.host, kernels = 0;
    for (const double x : work.exposed) waiting += x;
    for (const result::OperatorRow& row : r_.operators)
      if (!is_collective(row.op)) kernels += row.time.count() * d(row.count);
    const double stretch = kernels > 0 ? (work.seconds - waiting) / kernels : 0;  // cores lent to collectives
    std::map<std::string, double> by_class;
    double flops = 0;
    for (const result::OperatorRow& row : r_.operators) {
      if (is_collective(row.op)) continue;
      const double seconds = row.time.count() * d(row.count) * stretch;
      by_class[std::visit(PartOfStep{}, row.op.work)] += seconds;
      r_.breakdown.add(row.breakdown, d(row.count) * stretch);
      flops += row.flops.count() * d(row.count);
    }
    r_.flops = Flops(flops);
    for (const char* name : {"matrix products", "attention", "other kernels"}) add_part(name, by_class[name]);
  }

  void set_utilisation(double total) {
    const ops::StepFlops f = ops::step_flops(q_.model, plan_);
    const Dtype dtype = q_.scenario.precision.weights;  // the convention: 16-bit peak, also of 8-bit products
    const double peak = matrix_peak(q_.chip, dtype).count() * d(plan_.groups.devices()) * total;
    r_.training->mfu = f.model / peak;
    r_.training->hfu = (f.model + f.recomputed) / peak;
    r_.matrix_utilisation = r_.flops.count() / (matrix_peak(q_.chip, dtype).count() * total);
    double hbm_bytes = 0;
    for (const result::OperatorRow& row : r_.operators) hbm_bytes += row.hbm_bytes * d(row.count);
    r_.hbm_utilisation = hbm_bytes / q_.chip.hbm.bandwidth.count() / total;
  }

  const Request& q_;
  const Options& options_;
  OperatorTimer& timer_;
  ops::TrainingPlan plan_;
  std::vector<ops::Chunk> chunks_;  ///< by virtual stage
  std::map<ops::Chunk, Passes> passes_;
  cluster::Pipeline pipeline_;
  cluster::PipelineRun played_;
  double without_transfers_ = 0;
  std::int64_t longest_ = 0;  ///< stage
  double gradients_end_ = 0, optimizer_ = 0, weights_ = 0;
  result::Result r_;
};

}  // namespace

result::Result train(const Request& q, std::int64_t devices, const Options& options, OperatorTimer& timer) {
  return TrainingStep(q, devices, options, timer).run();
}

result::Result train(const Request& q, std::int64_t devices, const Options& options) {
  const SystemSpec joined = with_package_level(q.system, q.chip);
  OperatorTimer timer(q.chip, &joined, Launch::Graph, options, LongKernels::Sampled);
  return train(q, devices, options, timer);
}

}  // namespace xpusim
