#pragma once
#include <cstddef>
#include <string>

namespace xpusim {

/// The bytes of a file; of one with more than `most`, a beginning that has more, too. A pipe is read while
/// somebody writes to it. Throws ConfigError: there is none, it may not be read, it is a folder or a device,
/// or nobody writes to the pipe.
[[nodiscard]] std::string read_bytes(const std::string& path, std::size_t most);

}  // namespace xpusim
