#pragma once
#include <string>
#include <vector>

#include "xpusim/app/commands.h"

namespace xpusim::app {

struct CollectiveArguments {
  std::string system, kind;
  std::vector<std::string> parameters;
  std::vector<std::string>
      beside;         ///< further collectives, "KIND key=value ...", that start at the same time
  std::string sweep;  ///< "size=FROM..TO"; empty: one size
  std::string html;   ///< file for the sweep's curve; empty: none
};
/// Times one collective, or a sweep over its size.
void collective(const Common&, const CollectiveArguments&);

}  // namespace xpusim::app
