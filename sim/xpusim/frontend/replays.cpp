#include "xpusim/frontend/replays.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/validation/collectives.h"
#include "xpusim/validation/training.h"

namespace xpusim::frontend {
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
                               fmt::format("no chip '{}'", set.chip),
                               config::hint_of_id(set.chip, known, set.file)});
}

/// The system that a set of collectives names.
config::Loaded<SystemSpec> system_of(const validation::MeasuredCalls& set, const config::Library& library,
                                     const config::Overrides& overrides) {
  if (config::is_path(set.system)) return library.system(beside(set.file, set.system), overrides);
  const auto known = library.list(config::FileKind::System);
  for (const std::string& id : known) {
    const auto names = library.system(id).value.measured_as;
    if (std::find(names.begin(), names.end(), set.system) == names.end()) continue;
    return library.system(id, overrides);
  }
  throw ConfigError(Diagnostic{{set.file, 0, 0},
                               "system",
                               fmt::format("no system is measured as '{}'", set.system),
                               "measured_as of one of: " + join(views(known))});
}

Replay replay_of(const validation::MeasuredCalls& set, const config::Library& library,
                 const config::Overrides& overrides, Fidelity fidelity) {
  const auto loaded = system_of(set, library, overrides);
  SystemSpec system = loaded.value;
  std::vector<Read> files{{config::FileKind::System, loaded.file}};
  if (!system.chip.empty()) {
    const auto chip = library.chip({system.chip, loaded, "system.chip"}, overrides);
    files.push_back({config::FileKind::Chip, chip.file});
    system = with_package_level(system, chip.value);
  }
  return {[set, system, fidelity](const auto& progress) {
            return validation::replay(set, system, fidelity, progress);
          },
          std::move(files)};
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

Replay replay_of(const validation::MeasuredRuns& set, const config::Library& library,
                 const config::Overrides& overrides, Fidelity fidelity) {
  const validation::Platforms platforms = platforms_of(set, library, overrides);
  std::vector<Read> files;
  for (const auto& [id, unused] : platforms.chips) files.push_back({config::FileKind::Chip, id});
  for (const auto& [id, unused] : platforms.systems) files.push_back({config::FileKind::System, id});
  for (const StackSpec& s : platforms.stacks) files.push_back({config::FileKind::Stack, s.id});
  return {[set, platforms, fidelity](const auto& progress) {
            return validation::replay(set, platforms, fidelity, progress);
          },
          std::move(files)};
}

}  // namespace

Replay load_replay(const config::Library& library, const std::string& file, const std::string& chip,
                   const config::Overrides& overrides, Fidelity fidelity) {
  const validation::Csv csv = validation::read_csv(file);
  if (validation::is_collective_set(csv))
    return replay_of(validation::interpret_collectives(csv), library, overrides, fidelity);
  if (validation::is_training_set(csv))
    return replay_of(validation::interpret_training(csv), library, overrides, fidelity);
  auto set = validation::interpret(csv);
  const std::string id = chip.empty() ? chip_of(set, library) : chip;
  const ChipSpec spec = library.chip(id, overrides).value;
  return {[set, spec, fidelity](const auto& progress) {
            return validation::replay(set, spec, fidelity, progress);
          },
          {{config::FileKind::Chip, id}}};
}

}  // namespace xpusim::frontend
