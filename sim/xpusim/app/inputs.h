#pragma once
#include <string>

#include "xpusim/app/commands.h"
#include "xpusim/config/library.h"
#include "xpusim/spec/fidelity.h"

/// From command-line words to what the front end takes, and to the files that they name.
namespace xpusim::app {

/// The library that holds configs/ and workloads/: `given`, $XPUSIM_DATA, the installed one, or the source
/// tree.
[[nodiscard]] config::Library open_library(const std::string& given);

/// The --set options, and the --fidelity.
[[nodiscard]] config::Overrides overrides_of(const Common&);
[[nodiscard]] Fidelity fidelity_of(const Common&);

/// To a file, or for "-" to stdout; for an empty path nowhere.
void write(const std::string& path, const std::string& text);

}  // namespace xpusim::app
