#include "xpusim/step/streams.h"

#include <algorithm>
#include <limits>
#include <map>

namespace xpusim::step {
namespace {

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

/// One operator's run: what it waits for, as places in the list of all runs.
struct Run {
  std::uint32_t section = 0, index = 0;
  std::uint8_t stream = kComputeStream;
  double seconds = 0;
  std::vector<std::size_t> after;
};

/// Writes out the runs of a graph.
class Unroller {
 public:
  Unroller(const Graph& graph, const OperatorTime& time) : graph_(graph), time_(time) {}

  std::vector<Run> runs() {
    for (std::uint32_t k = 0; k < graph_.sections.size(); ++k) add_section(k);
    return std::move(runs_);
  }

 private:
  void add_section(std::uint32_t k) {
    const Section& section = graph_.sections[k];
    std::vector<double> seconds;
    for (const Operator& o : section.operators) seconds.push_back(time_(o).count());
    if (section.barrier) begin_ = all_last();
    for (std::int64_t turn = 0; turn < section.repeat; ++turn) {
      std::map<std::string_view, std::size_t> place;
      std::size_t last_in_order = kNone;
      for (std::uint32_t i = 0; i < section.operators.size(); ++i) {
        const Operator& o = section.operators[i];
        Run run{k, i, stream_of(o), seconds[i], begin_};
        for (const std::string& name : o.after) run.after.push_back(place.at(name));
        if (o.after.empty() && last_in_order != kNone) run.after.push_back(last_in_order);
        place.emplace(o.name, runs_.size());
        last_[run.stream] = runs_.size();
        if (run.stream == kComputeStream) last_in_order = runs_.size();
        runs_.push_back(std::move(run));
      }
      begin_.clear();
      if (last_[kComputeStream] != kNone) begin_.push_back(last_[kComputeStream]);
      for (const std::string& name : section.awaited) begin_.push_back(place.at(name));
    }
  }

  [[nodiscard]] std::vector<std::size_t> all_last() const {
    std::vector<std::size_t> list;
    for (const std::size_t i : last_)
      if (i != kNone) list.push_back(i);
    return list;
  }

  const Graph& graph_;
  const OperatorTime& time_;
  std::vector<Run> runs_;
  std::vector<std::size_t> begin_;  ///< what the next turn waits for
  std::array<std::size_t, kStreams> last_ = [] {
    std::array<std::size_t, kStreams> none{};
    none.fill(kNone);
    return none;
  }();
};

/// Plays the runs: at most one at a time on each stream. While overlapped collectives run, kernels have the
/// cores that these leave.
class Player {
 public:
  Player(const Graph& graph, std::vector<Run> runs, double core_share)
      : runs_(std::move(runs)), core_share_(core_share) {
    ended_.assign(runs_.size(), 0);
    schedule_.spans.resize(runs_.size());
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      const Operator& o = graph.sections[runs_[i].section].operators[runs_[i].index];
      queue_[runs_[i].stream].push_back(i);
      const auto* collective = std::get_if<CollectiveShape>(&o.work);
      is_collective_.push_back(collective != nullptr);
      groups_.push_back(collective != nullptr ? static_cast<std::size_t>(collective->group) : 0);
    }
  }

  Schedule play() {
    start_what_can();
    while (is_any_running()) {
      advance();
      start_what_can();
    }
    schedule_.total = Seconds(now_);
    return std::move(schedule_);
  }

 private:
  [[nodiscard]] bool is_any_running() const {
    return std::any_of(running_.begin(), running_.end(), [](bool r) { return r; });
  }
  [[nodiscard]] bool computes() const {
    return running_[kComputeStream] && !is_collective_[queue_[kComputeStream][next_[kComputeStream]]];
  }

  void start_what_can() {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      if (running_[stream] || next_[stream] == queue_[stream].size()) continue;
      const std::size_t i = queue_[stream][next_[stream]];
      const Run& run = runs_[i];
      if (!std::all_of(run.after.begin(), run.after.end(), [&](std::size_t p) { return ended_[p] != 0; }))
        continue;
      running_[stream] = true;
      left_[stream] = run.seconds;
      schedule_.spans[i] = {run.stream, run.section, run.index, Seconds(now_), Seconds(now_)};
    }
  }

  /// To the next end of a run.
  void advance() {
    const bool beside = std::any_of(running_.begin() + 1, running_.end(), [](bool r) { return r; });
    const double rate = beside && computes() ? 1 - core_share_ : 1;
    double step = std::numeric_limits<double>::infinity();
    for (std::size_t s = 0; s < kStreams; ++s)
      if (running_[s]) step = std::min(step, left_[s] / (s == kComputeStream ? rate : 1));
    account(step, rate);
    now_ += step;
    for (std::size_t s = 0; s < kStreams; ++s) {
      if (!running_[s]) continue;
      left_[s] -= step * (s == kComputeStream ? rate : 1);
      if (left_[s] > 1e-15 * now_) continue;
      running_[s] = false;
      const std::size_t i = queue_[s][next_[s]++];
      ended_[i] = 1;
      schedule_.spans[i].end = Seconds(now_);
    }
  }

  void account(double step, double rate) {
    if (computes()) {
      schedule_.slowed += Seconds(step * (1 - rate));
      return;
    }
    schedule_.exposed_communication += Seconds(step);
    schedule_.exposed_by[waited_for()] += step;
  }

  /// The group whose collective runs while nothing computes: in order on the compute stream, or overlapped.
  [[nodiscard]] std::size_t waited_for() const {
    if (running_[kComputeStream]) return groups_[queue_[kComputeStream][next_[kComputeStream]]];
    for (std::size_t s = 1; s < kStreams; ++s)
      if (running_[s]) return s - 1;
    return 0;
  }

  std::vector<Run> runs_;
  double core_share_;
  std::vector<char> ended_, is_collective_;
  std::vector<std::size_t> groups_;
  std::array<std::vector<std::size_t>, kStreams> queue_;
  std::array<std::size_t, kStreams> next_{};
  std::array<bool, kStreams> running_{};
  std::array<double, kStreams> left_{};
  double now_ = 0;
  Schedule schedule_;
};

}  // namespace

std::uint8_t stream_of(const Operator& o) {
  if (!is_collective(o) || !o.as<CollectiveShape>().overlap) return kComputeStream;
  return static_cast<std::uint8_t>(1 + static_cast<std::size_t>(o.as<CollectiveShape>().group));
}

Schedule schedule(const Graph& graph, const OperatorTime& time, double core_share) {
  return Player(graph, Unroller(graph, time).runs(), core_share).play();
}

}  // namespace xpusim::step
