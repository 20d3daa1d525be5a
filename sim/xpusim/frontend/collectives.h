#pragma once
#include <string>
#include <vector>

#include "xpusim/config/library.h"
#include "xpusim/network/collective.h"
#include "xpusim/spec/fidelity.h"

/// From words to a collective's time.
namespace xpusim::frontend {

/// What is asked, in words.
struct CollectiveWords {
  std::string system, kind;
  std::vector<std::string> parameters;  ///< key=value
  std::vector<std::string> beside;      ///< "KIND key=value ...": start at the same time
};

/// The calls, read and checked, and the system with the level inside its packages.
struct CollectiveInputs {
  network::Call call;
  std::vector<network::Call> beside;
  Dtype dtype = Dtype::Fp32;
  SystemSpec system;
  std::string config;  ///< resolved system, as YAML
};
[[nodiscard]] CollectiveInputs load_collective(const config::Library&, const CollectiveWords&,
                                               const config::Overrides&);

[[nodiscard]] network::CollectiveTime time_of(const CollectiveInputs&, Fidelity);

/// Of inputs, words, fidelity and version.
[[nodiscard]] std::string hash_of(const CollectiveInputs&, const CollectiveWords&, Fidelity);

}  // namespace xpusim::frontend
