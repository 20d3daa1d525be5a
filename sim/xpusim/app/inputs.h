#pragma once
#include <string>

#include "xpusim/app/commands.h"
#include "xpusim/config/library.h"
#include "xpusim/spec/fidelity.h"

/// From command-line words to what the front end takes.
namespace xpusim::app {

/// The library that holds configs/ and workloads/: `given`, $XPUSIM_DATA, the installed one, or the source
/// tree.
[[nodiscard]] config::Library open_library(const std::string& given);

/// The --set options, and the --fidelity.
[[nodiscard]] config::Overrides overrides_of(const Common&);
[[nodiscard]] Fidelity fidelity_of(const Common&);

}  // namespace xpusim::app
