#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "support/temporary_folder.h"
#include "xpusim/core/error.h"
#include "xpusim/core/file.h"

/// Whatever is named as an input, reading it ends.
namespace xpusim {
namespace {

std::string refusal(const std::function<void()>& read) {
  try {
    read();
  } catch (const ConfigError& e) {
    return e.diagnostics().front().message + " | " + e.diagnostics().front().hint;
  }
  return "read";
}

TEST(ReadBytes, TakesAFileUpToALimitAndOne) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("f", std::string(100'000, 'x'));
  EXPECT_EQ(read_bytes(file, 1 << 20).size(), 100'000U);
  EXPECT_GT(read_bytes(file, 50'000).size(), 50'000U) << "there is more";
  EXPECT_EQ(read_bytes(folder.write("empty", ""), 10), "");
}

TEST(ReadBytes, RefusesWhatIsNoFile) {
  const test::TemporaryFolder folder;
  const auto reads = [&](const std::string& path) {
    return refusal([&] { static_cast<void>(read_bytes(path, 100)); });
  };
  EXPECT_EQ(reads(folder.path() / "none"), "there is no such file | ");
  EXPECT_EQ(reads(folder.write("f", "") + "/below"), "there is no such file | ");
  EXPECT_EQ(reads(folder.path()), "is a folder | name a file in it");
  EXPECT_EQ(reads("/dev/zero"), "is not a regular file | name a file");
}

TEST(ReadBytes, TakesAPipeThatSomebodyWritesTo) {
  const test::TemporaryFolder folder;
  const std::string pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(refusal([&] { static_cast<void>(read_bytes(pipe, 100)); }),
            "is not a regular file | a pipe that nobody writes to");
  const int both = ::open(pipe.c_str(), O_RDWR);  // Linux: does not wait for the other end
  ASSERT_GE(both, 0);
  const pid_t writer = ::fork();
  if (writer == 0) {
    ::usleep(50'000);
    ::_exit(::write(both, "text", 4) == 4 ? 0 : 1);
  }
  ::close(both);
  EXPECT_EQ(read_bytes(pipe, 100), "text");
}

}  // namespace
}  // namespace xpusim
