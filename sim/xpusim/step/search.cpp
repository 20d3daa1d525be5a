#include "xpusim/step/search.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/core/error.h"
#include "xpusim/step/step.h"

namespace xpusim::step {
namespace {

/// All plans worth a try; most of what cannot divide is left out already.
class PlanSpace {
 public:
  PlanSpace(const Request& q, std::int64_t devices) : q_(q), devices_(devices) {}

  template <class Try>
  void visit(const Try& attempt) {
    const std::int64_t node = q_.system.levels.front().endpoints;
    for (std::int64_t tp = 1; tp <= node && q_.model.heads % tp == 0; tp *= 2)
      for (std::int64_t cp = 1; cp == 1 || q_.scenario.sequence / cp >= kLeastContext; cp *= 2)
        for (std::int64_t pp = 1; pp <= q_.model.layers; ++pp)
          if (devices_ % (tp * cp * pp) == 0) visit_chunks({tp, Toggle::Auto, pp, 1, cp, 0, 1, 0}, attempt);
  }

 private:
  static constexpr std::int64_t kLeastContext = 8192;
  static constexpr std::int64_t kMostMicroBatch = 8;

  template <class Try>
  void visit_chunks(ParallelismSpec p, const Try& attempt) {
    const std::int64_t most = p.pp > 1 ? q_.model.layers / p.pp : 1;
    for (p.vpp = 1; p.vpp <= most; p.vpp *= 2)
      for (p.ep = 1; p.ep <= (q_.model.experts ? q_.model.experts->count : 1); p.ep *= 2)
        for (std::int64_t micro_batch = 1; micro_batch <= kMostMicroBatch; micro_batch *= 2)
          visit_share(p, micro_batch, attempt);
  }
  template <class Try>
  void visit_share(const ParallelismSpec& p, std::int64_t micro_batch, const Try& attempt) {
    const std::int64_t dp = devices_ / (p.tp * p.cp * p.pp);
    if (q_.scenario.batch % (dp * micro_batch) != 0) return;
    if (p.vpp > 1 && q_.scenario.batch / (dp * micro_batch) % p.pp != 0) return;
    attempt(PlanCandidate{p, micro_batch, Recompute::Auto, Seconds(0), {}});
  }

  const Request& q_;
  std::int64_t devices_;
};

Request with_plan(const Request& q, const PlanCandidate& c) {
  Request r = q;
  r.scenario = with_plan(q.scenario, c);
  return r;
}

}  // namespace

ScenarioSpec with_plan(ScenarioSpec s, const PlanCandidate& c) {
  s.parallelism = c.parallelism;
  s.micro_batch = c.micro_batch;
  s.recompute = c.recompute;
  s.training.recompute_layers = 0;
  s.training.schedule = PipelineSchedule::Auto;
  return s;
}

PlanSearch search_plans(const Request& q, std::int64_t devices, std::size_t confirmed,
                        const Options& options) {
  PlanSearch search;
  Options closed = options;
  closed.fidelity = chip::Fidelity::Bound;
  closed.progress = {};
  OperatorTimer at_bound(q.chip, &q.system, q.scenario.launch, closed);
  PlanSpace(q, devices).visit([&](PlanCandidate c) {
    try {
      c.bound = run(with_plan(q, c), devices, closed, at_bound).total;
    } catch (const InfeasibleError&) {
      ++search.refused;
      return;
    }
    ++search.tried;
    search.best.push_back(std::move(c));
  });
  if (search.best.empty())
    throw InfeasibleError(fmt::format("{}: none of {} plans fits {} devices of {}", q.model.id,
                                      search.refused, devices, q.chip.id));
  const auto faster = [](const PlanCandidate& a, const PlanCandidate& b) { return a.bound < b.bound; };
  std::stable_sort(search.best.begin(), search.best.end(), faster);
  search.best.resize(std::min(search.best.size(), confirmed));
  OperatorTimer played(q.chip, &q.system, q.scenario.launch, options, LongKernels::Sampled);
  for (PlanCandidate& c : search.best) c.played = run(with_plan(q, c), devices, options, played);
  std::stable_sort(
      search.best.begin(), search.best.end(),
      [](const PlanCandidate& a, const PlanCandidate& b) { return a.played->total < b.played->total; });
  return search;
}

}  // namespace xpusim::step
