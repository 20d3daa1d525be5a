#pragma once
#include "xpusim/jobs/job.h"

/// The loaders that take more than a look into the library; load() (jobs/job.h) calls them.
namespace xpusim::jobs {

[[nodiscard]] CollectiveJob load_collective(const config::Library&, const Subject&, const std::string& system,
                                            const config::Overrides&);

/// `chip`: replaces the chip that the set names; empty: it does not.
[[nodiscard]] ValidationJob load_validation(const config::Library&, const std::string& file,
                                            const std::string& chip, const config::Overrides&);

}  // namespace xpusim::jobs
