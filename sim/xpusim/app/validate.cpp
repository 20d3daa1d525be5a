#include "xpusim/app/validate.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/app/progress.h"
#include "xpusim/app/say.h"
#include "xpusim/jobs/job.h"
#include "xpusim/report/file.h"
#include "xpusim/report/validation.h"

namespace xpusim::app {

void validate(const Common& c, const ValidateArguments& a) {
  const config::Library library = open_library(c.data);
  std::vector<jobs::Job> sets;  // all are read before the first is run: a mistake costs no wait
  for (const std::string& file : a.files)
    sets.push_back(jobs::load(library, {jobs::Kind::Validation, file}, a.chip, overrides_of(c)));
  for (const jobs::Job& set : sets) say_notes(jobs::notes_of(set));
  const Patience patience(fidelity_of(c) == Fidelity::Tile);
  std::vector<validation::SetReport> reports;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    Progress progress(a.files[i], "rows");
    const auto show = [&](std::size_t done, std::size_t all) { progress.show(done, all); };
    reports.push_back(
        std::get<validation::SetReport>(jobs::run(sets[i], {fidelity_of(c), false, true, show})));
  }
  if (!a.html.empty()) report::write_file(a.html, report::to_html(reports, a.worst));
  if (c.json != "-") std::cout << report::to_table(reports, a.worst);
  write(c.json, report::text_of(report::to_json(reports, a.worst)));
}

}  // namespace xpusim::app
