#include "xpusim/app/say.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>

#include "xpusim/core/text.h"

namespace xpusim::app {
namespace {

constexpr unsigned kSeconds = 5;
constexpr std::string_view kAtTile =
    "note: still running after 5 s; --fidelity bound answers in milliseconds\n";
constexpr std::string_view kAtBound = "note: still running after 5 s\n";

/// Writes a text, over a line of progress on a terminal. What it calls may be called in a signal's handler.
template <const std::string_view& kText>
void write_text(int /*signal*/) {
  const int kept = errno;
  if (::isatty(STDERR_FILENO) == 1) static_cast<void>(!::write(STDERR_FILENO, "\r", 1));
  static_cast<void>(!::write(STDERR_FILENO, kText.data(), kText.size()));
  errno = kept;
}

}  // namespace

void say(std::string_view text) {
  std::string lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines += visible(text.substr(0, end)) + '\n';
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  static_cast<void>(std::fwrite(lines.data(), 1, lines.size(), stderr));
}

Patience::Patience(bool at_tile) {
  struct sigaction action {};
  action.sa_handler = at_tile ? write_text<kAtTile> : write_text<kAtBound>;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
  ::alarm(kSeconds);
}

Patience::~Patience() { ::alarm(0); }

void hold_closed_streams() {
  int fd = 0;
  do fd = ::open("/dev/null", O_RDONLY);  // what is written to it fails, as it should
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

}  // namespace xpusim::app
