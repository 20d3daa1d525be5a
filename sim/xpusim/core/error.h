#pragma once
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace xpusim {

/// Where a value was written: line and column count from 1; 0 where there is no line (a --set, a default).
struct SourceLocation {
  std::string file;
  int line = 0;
  int column = 0;
};

/// One mistake in an input: where, what with the value, and what would be right.
struct Diagnostic {
  SourceLocation where;
  std::string path;     ///< dotted key path, e.g. "chip.hbm.bandwidth"; may be empty
  std::string message;  ///< what is wrong, with the offending value
  std::string hint;     ///< what would be right; may be empty
};

/// "file:line:col: key.path: message (hint)" per diagnostic, one a line, fit for a terminal.
[[nodiscard]] std::string render(const std::vector<Diagnostic>& diagnostics);

/// An input file, option or override is wrong. Thrown once per load with every mistake found.
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(std::vector<Diagnostic> diagnostics);
  explicit ConfigError(Diagnostic diagnostic) : ConfigError(std::vector{std::move(diagnostic)}) {}
  [[nodiscard]] const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

 private:
  std::vector<Diagnostic> diagnostics_;
};

/// Mistakes as they are found: the first `most` of them, and the number of all. Who has more of them has one
/// mistake, many times.
class MistakeList {
 public:
  explicit MistakeList(std::size_t most = 20) : most_(most) {}
  void push_back(Diagnostic d) {
    if (++all_ <= most_) listed_.push_back(std::move(d));
  }
  [[nodiscard]] bool empty() const { return all_ == 0; }
  [[nodiscard]] bool are_many() const { return all_ >= most_; }
  [[nodiscard]] std::vector<Diagnostic>& listed() { return listed_; }
  /// Throws ConfigError if there are any.
  void raise();

 private:
  std::size_t most_, all_ = 0;
  std::vector<Diagnostic> listed_;
};

/// The input is well-formed, but this workload cannot run on this chip or system (memory, buffers, data
/// types).
class InfeasibleError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A broken invariant of the simulator itself.
class ModelError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws ModelError with `what` when `condition` is false. On in release builds.
void check_invariant(bool condition, const char* what);

}  // namespace xpusim
