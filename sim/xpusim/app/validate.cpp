#include "xpusim/app/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/app/progress.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/result/result.h"
#include "xpusim/validation/collectives.h"
#include "xpusim/validation/report.h"
#include "xpusim/validation/training.h"

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

/// The system that a set of collectives names, with the level inside its packages.
SystemSpec system_of(const validation::MeasuredCalls& set, const config::Library& library,
                     const config::Overrides& overrides) {
  const auto known = library.list(config::FileKind::System);
  for (const std::string& id : known) {
    const auto names = library.system(id).value.measured_as;
    if (std::find(names.begin(), names.end(), set.system) == names.end()) continue;
    const SystemSpec s = library.system(id, overrides).value;
    return s.chip.empty() ? s : with_package_level(s, library.chip(s.chip, overrides).value);
  }
  throw ConfigError(Diagnostic{{set.file, 0, 0},
                               "system",
                               fmt::format("no system is measured as '{}'", set.system),
                               "measured_as of one of: " + join(views(known))});
}

/// What the rows of a training set run on, with all stacks there are.
validation::Platforms platforms_of(const validation::MeasuredRuns& set, const config::Library& library,
                                   const config::Overrides& overrides) {
  validation::Platforms p;
  for (const validation::MeasuredRun& m : set.rows) {
    if (!m.skipped.empty()) continue;
    if (!p.chips.contains(m.chip)) p.chips.emplace(m.chip, library.chip(m.chip, overrides).value);
    if (!p.systems.contains(m.system)) p.systems.emplace(m.system, library.system(m.system, overrides).value);
  }
  for (const std::string& id : library.list(config::FileKind::Stack))
    p.stacks.push_back(library.stack(id, overrides).value);
  return p;
}

/// A measured set that has been read, ready to be replayed.
using Replay = std::function<validation::SetReport(const validation::Progress&)>;

Replay replay_of(const std::string& file, const config::Library& library, const Common& c,
                 const ValidateArguments& a) {
  const config::Overrides overrides = overrides_of(c);
  const chip::Fidelity fidelity = fidelity_of(c);
  const validation::Csv csv = validation::read_csv(file);
  if (validation::is_collective_set(csv)) {
    auto set = validation::interpret_collectives(csv);
    return [set, system = system_of(set, library, overrides), fidelity](const auto& progress) {
      return validation::replay(set, system, fidelity, progress);
    };
  }
  if (validation::is_training_set(csv)) {
    auto set = validation::interpret_training(csv);
    return [set, platforms = platforms_of(set, library, overrides), fidelity](const auto& progress) {
      return validation::replay(set, platforms, fidelity, progress);
    };
  }
  auto set = validation::interpret(csv);
  const ChipSpec chip = library.chip(a.chip.empty() ? chip_of(set, library) : a.chip, overrides).value;
  return [set, chip, fidelity](const auto& progress) {
    return validation::replay(set, chip, fidelity, progress);
  };
}

}  // namespace

void validate(const Common& c, const ValidateArguments& a) {
  const config::Library library = open_library(c.data);
  std::vector<Replay> replays;  // all are read before the first is run: a mistake costs no wait
  for (const std::string& file : a.files) replays.push_back(replay_of(file, library, c, a));
  std::vector<validation::SetReport> reports;
  for (std::size_t i = 0; i < replays.size(); ++i) {
    Progress progress(a.files[i], "rows");
    reports.push_back(replays[i]([&](std::size_t done, std::size_t all) { progress.show(done, all); }));
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
