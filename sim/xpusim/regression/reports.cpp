#include "xpusim/regression/reports.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "xpusim/core/text.h"

namespace xpusim::regression {
namespace {

using Json = nlohmann::ordered_json;

std::string_view unit_of(Metric m) {
  switch (m) {
    case Metric::TimeUs:
      return "us";
    case Metric::HbmBytes:
    case Metric::MemoryBytes:
      return "bytes";
    case Metric::BusBandwidth:
      return "GB/s";
    case Metric::TokensPerSecond:
      return "1/s";
    case Metric::Rows:
      return "rows";
    default:
      return "%";
  }
}

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

/// A metric's value for people, with its unit.
std::string value_text(Metric m, const std::optional<double>& x) {
  if (!x) return "-";
  if (m == Metric::TimeUs) return time_text(*x, "{:.6g}");
  if (m == Metric::HbmBytes || m == Metric::MemoryBytes)
    return scaled(*x, {{1, "B"}, {1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}}, "{:.6g}");
  return fmt::format("{:.6g} {}", *x, unit_of(m));
}

/// Its name without the unit.
std::string_view title_of(Metric m) {
  switch (m) {
    case Metric::TimeUs:
      return "time";
    case Metric::HbmBytes:
      return "HBM traffic";
    case Metric::MemoryBytes:
      return "memory";
    case Metric::MatrixUtilisationPct:
      return "matrix utilisation";
    case Metric::HbmUtilisationPct:
      return "HBM utilisation";
    case Metric::MfuPct:
      return "MFU";
    case Metric::TokensPerSecond:
      return "tokens/s";
    case Metric::BusBandwidth:
      return "bus bandwidth";
    case Metric::MapePct:
      return "MAPE";
    case Metric::BiasPct:
      return "bias";
    case Metric::Rows:
      break;
  }
  return "rows replayed";
}

std::string_view percent_unit(Metric m) { return is_percentage(m) ? "points" : "%"; }

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

/// A contribution as "layer.down +301 us (35 %) [gemm, hbm -> l2]"; without its share where `all` is 0.
std::string contribution(const Contribution& c, double all) {
  std::string text = c.name + " " + time_text(c.us, "{:+.4g}");
  if (all != 0) text += fmt::format(" ({:.0f} %)", 100 * c.us / all);
  if (c.kind.empty()) return text;
  return fmt::format("{} [{}, {}]", text, c.kind, before_after(c.bound_before, c.bound_now));
}

/// The largest of a list, down to a fiftieth of all.
std::string contributions(const std::vector<Contribution>& list, std::size_t most) {
  double all = 0, moved = 0;
  for (const Contribution& c : list) {
    all += c.us;
    moved += std::abs(c.us);
  }
  std::string text;
  std::size_t shown = 0;
  for (const Contribution& c : list) {
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

/// Why a case moved, a line each: the heading and what follows it.
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

std::string error_text(const CaseComparison& c) {
  if (!c.error_now_pct) return "";
  const std::string now = fmt::format("{:+.1f} %", *c.error_now_pct);
  return c.error_before_pct ? before_after(fmt::format("{:+.1f} %", *c.error_before_pct), now) : now;
}

struct MeanError {
  std::size_t cases = 0;
  double before_pct = 0, now_pct = 0;
};

/// Over the cases that were measured, before and now.
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

std::string model_text(const Comparison& all) {
  return "model " + before_after(all.model_before, all.model_now);
}

/// What was compared with, after its file's name.
std::string baseline_text(const Comparison& all) {
  if (all.reason.empty()) return model_text(all) + "; none before";
  return fmt::format("{}: {}", model_text(all), printable(all.reason));
}

std::string measured_line(const Comparison& all) {
  const MeanError m = mean_error(all);
  if (m.cases == 0) return "";
  return fmt::format("against measurement: {} cases, mean absolute error {:.2f} % -> {:.2f} %\n", m.cases,
                     m.before_pct, m.now_pct);
}

std::string input_text(const InputChange& c) {
  return fmt::format("{}: {} {} -> {}", c.input, c.path, c.before.empty() ? "(none)" : c.before,
                     c.now.empty() ? "(none)" : c.now);
}

/// Values that are listed: a file that takes another's place differs in hundreds.
constexpr std::size_t kMostInputs = 40;

template <class Line>
std::string inputs_text(const Comparison& all, const Line& line) {
  std::string text;
  for (std::size_t i = 0; i < std::min(all.inputs.size(), kMostInputs); ++i)
    text += line(input_text(all.inputs[i]));
  if (all.inputs.size() > kMostInputs)
    text += line(fmt::format("and {} more", all.inputs.size() - kMostInputs));
  return text;
}

std::string to_text(const CaseComparison& c) {
  std::string text =
      fmt::format("\n{} {}  {}\n", enum_name(c.verdict), c.id, before_after(c.bound_before, c.bound_now));
  const bool runs_both = c.refused_before == c.refused_now;
  for (const Change& x : c.changes)
    if (x.beyond() && runs_both)
      text += fmt::format("  {:<20} {:>14} -> {:<14} {:>14}  (tolerance {})\n", title_of(x.metric),
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

// Markdown.

/// Text in a cell of a table.
std::string cell(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '`') safe += '\\';
    safe += c == '\n' ? ' ' : c;
  }
  return safe;
}

std::string row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& text : cells) line += ' ' + text + " |";
  return line + '\n';
}

/// A number with its unit, in one line.
std::string unbroken(const std::string& text) {
  std::string kept;
  for (const char c : text) kept += c == ' ' ? std::string("&nbsp;") : std::string(1, c);
  return kept;
}

/// The rows of a changed case; `explains`: with what explains the change beneath them.
std::string markdown_rows(const CaseComparison& c, bool explains) {
  std::string text;
  if (c.refused_before != c.refused_now)
    text = row({cell(c.id), c.refused_now.empty() ? "runs again" : "**cannot run**", "", "", "", "", "", ""});
  else
    for (const Change& x : c.changes)
      if (x.beyond())
        text += row({cell(c.id), std::string(title_of(x.metric)), unbroken(value_text(x.metric, x.before)),
                     unbroken(value_text(x.metric, x.now)), "**" + unbroken(change_text(x)) + "**",
                     unbroken(tolerance_text(x)), cell(before_after(c.bound_before, c.bound_now)),
                     x.metric == Metric::TimeUs ? error_text(c) : ""});
  if (!explains) return text;
  std::string why;
  for (const auto& [heading, line] : reasons(c))
    why += fmt::format("{}{}: {}", why.empty() ? "" : "<br>", heading, cell(line));
  return text + row({"<sub>" + why + "</sub>", "", "", "", "", "", "", ""});
}

std::string folded(const Comparison& all, Verdict verdict) {
  if (all.count(verdict) == 0) return "";
  std::string text = fmt::format("\n<details><summary>{} {}</summary>\n\n", all.count(verdict),
                                 verdict == Verdict::Same ? "unchanged" : enum_name(verdict));
  for (const CaseComparison& c : all.cases)
    if (c.verdict == verdict) {
      std::string values;
      for (const Change& x : c.changes)
        values += fmt::format(", {} {}", title_of(x.metric), value_text(x.metric, x.now ? x.now : x.before));
      const std::string error = error_text(c);
      text += fmt::format("- {}{}{}\n", cell(c.id), values, error.empty() ? "" : ", error " + error);
    }
  return text + "\n</details>\n";
}

/// A summary of GitHub's holds 1 MiB, and an explanation takes about a kilobyte.
constexpr std::size_t kMostExplained = 300;

// XML.

/// What a list of failures shows of a case: its largest change.
std::string headline(const CaseComparison& c) {
  if (c.refused_before != c.refused_now) return c.refused_now.empty() ? "runs again" : "cannot run";
  if (c.verdict != Verdict::Changed || c.changes.empty()) return std::string(enum_name(c.verdict));
  return fmt::format("{} {}", title_of(c.changes.front().metric), change_text(c.changes.front()));
}

std::string xml(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
  }
  return safe;
}

// JSON.

Json json_of(const std::optional<double>& x) { return x ? Json(*x) : Json(); }

Json json_of(const std::vector<Contribution>& list) {
  Json all = Json::array();
  for (const Contribution& c : list) {
    Json one = {{"name", c.name}, {"change_us", c.us}};
    if (!c.kind.empty()) {
      one["class"] = c.kind;
      one["bound_before"] = c.bound_before;
      one["bound_now"] = c.bound_now;
    }
    all.push_back(std::move(one));
  }
  return all;
}

Json json_of(const CaseComparison& c) {
  Json metrics = Json::array();
  for (const Change& x : c.changes)
    metrics.push_back({{"metric", enum_name(x.metric)},
                       {"before", json_of(x.before)},
                       {"now", json_of(x.now)},
                       {"change_pct", std::isfinite(x.change_pct) ? Json(x.change_pct) : Json()},
                       {"tolerance_pct", x.tolerance_pct},
                       {"beyond_tolerance", x.beyond()}});
  Json j = {{"case", c.id},
            {"verdict", enum_name(c.verdict)},
            {"bound_before", c.bound_before},
            {"bound_now", c.bound_now},
            {"metrics", std::move(metrics)},
            {"inputs_differ", c.inputs_differ},
            {"inputs", c.inputs},
            {"changed_inputs", c.changed_inputs},
            {"error_before_pct", json_of(c.error_before_pct)},
            {"error_now_pct", json_of(c.error_now_pct)}};
  if (!c.refused_before.empty()) j["refused_before"] = c.refused_before;
  if (!c.refused_now.empty()) j["refused_now"] = c.refused_now;
  if (c.verdict != Verdict::Changed) return j;
  j["causes"] = json_of(c.causes);
  j["classes"] = json_of(c.classes);
  j["operators"] = json_of(c.operators);
  return j;
}

bool less_is_better(Metric m) {
  return m == Metric::TimeUs || m == Metric::HbmBytes || m == Metric::MemoryBytes || m == Metric::MapePct;
}

}  // namespace

std::string to_text(const Comparison& all) {
  std::string text =
      fmt::format("{}: {}\nbaseline {}, {}\n", all.suite, counts_text(all), all.baseline, baseline_text(all));
  for (const std::string& value : all.what_if) text += fmt::format("what if: {}\n", value);
  text += measured_line(all);
  if (all.same()) return text;
  if (!all.inputs.empty())
    text += "\ninputs that changed\n" +
            inputs_text(all, [](const std::string& line) { return "  " + line + "\n"; });
  for (const CaseComparison& c : all.cases)
    if (c.verdict != Verdict::Same) text += to_text(c);
  return text;
}

std::string to_markdown(const Comparison& all) {
  std::string text = fmt::format("### {}: {}\n\nBaseline `{}`, {}\n", cell(all.suite), counts_text(all),
                                 all.baseline, cell(baseline_text(all)));
  for (const std::string& value : all.what_if) text += fmt::format("\nWhat if: `{}`\n", value);
  if (const std::string line = measured_line(all); !line.empty()) text += "\n" + line;
  if (all.count(Verdict::Changed) > 0) {
    if (!all.inputs.empty())
      text += "\nInputs that changed:\n\n" +
              inputs_text(all, [](const std::string& line) { return "- " + cell(line) + "\n"; });
    text += "\n" + row({"case", "metric", "baseline", "now", "change", "tolerance", "bound by", "error"}) +
            "|---|---|---:|---:|---:|---:|---|---|\n";
    std::size_t shown = 0;
    for (const CaseComparison& c : all.cases)
      if (c.verdict == Verdict::Changed) text += markdown_rows(c, ++shown <= kMostExplained);
    if (shown > kMostExplained)
      text += fmt::format("\nExplained are the {} largest changes; --json has all.\n", kMostExplained);
  }
  for (const Verdict v : {Verdict::New, Verdict::Removed, Verdict::Same}) text += folded(all, v);
  return text;
}

std::string to_junit(const Comparison& all) {
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">\n",
      xml(all.suite), all.cases.size(), all.cases.size() - all.count(Verdict::Same));
  for (const CaseComparison& c : all.cases) {
    text += fmt::format("  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"", xml(all.suite), xml(c.id),
                        c.seconds);
    if (c.verdict == Verdict::Same)
      text += "/>\n";
    else
      text += fmt::format(">\n    <failure message=\"{}\">{}</failure>\n  </testcase>\n", xml(headline(c)),
                          xml(to_text(c)));
  }
  return text + "</testsuite>\n";
}

Json to_json(const Comparison& all) {
  Json cases = Json::array(), inputs = Json::array();
  for (const CaseComparison& c : all.cases) cases.push_back(json_of(c));
  for (const InputChange& c : all.inputs)
    inputs.push_back({{"input", c.input}, {"path", c.path}, {"before", c.before}, {"now", c.now}});
  const MeanError m = mean_error(all);
  return {{"schema", "xpusim.check/1"},
          {"suite", all.suite},
          {"file", all.file},
          {"baseline", all.baseline},
          {"reason", all.reason},
          {"model_before", all.model_before},
          {"model_now", all.model_now},
          {"what_if", all.what_if},
          {"same", all.same()},
          {"changed", all.count(Verdict::Changed)},
          {"new", all.count(Verdict::New)},
          {"removed", all.count(Verdict::Removed)},
          {"measured",
           {{"cases", m.cases}, {"mean_error_before_pct", m.before_pct}, {"mean_error_now_pct", m.now_pct}}},
          {"inputs", std::move(inputs)},
          {"cases", std::move(cases)}};
}

Json to_github_benchmark(const Comparison& all) {
  Json list = Json::array();
  for (const CaseComparison& c : all.cases)
    for (const Change& x : c.changes) {
      if (!x.now || !less_is_better(x.metric)) continue;
      Json one = {{"name", c.id + " " + std::string(enum_name(x.metric))},
                  {"unit", unit_of(x.metric)},
                  {"value", *x.now}};
      if (!c.bound_now.empty()) one["extra"] = "bound by " + c.bound_now;
      list.push_back(std::move(one));
    }
  return list;
}

Json to_bencher(const Comparison& all) {
  Json cases = Json::object();
  for (const CaseComparison& c : all.cases)
    for (const Change& x : c.changes)
      if (x.now) cases[c.id][std::string(enum_name(x.metric))] = {{"value", *x.now}};
  return cases;
}

}  // namespace xpusim::regression
