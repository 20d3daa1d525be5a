#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace xpusim::des {

/// The reservations of one shared server (L2, HBM, a link) that serves one transfer at a time at full rate.
///
/// Transfers may be booked ahead of the present, which leaves idle gaps before them; later bookings fill the
/// gaps, as they would on a server that takes what arrives first.
class Timeline {
 public:
  /// Books `duration` ticks at the earliest time that is not before `earliest`. Returns the start.
  /// `now` is the time of the caller's turn: gaps that ended before it are forgotten. Calls come in order of
  /// `now`.
  std::int64_t reserve(std::int64_t earliest, std::int64_t duration, std::int64_t now) {
    busy_ += duration;
    if (earliest >= next_free_) {
      if (earliest > next_free_ && earliest > now) gaps_.push_back({std::max(next_free_, now), earliest});
      next_free_ = earliest + duration;
      return earliest;
    }
    while (first_ < gaps_.size() && gaps_[first_].end <= now) ++first_;
    for (std::size_t i = first_; i < gaps_.size(); ++i) {
      const std::int64_t start = std::max(gaps_[i].begin, earliest);
      if (start + duration <= gaps_[i].end) {
        split(i, start, start + duration);
        return start;
      }
    }
    compact();
    const std::int64_t start = next_free_;
    next_free_ += duration;
    return start;
  }

  /// Ticks booked so far.
  [[nodiscard]] std::int64_t busy() const { return busy_; }

 private:
  struct Gap {
    std::int64_t begin, end;
  };

  void split(std::size_t i, std::int64_t begin, std::int64_t end) {
    const Gap old = gaps_[i];
    const bool left = begin > old.begin;
    const bool right = end < old.end;
    if (left && right) {
      gaps_[i].end = begin;
      gaps_.insert(gaps_.begin() + static_cast<std::ptrdiff_t>(i) + 1, Gap{end, old.end});
    } else if (left) {
      gaps_[i].end = begin;
    } else if (right) {
      gaps_[i].begin = end;
    } else {
      gaps_.erase(gaps_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  void compact() {
    if (first_ < 64) return;
    gaps_.erase(gaps_.begin(), gaps_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }

  std::int64_t next_free_ = 0;
  std::int64_t busy_ = 0;
  std::vector<Gap> gaps_;  ///< ordered by time
  std::size_t first_ = 0;  ///< gaps before it are past
};

}  // namespace xpusim::des
