#include "xpusim/core/error.h"

#include <fmt/format.h>

namespace xpusim {

std::string render(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& d : diagnostics) {
    if (!text.empty()) text += '\n';
    text += d.where.file;
    if (d.where.line > 0) text += fmt::format(":{}:{}", d.where.line, d.where.column);
    text += ": ";
    if (!d.path.empty()) text += d.path + ": ";
    text += d.message;
    if (!d.hint.empty()) text += fmt::format(" ({})", d.hint);
  }
  return text;
}

ConfigError::ConfigError(std::vector<Diagnostic> diagnostics)
    : std::runtime_error(render(diagnostics)), diagnostics_(std::move(diagnostics)) {}

void check_invariant(bool condition, const char* what) {
  if (!condition) throw ModelError(what);
}

}  // namespace xpusim
