#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "xpusim/core/fields.h"
#include "xpusim/report/results.h"
#include "xpusim/report/table.h"

namespace xpusim::report {
namespace {

using result::FailureSummary;
using result::Result;
using R = const Result&;

/// Results side by side: a column each.
class Comparison {
 public:
  explicit Comparison(const std::vector<Result>& results) : results_(results) {
    double longest = 0;
    for (R r : results) longest = std::max(longest, r.total.count());
    if (longest < 1) scale = longest >= 1e-3 ? 1e3 : 1e6, unit = longest >= 1e-3 ? "ms" : "us";
  }
  void row(const std::string& label, const std::function<std::string(R)>& cell) {
    std::vector<std::string> cells{label};
    for (R r : results_) cells.push_back(cell(r));
    table.row(std::move(cells));
  }
  /// A part of the time with its share; where none has it, no row.
  void part(const std::string& label, const std::function<double(R)>& seconds) {
    if (!any([&](R r) { return seconds(r) > 0; })) return;
    row(label, [&](R r) {
      return fmt::format("{}  {:>3.0f} %", number(seconds(r) * scale), 100 * seconds(r) / r.total.count());
    });
  }
  [[nodiscard]] bool any(const std::function<bool(R)>& is) const {
    return std::any_of(results_.begin(), results_.end(), is);
  }
  [[nodiscard]] R first() const { return results_.front(); }

  Table table;
  double scale = 1;  ///< in which the totals read well
  const char* unit = "s";

 private:
  const std::vector<Result>& results_;
};

/// "tp 8 x pp 16 x dp 4": the groups of more than one rank.
std::string parallelism(R r) {
  std::string text;
  const auto add = [&](std::string_view name, std::int64_t ranks) {
    if (ranks > 1) text += fmt::format("{}{} {}", text.empty() ? "" : " x ", name, ranks);
  };
  add("tp", r.groups.tensor);
  add("cp", r.groups.context);
  add("pp", r.groups.pipeline);
  add("dp", r.groups.data);
  if (r.training && r.training->chunks > 1) text += fmt::format(", vpp {}", r.training->chunks);
  if (r.groups.expert > 1) text += fmt::format(", ep {}", r.groups.expert);
  return text.empty() ? "-" : text;
}

void add_head(Comparison& c) {
  c.row("", [](R r) { return r.system; });
  if (c.any([](R r) { return !r.variant.empty(); }))
    c.row("what if", [](R r) { return r.variant.empty() ? "-" : r.variant; });
  c.row("chips", [](R r) {
    return fmt::format("{} x {}{}", r.chips, r.chip,
                       r.devices != r.chips ? fmt::format(" ({} dies)", r.devices) : "");
  });
  if (c.any([](R r) { return r.groups.devices() > 1; })) c.row("parallel", parallelism);
  c.table.line();
}

std::string band(const std::optional<double>& percent) {
  return percent ? fmt::format("+-{:.0f} %", *percent) : "unknown";
}

void add_serving(Comparison& c) {
  const auto milliseconds = [&](const std::string& label, Seconds result::ServingSummary::*of) {
    if (c.any([&](R r) { return r.serving && ((*r.serving).*of).count() > 0; }))
      c.row(label, [of](R r) { return r.serving ? number(((*r.serving).*of).count() * 1e3) : "-"; });
  };
  using result::ServingSummary;
  milliseconds("time to first token [ms]", &ServingSummary::ttft);
  milliseconds("time per output token [ms]", &ServingSummary::tpot);
  milliseconds("dispatch to experts [ms]", &ServingSummary::dispatch);
  milliseconds("combine from experts [ms]", &ServingSummary::combine);
  if (c.any([](R r) { return r.serving && r.serving->samples > 0; }))
    c.row("images or videos a minute", [](R r) {
      return r.serving ? number(60 * d(r.serving->samples) / r.total.count()) : std::string("-");
    });
}

void add_speed(Comparison& c) {
  R first = c.first();
  c.row(fmt::format("time [{}]", c.unit), [&](R r) { return number(r.total.count() * c.scale); });
  if (c.any([](R r) { return r.band_pct.has_value(); }))
    c.row("  error band of the computation", [](R r) { return band(r.band_pct); });
  if (first.tokens > 0) {
    c.row("tokens/s", [](R r) { return number(r.tokens_per_s()); });
    c.row("tokens/s per chip", [](R r) { return number(r.tokens_per_s_per_chip()); });
  }
  if (c.any([&](R r) { return &r != &first; }))
    c.row("speed against the first", [&](R r) {
      if (r.total.count() <= 0) return std::string("-");
      return fmt::format("{:.2f}x", first.total / r.total * (first.tokens > 0 ? r.tokens / first.tokens : 1));
    });
  if (first.serving) add_serving(c);
  if (first.training) {
    c.row("TFLOP/s per device, of the model",
          [](R r) { return r.training ? number(r.training->model_rate.count() / 1e12) : "-"; });
    c.row("  of its kernels", [](R r) { return number(r.flops_per_s_per_device().count() / 1e12); });
  } else {
    c.row("TFLOP/s per device", [](R r) { return number(r.flops_per_s_per_device().count() / 1e12); });
  }
  c.row("matrix utilisation", [](R r) { return percent(r.matrix_utilisation); });
  if (first.training) {
    c.row("MFU", [](R r) { return r.training ? percent(r.training->mfu) : "-"; });
    c.row("HFU", [](R r) { return r.training ? percent(r.training->hfu) : "-"; });
  }
  c.row("HBM utilisation", [](R r) { return percent(r.hbm_utilisation); });
  if (first.memory.total() > 0)
    c.row("memory per device [GiB]", [](R r) {
      return fmt::format("{:.1f} of {:.0f}", r.memory.total() / 0x1p30,
                         d(r.memory_capacity.count()) / 0x1p30);
    });
}

void add_breakdown(Comparison& c) {
  c.table.line();
  c.row(fmt::format("where the time goes [{}]", c.unit),
        [](R r) { return fmt::format("most: {}", largest(r.breakdown)); });
  for (std::size_t i = 0; i < kBounds; ++i)
    c.part(fmt::format("  {}", kBoundNames[i]), [i](R r) { return r.breakdown.seconds[i]; });
}

void add_parts(Comparison& c) {
  c.table.line();
  c.row(fmt::format("parts of the step [{}]", c.unit), [](R r) {
    if (!r.training) return std::string("-");
    return fmt::format("{} micro-batches of {}", r.training->micro_batches, r.training->micro_batch);
  });
  for (const result::Part& reference : c.first().training->parts)
    c.part("  " + reference.name, [&](R r) {
      double seconds = 0;
      if (r.training)
        for (const result::Part& p : r.training->parts)
          if (p.name == reference.name) seconds += p.time.count();
      return seconds;
    });
}

void add_failures(Comparison& c) {
  using F = const FailureSummary&;
  const auto row = [&](const std::string& label, const auto& cell) {
    c.row(label, [cell](R r) { return r.failures ? cell(r, *r.failures) : std::string("-"); });
  };
  c.table.line();
  row("with failures: goodput", [](R, F f) { return percent(f.goodput.work, 2); });
  row("  tokens a day [G]",
      [](R r, F f) { return number(r.tokens_per_s() * f.goodput.work * 86400 * 1e-9); });
  row("  failures a day", [](R, F f) { return number(86400 / f.job.mtbf); });
  row("  checkpoint every [min]", [](R, F f) { return number(f.job.interval / 60); });
  row("  writing checkpoints", [](R, F f) { return percent(f.goodput.checkpoints, 2); });
  row("  work lost", [](R, F f) { return percent(f.goodput.lost, 2); });
  row("  restarts", [](R, F f) { return percent(f.goodput.restarts, 2); });
  row("  simulated goodput, worst and best day", [](R, F f) {
    return fmt::format("{}, {} to {}", percent(f.simulated.mean.work, 2), percent(f.simulated.worst_day, 2),
                       percent(f.simulated.best_day, 2));
  });
}

void add_classes(Comparison& c) {
  c.table.line();
  c.row(fmt::format("by operator [{}]", c.unit),
        [](R r) { return r.band_pct ? "time  most  band" : "time  most"; });
  for (const result::ClassRow& reference : c.first().classes)
    c.row(fmt::format("  {}", enum_name(reference.kind)), [&](R r) -> std::string {
      const auto row = std::find_if(r.classes.begin(), r.classes.end(),
                                    [&](const auto& x) { return x.kind == reference.kind; });
      if (row == r.classes.end()) return "-";
      std::string cell = fmt::format("{}  {}", number(row->time.count() * c.scale), largest(row->breakdown));
      if (r.band_pct) cell += fmt::format("  {:>7}", row->band_pct ? band(row->band_pct) : "");
      return cell;
    });
}

}  // namespace

std::string to_table(const std::vector<Result>& results) {
  Comparison c(results);
  add_head(c);
  add_speed(c);
  add_breakdown(c);
  if (c.first().training) add_parts(c);
  if (c.first().failures) add_failures(c);
  if (c.first().operators.size() > 1) add_classes(c);
  return c.table.text();
}

}  // namespace xpusim::report
