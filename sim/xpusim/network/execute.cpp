#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <queue>
#include <tuple>

#include "xpusim/core/error.h"
#include "xpusim/des/calendar.h"
#include "xpusim/des/timeline.h"
#include "xpusim/network/bound.h"

/// Collectives on the event kernel: an actor per rank (one for all where ranks are alike), a reservation
/// timeline per link.
namespace xpusim::network {
namespace {

/// Ranks that are not alike are simulated one by one.
constexpr std::int64_t kMostRanks = 32768;

/// Of a part of a collective, the closed form of which fits into ticks.
std::int64_t ticks(double seconds) { return std::llround(seconds * kTicksPerSecond); }

/// All links that messages have asked for, each with its reservations. Collectives that run together share
/// it.
class Fabric {
 public:
  std::uint32_t place(const Link& link, const std::string& plane) {
    const auto [found, is_new] = index_.try_emplace({plane, link.level, link.kind, link.part, link.owner},
                                                    static_cast<std::uint32_t>(lines_.size()));
    if (is_new) {
      lines_.emplace_back();
      links_.emplace_back(plane, link);
    }
    return found->second;
  }
  des::Timeline& line(std::uint32_t place) { return lines_[place]; }
  /// The link that was busy longest, and its plane.
  [[nodiscard]] const std::pair<std::string, Link>* busiest() const {
    const auto most = std::max_element(lines_.begin(), lines_.end(),
                                       [](const auto& a, const auto& b) { return a.busy() < b.busy(); });
    return most == lines_.end() ? nullptr : &links_[static_cast<std::size_t>(most - lines_.begin())];
  }

 private:
  std::map<std::tuple<std::string, std::int32_t, LinkKind, std::int32_t, std::int64_t>, std::uint32_t> index_;
  std::deque<des::Timeline> lines_;
  std::vector<std::pair<std::string, Link>> links_;
};

/// A part of a message's way: a link, and how long the message keeps it busy.
struct Leg {
  std::uint32_t line = 0;
  std::int64_t duration = 0;
};

struct Message {
  std::int64_t peer = -1;  ///< -1: to the switch, or to a rank that looks like this one
  std::int64_t hop = -1;   ///< latency of each leg where the message is there as a whole before it goes on
  std::vector<Leg> legs;
  [[nodiscard]] bool waits_on_its_way() const { return hop >= 0; }
};

/// One collective that runs: its plan in ticks, and how its messages meet links.
class Collective {
 public:
  Collective(const Call& call, const SystemSpec& system, Fabric& fabric, bool alone)
      : call_(call),
        system_(system),
        library_(working_library(system, call.library)),
        weighed_(weigh(call, system)),
        topology_(system, best().plane),
        faulty_(topology_, call_),
        fabric_(fabric),
        alone_(alone),
        symmetric_(alone && is_symmetric(call_, shape_of(call_.group, topology_), topology_)) {
    if (!symmetric_ && call_.group.ranks > kMostRanks)
      throw InfeasibleError("ranks that are not alike are simulated one by one: at most 32768");
    static_cast<void>(to_ticks(Seconds(best().seconds)));  // throws where it is too long
    for (std::size_t i = 0; i < best().plan.phases.size(); ++i) {
      latency_.push_back(ticks(best().terms.latency[i]));
      software_.push_back(ticks(best().terms.software[i]));
      sums_.push_back(ticks(best().terms.sums[i]));
      kernel_.push_back(ticks(best().terms.kernel[i]));
    }
    answer_ = describe_time(call_, system, weighed_);
  }

  [[nodiscard]] const Weighed& best() const { return weighed_.front(); }
  [[nodiscard]] const std::vector<Phase>& phases() const { return best().plan.phases; }
  [[nodiscard]] std::int64_t actors() const { return symmetric_ ? 1 : call_.group.ranks; }
  [[nodiscard]] std::int64_t begin() const { return ticks(best().terms.fixed); }
  [[nodiscard]] std::int64_t sums(std::size_t phase) const { return sums_[phase]; }
  /// Least time of a rank's step.
  [[nodiscard]] std::int64_t kernel(std::size_t phase) const { return kernel_[phase]; }
  /// Of a message once its last bytes have left.
  [[nodiscard]] std::int64_t latency(std::size_t phase, const Message& m) const {
    return m.waits_on_its_way() ? software_[phase] : latency_[phase];
  }

  [[nodiscard]] std::vector<Message> messages(std::size_t phase, std::int64_t rank) {
    return symmetric_ ? std::vector<Message>{of_all(phase)} : of_one(phase, rank);
  }

  /// Messages that a rank waits for in each step.
  [[nodiscard]] std::int64_t expected(std::size_t phase, std::int64_t rank) const {
    if (symmetric_) return 0;
    std::int64_t count = 0;
    for (const Move& m : phases()[phase].moves) {
      const std::int64_t n = m.part.ranks, here = m.part.position(rank);
      if (m.pattern == Pattern::Shift) count += m.distance % n != 0 ? 1 : 0;
      if (m.pattern == Pattern::Xor) count += (here ^ m.distance) < n ? 1 : 0;
      if (m.pattern == Pattern::All) count += n - 1;
      if (m.pattern == Pattern::Root) count += here == 0 ? 0 : 1;
      if (m.pattern == Pattern::Traffic)
        for (std::int64_t from = 0; from < n; ++from)
          count += from != rank && call_.traffic[static_cast<std::size_t>(from * n + rank)] > 0 ? 1 : 0;
    }
    return count;
  }

  CollectiveTime answer(std::int64_t end) const {
    CollectiveTime t = answer_;
    if (const auto* most = fabric_.busiest(); most != nullptr) {
      t.busiest = Topology(system_, most->first).name(most->second);
      t.decisive_rank = rank_of(call_.group, most->second);
    }
    set_total(t, call_, library_, to_seconds(Ticks(end)).count());
    return t;
  }
  [[nodiscard]] des::Timeline& line(std::uint32_t place) { return fabric_.line(place); }

 private:
  Leg leg(const Link& link, double bytes, double rate) {
    const double seconds = bytes / (link.bandwidth * rate * best().terms.bandwidth_fraction);
    return {fabric_.place(link, best().plane), ticks(seconds)};
  }
  /// What one rank puts on each kind of link in a step: its share where ranks share it.
  Message of_all(std::size_t phase) {
    Message m;
    for (const LinkLoad& l : best().loads[phase].links) m.legs.push_back(leg(l.link, l.bytes, l.rate));
    return m;
  }
  std::vector<Message> of_one(std::size_t phase, std::int64_t rank) {
    std::vector<Message> list;
    for (const Move& m : phases()[phase].moves) {
      if (m.pattern == Pattern::Switch) list.push_back(switched(m, phase, rank));
      for_each_peer(m, call_, rank, [&](std::int64_t peer, double bytes) {
        const Route r = faulty_.route(call_.group.device(rank), call_.group.device(peer));
        Message message{peer, -1, {}};
        if (r.store_and_forward) message.hop = ticks(r.latency / static_cast<double>(r.links.size()));
        // Where each rank hears one other, its port in is never asked for by two.
        const bool alone_at_port = alone_ && (m.pattern == Pattern::Shift || m.pattern == Pattern::Xor) &&
                                   r.links.size() == 2 && call_.faults.links.empty();
        for (const Link& link : r.links)
          if (link.kind != LinkKind::In || !alone_at_port)
            message.legs.push_back(leg(link, bytes, faulty_.rate(link)));
        list.push_back(std::move(message));
      });
    }
    return list;
  }
  Message switched(const Move& m, std::size_t phase, std::int64_t rank) {
    Message message;
    for (const LinkLoad& l : best().loads[phase].links)
      if (l.link.part < 0 && l.link.owner == call_.group.device(rank))
        message.legs.push_back(leg(l.link, m.bytes, l.rate));
    return message;
  }

  const Call& call_;
  const SystemSpec& system_;
  LibrarySpec library_;
  std::vector<Weighed> weighed_;
  Topology topology_;
  FaultyTopology faulty_;
  Fabric& fabric_;
  bool alone_, symmetric_;
  std::vector<std::int64_t> latency_, software_, sums_, kernel_;
  CollectiveTime answer_;
};

/// Carries messages that every device on the way takes in as a whole: books the next link when the message is
/// there.
class Courier : public des::Actor {
 public:
  Courier(Collective& c, des::Bell& bell, std::uint32_t actor) : collective_(c), bell_(bell), actor_(actor) {}
  /// `arrive`: called with the time when the last link has carried the message.
  void take(const Message& m, std::int64_t now, std::function<void(std::int64_t)> arrive) {
    parcels_.push({now, next_number_++, 0, m, std::move(arrive)});
    bell_.ring(actor_, now);
  }
  std::int64_t turn(std::int64_t now) override {
    while (!parcels_.empty() && parcels_.top().time <= now) {
      Parcel p = parcels_.top();
      parcels_.pop();
      const Leg& leg = p.message.legs[p.leg];
      p.time = collective_.line(leg.line).reserve(now, leg.duration, now) + p.message.hop;
      if (++p.leg == p.message.legs.size())
        p.arrive(p.time);
      else
        parcels_.push(std::move(p));
    }
    return parcels_.empty() ? kIdle : parcels_.top().time;
  }

 private:
  struct Parcel {
    std::int64_t time = 0, number = 0;
    std::size_t leg = 0;
    Message message;
    std::function<void(std::int64_t)> arrive;
    bool operator<(const Parcel& o) const { return time != o.time ? time > o.time : number > o.number; }
  };
  Collective& collective_;
  des::Bell& bell_;
  std::uint32_t actor_;
  std::int64_t next_number_ = 0;
  std::priority_queue<Parcel> parcels_;
};

/// A rank: sends the messages of a step, waits for those of its peers, goes on.
class Rank : public des::Actor {
 public:
  Rank(Collective& c, std::int64_t rank, std::uint32_t first_actor, std::vector<std::unique_ptr<Rank>>& all,
       des::Bell& bell, Courier& courier)
      : collective_(c), rank_(rank), first_actor_(first_actor), all_(all), bell_(bell), courier_(courier) {
    enter(0);
  }

  std::int64_t turn(std::int64_t now) override {
    if (is_done()) return kIdle;
    if (!has_begun_) {
      has_begun_ = true;
      return collective_.begin();
    }
    if (has_sent_) {
      if (!is_complete()) return kIdle;
      if (now < ready()) return ready();
      if (!advance()) {
        end_ = now;
        return kIdle;
      }
    }
    send(now);
    if (uses_own_links_) run_ahead();
    return is_complete() ? ready() : kIdle;
  }

  [[nodiscard]] bool is_done() const { return phase_ >= collective_.phases().size(); }
  [[nodiscard]] std::int64_t end() const { return end_; }

 private:
  struct Inbox {
    std::int64_t count = 0, latest = 0;
  };

  void enter(std::size_t phase) {
    phase_ = phase;
    step_ = 0;
    if (is_done()) return;
    expected_ = collective_.expected(phase_, rank_);
    keeps_ = collective_.phases()[phase_].steps > 1;
    if (keeps_) messages_ = collective_.messages(phase_, rank_);
    uses_own_links_ = keeps_ && std::all_of(messages_.begin(), messages_.end(), [](const Message& m) {
                        return m.peer >= 0 && m.legs.size() == 1 && !m.waits_on_its_way();
                      });
  }

  /// Nobody else asks for the links of this phase, so its steps need not wait for the others' turns: as many
  /// as the messages that are in allow.
  void run_ahead() {
    const std::int64_t steps = collective_.phases()[phase_].steps;
    while (is_complete() && step_ + 1 < steps) {
      const std::int64_t next = ready();
      static_cast<void>(advance());
      send(next);
    }
  }

  void send(std::int64_t now) {
    has_sent_ = true;
    sent_ = now;
    if (!keeps_) messages_ = collective_.messages(phase_, rank_);
    const std::int64_t worked = now + collective_.kernel(phase_);
    for (const Message& m : messages_) {
      const std::int64_t latency = collective_.latency(phase_, m);
      if (m.waits_on_its_way()) {
        courier_.take(m, now, [&to = peer(m.peer), step = global_step_, latency, worked](std::int64_t end) {
          to.deliver(step, std::max(end, worked) + latency, end);
        });
        continue;
      }
      const std::int64_t arrived = std::max(travel(m, now), worked) + latency;
      if (m.peer < 0)
        sent_ = std::max(sent_, arrived);
      else
        peer(m.peer).deliver(global_step_, arrived, now);
    }
    if (!keeps_) messages_.clear();
  }

  /// Books the links of a message. Returns when its last bytes have left the last one.
  std::int64_t travel(const Message& m, std::int64_t now) {
    std::int64_t end = now;
    for (const Leg& leg : m.legs)
      end = std::max(end, collective_.line(leg.line).reserve(now, leg.duration, now));
    return end;
  }

  void deliver(std::int64_t global_step, std::int64_t time, std::int64_t now) {
    const auto ahead = static_cast<std::size_t>(global_step - global_step_);
    if (inbox_.size() <= ahead) inbox_.resize(ahead + 1);
    Inbox& in = inbox_[ahead];
    ++in.count;
    in.latest = std::max(in.latest, time);
    if (ahead == 0 && has_sent_ && is_complete())
      bell_.ring(first_actor_ + static_cast<std::uint32_t>(rank_), std::max(ready(), now));
  }

  [[nodiscard]] bool is_complete() const {
    return expected_ == 0 || (!inbox_.empty() && inbox_.front().count == expected_);
  }
  [[nodiscard]] std::int64_t ready() const {
    const std::int64_t received = expected_ == 0 ? 0 : inbox_.front().latest;
    return std::max(sent_, received) + collective_.sums(phase_);
  }

  /// To the next step. False when that was the last.
  bool advance() {
    has_sent_ = false;
    if (!inbox_.empty()) inbox_.pop_front();
    ++global_step_;
    if (++step_ == collective_.phases()[phase_].steps) enter(phase_ + 1);
    return !is_done();
  }
  Rank& peer(std::int64_t rank) { return *all_[first_actor_ + static_cast<std::size_t>(rank)]; }

  Collective& collective_;
  std::int64_t rank_;
  std::uint32_t first_actor_;
  std::vector<std::unique_ptr<Rank>>& all_;
  des::Bell& bell_;
  Courier& courier_;
  std::size_t phase_ = 0;
  std::int64_t step_ = 0, global_step_ = 0, expected_ = 0, sent_ = 0, end_ = 0;
  bool has_begun_ = false, has_sent_ = false, keeps_ = false, uses_own_links_ = false;
  std::vector<Message> messages_;
  std::deque<Inbox> inbox_;
};

}  // namespace

namespace {

/// Collectives with their actors: all ranks, one collective after the other, then a courier for each.
class Run {
 public:
  Run(const std::vector<Call>& calls, const SystemSpec& system) {
    for (const Call& c : calls)
      collectives_.push_back(std::make_unique<Collective>(c, system, fabric_, calls.size() == 1));
    std::int64_t all = 0;
    for (const auto& c : collectives_) all += c->actors();
    for (const auto& c : collectives_) {
      const auto actor = static_cast<std::uint32_t>(all + static_cast<std::int64_t>(couriers_.size()));
      couriers_.push_back(std::make_unique<Courier>(*c, bell_, actor));
      first_.push_back(ranks_.size());
      for (std::int64_t r = 0; r < c->actors(); ++r)
        ranks_.push_back(std::make_unique<Rank>(*c, r, static_cast<std::uint32_t>(first_.back()), ranks_,
                                                bell_, *couriers_.back()));
    }
    first_.push_back(ranks_.size());
  }

  std::vector<CollectiveTime> times() {
    std::vector<des::Actor*> actors;
    for (const auto& r : ranks_) actors.push_back(r.get());
    for (const auto& c : couriers_) actors.push_back(c.get());
    des::run(actors, &bell_);
    std::vector<CollectiveTime> times;
    for (std::size_t i = 0; i < collectives_.size(); ++i) {
      std::int64_t end = 0;
      for (std::size_t r = first_[i]; r < first_[i + 1]; ++r) {
        check_invariant(ranks_[r]->is_done(), "a rank waits for a message that nobody sends");
        end = std::max(end, ranks_[r]->end());
      }
      times.push_back(collectives_[i]->answer(end));
    }
    return times;
  }

 private:
  Fabric fabric_;
  des::Bell bell_;
  std::vector<std::unique_ptr<Collective>> collectives_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::vector<std::unique_ptr<Courier>> couriers_;
  std::vector<std::size_t> first_;  ///< rank of each collective, and the end
};

}  // namespace

std::vector<CollectiveTime> execute_together(const std::vector<Call>& calls, const SystemSpec& system) {
  for (const Call& c : calls) check_names(c, system);
  std::vector<Call> several;  // one rank has nothing to do
  std::copy_if(calls.begin(), calls.end(), std::back_inserter(several),
               [](const Call& c) { return c.group.ranks > 1; });
  const auto times = several.empty() ? std::vector<CollectiveTime>{} : Run(several, system).times();
  std::vector<CollectiveTime> all;
  std::size_t next = 0;
  for (const Call& c : calls) all.push_back(c.group.ranks > 1 ? times[next++] : CollectiveTime{});
  return all;
}

CollectiveTime execute(const Call& call, const SystemSpec& system) {
  return execute_together({call}, system).front();
}

}  // namespace xpusim::network
