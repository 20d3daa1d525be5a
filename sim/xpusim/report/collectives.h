#pragma once
#include <string>

#include "xpusim/network/collective.h"
#include "xpusim/report/format.h"
#include "xpusim/spec/fidelity.h"

namespace xpusim::report {

[[nodiscard]] Json to_json(const network::Call&, const network::CollectiveTime&);
/// {"schema": "xpusim.collective/1", ..., "results": [...]}.
[[nodiscard]] Json to_document(const SystemSpec&, Fidelity, const std::string& config_hash, Json results);

[[nodiscard]] std::string title_of(const network::Call&, const SystemSpec&, Fidelity);
[[nodiscard]] std::string to_text(const network::Call&, const network::CollectiveTime&);
/// The columns of nccl-tests, out of place.
[[nodiscard]] std::string sweep_head(const std::string& title);
[[nodiscard]] std::string sweep_line(const network::Call&, const network::CollectiveTime&, Dtype);

}  // namespace xpusim::report
