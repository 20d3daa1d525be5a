#pragma once
#include <string>
#include <vector>

namespace xpusim::result {

struct CurvePoint {
  double bytes = 0, gb_per_s = 0;
  std::string label;
};

/// A page that needs nothing else: bus bandwidth over message size, both axes logarithmic.
[[nodiscard]] std::string curve_html(const std::string& title, const std::vector<CurvePoint>&);

}  // namespace xpusim::result
