#include "xpusim/app/workers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <set>

namespace xpusim::app {
namespace {

const auto kSilent = [](std::size_t, std::size_t) {};

TEST(Workers, AnswerInTheOrderOfTheTasksWhateverTheirNumber) {
  for (const std::size_t jobs : {1, 2, 7, 100}) {
    const auto answers = in_processes(
        40, jobs, [](std::size_t i) { return std::string(i * i * 100, 'x'); }, kSilent);
    ASSERT_EQ(answers.size(), 40U);
    for (std::size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(answers[i].text.size(), i * i * 100);
  }
  EXPECT_TRUE(in_processes(
                  0, 4, [](std::size_t) { return std::string(); }, kSilent)
                  .empty());
}

TEST(Workers, AreProcesses) {
  const auto pid = [](std::size_t) {
    ::usleep(20'000);
    return std::to_string(::getpid());
  };
  std::set<std::string> seen{std::to_string(::getpid())};
  for (const Answer& a : in_processes(8, 2, pid, kSilent)) seen.insert(a.text);
  EXPECT_EQ(seen.size(), 3U);
}

TEST(Workers, HandOnWhatWentWrong) {
  const auto fails = [](std::size_t i) -> std::string {
    if (i == 3) throw std::runtime_error("no third");
    return "";
  };
  try {
    static_cast<void>(in_processes(9, 2, fails, kSilent));
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "no third");
  }
}

TEST(Workers, TellABugFromAFailure) {
  const auto breaks = [](std::size_t) -> std::string { throw std::logic_error("cannot be"); };
  EXPECT_THROW(static_cast<void>(in_processes(2, 2, breaks, kSilent)), std::logic_error);
}

TEST(Workers, SayThatOneDied) {
  const auto dies = [](std::size_t i) {
    if (i == 2) ::raise(SIGKILL);
    return std::string("alive");
  };
  EXPECT_THROW(static_cast<void>(in_processes(4, 2, dies, kSilent)), std::runtime_error);
}

}  // namespace
}  // namespace xpusim::app
