#pragma once
#include <cmath>
#include <compare>
#include <cstdint>

namespace xpusim {

/// A number with a unit. Explicit in, explicit out (`count()`), no implicit mixing of units.
template <class Tag, class Rep>
class Quantity {
 public:
  using rep = Rep;
  constexpr Quantity() = default;
  constexpr explicit Quantity(Rep value) : value_(value) {}
  [[nodiscard]] constexpr Rep count() const { return value_; }

  friend constexpr auto operator<=>(const Quantity&, const Quantity&) = default;
  friend constexpr Quantity operator+(Quantity a, Quantity b) { return Quantity(a.value_ + b.value_); }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return Quantity(a.value_ - b.value_); }
  friend constexpr Quantity operator*(Quantity a, Rep k) { return Quantity(a.value_ * k); }
  friend constexpr Quantity operator*(Rep k, Quantity a) { return a * k; }
  friend constexpr double operator/(Quantity a, Quantity b) {
    return static_cast<double>(a.value_) / static_cast<double>(b.value_);
  }
  constexpr Quantity& operator+=(Quantity other) {
    value_ += other.value_;
    return *this;
  }

 private:
  Rep value_{};
};

using Bytes = Quantity<struct BytesTag, std::int64_t>;
/// Simulated time on the event kernel's clock: integer picoseconds, so that runs repeat to the bit.
using Ticks = Quantity<struct TicksTag, std::int64_t>;
/// Cycles of a core clock. Fractions are meant: a step's cycles are a count of work over a rate.
using Cycles = Quantity<struct CyclesTag, double>;
using Flops = Quantity<struct FlopsTag, double>;
using Seconds = Quantity<struct SecondsTag, double>;
using Hertz = Quantity<struct HertzTag, double>;
using Watts = Quantity<struct WattsTag, double>;
using BytesPerSecond = Quantity<struct BytesPerSecondTag, double>;
using BytesPerCycle = Quantity<struct BytesPerCycleTag, double>;
using FlopsPerSecond = Quantity<struct FlopsPerSecondTag, double>;
using FlopsPerCycle = Quantity<struct FlopsPerCycleTag, double>;
/// Element operations per cycle (a fused multiply-add is one operation).
using OpsPerCycle = Quantity<struct OpsPerCycleTag, double>;

// The only cross-unit arithmetic there is: one line per law of nature that is used.
constexpr Seconds operator/(Bytes size, BytesPerSecond rate) {
  return Seconds(static_cast<double>(size.count()) / rate.count());
}
constexpr Cycles operator/(Bytes size, BytesPerCycle rate) {
  return Cycles(static_cast<double>(size.count()) / rate.count());
}
constexpr Seconds operator/(Flops work, FlopsPerSecond rate) { return Seconds(work.count() / rate.count()); }
constexpr Cycles operator/(Flops work, FlopsPerCycle rate) { return Cycles(work.count() / rate.count()); }
constexpr Seconds operator/(Cycles n, Hertz clock) { return Seconds(n.count() / clock.count()); }
constexpr FlopsPerSecond operator*(FlopsPerCycle rate, Hertz clock) {
  return FlopsPerSecond(rate.count() * clock.count());
}
constexpr BytesPerSecond operator*(BytesPerCycle rate, Hertz clock) {
  return BytesPerSecond(rate.count() * clock.count());
}

inline constexpr double kTicksPerSecond = 1e12;
/// Ticks are summed up over a step: of longer times the sum could leave 64 bits.
inline constexpr Seconds kLongestTime{1e5};
/// Throws InfeasibleError for a time that is longer, ModelError for one that is no number.
[[noreturn]] void refuse_ticks(Seconds);
inline Ticks to_ticks(Seconds t) {
  if (!(t <= kLongestTime)) refuse_ticks(t);
  return Ticks(std::llround(t.count() * kTicksPerSecond));
}
constexpr Seconds to_seconds(Ticks t) { return Seconds(static_cast<double>(t.count()) / kTicksPerSecond); }

/// A count as a factor of a formula.
template <class Number>
constexpr double d(Number x) {
  return static_cast<double>(x);
}

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t multiple) {
  return ceil_div(a, multiple) * multiple;
}

}  // namespace xpusim
