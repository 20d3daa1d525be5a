#pragma once
#include <string>
#include <vector>

/// Charts as SVG, and pages that need nothing else.
namespace xpusim::report {

struct Point {
  double x = 0, y = 0;
  std::string label;  ///< shown beside the point
};

struct Series {
  std::string name;  ///< empty: a lone one needs none
  std::vector<Point> points;
};

/// Logarithmic, over the powers of `base` that enclose what is drawn.
struct Axis {
  std::string name;
  double base = 10;
  bool is_bytes = false;  ///< ticks with units
};

/// y over x. Needs a point.
struct Plot {
  Axis x, y;
  std::vector<Series> series;
  bool compares = false;  ///< x and y are of one kind: one scale, a line where they are equal, no curves
};

[[nodiscard]] std::string svg(const Plot&);
[[nodiscard]] std::string page(const std::string& title, const std::string& body);
/// A page of one plot, with its legend.
[[nodiscard]] std::string page(const std::string& title, const Plot&);

}  // namespace xpusim::report
