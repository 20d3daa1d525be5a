#pragma once
#include <string>
#include <vector>

#include "xpusim/app/commands.h"

namespace xpusim::app {

struct ValidateArguments {
  std::string chip;  ///< replaces the chip that the sets name
  std::vector<std::string> files;
  std::size_t worst = 5;
  std::string html;  ///< file for a page with plots; empty: none
};
/// Replays measured sets and prints the errors per set.
void validate(const Common&, const ValidateArguments&);

}  // namespace xpusim::app
