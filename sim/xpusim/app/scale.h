#pragma once
#include <string>
#include <vector>

#include "xpusim/app/commands.h"

namespace xpusim::app {

struct ScaleArguments {
  std::string scenario, chips;
  std::vector<std::string> on;
  bool weak = false, strong = false;
  std::string html;
};

/// A training scenario over numbers of chips, on one or more systems.
void scale(const Common&, const ScaleArguments&);

}  // namespace xpusim::app
