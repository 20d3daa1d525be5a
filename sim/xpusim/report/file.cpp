#include "xpusim/report/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace xpusim::report {
namespace {

[[noreturn]] void refuse_to_write(const std::string& path, const std::string& reason) {
  throw std::runtime_error(path + ": cannot write the file (" + reason + ")");
}

/// Makes sure that a pipe has a reader, for whom a writer would wait, and stays one itself so that it keeps
/// him.
class Reader {
 public:
  Reader(const std::string& path, const std::filesystem::path& file)
      : fd_(::open(file.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) {
    if (fd_ >= 0) return;
    refuse_to_write(path, errno == ENXIO ? "nobody reads the pipe" : std::generic_category().message(errno));
  }
  ~Reader() { ::close(fd_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

 private:
  int fd_;
};

/// Writes and closes; throws with the system's reason.
void write_bytes(const std::string& path, const std::filesystem::path& file, const std::string& content) {
  errno = 0;
  std::ofstream out(file, std::ios::binary);
  out << content;
  out.close();
  if (out) return;
  const int reason = errno;
  std::error_code none;
  if (std::filesystem::is_regular_file(file, none)) std::filesystem::remove(file, none);
  refuse_to_write(path, std::generic_category().message(reason == 0 ? EIO : reason));
}

}  // namespace

void write_file(const std::string& path, const std::string& content) {
  namespace fs = std::filesystem;
  std::error_code failed;
  fs::path target(path);
  if (fs::is_symlink(target, failed)) target = fs::weakly_canonical(target, failed);  // the link stays
  if (fs::is_directory(target, failed)) refuse_to_write(path, "it is a folder");
  if (fs::exists(target, failed) && !fs::is_regular_file(target, failed)) {
    const Reader reader(path, target);
    return write_bytes(path, target, content);  // a device or pipe is never replaced
  }
  if (target.has_parent_path()) fs::create_directories(target.parent_path(), failed);
  const fs::path partial = target.string() + ".partial." + std::to_string(::getpid());
  write_bytes(path, partial, content);
  fs::rename(partial, target, failed);
  if (!failed) return;
  const std::string reason = failed.message();
  fs::remove(partial, failed);
  refuse_to_write(path, reason);
}

}  // namespace xpusim::report
