#include <fmt/format.h>

#include "xpusim/core/fields.h"
#include "xpusim/report/comparison_words.h"

namespace xpusim::report {
namespace {

/// What a list of failures shows of a case: its largest change.
std::string headline(const CaseComparison& c) {
  if (c.refused_before != c.refused_now) return c.refused_now.empty() ? "runs again" : "cannot run";
  if (c.verdict != Verdict::Changed || c.changes.empty()) return std::string(enum_name(c.verdict));
  return fmt::format("{} {}", words_of(c.changes.front().metric).title, change_text(c.changes.front()));
}

}  // namespace

std::string to_junit(const Comparison& all) {
  std::string text = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">\n",
      escaped(all.suite), all.cases.size(), all.cases.size() - all.count(Verdict::Same));
  for (const CaseComparison& c : all.cases) {
    text += fmt::format("  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"", escaped(all.suite),
                        escaped(c.id), c.seconds);
    if (c.verdict == Verdict::Same)
      text += "/>\n";
    else
      text += fmt::format(">\n    <failure message=\"{}\">{}</failure>\n  </testcase>\n",
                          escaped(headline(c)), escaped(to_text(c)));
  }
  return text + "</testsuite>\n";
}

}  // namespace xpusim::report
