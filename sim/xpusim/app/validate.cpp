#include "xpusim/app/validate.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/app/progress.h"
#include "xpusim/frontend/replays.h"
#include "xpusim/report/file.h"
#include "xpusim/report/validation.h"

namespace xpusim::app {

void validate(const Common& c, const ValidateArguments& a) {
  const config::Library library = open_library(c.data);
  std::vector<frontend::Replay> replays;  // all are read before the first is run: a mistake costs no wait
  for (const std::string& file : a.files)
    replays.push_back(frontend::load_replay(library, file, a.chip, overrides_of(c), fidelity_of(c)));
  std::vector<validation::SetReport> reports;
  for (std::size_t i = 0; i < replays.size(); ++i) {
    Progress progress(a.files[i], "rows");
    reports.push_back(replays[i].run([&](std::size_t done, std::size_t all) { progress.show(done, all); }));
  }
  if (!a.html.empty()) report::write_file(a.html, report::to_html(reports, a.worst));
  if (c.json != "-") std::cout << report::to_table(reports, a.worst);
  write(c.json, report::text_of(report::to_json(reports, a.worst)));
}

}  // namespace xpusim::app
