#include "xpusim/step/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "xpusim/core/error.h"
#include "xpusim/step/step.h"

namespace xpusim::step {
namespace {

/// The scenario's own plan.
PlanCandidate stated_plan(const ScenarioSpec& s) {
  PlanCandidate c;
  c.parallelism = s.parallelism;
  c.micro_batch = s.micro_batch;
  c.recompute = s.recompute;
  c.recompute_layers = s.training.recompute_layers;
  c.schedule = s.training.schedule;
  c.is_stated = true;
  return c;
}

/// The same with the keys that are searched at what they are without a word: the ground that the rest varies.
PlanCandidate freed(PlanCandidate c, const PlanKeys& searched) {
  const PlanCandidate none;
  c.is_stated = false;
  if (searched.contains(PlanKey::Dp)) c.parallelism.dp = none.parallelism.dp;
  if (searched.contains(PlanKey::Etp)) c.parallelism.etp = none.parallelism.etp;
  if (searched.contains(PlanKey::Recompute)) {
    c.recompute = none.recompute;
    c.recompute_layers = none.recompute_layers;
  }
  return c;
}

/// All plans worth a try; most of what cannot divide is left out already.
class PlanSpace {
 public:
  PlanSpace(const Request& q, std::int64_t devices, const PlanKeys& searched)
      : q_(q), devices_(devices), searched_(searched), ground_(freed(stated_plan(q.scenario), searched)) {}

  template <class Try>
  void visit(Try& attempt) {
    PlanCandidate c = ground_;
    ParallelismSpec& p = c.parallelism;
    for (const std::int64_t tp : tensor_groups())
      for (const std::int64_t cp : contexts())
        for (const std::int64_t pp : pipelines()) {
          if (devices_ % (tp * cp * pp) != 0 || (p.dp != 0 && tp * cp * pp * p.dp != devices_)) continue;
          p.tp = tp;
          p.cp = cp;
          p.pp = pp;
          visit_chunks(c, attempt);
        }
  }

 private:
  using List = std::vector<std::int64_t>;
  static constexpr std::int64_t kLeastContext = 8192;
  static constexpr std::int64_t kMostMicroBatch = 8;

  [[nodiscard]] bool varies(PlanKey key) const { return searched_.contains(key); }

  [[nodiscard]] List tensor_groups() const {
    if (!varies(PlanKey::Tp)) return {ground_.parallelism.tp};
    List list;
    const std::int64_t node = q_.system.levels.front().endpoints;
    for (std::int64_t tp = 1; tp <= node && q_.model.heads % tp == 0; tp *= 2) list.push_back(tp);
    return list;
  }
  [[nodiscard]] List contexts() const {
    if (!varies(PlanKey::Cp)) return {ground_.parallelism.cp};
    List list{1};
    for (std::int64_t cp = 2; q_.scenario.sequence / cp >= kLeastContext; cp *= 2) list.push_back(cp);
    return list;
  }
  [[nodiscard]] List pipelines() const {
    if (!varies(PlanKey::Pp)) return {ground_.parallelism.pp};
    List list;
    for (std::int64_t pp = 1; pp <= q_.model.layers; ++pp) list.push_back(pp);
    return list;
  }
  /// Powers of two, and what divides the layers of a stage; the embedding and the head may count as layers.
  [[nodiscard]] List chunks(std::int64_t pp) const {
    if (!varies(PlanKey::Vpp)) return {ground_.parallelism.vpp};
    List list{1};
    const std::int64_t layers = q_.model.layers + q_.model.mtp_layers;
    const auto divides = [&](std::int64_t vpp) {
      for (std::int64_t more = 0; more <= 2; ++more)
        if ((layers + more) % (pp * vpp) == 0) return true;
      return false;
    };
    for (std::int64_t vpp = 2; pp > 1 && pp * vpp <= layers + 2; ++vpp)
      if ((vpp & (vpp - 1)) == 0 || divides(vpp)) list.push_back(vpp);
    return list;
  }
  [[nodiscard]] List expert_groups() const {
    if (!varies(PlanKey::Ep)) return {ground_.parallelism.ep};
    List list;
    for (std::int64_t ep = 1; ep <= (q_.model.experts ? q_.model.experts->count : 1); ep *= 2)
      list.push_back(ep);
    return list;
  }
  /// The one that follows from the chunks, and the scenario's.
  [[nodiscard]] std::vector<PipelineSchedule> schedules() const {
    const PipelineSchedule stated = q_.scenario.training.schedule;
    if (!varies(PlanKey::Schedule)) return {stated};
    if (stated == PipelineSchedule::Auto) return {stated};
    return {PipelineSchedule::Auto, stated};
  }
  [[nodiscard]] List micro_batches(std::int64_t share, bool is_pipelined) const {
    if (!varies(PlanKey::MicroBatch)) return {ground_.micro_batch};
    List list;
    for (std::int64_t size = 1; size <= kMostMicroBatch; size *= 2) list.push_back(size);
    for (std::int64_t size = share; !is_pipelined && size > kMostMicroBatch; size /= 2) {
      list.push_back(size);
      if (size % 2 != 0) break;
    }
    return list;
  }

  template <class Try>
  void visit_chunks(PlanCandidate& c, Try& attempt) {
    ParallelismSpec& p = c.parallelism;
    const std::int64_t dp = devices_ / (p.tp * p.cp * p.pp), share = q_.scenario.batch / dp;
    if (q_.scenario.batch % dp != 0) return;
    for (const std::int64_t vpp : chunks(p.pp))
      for (const std::int64_t ep : expert_groups())
        for (const std::int64_t size : micro_batches(share, p.pp > 1)) {
          if (share % size != 0 || (vpp > 1 && share / size % p.pp != 0)) continue;
          p.vpp = vpp;
          p.ep = ep;
          c.micro_batch = size;
          for (const PipelineSchedule schedule : schedules()) {
            c.schedule = schedule;
            attempt(c);
          }
        }
  }

  const Request& q_;
  std::int64_t devices_;
  const PlanKeys& searched_;
  PlanCandidate ground_;
};

Request with_plan(const Request& q, const PlanCandidate& c) {
  Request r = q;
  r.scenario = with_plan(q.scenario, c);
  return r;
}

/// Times plans in closed form and keeps those that run.
class Trial {
 public:
  Trial(const Request& q, std::int64_t devices, const Options& options, PlanSearch& found)
      : q_(q),
        devices_(devices),
        options_(closed(options)),
        timer_(q.chip, &q.system, q.scenario.launch, options_),
        found_(found) {}

  /// Empty, or why the plan cannot run.
  std::string operator()(PlanCandidate c) {
    try {
      c.bound = run(with_plan(q_, c), devices_, options_, timer_).total;
    } catch (const InfeasibleError& e) {
      ++found_.refused;
      return e.what();
    }
    check_invariant(std::isfinite(c.bound.count()), "the time of a plan is not finite");
    ++found_.tried;
    if (c.is_stated || !is_stated_again(c)) found_.best.push_back(std::move(c));
    return {};
  }

 private:
  static Options closed(Options o) {
    o.fidelity = Fidelity::Bound;
    o.progress = {};
    return o;
  }
  /// The scenario's own, which stands in front, found once more.
  [[nodiscard]] bool is_stated_again(const PlanCandidate& c) const {
    const auto key = [](const PlanCandidate& x) {
      const ParallelismSpec& p = x.parallelism;
      return std::tuple(p.tp, p.cp, p.pp, p.vpp, p.ep, x.micro_batch, x.bound);
    };
    return !found_.best.empty() && found_.best.front().is_stated && key(found_.best.front()) == key(c);
  }

  const Request& q_;
  std::int64_t devices_;
  Options options_;
  OperatorTimer timer_;
  PlanSearch& found_;
};

/// The first `most` and the scenario's own.
void keep_best(std::vector<PlanCandidate>& plans, std::size_t most) {
  std::size_t seen = 0;
  std::erase_if(plans, [&](const PlanCandidate& c) { return ++seen > most && !c.is_stated; });
}

}  // namespace

ScenarioSpec with_plan(ScenarioSpec s, const PlanCandidate& c) {
  s.parallelism = c.parallelism;
  s.micro_batch = c.micro_batch;
  s.recompute = c.recompute;
  s.training.recompute_layers = c.recompute_layers;
  s.training.schedule = c.schedule;
  return s;
}

PlanSearch search_plans(const Request& q, std::int64_t devices, const PlanKeys& searched,
                        std::size_t confirmed, const Options& options) {
  PlanSearch search;
  search.searched = searched;
  Trial attempt(q, devices, options, search);
  search.stated_refused = attempt(stated_plan(q.scenario));
  PlanSpace(q, devices, searched).visit(attempt);
  if (search.best.empty())
    throw InfeasibleError(fmt::format("{}: none of {} plans fits {} devices of {}; the scenario's own: {}",
                                      q.model.id, search.refused, devices, q.chip.id, search.stated_refused));
  // Of equals the first wins: the scenario's own.
  const auto faster = [](const PlanCandidate& a, const PlanCandidate& b) { return a.bound < b.bound; };
  std::stable_sort(search.best.begin(), search.best.end(), faster);
  keep_best(search.best, confirmed);
  OperatorTimer played(q.chip, &q.system, q.scenario.launch, options, LongKernels::Sampled);
  for (PlanCandidate& c : search.best) c.played = run(with_plan(q, c), devices, options, played);
  std::stable_sort(
      search.best.begin(), search.best.end(), [](const PlanCandidate& a, const PlanCandidate& b) {
        return std::pair(a.played->total, !a.is_stated) < std::pair(b.played->total, !b.is_stated);
      });
  return search;
}

}  // namespace xpusim::step
