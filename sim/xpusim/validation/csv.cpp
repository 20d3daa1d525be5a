#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "xpusim/core/error.h"
#include "xpusim/core/file.h"
#include "xpusim/validation/measured_set.h"

namespace xpusim::validation {
namespace {

/// Fields of one line; a field may be "quoted, with ""commas""". Nullopt: an open quote.
std::optional<std::vector<std::string>> split(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"')
      fields.back() += line[++i];
    else if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      fields.emplace_back();
    else if (c != '\r')
      fields.back() += c;
  }
  if (quoted) return std::nullopt;
  return fields;
}

void read_attributes(const std::string& comment, std::map<std::string, std::string>& attributes) {
  std::istringstream words(comment.substr(1));
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos && equals > 0)
      attributes.try_emplace(word.substr(0, equals), word.substr(equals + 1));
  }
}

ConfigError too_large(const std::string& file) {
  return ConfigError(
      Diagnostic{{file, 0, 0}, "", fmt::format("more than {} MiB", kMostCsvBytes >> 20), "split the set"});
}

}  // namespace

bool Csv::has(std::string_view column) const {
  return std::find(columns.begin(), columns.end(), column) != columns.end();
}

std::string_view Csv::field(const CsvRow& row, std::string_view column) const {
  const auto at = std::find(columns.begin(), columns.end(), column);
  return at == columns.end() ? std::string_view()
                             : row.fields[static_cast<std::size_t>(at - columns.begin())];
}

Csv parse_csv(const std::string& text, const std::string& file) {
  if (text.size() > kMostCsvBytes) throw too_large(file);
  Csv csv;
  csv.file = file;
  MistakeList found;
  std::istringstream in(text);
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line == "\r") continue;
    if (line.front() == '#') {
      read_attributes(line, csv.attributes);
      continue;
    }
    auto fields = split(line);
    if (!fields) {
      found.push_back({{file, number, 1}, "", "an open quote", "close it on the same line"});
    } else if (csv.columns.empty()) {
      csv.columns = std::move(*fields);
    } else if (fields->size() != csv.columns.size()) {
      found.push_back({{file, number, 1},
                       "",
                       fmt::format("{} fields", fields->size()),
                       fmt::format("the header has {}", csv.columns.size())});
    } else {
      csv.rows.push_back({number, std::move(*fields)});
    }
    if (found.are_many()) break;  // a file that is no CSV has a mistake in every line
  }
  if (csv.columns.empty())
    found.push_back({{file, 0, 0}, "", "no header row", "column names, after the '#' lines"});
  found.raise();
  return csv;
}

Csv read_csv(const std::string& file) { return parse_csv(read_bytes(file, kMostCsvBytes), file); }

}  // namespace xpusim::validation
