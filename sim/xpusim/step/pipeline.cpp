#include "xpusim/step/pipeline.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <queue>
#include <set>
#include <utility>

#include "xpusim/core/error.h"
#include "xpusim/des/calendar.h"

namespace xpusim::step {
namespace {
std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Pass {
  PassKind kind = PassKind::Forward;
  std::int64_t virtual_stage = 0, micro_batch = 0;
};

/// What a stage does at a stretch: passes whose results all leave at its end.
using Step = std::vector<Pass>;
using Order = std::vector<Step>;

Step whole_backward(std::int64_t v, std::int64_t m) {
  return {{PassKind::Backward, v, m}, {PassKind::Weight, v, m}};
}

/// Some forward passes, then one forward and one backward in turn, then the backward passes that are left.
/// Chunks take turns of `stages` micro-batches (Narayanan et al., arXiv 2104.04473, section 2.2).
Order one_forward_one_backward(const Pipeline& p, std::int64_t stage) {
  const std::int64_t all = p.micro_batches * p.chunks;
  std::int64_t ahead = p.stages - stage - 1;
  if (p.chunks > 1) ahead = 2 * ahead + (p.chunks - 1) * p.stages;
  if (p.schedule == PipelineSchedule::Gpipe) ahead = all;
  ahead = std::min(ahead, all);
  const auto pass = [&](bool forward, std::int64_t turn) -> Step {
    const std::int64_t round = turn / (p.stages * p.chunks), within = turn % (p.stages * p.chunks);
    const std::int64_t chunk = p.chunks > 1 ? within / p.stages : 0;
    const std::int64_t micro_batch = p.chunks > 1 ? round * p.stages + within % p.stages : turn;
    if (forward) return {{PassKind::Forward, chunk * p.stages + stage, micro_batch}};
    return whole_backward((p.chunks - 1 - chunk) * p.stages + stage, micro_batch);
  };
  Order order;
  for (std::int64_t i = 0; i < ahead; ++i) order.push_back(pass(true, i));
  for (std::int64_t i = ahead; i < all; ++i) {
    order.push_back(pass(true, i));
    order.push_back(pass(false, i - ahead));
  }
  for (std::int64_t i = all - ahead; i < all; ++i) order.push_back(pass(false, i));
  return order;
}

/// Zero bubble by hand (Qi et al., arXiv 2401.10241, section 2): weight gradients come as many micro-batches
/// later as a stage lies deep in the pipeline (H1), or twice as many (H2, with more forward passes ahead),
/// and fill the way back at the end.
Order zero_bubble(const Pipeline& p, std::int64_t stage) {
  const bool h2 = p.schedule == PipelineSchedule::ZbH2;
  const std::int64_t m = p.micro_batches, late = stage * (h2 ? 2 : 1);
  const std::int64_t ahead = std::min(m, h2 ? 2 * (p.stages - stage) - 1 : p.stages - stage);
  Order order;
  std::int64_t forward = 0, backward = 0, weight = 0;
  const auto add = [&](PassKind kind, std::int64_t& next) { order.push_back({{kind, stage, next++}}); };
  while (forward < ahead) add(PassKind::Forward, forward);
  while (backward < m) {
    add(PassKind::Backward, backward);
    const bool drains = forward == m;
    if (drains ? backward < m : backward - weight > late) add(PassKind::Weight, weight);
    if (!drains) add(PassKind::Forward, forward);
  }
  while (weight < m) add(PassKind::Weight, weight);
  return order;
}

/// One stage of a pipeline that micro-batches enter at both ends, the even ones at the first stage
/// (DeepSeek-V3, arXiv 2412.19437, section 3.2.1 and figure 5). `Near`: those that this half of the stages
/// passes on first.
class BothEnds {
 public:
  BothEnds(const Pipeline& p, std::int64_t stage)
      : p_(p), stage_(stage), half_(p.stages / 2), depth_(std::min(stage, p.stages - 1 - stage)) {}

  Order order() {
    const std::int64_t outer = half_ - depth_ - 1;  // stages between this one and the middle
    times(2 * outer, [&] { forward(kNear); });
    times(depth_ + 1, [&] { forward(kNear), forward(kFar); });
    times(outer, [&] { backward(kFar, false), weight(), forward(kFar); });
    steady(p_.micro_batches / 2 - p_.stages + depth_ + 1, outer == 0);
    times(outer, [&] { backward(kFar, true), both(kFar, kNear); });
    drain();
    times(outer, [&] { weight(), backward(kNear, false); });
    while (!owed_.empty()) weight();
    return std::move(order_);
  }

 private:
  enum Way : std::uint8_t { kNear, kFar };
  template <class F>
  static void times(std::int64_t n, const F& f) {
    for (std::int64_t i = 0; i < n; ++i) f();
  }
  /// A forward pass beside a backward pass of the other way: each computes while the other communicates.
  void steady(std::int64_t turns, bool middle) {
    for (std::int64_t i = 0; i < turns; ++i) {
      if (i == 0 && middle)
        forward(kNear), backward(kFar, true);  // the two stages in the middle would wait for each other
      else
        both(kNear, kFar);
      both(kFar, kNear);
    }
  }
  /// The last backward passes; from half way on they leave their weight gradients for later.
  void drain() {
    const std::int64_t turns = depth_ + 1;
    bool whole = true;
    for (std::int64_t i = 0; i < turns; ++i) {
      if (i == turns / 2 && depth_ % 2 == 1) whole = false;
      backward(kFar, whole);
      if (i == turns / 2 && depth_ % 2 == 0) whole = false;
      backward(kNear, whole);
    }
  }

  [[nodiscard]] Pass next(PassKind kind, Way way) {
    const std::int64_t far_side = stage_ < half_ ? 0 : 1;  // micro-batches that enter at the first stage: 0
    const std::int64_t parity = way == kNear ? far_side : 1 - far_side;
    const std::int64_t turn = count_[static_cast<std::size_t>(kind)][way]++;
    return {kind, parity == 0 ? stage_ : p_.stages - 1 - stage_, 2 * turn + parity};
  }
  void forward(Way way) { order_.push_back({next(PassKind::Forward, way)}); }
  void backward(Way way, bool whole) {
    const Pass b = next(PassKind::Backward, way);
    if (whole) return order_.push_back(whole_backward(b.virtual_stage, b.micro_batch));
    order_.push_back({b});
    owed_.push({PassKind::Weight, b.virtual_stage, b.micro_batch});
  }
  void both(Way ahead, Way back) {
    Step step = {next(PassKind::Forward, ahead)};
    const Pass b = next(PassKind::Backward, back);
    for (const Pass& x : whole_backward(b.virtual_stage, b.micro_batch)) step.push_back(x);
    order_.push_back(std::move(step));
  }
  void weight() {
    order_.push_back({owed_.front()});
    owed_.pop();
  }

  const Pipeline& p_;
  std::int64_t stage_, half_, depth_;
  std::array<std::array<std::int64_t, 2>, 2> count_{};  ///< by kind (forward, backward) and way
  std::queue<Pass> owed_;
  Order order_;
};

/// Orders for a pipeline that runs there and back over its stages (zb_v), by list scheduling without transfer
/// times: a stage takes the first that is ready of forward (the second chunk's before the first's, as memory
/// allows), backward, weight gradients. Memory: what one-forward-one-backward needs, 2 x stages chunks (Qi et
/// al., arXiv 2401.10241, section 6).
class ThereAndBack {
 public:
  explicit ThereAndBack(const Pipeline& p) : p_(p), stages_(index(p.stages)) {}

  std::vector<Order> orders() {
    for (std::int64_t m = 0; m < p_.micro_batches; ++m) events_.push({0, {PassKind::Forward, 0, m}, 0});
    while (!events_.empty()) {
      const double now = events_.top().time;
      for (; !events_.empty() && events_.top().time == now; events_.pop()) arrive(events_.top());
      for (Stage& stage : stages_)
        if (stage.free <= now) take_next(stage, now);
    }
    std::vector<Order> list;
    for (Stage& stage : stages_) list.push_back(std::move(stage.order));
    return list;
  }

 private:
  struct Event {
    double time = 0;
    Pass pass;
    std::int64_t wakes = -1;  ///< this stage, when no pass comes with it
    bool operator>(const Event& o) const { return time > o.time; }
  };
  using Waiting = std::set<std::pair<std::int64_t, std::int64_t>>;  ///< micro-batch, virtual stage
  struct Stage {
    double free = 0;
    std::int64_t held = 0;
    Waiting first, second, backward, weight;
    Order order;
  };

  void arrive(const Event& e) {
    if (e.wakes > 0) return;
    const Pass& x = e.pass;
    Stage& s = stages_[index(p_.stage_of(x.virtual_stage, x.micro_batch))];
    Waiting& list = x.kind == PassKind::Backward   ? s.backward
                    : x.kind == PassKind::Weight   ? s.weight
                    : x.virtual_stage >= p_.stages ? s.second
                                                   : s.first;
    list.insert({x.micro_batch, x.virtual_stage});
  }
  void take_next(Stage& s, double now) {
    const std::int64_t room = 2 * p_.stages - s.held;  // one chunk is kept for a second forward pass
    if (!s.second.empty() && room > 0) return begin(s, PassKind::Forward, s.second, now);
    if (!s.first.empty() && room > 1) return begin(s, PassKind::Forward, s.first, now);
    if (!s.backward.empty()) return begin(s, PassKind::Backward, s.backward, now);
    if (!s.weight.empty()) return begin(s, PassKind::Weight, s.weight, now);
  }
  void begin(Stage& s, PassKind kind, Waiting& list, double now) {
    const auto [m, v] = *list.begin();
    list.erase(list.begin());
    s.order.push_back({{kind, v, m}});
    const PassTimes& t = p_.times[index(v)];
    s.held += kind == PassKind::Forward ? 1 : kind == PassKind::Weight ? -1 : 0;
    s.free = now + (kind == PassKind::Forward    ? t.forward
                    : kind == PassKind::Backward ? t.backward
                                                 : t.weight);
    const bool turns = kind == PassKind::Forward && v + 1 == p_.virtual_stages();
    if (kind == PassKind::Forward)
      events_.push({s.free, turns ? Pass{PassKind::Backward, v, m} : Pass{kind, v + 1, m}, 0});
    if (kind == PassKind::Backward) {
      if (v > 0) events_.push({s.free, {kind, v - 1, m}, 0});
      events_.push({s.free, {PassKind::Weight, v, m}, 0});
    }
    events_.push({s.free, {}, 1});
  }

  const Pipeline& p_;
  std::vector<Stage> stages_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
};

/// All micro-batches, one after the other.
Order forward_only(const Pipeline& p, std::int64_t stage) {
  Order order;
  for (std::int64_t m = 0; m < p.micro_batches; ++m) order.push_back({{PassKind::Forward, stage, m}});
  return order;
}

std::vector<Order> orders_of(const Pipeline& p) {
  if (p.schedule == PipelineSchedule::ZbV) return ThereAndBack(p).orders();
  std::vector<Order> list;
  for (std::int64_t s = 0; s < p.stages; ++s) {
    if (p.forward_only)
      list.push_back(forward_only(p, s));
    else if (p.schedule == PipelineSchedule::ZbH1 || p.schedule == PipelineSchedule::ZbH2)
      list.push_back(zero_bubble(p, s));
    else if (p.schedule == PipelineSchedule::DualPipe && p.stages > 1)
      list.push_back(BothEnds(p, s).order());
    else
      list.push_back(one_forward_one_backward(p, s));
  }
  return list;
}

/// What the stages of a pipeline tell each other: when the data of each pass comes. Times in ticks.
class Mail {
 public:
  Mail(const Pipeline& p, des::Bell& bell)
      : p_(p), bell_(bell), transfer_(to_ticks(Seconds(p.transfer)).count()) {
    for (auto& came : came_) came.assign(index(p.virtual_stages() * p.micro_batches), kNever);
    for (std::int64_t m = 0; m < p.micro_batches; ++m) at(PassKind::Forward, 0, m) = 0;
  }

  /// Weight gradients in one step with their backward pass need nothing else.
  [[nodiscard]] bool is_ready(const Step& step, std::int64_t now) {
    for (std::size_t i = 0; i < step.size(); ++i)
      if ((step[i].kind != PassKind::Weight || i == 0) &&
          at(step[i].kind, step[i].virtual_stage, step[i].micro_batch) > now)
        return false;
    return true;
  }
  /// What may run when `x` has ended.
  void send(const Pass& x, std::int64_t now) {
    const std::int64_t v = x.virtual_stage;
    if (x.kind == PassKind::Forward && v + 1 < p_.virtual_stages()) come(PassKind::Forward, v + 1, x, now);
    if (x.kind == PassKind::Forward && v + 1 == p_.virtual_stages() && !p_.forward_only)
      come(PassKind::Backward, v, x, now);
    if (x.kind == PassKind::Backward && v > 0) come(PassKind::Backward, v - 1, x, now);
    if (x.kind == PassKind::Backward) at(PassKind::Weight, v, x.micro_batch) = now;
  }
  /// Does its result go to another stage?
  [[nodiscard]] bool leaves(const Pass& x) const {
    const std::int64_t v = x.virtual_stage, to = x.kind == PassKind::Forward ? v + 1 : v - 1;
    if (x.kind == PassKind::Weight || to < 0 || to == p_.virtual_stages()) return false;
    return p_.stage_of(v, x.micro_batch) != p_.stage_of(to, x.micro_batch);
  }
  [[nodiscard]] std::int64_t transfer() const { return transfer_; }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  [[nodiscard]] std::int64_t& at(PassKind kind, std::int64_t v, std::int64_t m) {
    return came_[static_cast<std::size_t>(kind)][index(v * p_.micro_batches + m)];
  }
  void come(PassKind kind, std::int64_t v, const Pass& from, std::int64_t now) {
    const std::int64_t time = now + (leaves(from) ? transfer_ : 0);
    at(kind, v, from.micro_batch) = time;
    bell_.ring(static_cast<std::uint32_t>(p_.stage_of(v, from.micro_batch)), time);
  }

  const Pipeline& p_;
  des::Bell& bell_;
  std::int64_t transfer_;
  std::array<std::vector<std::int64_t>, kPassKinds> came_;
};

/// A stage: takes its steps in order, each as soon as it is free and all that the step needs has come.
class Stage : public des::Actor {
 public:
  Stage(const Pipeline& p, std::int64_t stage, Order order, Mail& mail)
      : p_(p), stage_(stage), order_(std::move(order)), mail_(mail) {}

  std::int64_t turn(std::int64_t now) override {
    if (now < wakes_) return kIdle;  // rung while it works: its own turn is still to come
    if (runs_) end(now);
    if (now < wakes_) return wakes_;
    if (is_done() || !mail_.is_ready(order_[next_], now)) return kIdle;
    return begin(now);
  }

  [[nodiscard]] bool is_done() const { return next_ == order_.size(); }
  /// Adds what the stage has done.
  void report(PipelineRun& run, bool with_spans) const {
    const auto seconds = [](std::int64_t t) { return to_seconds(Ticks(t)).count(); };
    std::int64_t busy = 0;
    for (const auto& [x, from, to] : done_) {
      busy += to - from;
      if (with_spans)
        run.spans.push_back({stage_, x.virtual_stage, x.micro_batch, x.kind, seconds(from), seconds(to)});
    }
    if (done_.empty()) return;
    run.busy[index(stage_)] = seconds(busy);
    run.total = std::max(run.total, seconds(done_.back().end));
    run.longest = std::max(run.longest, seconds(done_.back().end - done_.front().begin));
    for (const auto& [v, end] : last_backward_)
      run.last_backward[index(v)] = std::max(run.last_backward[index(v)], seconds(end));
  }

 private:
  struct Done {
    Pass pass;
    std::int64_t begin = 0, end = 0;
  };

  [[nodiscard]] std::int64_t ticks(const Pass& x) const {
    const PassTimes& t = p_.times[index(x.virtual_stage)];
    return to_ticks(Seconds(x.kind == PassKind::Forward    ? t.forward
                            : x.kind == PassKind::Backward ? t.backward
                                                           : t.weight))
        .count();
  }
  std::int64_t begin(std::int64_t now) {
    runs_ = true;
    wakes_ = now;
    for (const Pass& x : order_[next_]) {
      const std::int64_t from = std::exchange(wakes_, wakes_ + ticks(x));
      done_.push_back({x, from, wakes_});
    }
    return wakes_;
  }
  /// All results of a step leave at its end.
  void end(std::int64_t now) {
    bool sends = false;
    for (const Pass& x : order_[next_]) {
      mail_.send(x, now);
      if (x.kind != PassKind::Forward) last_backward_[x.virtual_stage] = now;
      sends = sends || mail_.leaves(x);
    }
    if (sends && !p_.transfers_overlap) wakes_ = now + mail_.transfer();
    runs_ = false;
    ++next_;
  }

  const Pipeline& p_;
  std::int64_t stage_;
  Order order_;
  Mail& mail_;
  std::size_t next_ = 0;
  bool runs_ = false;
  std::int64_t wakes_ = 0;  ///< its own next turn: end of the step, or of the transfer that it waits for
  std::vector<Done> done_;
  std::map<std::int64_t, std::int64_t> last_backward_;  ///< by virtual stage
};

/// Seconds of one micro-batch on each stage, by kind. Both directions of dualpipe visit a stage: on average
/// with half of the micro-batches each.
std::vector<PassTimes> work_of_stages(const Pipeline& p) {
  std::vector<PassTimes> work(index(p.stages));
  for (std::int64_t v = 0; v < p.virtual_stages(); ++v)
    for (const std::int64_t m : {std::int64_t{0}, std::int64_t{1}}) {
      PassTimes& w = work[index(p.stage_of(v, m))];
      const PassTimes& t = p.times[index(v)];
      w.forward += t.forward / 2;
      w.backward += t.backward / 2;
      w.weight += t.weight / 2;
    }
  return work;
}

/// What the way to and from one other stage leaves idle on the busiest.
double idle_for(const Pipeline& p, const PassTimes& w) {
  const double there_and_back = w.forward + w.backward;
  switch (p.schedule) {
    case PipelineSchedule::ZbH1:
    case PipelineSchedule::ZbV:
      return std::max(w.forward, there_and_back - w.weight) / d(p.chunks);
    case PipelineSchedule::ZbH2:
      return std::max(w.forward, there_and_back - 2 * w.weight);
    case PipelineSchedule::DualPipe:
      return std::max(0.0, there_and_back + w.backward - w.weight) / 2 * d(p.stages - 2) / d(p.stages - 1);
    default:
      return (there_and_back + w.weight) / d(p.chunks);
  }
}

}  // namespace

std::int64_t Pipeline::stage_of(std::int64_t virtual_stage, std::int64_t micro_batch) const {
  if (schedule == PipelineSchedule::ZbV && virtual_stage >= stages) return 2 * stages - 1 - virtual_stage;
  if (schedule == PipelineSchedule::DualPipe && micro_batch % 2 == 1) return stages - 1 - virtual_stage;
  return virtual_stage % stages;
}

PipelineRun play(const Pipeline& p, bool with_spans) {
  check_invariant(static_cast<std::int64_t>(p.times.size()) == p.virtual_stages(),
                  "a time for each virtual stage");
  des::Bell bell;
  Mail mail(p, bell);
  std::vector<Order> orders = orders_of(p);
  std::deque<Stage> stages;
  std::vector<des::Actor*> actors;
  for (std::int64_t s = 0; s < p.stages; ++s)
    actors.push_back(&stages.emplace_back(p, s, std::move(orders[index(s)]), mail));
  des::run(actors, &bell);
  PipelineRun run;
  run.busy.assign(stages.size(), 0);
  run.last_backward.assign(p.times.size(), 0);
  for (const Stage& stage : stages) {
    check_invariant(stage.is_done(), "a pipeline schedule runs all its passes");
    stage.report(run, with_spans);
  }
  std::stable_sort(run.spans.begin(), run.spans.end(),
                   [](const PassSpan& a, const PassSpan& b) { return a.begin < b.begin; });
  return run;
}

double closed_form(const Pipeline& p) {
  const std::vector<PassTimes> work = work_of_stages(p);
  const auto busiest = std::max_element(
      work.begin(), work.end(), [](const PassTimes& a, const PassTimes& b) { return a.total() < b.total(); });
  double idle = 0;
  for (auto w = work.begin(); w != work.end(); ++w)
    if (w != busiest) idle += idle_for(p, *w);
  const double sent = (p.forward_only ? 1 : 2) * p.transfer *
                      (d(p.stages - 1) + (p.transfers_overlap ? 0 : d(p.micro_batches * p.chunks - 1)));
  return d(p.micro_batches) * busiest->total() + idle + (p.stages > 1 ? sent : 0);
}

double most_in_flight(PipelineSchedule s, std::int64_t stages, std::int64_t chunks,
                      std::int64_t micro_batches) {
  double held = d(stages);
  if (s == PipelineSchedule::Gpipe) held = d(micro_batches);
  if (s == PipelineSchedule::Interleaved) held = d(stages) + d(stages - 1) / d(chunks);
  if (s == PipelineSchedule::ZbH2) held = d(2 * stages - 1);
  if (s == PipelineSchedule::DualPipe) return std::min(d(stages + 1), d(micro_batches)) / 2;
  return std::min(held, d(micro_batches));
}

}  // namespace xpusim::step
