#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "xpusim/app/commands.h"

namespace xpusim::app {

struct CheckArguments {
  std::string suite, baseline;
  bool update = false;
  std::string reason;                                      ///< of --update
  std::size_t jobs = 0;                                    ///< processes; 0: one per core
  std::vector<std::string> only;                           ///< cases
  std::string markdown, junit, github_benchmark, bencher;  ///< files to write
};

/// Runs a suite and compares it with its baseline, or writes that anew. Returns whether all is as it was.
[[nodiscard]] bool check(const Common&, const CheckArguments&);

}  // namespace xpusim::app
