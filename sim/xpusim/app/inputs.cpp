#include "xpusim/app/inputs.h"

#include <filesystem>
#include <iostream>

#include "xpusim/app/say.h"
#include "xpusim/core/error.h"
#include "xpusim/report/file.h"

namespace xpusim::app {
namespace fs = std::filesystem;

config::Library open_library(const std::string& given) {
  std::error_code none;
  const fs::path executable = fs::read_symlink("/proc/self/exe", none);
  return jobs::open_library(
      given, {executable.parent_path() / ".." / "share" / "xpusim", XPUSIM_SOURCE_ROOT, XPUSIM_INSTALL_ROOT});
}

std::vector<jobs::Column> columns_of(const std::vector<std::string>& on) {
  std::vector<jobs::Column> columns;
  for (const std::string& text : on) columns.push_back(jobs::parse_column(text, "--on"));
  if (columns.empty()) columns.emplace_back();
  return columns;
}

config::Overrides overrides_of(const Common& c, const jobs::Column& column) {
  config::Overrides list;
  for (const std::string& text : c.set) list.push_back(config::parse_override(text));
  list.insert(list.end(), column.overrides.begin(), column.overrides.end());
  return list;
}

Fidelity fidelity_of(const Common& c) { return c.fidelity == "bound" ? Fidelity::Bound : Fidelity::Tile; }

void say_notes(const std::vector<Diagnostic>& notes) {
  for (const Diagnostic& note : notes) say("note: " + render({note}));
}

void write(const std::string& path, const std::string& text) {
  if (path == "-")
    std::cout << text;
  else if (!path.empty())
    report::write_file(path, text);
}

}  // namespace xpusim::app
