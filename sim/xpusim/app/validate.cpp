#include "xpusim/app/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/app/progress.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/result/result.h"
#include "xpusim/validation/report.h"

namespace xpusim::app {
namespace {

/// The chip of a set: as named, or one die of it ("..._die" is one of the dies of a package; a device is a
/// die).
std::string chip_of(const validation::MeasuredSet& set, const config::Library& library) {
  const auto known = library.list(config::FileKind::Chip);
  constexpr std::string_view kDie = "_die";
  for (const std::string& id : known)
    if (set.chip == id || set.chip == id + std::string(kDie)) return id;
  throw ConfigError(Diagnostic{
      {set.file, 0, 0}, "chip", fmt::format("no chip '{}'", set.chip), "known: " + join(views(known))});
}

}  // namespace

void validate(const Common& c, const ValidateArguments& a) {
  const config::Library library = open_library(c.data);
  const config::Overrides overrides = overrides_of(c);
  const chip::Fidelity fidelity = fidelity_of(c);

  std::vector<validation::MeasuredSet> sets;  // all are read before the first is run: a mistake costs no wait
  std::vector<ChipSpec> chips;
  for (const std::string& file : a.files) {
    sets.push_back(validation::interpret(validation::read_csv(file)));
    chips.push_back(library.chip(a.chip.empty() ? chip_of(sets.back(), library) : a.chip, overrides).value);
  }
  std::vector<validation::SetReport> reports;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    Progress progress(sets[i].file, "rows");
    reports.push_back(validation::replay(
        sets[i], chips[i], fidelity, [&](std::size_t done, std::size_t all) { progress.show(done, all); }));
  }
  const std::string json =
      c.json.empty() ? std::string() : validation::to_json(reports, a.worst).dump(2) + "\n";
  if (!a.html.empty()) result::write_file(a.html, validation::to_html(reports, a.worst));
  if (c.json != "-") std::cout << validation::to_table(reports, a.worst);
  if (c.json == "-")
    std::cout << json;
  else if (!c.json.empty())
    result::write_file(c.json, json);
}

}  // namespace xpusim::app
