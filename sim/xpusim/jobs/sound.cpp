#include "xpusim/jobs/sound.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "xpusim/core/error.h"

namespace xpusim::jobs {
namespace {

/// Sums in another order, and ticks of a picosecond, differ by far less.
constexpr double kRounding = 1e-6;
constexpr double kTick = 1e-12;

/// The figures of one thing.
class Figures {
 public:
  explicit Figures(std::string whose) : whose_(std::move(whose)) {}

  void finite(std::initializer_list<std::pair<std::string_view, double>> figures) const {
    for (const auto& [what, x] : figures)
      if (!std::isfinite(x)) fail(fmt::format("{} is {}", what, x));
  }
  void time(std::string_view what, Seconds t) const {
    finite({{what, t.count()}});
    if (t.count() < 0) fail(fmt::format("{} is {} s", what, t.count()));
  }
  void parts(const Breakdown& b, Seconds whole) const {
    for (std::size_t i = 0; i < kBounds; ++i) part(kBoundNames[i], b.seconds[i], whole);
    add_up(b.total(), whole);
  }
  void parts(const std::vector<result::Part>& all, Seconds whole) const {
    double sum = 0;
    for (const result::Part& p : all) {
      part(p.name, p.time.count(), whole);
      sum += p.time.count();
    }
    add_up(sum, whole);
  }

 private:
  void part(std::string_view what, double seconds, Seconds whole) const {
    finite({{what, seconds}});
    if (seconds < -kRounding * whole.count() - kTick) fail(fmt::format("{} takes {} s", what, seconds));
  }
  void add_up(double sum, Seconds whole) const {
    if (std::abs(sum - whole.count()) > kRounding * whole.count() + kTick)
      fail(fmt::format("its parts add up to {} s of {} s", sum, whole.count()));
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw ModelError(fmt::format("{}: {}; no figure of this result can be trusted", whose_, what));
  }

  std::string whose_;
};

void check_memory(const Figures& f, const result::MemoryUse& m) {
  f.finite({{"memory of weights", m.weights},
            {"memory of gradients", m.gradients},
            {"memory of the optimizer", m.optimizer},
            {"memory of the KV cache", m.kv_cache},
            {"memory of activations", m.activations}});
}

void check_operator(const result::OperatorRow& o) {
  const Figures f(o.section.empty() ? o.name : o.section + "." + o.name);
  f.time("its time", o.time);
  f.parts(o.breakdown, o.time);
  f.finite({{"flops", o.flops.count()}, {"HBM bytes", o.hbm_bytes}, {"clock", o.clock.count()}});
  if (!o.activity) return;
  const result::Activity& a = *o.activity;
  f.finite({{"vector operations", a.vector_ops},
            {"special operations", a.special_ops},
            {"L2 bytes", a.l2_read_bytes + a.l2_write_bytes},
            {"HBM bytes", a.hbm_read_bytes + a.hbm_write_bytes}});
  for (const double busy : a.busy_s) f.finite({{"an engine's time", busy}});
}

void check_training(const Figures& f, const result::TrainingSummary& t, Seconds total) {
  f.parts(t.parts, total);
  f.finite({{"MFU", t.mfu},
            {"HFU", t.hfu},
            {"FLOP/s", t.model_rate.count()},
            {"bubble", t.bubble_fraction},
            {"forward pass", t.passes.forward},
            {"backward pass", t.passes.backward},
            {"weight gradients", t.passes.weight}});
}

void check_serving(const Figures& f, const result::ServingSummary& s, Seconds total) {
  f.parts(s.parts, total);
  f.time("time to first token", s.ttft);
  f.time("time per output token", s.tpot);
  f.time("dispatch", s.dispatch);
  f.time("combine", s.combine);
  f.finite({{"tokens per sequence", s.tokens_per_sequence}});
}

void check_failures(const Figures& f, const result::FailureSummary& s) {
  f.finite({{"mtbf", s.job.mtbf},
            {"checkpoint interval", s.job.interval},
            {"goodput", s.goodput.work},
            {"share of checkpoints", s.goodput.checkpoints},
            {"lost work", s.goodput.lost},
            {"share of restarts", s.goodput.restarts},
            {"simulated goodput", s.simulated.mean.work},
            {"its error", s.simulated.standard_error},
            {"worst day", s.simulated.worst_day},
            {"best day", s.simulated.best_day}});
}

}  // namespace

void check_sound(const result::Result& r) {
  for (const result::OperatorRow& o : r.operators) check_operator(o);
  const Figures f(r.workload);
  f.time("its time", r.total);
  f.parts(r.breakdown, r.total);
  f.finite({{"tokens", r.tokens},
            {"tokens/s", r.tokens_per_s()},
            {"matrix utilisation", r.matrix_utilisation},
            {"HBM utilisation", r.hbm_utilisation},
            {"flops", r.flops.count()},
            {"FLOP/s", r.flops_per_s_per_device().count()}});
  check_memory(f, r.memory);
  if (r.training) check_training(f, *r.training, r.total);
  if (r.serving) check_serving(f, *r.serving, r.total);
  if (r.failures) check_failures(f, *r.failures);
}

void check_sound(const network::CollectiveTime& t) {
  const Figures f("collective");
  f.time("its time", t.total);
  f.time("its latency", t.latency);
  f.finite({{"bus bandwidth", t.bus_bandwidth.count()}, {"bandwidth", t.algorithm_bandwidth.count()}});
  for (const network::LevelLoad& l : t.loads) f.finite({{l.level, l.bytes}, {l.level, l.busy.count()}});
  for (const network::Choice& c : t.choices) f.time(c.protocol, c.total);
}

void check_sound(const validation::SetReport& r) {
  for (const validation::Sample& s : r.samples) {
    const Figures f(fmt::format("{}:{}", r.file, s.line));
    f.time("its time", Seconds(s.predicted_us * 1e-6));
    f.finite({{"its error", s.error()}, {"its breakdown", s.breakdown.total()}});
  }
  const validation::ErrorStatistics& e = r.errors;
  Figures(r.file).finite({{"mean error", e.mape_pct},
                          {"median error", e.median_ape_pct},
                          {"error of nine in ten", e.p90_ape_pct},
                          {"bias", e.bias_pct}});
}

void check_sound(const result::ScaleCurve& c) {
  for (const result::ScalePoint& p : c.points) {
    if (!p.result) continue;
    check_sound(*p.result);
    Figures(fmt::format("{} on {} chips", p.result->workload, p.chips))
        .finite({{"efficiency", p.efficiency}});
  }
}

}  // namespace xpusim::jobs
