#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xpusim/config/library.h"

/// From names, words and what-if values to the simulator's inputs: what the command line and the bindings
/// share.
namespace xpusim::jobs {

/// The library that holds configs/ and workloads/: `given`, $XPUSIM_DATA, or the first of `places` that is
/// one. Throws ConfigError.
[[nodiscard]] config::Library open_library(const std::string& given,
                                           const std::vector<std::filesystem::path>& places);

/// What one column of a comparison runs on.
struct Platform {
  config::Loaded<SystemSpec> system;             ///< as its file has it
  std::optional<config::Loaded<ChipSpec>> chip;  ///< none: it serves collectives only
  SystemSpec network;                            ///< the system with the level inside its packages
};
[[nodiscard]] Platform load_network(const config::Library&, const config::Reference& system,
                                    const config::Overrides&);
/// The same with a chip, and with levels that join them all. Throws ConfigError.
[[nodiscard]] Platform load_platform(const config::Library&, const config::Reference& system,
                                     const config::Overrides&);

/// "NAME" or "NAME,path=value,...": a system, or a chip, with what-if values.
struct Column {
  std::string name;
  config::Overrides overrides;
  std::string variant;  ///< the overrides as written
};
/// `option`: where the text stands, for messages. Throws ConfigError.
[[nodiscard]] Column parse_column(const std::string& text, const std::string& option);

/// "key=value" words as a map that a Reader reads. Throws ConfigError with every mistake; `refused`: keys
/// that files have, but words have not.
[[nodiscard]] config::Node tree_of_words(const std::string& command, const std::vector<std::string>& words,
                                         const std::vector<std::string_view>& refused = {});

/// "KIND key=value ...": the kind, and the words.
[[nodiscard]] std::pair<std::string, std::vector<std::string>> kind_and_words(const std::string& text);

/// An operator of one device from its kind and "key=value" words. Throws ConfigError with every mistake.
[[nodiscard]] Operator parse_operator(const std::string& kind, const std::vector<std::string>& words);

/// Is it a workload trace (operators) rather than a scenario? Throws ConfigError when it is neither.
[[nodiscard]] bool is_trace(const config::Library&, const std::string& id_or_path);

/// Each override must be of a kind of file that is read. Throws ConfigError.
void refuse_unused(const config::Overrides&, const std::vector<std::string_view>& used);

}  // namespace xpusim::jobs
