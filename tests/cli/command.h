#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/temporary_folder.h"

/// Runs xpusim without a shell.
namespace xpusim::test {

struct Outcome {
  int code = -1;    ///< exit code, or -1 when a signal ended it
  int signal = 0;   ///< that signal
  std::string out;  ///< stdout
  std::string err;  ///< stderr
};

/// A command in a fresh folder of its own.
class Command : public testing::Test {
 protected:
  using Arguments = std::vector<std::string>;

  /// Starts xpusim; its outputs go to files of the folder, or stdout to `stdout_file`.
  [[nodiscard]] pid_t start(const Arguments& arguments, const std::string& stdout_file = "stdout",
                            const char* program = XPUSIM_COMMAND) const {
    std::vector<char*> argv{const_cast<char*>(program)};
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child != 0) return child;
    if (::chdir(folder_.path().c_str()) != 0) ::_exit(126);
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    ::dup2(::open(stdout_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), STDOUT_FILENO);
    ::dup2(::open("stderr", O_WRONLY | O_CREAT | O_TRUNC, 0644), STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  [[nodiscard]] Outcome wait(pid_t child) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    Outcome o;
    if (WIFEXITED(status)) o.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) o.signal = WTERMSIG(status);
    o.out = read_text(folder_.path() / "stdout");
    o.err = read_text(folder_.path() / "stderr");
    return o;
  }
  [[nodiscard]] Outcome run(const Arguments& arguments, const std::string& stdout_file = "stdout") const {
    return wait(start(arguments, stdout_file));
  }
  /// Expects the exit code, nothing on stdout and exactly this on stderr.
  void expect_refusal(const Arguments& arguments, int code, const std::string& message) const {
    const Outcome o = run(arguments);
    EXPECT_EQ(o.code, code);
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err, message + "\n");
  }

  /// Writes a file into the folder where the commands run.
  void write(const std::string& name, const std::string& text) const { folder_.write(name, text); }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  std::map<std::string, std::string> environment;

 private:
  TemporaryFolder folder_;
};

inline const std::string kSources = XPUSIM_SOURCE_ROOT;
constexpr int kOk = 0, kUsage = 2, kInfeasible = 3;

}  // namespace xpusim::test
