#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "xpusim/core/error.h"

/// Files of other tools that are given where a file of XPUSim is meant.
namespace xpusim::config {

/// What a file is, and what to do with it.
struct ForeignFile {
  std::string_view what;
  std::string_view advice;  ///< FILE stands for its path
  bool is_model = false;    ///< config/huggingface.h reads it
};

/// From the first bytes of a file. Nothing: none that is known here.
[[nodiscard]] std::optional<ForeignFile> recognise(std::string_view head, std::string_view path);
/// The same of a file; nothing where it cannot be read.
[[nodiscard]] std::optional<ForeignFile> recognise_file(const std::string& path);
/// The mistake that its user made.
[[nodiscard]] ConfigError foreign_error(const ForeignFile&, const std::string& path);

}  // namespace xpusim::config
