#include "xpusim/cluster/pipeline.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "xpusim/core/error.h"

namespace xpusim::cluster {
namespace {

double d(std::int64_t x) { return static_cast<double>(x); }

bool has_fixed_order(PipelineSchedule s) {
  return s == PipelineSchedule::Gpipe || s == PipelineSchedule::OneFOneB ||
         s == PipelineSchedule::Interleaved;
}

struct Pass {
  PassKind kind = PassKind::Forward;
  std::int64_t virtual_stage = 0, micro_batch = 0;
};

/// The fixed order of one stage: some forward passes, then one forward and one backward in turn, then the
/// backward passes that are left. Chunks take turns of `stages` micro-batches (Narayanan et al., arXiv
/// 2104.04473, section 2.2).
std::vector<Pass> fixed_order(const Pipeline& p, std::int64_t stage) {
  const std::int64_t all = p.micro_batches * p.chunks;
  std::int64_t ahead = p.stages - stage - 1;
  if (p.chunks > 1) ahead = 2 * ahead + (p.chunks - 1) * p.stages;
  if (p.schedule == PipelineSchedule::Gpipe) ahead = all;
  ahead = std::min(ahead, all);
  const auto pass = [&](PassKind kind, std::int64_t turn) {
    const std::int64_t round = turn / (p.stages * p.chunks), within = turn % (p.stages * p.chunks);
    const std::int64_t chunk = p.chunks > 1 ? within / p.stages : 0;
    const std::int64_t micro_batch = p.chunks > 1 ? round * p.stages + within % p.stages : turn;
    const std::int64_t mirrored = kind == PassKind::Forward ? chunk : p.chunks - 1 - chunk;
    return Pass{kind, mirrored * p.stages + stage, micro_batch};
  };
  std::vector<Pass> order;
  for (std::int64_t i = 0; i < ahead; ++i) order.push_back(pass(PassKind::Forward, i));
  for (std::int64_t i = ahead; i < all; ++i) {
    order.push_back(pass(PassKind::Forward, i));
    order.push_back(pass(PassKind::Backward, i - ahead));
  }
  for (std::int64_t i = all - ahead; i < all; ++i) order.push_back(pass(PassKind::Backward, i));
  return order;
}

/// Forward passes that a stage may have ahead of their backward passes.
std::int64_t allowance(const Pipeline& p, std::int64_t stage) {
  switch (p.schedule) {
    case PipelineSchedule::ZbH2:
      return 2 * (p.stages - stage) - 1;
    case PipelineSchedule::ZbV:
      return 2 * p.stages;
    case PipelineSchedule::DualPipe:
      return p.stages + 1;
    default:
      return p.stages - stage;
  }
}

class Player {
 public:
  Player(const Pipeline& p, bool with_spans)
      : p_(p),
        with_spans_(with_spans),
        is_fixed_(has_fixed_order(p.schedule)),
        stages_(static_cast<std::size_t>(p.stages)) {
    check_invariant(static_cast<std::int64_t>(p.times.size()) == p.virtual_stages(),
                    "a time for each virtual stage");
    const auto passes = static_cast<std::size_t>(p.virtual_stages() * p.micro_batches);
    for (auto& ready : ready_) ready.assign(passes, kNever);
    run_.busy.assign(stages_.size(), 0);
    run_.last_backward.assign(p.times.size(), 0);
    for (std::int64_t s = 0; s < p.stages; ++s)
      if (is_fixed_) stages_[index(s)].order = fixed_order(p, s);
  }

  PipelineRun run() {
    for (std::int64_t m = 0; m < p_.micro_batches; ++m) make_ready({PassKind::Forward, 0, m}, 0);
    while (!events_.empty()) {
      const Event e = events_.top();
      events_.pop();
      Stage& stage = stages_[index(e.stage)];
      if (e.time >= stage.free) take_next(e.stage, e.time);
    }
    check_invariant(left_ == 0, "a pipeline schedule has run all its passes");
    return std::move(run_);
  }

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();
  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
  struct Event {
    double time;
    std::int64_t stage;
    bool operator>(const Event& o) const { return time != o.time ? time > o.time : stage > o.stage; }
  };
  struct Ready {
    double time;
    std::int64_t micro_batch, virtual_stage;
    bool operator>(const Ready& o) const {
      if (time != o.time) return time > o.time;
      return micro_batch != o.micro_batch ? micro_batch > o.micro_batch : virtual_stage < o.virtual_stage;
    }
  };
  using ReadyQueue = std::priority_queue<Ready, std::vector<Ready>, std::greater<>>;
  struct Stage {
    double free = 0;
    std::vector<Pass> order;  ///< fixed
    std::size_t next = 0;
    std::array<ReadyQueue, kPassKinds> waiting;  ///< where only priorities are set
    std::int64_t in_flight = 0;
  };

  [[nodiscard]] std::size_t place(const Pass& x) const {
    return index(x.virtual_stage * p_.micro_batches + x.micro_batch);
  }
  [[nodiscard]] double seconds(const Pass& x) const {
    const PassTimes& t = p_.times[index(x.virtual_stage)];
    return x.kind == PassKind::Forward ? t.forward : x.kind == PassKind::Backward ? t.backward : t.weight;
  }

  void make_ready(const Pass& x, double time) {
    ++left_;
    ready_[static_cast<std::size_t>(x.kind)][place(x)] = time;
    const std::int64_t s = p_.stage_of(x.virtual_stage, x.micro_batch);
    if (!is_fixed_)
      stages_[index(s)].waiting[static_cast<std::size_t>(x.kind)].push(
          {time, x.micro_batch, x.virtual_stage});
    events_.push({time, s});
  }

  void take_next(std::int64_t s, double now) {
    Stage& stage = stages_[index(s)];
    if (is_fixed_) {
      if (stage.next == stage.order.size()) return;
      const Pass& x = stage.order[stage.next];
      if (ready_[static_cast<std::size_t>(x.kind)][place(x)] > now) return;
      ++stage.next;
      return begin(s, x, now);
    }
    for (const PassKind kind : {PassKind::Backward, PassKind::Forward, PassKind::Weight}) {
      ReadyQueue& queue = stage.waiting[static_cast<std::size_t>(kind)];
      if (queue.empty() || queue.top().time > now) continue;
      if (kind == PassKind::Forward && stage.in_flight >= allowance(p_, s)) continue;
      const Pass x{kind, queue.top().virtual_stage, queue.top().micro_batch};
      queue.pop();
      return begin(s, x, now);
    }
  }

  void begin(std::int64_t s, const Pass& x, double now) {
    Stage& stage = stages_[index(s)];
    const double duration = seconds(x), end = now + duration;
    run_.busy[index(s)] += duration;
    if (with_spans_) run_.spans.push_back({s, x.virtual_stage, x.micro_batch, x.kind, now, end});
    if (x.kind == PassKind::Forward) ++stage.in_flight;
    if (x.kind == PassKind::Backward) --stage.in_flight;
    stage.free = end + (sends(x) && !p_.transfers_overlap ? p_.transfer : 0);
    run_.total = std::max(run_.total, end);
    --left_;
    release(x, end);
    events_.push({stage.free, s});
  }
  [[nodiscard]] bool sends(const Pass& x) const {
    if (x.kind == PassKind::Forward) return x.virtual_stage + 1 < p_.virtual_stages();
    return x.kind == PassKind::Backward && x.virtual_stage > 0;
  }

  /// What may run when `x` has ended.
  void release(const Pass& x, double end) {
    const std::int64_t v = x.virtual_stage, m = x.micro_batch;
    if (x.kind == PassKind::Forward) {
      if (v + 1 < p_.virtual_stages()) make_ready({PassKind::Forward, v + 1, m}, end + way(v, v + 1, m));
      if (v + 1 == p_.virtual_stages()) make_ready({PassKind::Backward, v, m}, end);
    } else if (x.kind == PassKind::Backward) {
      if (v > 0) make_ready({PassKind::Backward, v - 1, m}, end + way(v, v - 1, m));
      if (p_.times[index(v)].weight > 0) make_ready({PassKind::Weight, v, m}, end);
    }
    if (x.kind != PassKind::Forward)
      run_.last_backward[index(v)] = std::max(run_.last_backward[index(v)], end);
  }
  [[nodiscard]] double way(std::int64_t from, std::int64_t to, std::int64_t m) const {
    return p_.stage_of(from, m) == p_.stage_of(to, m) ? 0 : p_.transfer;
  }

  const Pipeline& p_;
  bool with_spans_, is_fixed_;
  std::vector<Stage> stages_;
  std::array<std::vector<double>, kPassKinds> ready_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t left_ = 0;
  PipelineRun run_;
};

}  // namespace

std::int64_t Pipeline::stage_of(std::int64_t virtual_stage, std::int64_t micro_batch) const {
  if (schedule == PipelineSchedule::ZbV && virtual_stage >= stages) return 2 * stages - 1 - virtual_stage;
  if (schedule == PipelineSchedule::DualPipe && micro_batch % 2 == 1) return stages - 1 - virtual_stage;
  return virtual_stage % stages;
}

PipelineRun play(const Pipeline& p, bool with_spans) { return Player(p, with_spans).run(); }

double closed_form(const Pipeline& p) {
  std::vector<PassTimes> work(static_cast<std::size_t>(p.stages));
  for (std::int64_t v = 0; v < p.virtual_stages(); ++v) {
    // Both directions of dualpipe visit a stage: on average with half of the micro-batches each.
    for (const std::int64_t m : {std::int64_t{0}, std::int64_t{1}}) {
      PassTimes& w = work[static_cast<std::size_t>(p.stage_of(v, m))];
      const PassTimes& t = p.times[static_cast<std::size_t>(v)];
      w.forward += t.forward / 2;
      w.backward += t.backward / 2;
      w.weight += t.weight / 2;
    }
  }
  const auto busiest = std::max_element(
      work.begin(), work.end(), [](const PassTimes& a, const PassTimes& b) { return a.total() < b.total(); });
  double others = 0;  // what filling and draining takes on the other stages
  for (auto w = work.begin(); w != work.end(); ++w) {
    if (w == busiest) continue;
    const double hidden = p.schedule == PipelineSchedule::ZbH1                                          ? 1
                          : p.schedule == PipelineSchedule::ZbH2 || p.schedule == PipelineSchedule::ZbV ? 2
                                                                                                        : 0;
    if (p.schedule == PipelineSchedule::DualPipe)
      others += std::max(0.0, w->forward + 2 * w->backward - w->weight) / 2;
    else
      others += std::max(0.0, w->forward + w->backward - hidden * w->weight) / d(p.chunks);
  }
  if (p.schedule == PipelineSchedule::DualPipe) others *= std::max(0.0, d(p.stages - 2) / d(p.stages - 1));
  const double sent =
      2 * p.transfer * (d(p.stages - 1) + (p.transfers_overlap ? 0 : d(p.micro_batches * p.chunks - 1)));
  return d(p.micro_batches) * busiest->total() + others + (p.stages > 1 ? sent : 0);
}

double most_in_flight(PipelineSchedule s, std::int64_t stages, std::int64_t chunks,
                      std::int64_t micro_batches) {
  double held = d(stages);
  if (s == PipelineSchedule::Gpipe) held = d(micro_batches);
  if (s == PipelineSchedule::Interleaved) held = d(stages) * (1 + d(stages - 1) / d(stages * chunks));
  if (s == PipelineSchedule::ZbH2) held = d(2 * stages - 1);
  if (s == PipelineSchedule::DualPipe) held = d(stages + 1);
  return std::min(held, d(micro_batches));
}

}  // namespace xpusim::cluster
