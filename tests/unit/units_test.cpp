#include "xpusim/core/units.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace xpusim {
namespace {

template <class A, class B>
concept Adds = requires(A a, B b) {
  a + b;
};
template <class A, class B>
concept Subtracts = requires(A a, B b) {
  a - b;
};
template <class A, class B>
concept Compares = requires(A a, B b) {
  a < b;
};
template <class A, class B>
concept Multiplies = requires(A a, B b) {
  a* b;
};
template <class A, class B>
concept Divides = requires(A a, B b) {
  a / b;
};

TEST(Units, MisuseDoesNotCompile) {
  static_assert(Adds<Bytes, Bytes> && Compares<Seconds, Seconds> && Divides<Bytes, BytesPerSecond>);
  static_assert(!Adds<Bytes, Seconds> && !Subtracts<Seconds, Cycles> && !Adds<Seconds, double>);
  static_assert(!Compares<Bytes, Flops> && !Compares<Seconds, double> && !Compares<Ticks, Seconds>);
  static_assert(!Multiplies<Bytes, Bytes> && !Multiplies<Seconds, BytesPerSecond>);
  static_assert(!Divides<Bytes, FlopsPerSecond> && !Divides<Seconds, Bytes> && !Divides<Flops, Hertz>);
  static_assert(!std::is_convertible_v<double, Seconds> && !std::is_convertible_v<Seconds, double>);
  static_assert(!std::is_convertible_v<Bytes, Ticks> && !std::is_constructible_v<Seconds, Cycles>);
}

TEST(Units, AddScaleAndCompare) {
  EXPECT_EQ(Bytes(3) + Bytes(4), Bytes(7));
  EXPECT_EQ(Seconds(3) - Seconds(4), Seconds(-1));
  EXPECT_EQ(Bytes(3) * 4, 4 * Bytes(3));
  EXPECT_EQ(Seconds(3) / Seconds(4), 0.75);
  EXPECT_LT(Watts(3), Watts(4));
  Bytes sum(1);
  sum += Bytes(2);
  EXPECT_EQ(sum.count(), 3);
  EXPECT_EQ(Seconds().count(), 0);
}

TEST(Units, QuotientsAreTheLawsOfNature) {
  EXPECT_DOUBLE_EQ((Bytes(3'000'000) / BytesPerSecond(1.5e12)).count(), 2e-6);
  EXPECT_DOUBLE_EQ((Bytes(640) / BytesPerCycle(128)).count(), 5);
  EXPECT_DOUBLE_EQ((Flops(1e12) / FlopsPerSecond(4e12)).count(), 0.25);
  EXPECT_DOUBLE_EQ((Flops(8192) / FlopsPerCycle(4096)).count(), 2);
  EXPECT_DOUBLE_EQ((Cycles(1800) / Hertz(1.8e9)).count(), 1e-6);
  EXPECT_DOUBLE_EQ((FlopsPerCycle(4096) * Hertz(2e9)).count(), 8.192e12);
  EXPECT_DOUBLE_EQ((BytesPerCycle(64) * Hertz(2e9)).count(), 1.28e11);
}

TEST(Units, TicksAreWholePicoseconds) {
  EXPECT_EQ(to_ticks(Seconds(1.4e-12)), Ticks(1));
  EXPECT_EQ(to_ticks(Seconds(1.6e-12)), Ticks(2));
  EXPECT_DOUBLE_EQ(to_seconds(Ticks(2'500)).count(), 2.5e-9);
  EXPECT_EQ(to_ticks(to_seconds(Ticks(123'456'789'012'345))), Ticks(123'456'789'012'345));
}

TEST(Units, DivisionRoundsUp) {
  EXPECT_EQ(ceil_div(0, 16), 0);
  EXPECT_EQ(ceil_div(1, 16), 1);
  EXPECT_EQ(ceil_div(16, 16), 1);
  EXPECT_EQ(ceil_div(17, 16), 2);
  EXPECT_EQ(round_up(17, 16), 32);
}

}  // namespace
}  // namespace xpusim
