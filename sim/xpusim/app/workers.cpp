#include "xpusim/app/workers.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace xpusim::app {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

/// The number of the next task, in memory that all processes share.
class SharedCounter {
 public:
  SharedCounter() {
    void* page = ::mmap(nullptr, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) fail("mmap");
    next_ = new (page) Counter(0);
  }
  ~SharedCounter() { ::munmap(next_, sizeof(Counter)); }
  SharedCounter(const SharedCounter&) = delete;
  SharedCounter& operator=(const SharedCounter&) = delete;
  [[nodiscard]] std::size_t take() { return next_->fetch_add(1); }

 private:
  using Counter = std::atomic<std::size_t>;
  static_assert(Counter::is_always_lock_free, "shared between processes");
  Counter* next_;
};

enum class Outcome : std::uint64_t { Done, Failed, Bug };  // else the text is what went wrong

/// In front of each answer on a pipe.
struct Header {
  std::uint64_t task = 0, size = 0;
  Outcome outcome = Outcome::Done;
  double seconds = 0;
};

void write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1);  // nobody listens any more
    data += n;
    size -= static_cast<std::size_t>(n);
  }
}

void answer(int fd, std::size_t task, const std::string& text, Outcome outcome, double seconds) {
  const Header h{task, text.size(), outcome, seconds};
  write_all(fd, reinterpret_cast<const char*>(&h), sizeof h);
  write_all(fd, text.data(), text.size());
}

[[noreturn]] void work(int fd, SharedCounter& next, std::size_t count,
                       const std::function<std::string(std::size_t)>& task) {
  for (std::size_t i = next.take(); i < count; i = next.take()) {
    const auto begin = std::chrono::steady_clock::now();
    std::string text;
    Outcome outcome = Outcome::Done;
    try {
      text = task(i);
    } catch (const std::logic_error& e) {
      text = e.what();
      outcome = Outcome::Bug;
    } catch (const std::exception& e) {
      text = e.what();
      outcome = Outcome::Failed;
    }
    answer(fd, i, text, outcome,
           std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  ::_exit(0);  // no destructor and no buffer of the parent's
}

/// One process and what it has said so far.
struct Worker {
  pid_t pid = -1;
  int fd = -1;
  std::string said;
};

class Pool {
 public:
  Pool(std::size_t count, std::size_t jobs, const std::function<std::string(std::size_t)>& task)
      : answers_(count) {
    const pid_t parent = ::getpid();
    for (std::size_t j = 0; j < std::clamp<std::size_t>(jobs, 1, std::max<std::size_t>(count, 1)); ++j) {
      int ends[2];
      if (::pipe(ends) != 0) fail("pipe");
      const pid_t pid = ::fork();
      if (pid < 0) fail("fork");
      if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // an interrupted check leaves no process behind
        if (::getppid() != parent) ::_exit(1);
        ::close(ends[0]);
        for (const Worker& w : workers_) ::close(w.fd);
        work(ends[1], next_, count, task);
      }
      ::close(ends[1]);
      workers_.push_back({pid, ends[0], {}});
    }
  }
  ~Pool() {
    for (Worker& w : workers_) {
      if (w.fd < 0) continue;
      ::kill(w.pid, SIGKILL);
      close(w);
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  std::vector<Answer> collect(const std::function<void(std::size_t, std::size_t)>& done) {
    while (std::any_of(workers_.begin(), workers_.end(), [](const Worker& w) { return w.fd >= 0; })) {
      std::vector<pollfd> open;
      for (const Worker& w : workers_) open.push_back({w.fd, POLLIN, 0});  // poll skips those below 0
      if (::poll(open.data(), open.size(), -1) < 0 && errno != EINTR) fail("poll");
      for (std::size_t i = 0; i < open.size(); ++i)
        if (open[i].revents != 0) listen(workers_[i]);
      done(done_, answers_.size());
    }
    if (done_ < answers_.size())
      throw std::runtime_error("a process of this check died; is there memory enough?");
    return std::move(answers_);
  }

 private:
  void listen(Worker& w) {
    char buffer[1 << 16];
    const ssize_t n = ::read(w.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) return close(w);
    w.said.append(buffer, static_cast<std::size_t>(n));
    Header h;
    while (w.said.size() >= sizeof h) {
      std::memcpy(&h, w.said.data(), sizeof h);
      if (w.said.size() < sizeof h + h.size) return;
      std::string text = w.said.substr(sizeof h, h.size);
      w.said.erase(0, sizeof h + h.size);
      if (h.outcome == Outcome::Bug) throw std::logic_error(text);
      if (h.outcome == Outcome::Failed) throw std::runtime_error(text);
      answers_.at(h.task) = {std::move(text), h.seconds};
      ++done_;
    }
  }
  static void close(Worker& w) {
    ::close(w.fd);
    w.fd = -1;
    ::waitpid(w.pid, nullptr, 0);
  }

  SharedCounter next_;
  std::vector<Worker> workers_;
  std::vector<Answer> answers_;
  std::size_t done_ = 0;
};

}  // namespace

std::vector<Answer> in_processes(std::size_t count, std::size_t jobs,
                                 const std::function<std::string(std::size_t)>& task,
                                 const std::function<void(std::size_t, std::size_t)>& done) {
  return Pool(count, jobs, task).collect(done);
}

}  // namespace xpusim::app
