#include "fuzz/config_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    xpusim::test::read_config_input({reinterpret_cast<const char*>(data), size});
  } catch (const xpusim::ConfigError&) {  // the only way to say no
  }
  return 0;
}
