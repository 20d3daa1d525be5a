#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace xpusim::des {

/// The reservations of one shared server (L2, HBM, a link) that works at full rate on one transfer at a time.
///
/// Transfers may be booked ahead of the present, which leaves idle gaps before them. Later bookings fill the
/// gaps, in pieces where one gap is too short: a memory serves lines, not whole tiles, so it is idle only
/// when nothing is waiting.
class Timeline {
 public:
  /// Books `duration` ticks at the earliest free times that are not before `earliest`. Returns the end.
  /// `now` is the time of the caller's turn: gaps that ended before it are forgotten. Calls come in order of
  /// `now`.
  std::int64_t reserve(std::int64_t earliest, std::int64_t duration, std::int64_t now) {
    busy_ += duration;
    if (earliest >= next_free_) {
      if (earliest > next_free_ && earliest > now) gaps_.push_back({std::max(next_free_, now), earliest});
      return next_free_ = earliest + duration;
    }
    while (first_ < gaps_.size() && gaps_[first_].end <= now) ++first_;
    for (std::size_t i = first_; i < gaps_.size(); ++i) {
      const std::int64_t start = std::max(gaps_[i].begin, earliest);
      if (start >= gaps_[i].end) continue;
      if (start + duration <= gaps_[i].end) {
        take(i, start, start + duration);
        return start + duration;
      }
      duration -= gaps_[i].end - start;
      if (!take(i, start, gaps_[i].end)) --i;
    }
    compact();
    return next_free_ += duration;
  }

  /// Ticks booked so far.
  [[nodiscard]] std::int64_t busy() const { return busy_; }

 private:
  struct Gap {
    std::int64_t begin, end;
  };

  /// Takes [begin, end) out of a gap. False if nothing is left of it: the next gap has its index then.
  bool take(std::size_t i, std::int64_t begin, std::int64_t end) {
    const Gap old = gaps_[i];
    const auto at = gaps_.begin() + static_cast<std::ptrdiff_t>(i);
    if (begin > old.begin) {
      gaps_[i].end = begin;
      if (end < old.end) gaps_.insert(at + 1, Gap{end, old.end});
    } else if (end < old.end) {
      gaps_[i].begin = end;
    } else if (i == first_) {
      gaps_[i].end = gaps_[i].begin;  // empty; forgotten in compact()
      ++first_;
    } else {
      gaps_.erase(at);
      return false;
    }
    return true;
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
