#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "xpusim/validation/replay.h"

namespace xpusim::validation {

/// One line per set, then its `worst` rows with what bounds them, then what was skipped and why.
[[nodiscard]] std::string to_table(const std::vector<SetReport>&, std::size_t worst);

/// {"schema": "xpusim.validation/1", "sets": [{"file", "chip", "op", "rows", "skipped", "mape_pct", ...}]}
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<SetReport>&, std::size_t worst);

/// A page that needs nothing else: the table, each set's points, its `worst` rows.
[[nodiscard]] std::string to_html(const std::vector<SetReport>&, std::size_t worst);

/// The samples by falling error, `count` of them at most.
[[nodiscard]] std::vector<Sample> worst_samples(const SetReport&, std::size_t count);

}  // namespace xpusim::validation
