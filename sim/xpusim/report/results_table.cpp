#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "xpusim/core/fields.h"
#include "xpusim/report/results.h"
#include "xpusim/report/table.h"

namespace xpusim::report {
namespace {

using result::ClassRow;
using result::FailureSummary;
using result::Part;
using result::Result;
using Cell = std::function<std::string(const Result&)>;

class Comparison {
 public:
  explicit Comparison(const std::vector<Result>& results) : results_(results) {}
  void row(const std::string& label, const Cell& cell) {
    std::vector<std::string> cells{label};
    for (const Result& r : results_) cells.push_back(cell(r));
    table.row(std::move(cells));
  }
  Table table;

 private:
  const std::vector<Result>& results_;
};

/// The scale in which the totals read well, and its name.
std::pair<double, std::string_view> time_unit(const std::vector<Result>& results) {
  double longest = 0;
  for (const Result& r : results) longest = std::max(longest, r.total.count());
  if (longest >= 1) return {1, "s"};
  if (longest >= 1e-3) return {1e3, "ms"};
  return {1e6, "us"};
}

/// "tp 8 x pp 16 x dp 4": the groups of more than one rank.
std::string parallelism(const Result& r) {
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

void add_head(Comparison& c, const std::vector<Result>& results) {
  c.row("", [](const Result& r) { return r.system; });
  if (std::any_of(results.begin(), results.end(), [](const Result& r) { return !r.variant.empty(); }))
    c.row("what if", [](const Result& r) { return r.variant.empty() ? "-" : r.variant; });
  c.row("chips", [](const Result& r) {
    return fmt::format("{} x {}{}", r.chips, r.chip,
                       r.devices != r.chips ? fmt::format(" ({} dies)", r.devices) : "");
  });
  if (std::any_of(results.begin(), results.end(), [](const Result& r) { return r.groups.devices() > 1; }))
    c.row("parallel", [](const Result& r) { return parallelism(r); });
  c.table.line();
}

std::string band(const std::optional<double>& percent) {
  return percent ? fmt::format("+-{:.0f} %", *percent) : "unknown";
}

void add_speed(Comparison& c, const std::vector<Result>& results) {
  const auto [scale, unit] = time_unit(results);
  const Result& first = results.front();
  c.row(fmt::format("time [{}]", unit),
        [scale = scale](const Result& r) { return number(r.total.count() * scale); });
  if (std::any_of(results.begin(), results.end(), [](const Result& r) { return r.band_pct.has_value(); }))
    c.row("  error band of the computation", [](const Result& r) { return band(r.band_pct); });
  if (first.tokens > 0) {
    c.row("tokens/s", [](const Result& r) { return number(r.tokens_per_s()); });
    c.row("tokens/s per chip", [](const Result& r) { return number(r.tokens_per_s_per_chip()); });
  }
  if (results.size() > 1)
    c.row("speed against the first", [&](const Result& r) {
      if (r.total.count() <= 0) return std::string("-");
      return fmt::format("{:.2f}x", first.total / r.total * (first.tokens > 0 ? r.tokens / first.tokens : 1));
    });
  c.row("TFLOP/s per device",
        [](const Result& r) { return number(r.flops_per_s_per_device().count() / 1e12); });
  c.row("matrix utilisation", [](const Result& r) { return percent(r.matrix_utilisation); });
  if (first.training) {
    c.row("MFU", [](const Result& r) { return r.training ? percent(r.training->mfu) : "-"; });
    c.row("HFU", [](const Result& r) { return r.training ? percent(r.training->hfu) : "-"; });
  }
  c.row("HBM utilisation", [](const Result& r) { return percent(r.hbm_utilisation); });
  if (first.memory.total() > 0)
    c.row("memory per device [GiB]", [](const Result& r) {
      return fmt::format("{:.1f} of {:.0f}", r.memory.total() / 0x1p30,
                         static_cast<double>(r.memory_capacity.count()) / 0x1p30);
    });
}

void add_breakdown(Comparison& c, const std::vector<Result>& results) {
  const auto [scale, unit] = time_unit(results);
  c.table.line();
  c.row(fmt::format("where the time goes [{}]", unit),
        [](const Result& r) { return fmt::format("most: {}", largest(r.breakdown)); });
  for (std::size_t i = 0; i < kBounds; ++i) {
    if (std::all_of(results.begin(), results.end(),
                    [i](const Result& r) { return r.breakdown.seconds[i] <= 0; }))
      continue;
    c.row(fmt::format("  {}", kBoundNames[i]), [i, scale = scale](const Result& r) {
      return fmt::format("{}  {:>3.0f} %", number(r.breakdown.seconds[i] * scale),
                         100 * r.breakdown.seconds[i] / r.total.count());
    });
  }
}

void add_parts(Comparison& c, const std::vector<Result>& results) {
  const auto [scale, unit] = time_unit(results);
  c.table.line();
  c.row(fmt::format("parts of the step [{}]", unit), [](const Result& r) {
    return r.training
               ? fmt::format("{} micro-batches of {}", r.training->micro_batches, r.training->micro_batch)
               : "-";
  });
  for (const Part& reference : results.front().training->parts) {
    const auto of = [&](const Result& r) {
      if (!r.training) return Seconds(0);
      for (const Part& p : r.training->parts)
        if (p.name == reference.name) return p.time;
      return Seconds(0);
    };
    if (std::all_of(results.begin(), results.end(), [&](const Result& r) { return of(r).count() <= 0; }))
      continue;
    c.row("  " + reference.name, [&, scale = scale](const Result& r) {
      return fmt::format("{}  {:>3.0f} %", number(of(r).count() * scale), 100 * (of(r) / r.total));
    });
  }
}

void add_failures(Comparison& c) {
  const auto row = [&](const std::string& label, const auto& cell) {
    c.row(label, [cell](const Result& r) { return r.failures ? cell(r, *r.failures) : std::string("-"); });
  };
  c.table.line();
  row("with failures: goodput",
      [](const Result&, const FailureSummary& f) { return percent(f.goodput.work, 2); });
  row("  tokens a day [G]", [](const Result& r, const FailureSummary& f) {
    return number(r.tokens_per_s() * f.goodput.work * 86400 * 1e-9);
  });
  row("  failures a day", [](const Result&, const FailureSummary& f) { return number(86400 / f.job.mtbf); });
  row("  checkpoint every [min]",
      [](const Result&, const FailureSummary& f) { return number(f.job.interval / 60); });
  row("  writing checkpoints",
      [](const Result&, const FailureSummary& f) { return percent(f.goodput.checkpoints, 2); });
  row("  work lost", [](const Result&, const FailureSummary& f) { return percent(f.goodput.lost, 2); });
  row("  restarts", [](const Result&, const FailureSummary& f) { return percent(f.goodput.restarts, 2); });
  row("  simulated goodput, worst and best day", [](const Result&, const FailureSummary& f) {
    return fmt::format("{}, {} to {}", percent(f.simulated.mean.work, 2), percent(f.simulated.worst_day, 2),
                       percent(f.simulated.best_day, 2));
  });
}

void add_classes(Comparison& c, const std::vector<Result>& results) {
  const auto [scale, unit] = time_unit(results);
  c.table.line();
  c.row(fmt::format("by operator [{}]", unit),
        [](const Result& r) { return r.band_pct ? "time  most  band" : "time  most"; });
  for (const ClassRow& reference : results.front().classes) {
    c.row(fmt::format("  {}", enum_name(reference.kind)), [&, scale = scale](const Result& r) -> std::string {
      const auto row = std::find_if(r.classes.begin(), r.classes.end(),
                                    [&](const ClassRow& x) { return x.kind == reference.kind; });
      if (row == r.classes.end()) return "-";
      std::string cell = fmt::format("{}  {}", number(row->time.count() * scale), largest(row->breakdown));
      if (r.band_pct) cell += fmt::format("  {:>7}", row->band_pct ? band(row->band_pct) : "");
      return cell;
    });
  }
}

}  // namespace

std::string to_table(const std::vector<Result>& results) {
  Comparison c(results);
  add_head(c, results);
  add_speed(c, results);
  add_breakdown(c, results);
  if (results.front().training) add_parts(c, results);
  if (results.front().failures) add_failures(c);
  if (results.front().operators.size() > 1) add_classes(c, results);
  return c.table.text();
}

std::string to_table(const step::PlanSearch& s) {
  Table t({4, 4, 4, 4, 4, 6, 6, 10, 10, 12, 7});
  t.row({"tp", "cp", "pp", "vpp", "ep", "dp", "micro", "bound [s]", "step [s]", "memory [GiB]", "MFU"});
  for (const step::PlanCandidate& p : s.best) {
    const Result& r = *p.played;
    std::vector<std::string> cells;
    for (const std::int64_t n : {r.groups.tensor, r.groups.context, r.groups.pipeline, r.training->chunks,
                                 r.groups.expert, r.groups.data, p.micro_batch})
      cells.push_back(std::to_string(n));
    for (const Seconds time : {p.bound, r.total}) cells.push_back(fmt::format("{:.4g}", time.count()));
    cells.insert(cells.end(), {fixed(r.memory.total() / 0x1p30, 1), percent(r.training->mfu)});
    t.row(std::move(cells));
  }
  return fmt::format("{} plans timed in closed form, {} refused; the best {}:\n\n{}\n", s.tried, s.refused,
                     s.best.size(), t.text());
}

}  // namespace xpusim::report
