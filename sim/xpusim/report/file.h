#pragma once
#include <string>

namespace xpusim::report {

/// Writes a file under a temporary name and renames it, so that an interrupted run leaves no half of one.
/// Creates missing folders. Throws std::runtime_error with the path and the reason.
void write_file(const std::string& path, const std::string& content);

}  // namespace xpusim::report
