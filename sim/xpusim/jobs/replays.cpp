#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/jobs/load.h"

namespace xpusim::jobs {
namespace {

/// A path that a set names starts in the set's folder.
std::string beside(const std::string& set, const std::string& path) {
  return (std::filesystem::path(set).parent_path() / path).lexically_normal().string();
}

/// The chip of a set: as named, or one die of it ("..._die" is one of the dies of a package; a device is a
/// die).
std::string chip_of(const validation::MeasuredSet& set, const config::Library& library) {
  if (config::is_path(set.chip)) return beside(set.file, set.chip);
  const auto known = library.list(config::FileKind::Chip);
  constexpr std::string_view kDie = "_die";
  for (const std::string& id : known)
    if (set.chip == id || set.chip == id + std::string(kDie)) return id;
  throw ConfigError(Diagnostic{{set.file, 0, 0},
                               "chip",
                               "no chip " + in_quotes(set.chip),
                               config::hint_of_id(set.chip, known, set.file)});
}

/// The id or file of the system that a set of collectives names.
std::string system_of(const validation::MeasuredCalls& set, const config::Library& library) {
  if (config::is_path(set.system)) return beside(set.file, set.system);
  const auto known = library.list(config::FileKind::System);
  for (const std::string& id : known) {
    const auto names = library.system(id).value.measured_as;
    if (std::find(names.begin(), names.end(), set.system) != names.end()) return id;
  }
  throw ConfigError(Diagnostic{{set.file, 0, 0},
                               "system",
                               "no system is measured as " + in_quotes(set.system),
                               "measured_as of one of: " + join(views(known))});
}

/// The value of a file; its notes are kept.
template <class T>
T noted(config::Loaded<T> loaded, std::vector<Diagnostic>& notes) {
  notes.insert(notes.end(), loaded.notes.begin(), loaded.notes.end());
  return std::move(loaded.value);
}

/// What the rows of a training set run on, with all stacks there are.
validation::Platforms platforms_of(const validation::MeasuredRuns& set, const config::Library& library,
                                   const config::Overrides& overrides, std::vector<Diagnostic>& notes) {
  validation::Platforms p;
  for (const validation::MeasuredRun& m : set.rows) {
    if (!m.skipped.empty()) continue;
    if (!p.chips.contains(m.chip)) p.chips.emplace(m.chip, noted(library.chip(m.chip, overrides), notes));
    if (!p.systems.contains(m.system))
      p.systems.emplace(m.system, noted(library.system(m.system, overrides), notes));
  }
  for (const std::string& id : library.list(config::FileKind::Stack))
    p.stacks.push_back(noted(library.stack(id, overrides), notes));
  return p;
}

}  // namespace

ValidationJob load_validation(const config::Library& library, const std::string& file,
                              const std::string& chip, const config::Overrides& overrides) {
  validation::Csv csv = validation::read_csv(file);
  if (validation::is_collective_set(csv)) {
    auto set = validation::interpret_collectives(csv);
    Platform on = load_network(library, system_of(set, library), overrides);
    return {std::move(csv), Replay<decltype(set), decltype(on)>{std::move(set), std::move(on)}};
  }
  if (validation::is_training_set(csv)) {
    auto set = validation::interpret_training(csv);
    std::vector<Diagnostic> notes;
    auto on = platforms_of(set, library, overrides, notes);
    return {std::move(csv), Replay<decltype(set), decltype(on)>{std::move(set), std::move(on)},
            std::move(notes)};
  }
  auto set = validation::interpret(csv);
  auto on = library.chip(chip.empty() ? chip_of(set, library) : chip, overrides);
  return {std::move(csv), Replay<decltype(set), ChipSpec>{std::move(set), std::move(on.value)},
          std::move(on.notes)};
}

}  // namespace xpusim::jobs
