#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

/// What an import says of the keys that it read.
namespace xpusim::config {

/// Why a key of a config.json does not matter, or that this is not known.
[[nodiscard]] std::string reason_of(std::string_view path, const nlohmann::json& value);

/// As text of one line: another tool's file can hold anything.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace xpusim::config
