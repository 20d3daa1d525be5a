#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "xpusim/core/text.h"
#include "xpusim/report/comparison_words.h"

namespace xpusim::report {
namespace {

/// A value with the last of the units that it is at least one of.
std::string scaled(double x, std::initializer_list<std::pair<double, const char*>> units,
                   const char* format) {
  auto best = *units.begin();
  for (const auto& unit : units)
    if (std::abs(x) >= unit.first) best = unit;
  return fmt::format(fmt::runtime(format), x / best.first) + " " + best.second;
}

std::string time_text(double us, const char* format) {
  return scaled(us, {{1, "us"}, {1e3, "ms"}, {1e6, "s"}}, format);
}

std::string_view percent_unit(Metric m) { return is_percentage(m) ? "points" : "%"; }

/// A contribution as "layer.down +301 us (35 %) [gemm, hbm -> l2]"; without its share where `all` is 0.
std::string contribution(const regression::Contribution& c, double all) {
  std::string text = c.name + " " + time_text(c.us, "{:+.4g}");
  if (all != 0) text += fmt::format(" ({:.0f} %)", 100 * c.us / all);
  if (c.kind.empty()) return text;
  return fmt::format("{} [{}, {}]", text, c.kind, before_after(c.bound_before, c.bound_now));
}

/// The largest of a list, down to a fiftieth of all.
std::string contributions(const std::vector<regression::Contribution>& list, std::size_t most) {
  double all = 0, moved = 0;
  for (const regression::Contribution& c : list) {
    all += c.us;
    moved += std::abs(c.us);
  }
  std::string text;
  std::size_t shown = 0;
  for (const regression::Contribution& c : list) {
    if (shown == most || std::abs(c.us) < 0.02 * moved) break;
    text += (shown++ == 0 ? "" : ", ") + contribution(c, std::abs(all) > 0.1 * moved ? all : 0);
  }
  if (shown < list.size() && !text.empty()) text += fmt::format(", and {} more", list.size() - shown);
  return text;
}

/// What a change came in with.
std::string origin_of(const CaseComparison& c) {
  if (!c.inputs_differ) return "the model: its inputs are the same";
  if (c.changed_inputs.empty()) return "the suite: what it runs is another";
  return "its inputs: " + join(views(c.changed_inputs));
}

}  // namespace

const MetricWords& words_of(Metric m) {
  static constexpr std::array<MetricWords, kMetricNames.size()> kWords = {{{"time", "us", true},
                                                                           {"tokens/s", "1/s"},
                                                                           {"HBM traffic", "bytes", true},
                                                                           {"memory", "bytes", true},
                                                                           {"matrix utilisation", "%"},
                                                                           {"HBM utilisation", "%"},
                                                                           {"MFU", "%"},
                                                                           {"bus bandwidth", "GB/s"},
                                                                           {"MAPE", "%", true},
                                                                           {"bias", "%"},
                                                                           {"rows replayed", "rows"}}};
  return kWords[static_cast<std::size_t>(m)];
}

std::string value_text(Metric m, const std::optional<double>& x) {
  if (!x) return "-";
  if (m == Metric::TimeUs) return time_text(*x, "{:.6g}");
  if (m == Metric::HbmBytes || m == Metric::MemoryBytes)
    return scaled(*x, {{1, "B"}, {1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}}, "{:.6g}");
  return fmt::format("{:.6g} {}", *x, words_of(m).unit);
}

std::string change_text(const Change& c) {
  if (!c.before || !c.now) return c.now ? "new" : "removed";
  return fmt::format("{:+.3g} {}", c.change_pct, percent_unit(c.metric));
}
std::string tolerance_text(const Change& c) {
  return fmt::format("{:g} {}", c.tolerance_pct, percent_unit(c.metric));
}
std::string before_after(const std::string& before, const std::string& now) {
  if (before.empty() || before == now) return now;
  return now.empty() ? before : before + " -> " + now;
}

std::string error_text(const CaseComparison& c) {
  if (!c.error_now_pct) return "";
  const std::string now = fmt::format("{:+.1f} %", *c.error_now_pct);
  return c.error_before_pct ? before_after(fmt::format("{:+.1f} %", *c.error_before_pct), now) : now;
}

std::vector<std::pair<std::string, std::string>> reasons(const CaseComparison& c) {
  std::vector<std::pair<std::string, std::string>> lines;
  if (c.refused_before != c.refused_now) {
    lines.emplace_back("cannot run",
                       c.refused_now.empty() ? "it can now; before: " + c.refused_before : c.refused_now);
    return lines;
  }
  lines.emplace_back("because of", origin_of(c));
  if (!c.causes.empty()) lines.emplace_back("by cause", contributions(c.causes, 4));
  if (c.operators.size() == 1) lines.emplace_back("operator", contribution(c.operators.front(), 0));
  if (c.operators.size() < 2) return lines;
  lines.emplace_back("by class", contributions(c.classes, 4));
  lines.emplace_back("by operator", contributions(c.operators, 5));
  return lines;
}

MeanError mean_error(const Comparison& all) {
  MeanError m;
  for (const CaseComparison& c : all.cases) {
    if (!c.error_before_pct || !c.error_now_pct) continue;
    ++m.cases;
    m.before_pct += std::abs(*c.error_before_pct);
    m.now_pct += std::abs(*c.error_now_pct);
  }
  if (m.cases > 0) {
    m.before_pct /= static_cast<double>(m.cases);
    m.now_pct /= static_cast<double>(m.cases);
  }
  return m;
}

std::string counts_text(const Comparison& all) {
  return fmt::format("{} cases: {} changed, {} new, {} removed, {} same", all.cases.size(),
                     all.count(Verdict::Changed), all.count(Verdict::New), all.count(Verdict::Removed),
                     all.count(Verdict::Same));
}

std::string baseline_text(const Comparison& all) {
  const std::string model = "model " + before_after(all.model_before, all.model_now);
  return all.reason.empty() ? model + "; none before" : model + ": " + printable(all.reason);
}

std::string measured_line(const Comparison& all) {
  const MeanError m = mean_error(all);
  if (m.cases == 0) return "";
  return fmt::format("against measurement: {} cases, mean absolute error {:.2f} % -> {:.2f} %\n", m.cases,
                     m.before_pct, m.now_pct);
}

std::vector<std::string> input_lines(const Comparison& all) {
  constexpr std::size_t kMost = 40;  // a file that takes another's place differs in hundreds
  std::vector<std::string> lines;
  for (const regression::InputChange& c : all.inputs) {
    if (lines.size() == kMost) {
      lines.push_back(fmt::format("and {} more", all.inputs.size() - kMost));
      break;
    }
    lines.push_back(fmt::format("{}: {} {} -> {}", c.input, c.path, c.before.empty() ? "(none)" : c.before,
                                c.now.empty() ? "(none)" : c.now));
  }
  return lines;
}

std::string to_text(const CaseComparison& c) {
  std::string text =
      fmt::format("\n{} {}  {}\n", enum_name(c.verdict), c.id, before_after(c.bound_before, c.bound_now));
  const bool runs_both = c.refused_before == c.refused_now;
  for (const Change& x : c.changes)
    if (x.beyond() && runs_both)
      text += fmt::format("  {:<20} {:>14} -> {:<14} {:>14}  (tolerance {})\n", words_of(x.metric).title,
                          value_text(x.metric, x.before), value_text(x.metric, x.now), change_text(x),
                          tolerance_text(x));
  if (c.verdict == Verdict::New && !c.refused_now.empty())
    text += fmt::format("  cannot run: {}\n", c.refused_now);
  if (c.verdict != Verdict::Changed) return text;
  for (const auto& [heading, line] : reasons(c)) text += fmt::format("  {:<12} {}\n", heading, line);
  if (const std::string error = error_text(c); !error.empty())
    text += fmt::format("  {:<12} {} of {} ({})\n", "error", error,
                        time_text(c.measured->time.count() * 1e6, "{:.6g}"), c.measured->source);
  return text;
}

std::string to_text(const Comparison& all) {
  std::string text =
      fmt::format("{}: {}\nbaseline {}, {}\n", all.suite, counts_text(all), all.baseline, baseline_text(all));
  for (const std::string& value : all.what_if) text += fmt::format("what if: {}\n", value);
  text += measured_line(all);
  if (all.same()) return text;
  if (!all.inputs.empty()) text += "\ninputs that changed\n";
  for (const std::string& line : input_lines(all)) text += "  " + line + "\n";
  for (const CaseComparison& c : all.cases)
    if (c.verdict != Verdict::Same) text += to_text(c);
  return text;
}

}  // namespace xpusim::report
