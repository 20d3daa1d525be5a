#include "xpusim/des/calendar.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <systemc>

#include "xpusim/core/error.h"

// libsystemc.so wants an sc_main although nobody calls it: XPUSim elaborates and starts the kernel by itself.
// libsystemc.so also exports a main() that would call this one, so it fails loudly.
extern "C" __attribute__((visibility("default"))) int sc_main(int /*argc*/, char* /*argv*/[]) {
  std::fputs("xpusim: linked against SystemC's main; link your own main first\n", stderr);
  return 1;
}

namespace xpusim::des {
namespace {

/// A fresh kernel for one run. The two globals are in SystemC's public header but outside IEEE 1666.
class SimContext {
 public:
  SimContext() : context_(new sc_core::sc_simcontext) {
    sc_core::sc_curr_simcontext = sc_core::sc_default_global_context = context_;
    sc_core::sc_set_time_resolution(1, sc_core::SC_PS);
    sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
    sc_core::sc_report_handler::set_actions(sc_core::SC_FATAL, sc_core::SC_THROW);
  }
  ~SimContext() {
    delete context_;
    sc_core::sc_curr_simcontext = sc_core::sc_default_global_context = nullptr;
  }
  SimContext(const SimContext&) = delete;
  SimContext& operator=(const SimContext&) = delete;

 private:
  sc_core::sc_simcontext* context_;
};

/// Orders the actors' turns by (time, index). One kernel event is armed at the earliest turn.
class Calendar : public sc_core::sc_module {
 public:
  SC_HAS_PROCESS(Calendar);
  Calendar(sc_core::sc_module_name name, const std::vector<Actor*>& actors, Bell* bell)
      : sc_module(name), actors_(actors), bell_(bell) {
    for (std::uint32_t i = 0; i < actors.size(); ++i) heap_.push_back({0, i});
    SC_METHOD(wake);
    sensitive << due_;
  }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }
  [[nodiscard]] std::int64_t last() const { return last_; }

 private:
  struct Turn {
    std::int64_t time;
    std::uint32_t actor;
    bool operator<(const Turn& o) const { return time != o.time ? time < o.time : actor < o.actor; }
  };

  void wake() {
    if (heap_.empty()) return;
    try {
      take_turns_of(heap_.front().time);
    } catch (...) {
      failure_ = std::current_exception();  // SystemC would turn it into an sc_report and lose its type
      heap_.clear();
    }
    if (heap_.empty()) return;
    const auto wait = static_cast<sc_dt::uint64>(heap_.front().time - last_);
    due_.notify(sc_core::sc_time::from_value(wait));
  }

  void take_turns_of(std::int64_t now) {
    last_ = now;
    while (!heap_.empty() && heap_.front().time == now) {
      const std::uint32_t actor = heap_.front().actor;
      const std::int64_t next = actors_[actor]->turn(now);
      if (next == Actor::kIdle)
        remove_top();
      else
        replace_top({std::max(next, now), actor});
      if (bell_ != nullptr && !bell_->rung().empty()) add_rung(now);
    }
  }

  void add_rung(std::int64_t now) {
    for (const auto& [time, actor] : bell_->rung()) {
      check_invariant(actor < actors_.size(), "a bell for an actor that is not there");
      sift_up({std::max(time, now), actor});
    }
    bell_->silence();
  }

  // A 4-ary heap: half the depth of a binary one, and the four children share a cache line.
  void sift_down(Turn turn) {
    const std::size_t n = heap_.size();
    std::size_t i = 0;
    for (std::size_t child = 1; child < n; child = 4 * i + 1) {
      std::size_t best = child;
      for (std::size_t c = child + 1; c < std::min(child + 4, n); ++c)
        if (heap_[c] < heap_[best]) best = c;
      if (!(heap_[best] < turn)) break;
      heap_[i] = heap_[best];
      i = best;
    }
    heap_[i] = turn;
  }
  void sift_up(Turn turn) {
    heap_.push_back(turn);
    std::size_t i = heap_.size() - 1;
    for (; i > 0 && turn < heap_[(i - 1) / 4]; i = (i - 1) / 4) heap_[i] = heap_[(i - 1) / 4];
    heap_[i] = turn;
  }
  void replace_top(Turn turn) { sift_down(turn); }
  void remove_top() {
    const Turn last = heap_.back();
    heap_.pop_back();
    if (!heap_.empty()) sift_down(last);
  }

  const std::vector<Actor*>& actors_;
  Bell* bell_;
  std::vector<Turn> heap_;  ///< starts ordered: all at time 0, by index
  sc_core::sc_event due_{"due"};
  std::exception_ptr failure_;
  std::int64_t last_ = 0;
};

}  // namespace

std::int64_t run(const std::vector<Actor*>& actors, Bell* bell) {
  static std::mutex one_run_at_a_time;
  const std::lock_guard lock(one_run_at_a_time);
  static const bool quiet = [] {
    ::setenv("SYSTEMC_DISABLE_COPYRIGHT_MESSAGE", "1", 0);
    return true;
  }();
  static_cast<void>(quiet);
  const SimContext context;
  Calendar calendar("calendar", actors, bell);
  sc_core::sc_start();  // until starvation: no event is left pending, so the context is torn down without
                        // leaks
  calendar.rethrow();
  return calendar.last();
}

}  // namespace xpusim::des
