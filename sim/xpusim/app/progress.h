#pragma once
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace xpusim::app {

/// A line on a terminal's stderr, from a second into the run on.
class Progress {
 public:
  Progress(std::string what, std::string unit) : what_(std::move(what)), unit_(std::move(unit)) {}
  ~Progress() {
    if (shown_) fmt::print(stderr, "\r{:{}}\r", "", kWidth);
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::size_t done, std::size_t all) {
    if (::isatty(STDERR_FILENO) == 0) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - begin_ < std::chrono::seconds(1) || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    shown_ = true;
    fmt::print(stderr, "\r{:<{}.{}}", fmt::format("{}: {} of {} {}", what_, done, all, unit_), kWidth,
               kWidth);
    std::fflush(stderr);
  }

 private:
  static constexpr int kWidth = 79;
  std::string what_, unit_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now(), last_;
  bool shown_ = false;
};

}  // namespace xpusim::app
