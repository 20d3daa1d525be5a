#include "xpusim/app/scale.h"

#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/app/say.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/jobs/job.h"
#include "xpusim/report/file.h"
#include "xpusim/report/results.h"

namespace xpusim::app {
namespace {

/// "8,64,512": rising whole numbers.
std::vector<std::int64_t> read_chips(const std::string& text) {
  std::vector<std::int64_t> list;
  for (const std::string& word : split(text, ',')) {
    std::int64_t n = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), n);
    const bool ok =
        parsed.ec == std::errc() && parsed.ptr == word.data() + word.size() && n >= 1 && n <= (1 << 20);
    if (!ok || (!list.empty() && n <= list.back()))
      throw ConfigError(Diagnostic{{"--chips " + text, 0, 0},
                                   printable(word),
                                   "not a number of chips above the one before",
                                   "rising whole numbers up to 1048576, e.g. 8,64,512"});
    list.push_back(n);
  }
  return list;
}

}  // namespace

void scale(const Common& c, const ScaleArguments& a) {
  const config::Library library = open_library(c.data);
  const std::vector<std::int64_t> chips = read_chips(a.chips);
  const auto scaling = a.strong ? result::Scaling::Strong : result::Scaling::Weak;
  Options options;
  options.fidelity = fidelity_of(c);
  std::vector<result::ScaleCurve> curves;
  const Patience patience(options.fidelity == Fidelity::Tile);
  for (const jobs::Column& column : columns_of(a.on)) {
    const jobs::Job job =
        jobs::load(library, {jobs::Kind::Scenario, a.scenario}, column.name, overrides_of(c, column));
    say_notes(jobs::notes_of(job));
    curves.push_back(jobs::scale(std::get<jobs::ScenarioJob>(job), chips, scaling, options));
  }
  if (c.json != "-")
    std::cout << fmt::format("{}, {} scaling ({} fidelity)\n\n", a.scenario, a.strong ? "strong" : "weak",
                             c.fidelity)
              << report::to_text(curves);
  if (!a.html.empty()) report::write_file(a.html, report::to_html(a.scenario, curves));
  write(c.json, report::text_of(report::to_json(curves, scaling)));
}

}  // namespace xpusim::app
