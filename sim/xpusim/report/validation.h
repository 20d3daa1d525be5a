#pragma once
#include <string>
#include <vector>

#include "xpusim/report/format.h"
#include "xpusim/validation/replay.h"

namespace xpusim::report {

/// One line per set, then its `worst` rows with what bounds them, then what was skipped and why.
[[nodiscard]] std::string to_table(const std::vector<validation::SetReport>&, std::size_t worst);

/// {"schema": "xpusim.validation/1", "sets": [{"file", "chip", "op", "rows", "skipped", "mape_pct", ...}]}
[[nodiscard]] Json to_json(const std::vector<validation::SetReport>&, std::size_t worst);

/// A page that needs nothing else: the table, each set's points, its `worst` rows.
[[nodiscard]] std::string to_html(const std::vector<validation::SetReport>&, std::size_t worst);

}  // namespace xpusim::report
