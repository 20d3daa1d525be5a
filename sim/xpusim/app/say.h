#pragma once
#include <string_view>

/// What goes to stderr. Who closed it does not want to hear.
namespace xpusim::app {

/// A text and a newline, control characters but its newlines escaped.
void say(std::string_view text);

/// Says once that a command has taken five seconds, and what would be faster. An alarm does, not a thread:
/// the event kernel and its processes have none.
class Patience {
 public:
  explicit Patience(bool at_tile);
  ~Patience();
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;
};

/// A file that is opened must not get the number of a standard stream that was closed before the start: it
/// would be given what is printed.
void hold_closed_streams();

}  // namespace xpusim::app
