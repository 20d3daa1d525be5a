#pragma once
#include <string>
#include <vector>

#include "xpusim/app/commands.h"
#include "xpusim/jobs/inputs.h"
#include "xpusim/spec/fidelity.h"

/// From command-line words to what jobs take, and to the files that they name.
namespace xpusim::app {

/// The library that holds configs/ and workloads/: `given`, $XPUSIM_DATA, the installed one, or the source
/// tree.
[[nodiscard]] config::Library open_library(const std::string& given);

/// The columns that --on options give, at least one.
[[nodiscard]] std::vector<jobs::Column> columns_of(const std::vector<std::string>& on);

/// The --set options, with a column's, and the --fidelity.
[[nodiscard]] config::Overrides overrides_of(const Common&, const jobs::Column& = {});
[[nodiscard]] Fidelity fidelity_of(const Common&);

/// Values of the inputs that may be meant, and are beyond what devices have.
void say_notes(const std::vector<Diagnostic>&);

/// To a file, or for "-" to stdout; for an empty path nowhere.
void write(const std::string& path, const std::string& text);

}  // namespace xpusim::app
