#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

/// Processes for work that cannot share one: the event kernel is one of a process.
namespace xpusim::app {

/// What a task returned, and how long it took.
struct Answer {
  std::string text;
  double seconds = 0;
};

/// Runs task(0) to task(count - 1) in up to `jobs` forked processes, each taking the next as it gets free,
/// and returns what they returned, by number. `done`: called with (tasks done, tasks in all). Throws
/// std::runtime_error with a task's own message when it threw (std::logic_error when it threw one), or when
/// its process died.
[[nodiscard]] std::vector<Answer> in_processes(std::size_t count, std::size_t jobs,
                                               const std::function<std::string(std::size_t)>& task,
                                               const std::function<void(std::size_t, std::size_t)>& done);

}  // namespace xpusim::app
