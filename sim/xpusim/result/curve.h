#pragma once
#include <string>
#include <vector>

namespace xpusim::result {

struct CurvePoint {
  double x = 0, y = 0;
  std::string label;  ///< shown beside the point
};

struct Curve {
  std::string name;  ///< empty: a lone curve needs none
  std::vector<CurvePoint> points;
};

/// What a page of curves shows. x counts bytes (powers of two, with units) or things.
struct CurvePage {
  std::string title, x_name, y_name;
  bool x_is_bytes = false;
};

/// A page that needs nothing else: y over x, both axes logarithmic. Needs a point.
[[nodiscard]] std::string curve_html(const CurvePage&, const std::vector<Curve>&);

}  // namespace xpusim::result
