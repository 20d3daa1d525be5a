#include "xpusim/core/hash.h"

#include <fmt/format.h>

namespace xpusim {

std::string Hasher::hex() const { return fmt::format("{:016x}", state_); }

}  // namespace xpusim
