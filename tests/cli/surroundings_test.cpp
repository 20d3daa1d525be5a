#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "cli/command.h"

/// Streams that are closed, files that are none, and a machine that takes its time.
namespace xpusim::test {
namespace {

class Surroundings : public Command {
 protected:
  const Arguments product_{"op", "--chip", "h100_sxm", "gemm", "m=64", "n=64", "k=64"};

  /// The same through a shell, for its redirections.
  [[nodiscard]] Outcome shell(const std::string& redirection, const Arguments& arguments) const {
    Arguments all{"sh", "-c", "exec \"$0\" \"$@\" " + redirection, XPUSIM_COMMAND};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<std::string> rest(all.begin() + 1, all.end());
    return wait(start(rest, "stdout", "/bin/sh"));
  }
  void pipe(const std::string& name) const { ASSERT_EQ(::mkfifo(path(name).c_str(), 0600), 0); }
};

TEST_F(Surroundings, ClosedStreamsAreAnErrorAndNoCrash) {
  const Outcome both = shell(">&- 2>&-", product_);
  EXPECT_EQ(both.code, kUsage) << both.signal;
  const Outcome out = shell(">&-", product_);
  EXPECT_EQ(out.code, kUsage);
  EXPECT_EQ(out.err, "xpusim: stdout: cannot write the result\n");
  EXPECT_EQ(shell("2>&-", product_).code, kOk) << "nobody wants notes";
}

TEST_F(Surroundings, AFileDoesNotGetWhatIsPrinted) {
  Arguments a = product_;
  a.insert(a.end(), {"--json", "result.json"});
  EXPECT_EQ(shell(">&-", a).code, kUsage);
  EXPECT_EQ(read_text(path("result.json")).front(), '{');
}

TEST_F(Surroundings, HelpThatCannotBeWrittenIsAnError) {
  EXPECT_EQ(run({"--help"}, "/dev/full").code, kUsage);
  EXPECT_EQ(run({"--version"}, "/dev/full").code, kUsage);
  EXPECT_EQ(run({"--version"}).code, kOk);
}

TEST_F(Surroundings, WhatIsNoFileIsRefusedByEveryReader) {
  pipe("pipe.yaml");
  const auto is_refused = [&](const Arguments& a, const std::string& file, const std::string& why) {
    expect_refusal(a, kUsage, file + ": " + why);
  };
  for (const auto& [file, why] : {std::pair<std::string, std::string>{
                                      "./pipe.yaml", "is not a regular file (a pipe that nobody writes to)"},
                                  {"/dev/zero", "is not a regular file (name a file)"},
                                  {"./", "is a folder (name a file in it)"}}) {
    is_refused({"op", "--chip", file, "gemm", "m=1", "n=1", "k=1"}, file, why);
    is_refused({"run", file}, file, why);
    is_refused({"validate", file}, file, why);
    is_refused({"check", file}, file, why);
    is_refused({"check", kSources + "/tests/golden/standard.yaml", "--baseline", file}, file, why);
    is_refused({"config", "check", "--kind", "chip", file}, file, why);
    is_refused({"model", "import", file}, file, why);
    is_refused(
        {"collective", "--system", "dgx_h100", "all_to_all", "ranks=4", "size=1MiB", "traffic=" + file}, file,
        why);
  }
}

TEST_F(Surroundings, AnOutputThatNobodyReadsIsRefused) {
  pipe("pipe");
  Arguments a = product_;
  a.insert(a.end(), {"--json", "pipe"});
  const Outcome o = run(a);
  EXPECT_EQ(o.code, kUsage);
  EXPECT_EQ(o.err, "xpusim: pipe: cannot write the file (nobody reads the pipe)\n");
}

TEST_F(Surroundings, AnOutputMayBeAPipeThatIsRead) {
  pipe("pipe");
  const Outcome o = shell("--json pipe & cat pipe > copy; wait", product_);
  EXPECT_EQ(o.code, kOk) << o.err;
  EXPECT_EQ(read_text(path("copy")).front(), '{');
}

TEST_F(Surroundings, AFloodOfMistakesIsCutAndCounted) {
  std::string set = "# chip=h100_sxm op=gemm_bf16\nm,n,k,time_us\n";
  for (int i = 0; i < 5000; ++i) set += "x,y,z,w\n";
  write("set.csv", set);
  const Outcome o = run({"validate", "set.csv"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 21) << o.err;
  EXPECT_NE(o.err.find("set.csv: and 19,980 more mistakes\n"), std::string::npos) << o.err;
}

TEST_F(Surroundings, EscapesOfTerminalsAreShownNotSent) {
  for (const Arguments& a :
       {Arguments{"op", "--chip", "\x1b[31mred", "gemm", "m=1"}, Arguments{"run", "\x1b[31mred"},
        Arguments{"run", "--on",
                  "\xc2\x9b"
                  "31m",
                  "x"},
        Arguments{"op", "--chip", "h100_sxm", "\x1b]0;title\x07"}, Arguments{"--\x1b[31mred"},
        Arguments{"collective", "--system", "dgx_h100", "all_reduce", "ranks=8", "size=1MiB",
                  "library=\x1b[31mred"}}) {
    const Outcome o = run(a);
    EXPECT_NE(o.code, kOk);
    EXPECT_EQ(o.err.find('\x1b'), std::string::npos) << o.err;
    EXPECT_EQ(o.err.find("\xc2\x9b"), std::string::npos) << o.err;
  }
}

TEST_F(Surroundings, ACommandWithoutItsSubcommandGetsAnExample) {
  const std::string more = "\nRun with --help for more information.";
  expect_refusal({}, kUsage, "A subcommand is required (e.g. xpusim run llama31_8b_decode)" + more);
  expect_refusal({"config"}, kUsage, "A subcommand is required (e.g. xpusim config check FILE)" + more);
}

/// What takes so long here is a pipe that nobody empties.
TEST_F(Surroundings, ALongRunSaysThatItIsOne) {
  pipe("pipe");
  const int both = ::open(path("pipe").c_str(), O_RDWR);
  const pid_t child =
      start({"compare", "llama31_8b_training", "--on", "dgx_h100", "--on", "dgx_h100", "--json", "pipe"});
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::seconds(60);
  std::string said;
  const std::string note = "note: still running after 5 s; --fidelity bound answers in milliseconds\n";
  while (said.find(note) == std::string::npos && Clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    said = read_text(path("stderr"));
  }
  ::kill(child, SIGKILL);
  static_cast<void>(wait(child));
  ::close(both);
  EXPECT_NE(said.find(note), std::string::npos) << said;
}

}  // namespace
}  // namespace xpusim::test
