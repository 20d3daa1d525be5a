#include "xpusim/core/error.h"

#include <fmt/format.h>

#include "xpusim/core/text.h"

namespace xpusim {

std::string render(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& d : diagnostics) {
    if (!text.empty()) text += '\n';
    text += visible(d.where.file);
    if (d.where.line > 0) text += fmt::format(":{}:{}", d.where.line, d.where.column);
    text += ": ";
    if (!d.path.empty()) text += visible(d.path) + ": ";
    text += visible(d.message);
    if (!d.hint.empty()) text += fmt::format(" ({})", visible(d.hint));
  }
  return text;
}

ConfigError::ConfigError(std::vector<Diagnostic> diagnostics)
    : std::runtime_error(render(diagnostics)), diagnostics_(std::move(diagnostics)) {}

namespace {

/// 1199980 as "1,199,980".
std::string grouped(std::size_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

}  // namespace

void MistakeList::raise() {
  if (empty()) return;
  if (all_ > listed_.size())
    listed_.push_back({{listed_.front().where.file, 0, 0},
                       "",
                       fmt::format("and {} more mistakes", grouped(all_ - listed_.size())),
                       ""});
  throw ConfigError(std::move(listed_));
}

void check_invariant(bool condition, const char* what) {
  if (!condition) throw ModelError(what);
}

}  // namespace xpusim
