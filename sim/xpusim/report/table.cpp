#include "xpusim/report/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "xpusim/report/format.h"

namespace xpusim::report {

/// Columns but the first hold their gap's second space, too.
std::vector<int> Table::fitting() const {
  std::vector<int> widths;
  for (const auto& cells : rows_) {
    widths.resize(std::max(widths.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const auto size = static_cast<int>(cells[i].size());
      widths[i] = i == 0 ? std::min(widths[i], -size) : std::max(widths[i], size + 1);
    }
  }
  return widths;
}

std::string Table::text() const {
  const std::vector<int> widths = widths_.empty() ? fitting() : widths_;
  std::size_t whole = widths.size() - 1;
  for (const int w : widths) whole += static_cast<std::size_t>(std::abs(w));
  std::string out;
  for (const auto& cells : rows_) {
    std::string text = cells.empty() ? std::string(whole, '-') : "";
    for (std::size_t i = 0; i < cells.size(); ++i)
      text += (i == 0 ? "" : " ") + (widths[i] < 0 ? fmt::format("{:<{}}", cells[i], -widths[i])
                                                   : fmt::format("{:>{}}", cells[i], widths[i]));
    out += text.substr(0, text.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

std::string Table::html() const {
  std::string out = "<table>";
  const char* tag = "<th>";
  for (const auto& cells : rows_) {
    out += "<tr>";
    for (const std::string& cell : cells) out += tag + escaped(cell);
    out += "</tr>";
    tag = "<td>";
  }
  return out + "</table>";
}

}  // namespace xpusim::report
