#pragma once
#include <cstdint>
#include <utility>
#include <vector>

/// The only part of XPUSim that knows the SystemC kernel. Everything else sees actors that take turns in
/// time.
namespace xpusim::des {

/// Something that takes turns: a core, a link, a rank.
class Actor {
 public:
  virtual ~Actor() = default;
  /// Runs the actor at time `now`. Returns the time of its next turn (>= now), or kIdle when it has none.
  virtual std::int64_t turn(std::int64_t now) = 0;
  static constexpr std::int64_t kIdle = -1;
};

/// With it, an actor gives others a turn: an idle one whose wait is over. Several turns at one time are
/// several calls.
class Bell {
 public:
  /// `actor`: place in the list of actors; `time`: not before the present turn.
  void ring(std::uint32_t actor, std::int64_t time) { rung_.emplace_back(time, actor); }
  [[nodiscard]] const std::vector<std::pair<std::int64_t, std::uint32_t>>& rung() const { return rung_; }
  void silence() { rung_.clear(); }

 private:
  std::vector<std::pair<std::int64_t, std::uint32_t>> rung_;
};

/// Gives every actor a first turn at time 0 and runs until none has a turn left. Turns at the same time come
/// in the order of the actors' indices: results do not depend on the kernel's tie order, nor on idle actors.
/// Returns the time of the last turn. Exceptions out of a turn reach the caller. One run at a time per
/// process (a mutex sees to it); a fresh SystemC context per run.
std::int64_t run(const std::vector<Actor*>& actors, Bell* bell = nullptr);

}  // namespace xpusim::des
