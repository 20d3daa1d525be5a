#pragma once
#include <string>
#include <vector>

#include "xpusim/app/commands.h"
#include "xpusim/config/library.h"
#include "xpusim/simulate.h"

/// From command-line words to the simulator's inputs.
namespace xpusim::app {

/// The library that holds configs/ and workloads/: `given`, $XPUSIM_DATA, the installed one, or the source
/// tree.
[[nodiscard]] config::Library open_library(const std::string& given);

/// The --set options, and the --fidelity.
[[nodiscard]] config::Overrides overrides_of(const Common&);
[[nodiscard]] chip::Fidelity fidelity_of(const Common&);

/// "SYSTEM" or "SYSTEM,path=value,...": one column of a comparison.
struct Column {
  std::string system;
  config::Overrides overrides;
  std::string variant;  ///< the overrides as written
};
[[nodiscard]] Column parse_column(const std::string& text);

/// What one column runs on.
struct Platform {
  config::Loaded<SystemSpec> system;
  config::Loaded<ChipSpec> chip;
};
[[nodiscard]] Platform load_platform(const config::Library&, const config::Reference& system,
                                     const config::Overrides&);

/// "key=value" words as a map that a Reader reads. Throws ConfigError with every mistake; `refused`: keys
/// that files have, but the command line has not.
[[nodiscard]] config::Node tree_of_words(const std::string& command, const std::vector<std::string>& words,
                                         const std::vector<std::string_view>& refused = {});

/// An operator from its kind and "key=value" words. Throws ConfigError with every mistake.
[[nodiscard]] Operator parse_operator(const std::string& kind, const std::vector<std::string>& words);

/// Is it a workload trace (operators) rather than a scenario? Throws ConfigError when it is neither.
[[nodiscard]] bool is_trace(const config::Library&, const std::string& id_or_path);

}  // namespace xpusim::app
