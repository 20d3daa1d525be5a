#pragma once
#include <functional>
#include <string>
#include <vector>

#include "xpusim/config/library.h"
#include "xpusim/validation/replay.h"

/// From a measured set's file to its replay.
namespace xpusim::frontend {

/// A file that was read.
struct Read {
  config::FileKind kind;
  std::string id;  ///< or its path
};

/// A measured set that has been read, ready to be replayed.
struct Replay {
  std::function<validation::SetReport(const validation::Progress&)> run;
  std::vector<Read> files;  ///< what it runs on
};

/// Reads a set and what it ran on. `chip`: replaces the chip that the set names; empty: it does not. Throws
/// ConfigError with every mistake.
[[nodiscard]] Replay load_replay(const config::Library&, const std::string& file, const std::string& chip,
                                 const config::Overrides&, Fidelity);

}  // namespace xpusim::frontend
