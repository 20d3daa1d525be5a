#pragma once
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/validation/measured_set.h"

namespace xpusim::validation {

/// The fields of one row of a set; collects what is wrong with them.
class FieldReader {
 public:
  FieldReader(const Csv& csv, const CsvRow& row, MistakeList& found) : csv_(csv), row_(row), found_(found) {}

  [[nodiscard]] std::string_view text(std::string_view column) const { return csv_.field(row_, column); }
  [[nodiscard]] bool has(std::string_view column) const { return !text(column).empty(); }
  /// The finite number that the field is, all of it.
  [[nodiscard]] std::optional<double> parsed(std::string_view column) const {
    const std::string_view word = text(column);
    double x = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), x);
    const bool is_number =
        read.ec == std::errc() && read.ptr == word.data() + word.size() && std::isfinite(x);
    return is_number ? std::optional(x) : std::nullopt;
  }
  void wrong(std::string_view column, std::string hint) {
    found_.push_back({{csv_.file, row_.line, 1},
                      std::string(column),
                      "cannot read " + in_quotes(text(column)),
                      std::move(hint)});
  }

 protected:
  [[nodiscard]] const Csv& csv() const { return csv_; }

 private:
  const Csv& csv_;
  const CsvRow& row_;
  MistakeList& found_;
};

}  // namespace xpusim::validation
