#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "xpusim/core/fields.h"

/// The text of single values: one grammar for files, --set and everything that is written out.
namespace xpusim::config {

/// The whole text as a finite number; nullopt otherwise ("12abc", "nan", "").
[[nodiscard]] std::optional<double> parse_real(std::string_view text);
/// The whole text as a whole number: decimal ("010" is ten), or 1e6 as far as a double counts exactly.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);
/// A number with a unit, e.g. "3.2 TB/s", in SI base units; nullopt when it is not of that dimension.
[[nodiscard]] std::optional<double> parse_quantity(std::string_view text, const Dimension&);
/// Is it a number, of a quantity with its unit, that is too large or too small to be read?
[[nodiscard]] bool is_beyond_reading(std::string_view text, const Scalar&);
/// The shortest text of a quantity, in its best-fitting unit. parse_quantity reads it back.
[[nodiscard]] std::string format_quantity(double si, const Dimension&);

/// Text as YAML: plain where no reader could stumble, else in double quotes.
[[nodiscard]] std::string yaml_text(const std::string& text);
/// A value as YAML text that reads back as the same value.
[[nodiscard]] std::string format(const Scalar&);
/// What to write for a value, as a hint: "write a whole number".
[[nodiscard]] std::string expected(const Scalar&);
/// "at least 1, at most 4096", "0 B, or at least 1 KiB".
[[nodiscard]] std::string format(const Range&, const Dimension*);
/// What devices have: "300 GB/s to 25 TB/s"; empty: that is not said.
[[nodiscard]] std::string format_known(const Range&, const Dimension&);

}  // namespace xpusim::config
