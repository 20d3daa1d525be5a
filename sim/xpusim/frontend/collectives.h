#pragma once
#include <nlohmann/json_fwd.hpp>
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

[[nodiscard]] nlohmann::ordered_json to_json(const network::Call&, const network::CollectiveTime&);
/// {"schema": "xpusim.collective/1", ..., "results": [...]}, with the hash of inputs, words and version.
[[nodiscard]] nlohmann::ordered_json to_document(const CollectiveInputs&, const CollectiveWords&, Fidelity,
                                                 nlohmann::ordered_json results);

}  // namespace xpusim::frontend
