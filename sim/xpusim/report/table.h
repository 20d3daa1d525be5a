#pragma once
#include <string>
#include <vector>

namespace xpusim::report {

/// Rows of cells, for a terminal or a page.
class Table {
 public:
  /// Columns as wide as their widest cells, two spaces apart, the first one to the left.
  Table() = default;
  /// Columns of these widths, one space apart, negative ones to the left. Longer cells push the rest away.
  explicit Table(std::vector<int> widths) : widths_(std::move(widths)) {}

  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// A rule over all columns.
  void line() { rows_.emplace_back(); }
  [[nodiscard]] std::string text() const;
  /// The first row is the head.
  [[nodiscard]] std::string html() const;

 private:
  [[nodiscard]] std::vector<int> fitting() const;
  std::vector<int> widths_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace xpusim::report
