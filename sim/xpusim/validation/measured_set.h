#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "xpusim/operators/operator.h"
#include "xpusim/spec/scenario.h"

/// Published measurements as files: CSV with '#' lines first (origin, licence, "# chip=ID op=NAME"), one
/// header row, and one measurement a row. interpret.cpp lists the columns of each kind of set.
namespace xpusim::validation {

struct CsvRow {
  int line = 0;
  std::vector<std::string> fields;
};

struct Csv {
  std::string file;
  std::map<std::string, std::string> attributes;  ///< key=value words of the '#' lines, e.g. chip, op
  std::vector<std::string> columns;
  std::vector<CsvRow> rows;

  [[nodiscard]] bool has(std::string_view column) const;
  /// The field under a column; empty where the set lacks it.
  [[nodiscard]] std::string_view field(const CsvRow&, std::string_view column) const;
};

/// Files above this size are refused.
inline constexpr std::size_t kMostCsvBytes = std::size_t{64} << 20;

/// Throws ConfigError with every mistake of the file.
[[nodiscard]] Csv parse_csv(const std::string& text, const std::string& file);
[[nodiscard]] Csv read_csv(const std::string& file);

/// What a serving library runs in front of attention.
enum class Setup : std::uint8_t { None, Prefill, Decode };

/// One measurement, as an operator that can be timed, or with the reason why it cannot.
struct Measurement {
  int line = 0;
  std::string label;
  std::optional<Operator> op;
  std::vector<Operator> before;  ///< kernels of the same call that run first
  Setup setup = Setup::None;
  std::string skipped;  ///< the reason, where op is empty
  double time_us = 0;
  Launch launch = Launch::Graph;
  std::int64_t cores = 0;  ///< 0: all of the chip
};

struct MeasuredSet {
  std::string file, chip, op;
  std::vector<Measurement> rows;
};

/// Reads the rows of a set. Throws ConfigError with every mistake: a column that is missing, a number that is
/// none, a time that is not positive, an op that no reader knows.
[[nodiscard]] MeasuredSet interpret(const Csv&);

}  // namespace xpusim::validation
