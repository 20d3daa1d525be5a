#include "xpusim/core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "xpusim/core/error.h"

namespace xpusim {
namespace {

class Descriptor {
 public:
  /// Without waiting for whoever is to write to a pipe.
  explicit Descriptor(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void refuse(const std::string& path, const std::string& what, const std::string& hint) {
  throw ConfigError(Diagnostic{{path, 0, 0}, "", what, hint});
}

[[noreturn]] void refuse_to_read(const std::string& path, int reason) {
  if (reason == ENOENT || reason == ENOTDIR || reason == ENAMETOOLONG || reason == ELOOP)
    refuse(path, "there is no such file", "");
  refuse(path, "cannot read the file",
         reason == EACCES ? "may you read it?" : std::generic_category().message(reason));
}

}  // namespace

std::string read_bytes(const std::string& path, std::size_t most) {
  const Descriptor file(path);
  if (file.get() < 0) refuse_to_read(path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) refuse_to_read(path, errno);
  const bool is_pipe = S_ISFIFO(status.st_mode);
  if (S_ISDIR(status.st_mode)) refuse(path, "is a folder", "name a file in it");
  if (!S_ISREG(status.st_mode) && !is_pipe) refuse(path, "is not a regular file", "name a file");
  ::fcntl(file.get(), F_SETFL, 0);  // from here on, wait
  std::string text;
  std::array<char, 1 << 14> chunk{};
  while (text.size() <= most) {
    const ssize_t n = ::read(file.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse_to_read(path, errno);
    if (n == 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  if (is_pipe && text.empty()) refuse(path, "is not a regular file", "a pipe that nobody writes to");
  return text;
}

}  // namespace xpusim
