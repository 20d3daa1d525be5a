#include "xpusim/app/inputs.h"

#include <filesystem>
#include <iostream>

#include "xpusim/core/error.h"
#include "xpusim/frontend/inputs.h"
#include "xpusim/report/file.h"

namespace xpusim::app {
namespace fs = std::filesystem;

config::Library open_library(const std::string& given) {
  std::error_code none;
  const fs::path executable = fs::read_symlink("/proc/self/exe", none);
  return frontend::open_library(
      given, {executable.parent_path() / ".." / "share" / "xpusim", XPUSIM_SOURCE_ROOT, XPUSIM_INSTALL_ROOT});
}

config::Overrides overrides_of(const Common& c) {
  config::Overrides list;
  for (const std::string& text : c.set) list.push_back(config::parse_override(text));
  return list;
}

Fidelity fidelity_of(const Common& c) { return c.fidelity == "bound" ? Fidelity::Bound : Fidelity::Tile; }

void write(const std::string& path, const std::string& text) {
  if (path == "-")
    std::cout << text;
  else if (!path.empty())
    report::write_file(path, text);
}

}  // namespace xpusim::app
