#include <fmt/format.h>

#include "xpusim/core/fields.h"
#include "xpusim/report/comparison_words.h"

namespace xpusim::report {
namespace {

std::string cell(const std::string& text) { return escaped_markdown(text); }

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
        text +=
            row({cell(c.id), std::string(words_of(x.metric).title), unbroken(value_text(x.metric, x.before)),
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
        values +=
            fmt::format(", {} {}", words_of(x.metric).title, value_text(x.metric, x.now ? x.now : x.before));
      const std::string error = error_text(c);
      text += fmt::format("- {}{}{}\n", cell(c.id), values, error.empty() ? "" : ", error " + error);
    }
  return text + "\n</details>\n";
}

/// A summary of GitHub's holds 1 MiB, and an explanation takes about a kilobyte.
constexpr std::size_t kMostExplained = 300;

}  // namespace

std::string to_markdown(const Comparison& all) {
  std::string text = fmt::format("### {}: {}\n\nBaseline {}, {}\n", cell(all.suite), counts_text(all),
                                 markdown_code(all.baseline), cell(baseline_text(all)));
  for (const std::string& value : all.what_if) text += fmt::format("\nWhat if: {}\n", markdown_code(value));
  if (const std::string line = measured_line(all); !line.empty()) text += "\n" + line;
  if (all.count(Verdict::Changed) > 0) {
    if (!all.inputs.empty()) text += "\nInputs that changed:\n\n";
    for (const std::string& line : input_lines(all)) text += "- " + cell(line) + "\n";
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

}  // namespace xpusim::report
