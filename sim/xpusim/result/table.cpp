#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "xpusim/core/fields.h"
#include "xpusim/result/result.h"

namespace xpusim::result {
namespace {

/// Rows of cells, first column left, the others right.
class Table {
 public:
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void line() { rows_.emplace_back(); }
  [[nodiscard]] std::string text() const {
    std::vector<std::size_t> width;
    for (const auto& cells : rows_) {
      width.resize(std::max(width.size(), cells.size()));
      for (std::size_t i = 0; i < cells.size(); ++i) width[i] = std::max(width[i], cells[i].size());
    }
    std::string out;
    for (const auto& cells : rows_) {
      std::string text;
      for (std::size_t i = 0; i < cells.size(); ++i)
        text +=
            i == 0 ? fmt::format("{:<{}}", cells[i], width[i]) : fmt::format("  {:>{}}", cells[i], width[i]);
      if (cells.empty()) {
        std::size_t total = 0;
        for (std::size_t i = 0; i < width.size(); ++i) total += width[i] + (i == 0 ? 0 : 2);
        text = std::string(total, '-');
      }
      out += text.substr(0, text.find_last_not_of(' ') + 1) + '\n';
    }
    return out;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

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

std::string number(double x) {
  const double a = std::abs(x);
  if (x == 0) return "0";
  if (a >= 1000) return fmt::format("{:.0f}", x);
  if (a >= 100) return fmt::format("{:.1f}", x);
  if (a >= 1) return fmt::format("{:.2f}", x);
  return fmt::format("{:.3g}", x);
}

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
  c.row("matrix utilisation",
        [](const Result& r) { return fmt::format("{:.1f} %", 100 * r.matrix_utilisation); });
  if (first.training) {
    c.row("MFU",
          [](const Result& r) { return r.training ? fmt::format("{:.1f} %", 100 * r.training->mfu) : "-"; });
    c.row("HFU",
          [](const Result& r) { return r.training ? fmt::format("{:.1f} %", 100 * r.training->hfu) : "-"; });
  }
  c.row("HBM utilisation", [](const Result& r) { return fmt::format("{:.1f} %", 100 * r.hbm_utilisation); });
  if (first.memory.total() > 0)
    c.row("memory per device [GiB]", [](const Result& r) {
      return fmt::format("{:.1f} of {:.0f}", r.memory.total() / 0x1p30,
                         static_cast<double>(r.memory_capacity.count()) / 0x1p30);
    });
}

void add_breakdown(Comparison& c, const std::vector<Result>& results) {
  const auto [scale, unit] = time_unit(results);
  c.table.line();
  c.row(fmt::format("where the time goes [{}]", unit), [](const Result& r) {
    return fmt::format("most: {}", kBoundNames[static_cast<std::size_t>(r.breakdown.largest())]);
  });
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
  const auto percent = [](double x) { return fmt::format("{:.2f} %", 100 * x); };
  c.table.line();
  row("with failures: goodput",
      [=](const Result&, const FailureSummary& f) { return percent(f.goodput.work); });
  row("  tokens a day [G]", [](const Result& r, const FailureSummary& f) {
    return number(r.tokens_per_s() * f.goodput.work * 86400 * 1e-9);
  });
  row("  failures a day", [](const Result&, const FailureSummary& f) { return number(86400 / f.job.mtbf); });
  row("  checkpoint every [min]",
      [](const Result&, const FailureSummary& f) { return number(f.job.interval / 60); });
  row("  writing checkpoints",
      [=](const Result&, const FailureSummary& f) { return percent(f.goodput.checkpoints); });
  row("  work lost", [=](const Result&, const FailureSummary& f) { return percent(f.goodput.lost); });
  row("  restarts", [=](const Result&, const FailureSummary& f) { return percent(f.goodput.restarts); });
  row("  simulated goodput, worst and best day", [=](const Result&, const FailureSummary& f) {
    return fmt::format("{}, {} to {}", percent(f.simulated.mean.work), percent(f.simulated.worst_day),
                       percent(f.simulated.best_day));
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
      std::string cell = fmt::format("{}  {}", number(row->time.count() * scale),
                                     kBoundNames[static_cast<std::size_t>(row->breakdown.largest())]);
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

}  // namespace xpusim::result
