#pragma once
#include <string_view>

namespace xpusim::result {

/// The version of XPUSim, e.g. "0.1.0".
[[nodiscard]] std::string_view version();

}  // namespace xpusim::result
