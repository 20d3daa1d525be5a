#include "xpusim/step/streams.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "xpusim/des/calendar.h"

namespace xpusim::step {
namespace {

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

/// One operator's run: what it waits for, as places in the list of all runs.
struct Run {
  std::uint32_t section = 0, index = 0;
  std::uint8_t stream = kComputeStream;
  std::int64_t ticks = 0;  ///< at full rate
  const network::Flow* flow = nullptr;
  std::vector<std::size_t> after;
};

/// Writes out the runs of a graph.
class Unroller {
 public:
  Unroller(const Graph& graph, const OperatorTime& time, const OperatorFlow& flow)
      : graph_(graph), time_(time), flow_(flow) {}

  std::vector<Run> runs() {
    for (std::uint32_t k = 0; k < graph_.sections.size(); ++k) add_section(k);
    return std::move(runs_);
  }

 private:
  void add_section(std::uint32_t k) {
    const Section& section = graph_.sections[k];
    std::vector<std::int64_t> ticks;
    std::vector<const network::Flow*> flows;
    for (const Operator& o : section.operators) {
      ticks.push_back(to_ticks(time_(o)).count());
      flows.push_back(flow_ && is_collective(o) ? flow_(o) : nullptr);
    }
    if (section.barrier) begin_ = all_last();
    for (std::int64_t turn = 0; turn < section.repeat; ++turn) {
      std::map<std::string_view, std::size_t> place;
      std::size_t last_in_order = kNone;
      for (std::uint32_t i = 0; i < section.operators.size(); ++i) {
        const Operator& o = section.operators[i];
        Run run{k, i, stream_of(o), ticks[i], flows[i], begin_};
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
  const OperatorFlow& flow_;
  std::vector<Run> runs_;
  std::vector<std::size_t> begin_;  ///< what the next turn waits for
  std::array<std::size_t, kStreams> last_ = [] {
    std::array<std::size_t, kStreams> none{};
    none.fill(kNone);
    return none;
  }();
};

/// A rank: at most one run at a time on each stream. While overlapped collectives run, kernels have the cores
/// that these leave; collectives in flight share links. It takes a turn whenever a run ends, as only then
/// rates change.
class Rank : public des::Actor {
 public:
  Rank(const Graph& graph, std::vector<Run> runs, double core_share)
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

  std::int64_t turn(std::int64_t now) override {
    work(now - now_);
    now_ = now;
    start_what_can();
    if (!is_any_running()) return kIdle;
    set_rates();
    return now_ + to_next_end();
  }

  Schedule result() {
    schedule_.total = to_seconds(Ticks(now_));
    return std::move(schedule_);
  }

 private:
  /// A run of which less than half a tick is left has ended: ends are rounded to the nearest tick.
  static constexpr double kEnded = 0.5;

  [[nodiscard]] bool is_any_running() const {
    return std::any_of(running_.begin(), running_.end(), [](bool r) { return r; });
  }
  [[nodiscard]] std::size_t first_of(std::size_t stream) const { return queue_[stream][next_[stream]]; }
  [[nodiscard]] bool computes() const {
    return running_[kComputeStream] && !is_collective_[first_of(kComputeStream)];
  }

  void start_what_can() {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      if (running_[stream] || next_[stream] == queue_[stream].size()) continue;
      const std::size_t i = first_of(stream);
      const Run& run = runs_[i];
      if (!std::all_of(run.after.begin(), run.after.end(), [&](std::size_t p) { return ended_[p] != 0; }))
        continue;
      running_[stream] = true;
      left_[stream] = d(run.ticks);
      schedule_.spans[i] = {run.stream, run.section, run.index, to_seconds(Ticks(now_)), {}};
    }
  }

  /// Of what runs now: kernels beside overlapped collectives, and collectives beside each other.
  void set_rates() {
    rate_.fill(1);
    const bool beside = std::any_of(running_.begin() + 1, running_.end(), [](bool r) { return r; });
    if (!beside) return;
    if (computes()) rate_[kComputeStream] = 1 - core_share_;
    std::vector<std::size_t> streams;
    std::vector<const network::Flow*> flows;
    for (std::size_t s = 0; s < kStreams; ++s)
      if (running_[s] && runs_[first_of(s)].flow != nullptr) {
        streams.push_back(s);
        flows.push_back(runs_[first_of(s)].flow);
      }
    const std::vector<double> rates = network::rates_of(flows);
    for (std::size_t i = 0; i < streams.size(); ++i) rate_[streams[i]] = rates[i];
  }

  [[nodiscard]] std::int64_t to_next_end() const {
    double ticks = std::numeric_limits<double>::infinity();
    for (std::size_t s = 0; s < kStreams; ++s)
      if (running_[s] && rate_[s] > 0) ticks = std::min(ticks, left_[s] <= kEnded ? 0 : left_[s] / rate_[s]);
    return std::llround(ticks);
  }

  /// What has been done in the ticks since the last turn.
  void work(std::int64_t ticks) {
    if (!is_any_running()) return;
    account(ticks);
    for (std::size_t s = 0; s < kStreams; ++s) {
      if (!running_[s]) continue;
      left_[s] -= d(ticks) * rate_[s];
      if (left_[s] > kEnded) continue;
      running_[s] = false;
      const std::size_t i = queue_[s][next_[s]++];
      ended_[i] = 1;
      schedule_.spans[i].end = to_seconds(Ticks(now_ + ticks));
    }
  }

  void account(std::int64_t ticks) {
    const Seconds time = to_seconds(Ticks(ticks));
    if (computes()) {
      schedule_.slowed += time * (1 - rate_[kComputeStream]);
      return;
    }
    schedule_.exposed_communication += time;
    schedule_.exposed_by[waited_for()] += time.count();
  }

  /// The group whose collective runs while nothing computes: in order on the compute stream, or overlapped.
  [[nodiscard]] std::size_t waited_for() const {
    if (running_[kComputeStream]) return groups_[first_of(kComputeStream)];
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
  std::array<double, kStreams> left_{};  ///< ticks at rate 1
  std::array<double, kStreams> rate_{};
  std::int64_t now_ = 0;
  Schedule schedule_;
};

/// Where nothing overlaps, what the actor would find: one operator after the other.
Schedule one_by_one(const Graph& graph, const OperatorTime& time) {
  Schedule s;
  std::int64_t now = 0;
  std::array<std::int64_t, kRankGroups> exposed{};
  for (std::uint32_t k = 0; k < graph.sections.size(); ++k) {
    const Section& section = graph.sections[k];
    std::vector<std::int64_t> ticks;
    for (const Operator& o : section.operators) ticks.push_back(to_ticks(time(o)).count());
    for (std::int64_t turn = 0; turn < section.repeat; ++turn)
      for (std::uint32_t i = 0; i < ticks.size(); ++i) {
        const auto* collective = std::get_if<CollectiveShape>(&section.operators[i].work);
        if (collective != nullptr) exposed[static_cast<std::size_t>(collective->group)] += ticks[i];
        const std::int64_t begin = std::exchange(now, now + ticks[i]);
        s.spans.push_back({kComputeStream, k, i, to_seconds(Ticks(begin)), to_seconds(Ticks(now))});
      }
  }
  s.total = to_seconds(Ticks(now));
  for (std::size_t g = 0; g < kRankGroups; ++g) {
    s.exposed_by[g] = to_seconds(Ticks(exposed[g])).count();
    s.exposed_communication += Seconds(s.exposed_by[g]);
  }
  return s;
}

}  // namespace

std::uint8_t stream_of(const Operator& o) {
  if (!is_collective(o) || !o.as<CollectiveShape>().overlap) return kComputeStream;
  return static_cast<std::uint8_t>(1 + static_cast<std::size_t>(o.as<CollectiveShape>().group));
}

bool overlaps(const Section& section) {
  return std::any_of(section.operators.begin(), section.operators.end(),
                     [](const Operator& o) { return stream_of(o) != kComputeStream; });
}
bool overlaps(const Graph& graph) {
  return std::any_of(graph.sections.begin(), graph.sections.end(),
                     [](const Section& s) { return overlaps(s); });
}

Schedule schedule(const Graph& graph, const OperatorTime& time, double core_share, const OperatorFlow& flow) {
  if (!overlaps(graph)) return one_by_one(graph, time);
  Rank rank(graph, Unroller(graph, time, flow).runs(), core_share);
  des::run({&rank});
  return rank.result();
}

}  // namespace xpusim::step
