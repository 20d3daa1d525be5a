#include "xpusim/config/scalars.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "xpusim/config/node.h"

namespace xpusim::config {
namespace {

template <class Q>
class QuantityText : public testing::Test {};
using Quantities =
    testing::Types<Bytes, Seconds, Hertz, Watts, BytesPerSecond, BytesPerCycle, FlopsPerCycle, OpsPerCycle>;
TYPED_TEST_SUITE(QuantityText, Quantities);

TYPED_TEST(QuantityText, ReadsBackWhatItWrites) {
  const Dimension& dimension = xpusim::dimension<TypeParam>();
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-12, 15);
  for (int i = 0; i < 20'000; ++i) {
    double x = std::pow(10.0, exponent(random)) * (i % 7 == 0 ? -1 : 1);
    if (i % 3 == 0) x = std::round(x);
    if (dimension.is_whole) x = std::round(x);
    const std::string text = format_quantity(x, dimension);
    const auto read = parse_quantity(text, dimension);
    ASSERT_TRUE(read) << text;
    ASSERT_NEAR(*read, x, 1e-12 * std::abs(x)) << text;
  }
}

TYPED_TEST(QuantityText, KnowsAllItsUnits) {
  const Dimension& dimension = xpusim::dimension<TypeParam>();
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> number(1, 1e6);
  EXPECT_EQ(dimension.units.front().scale, 1);
  EXPECT_TRUE(parse_quantity(dimension.example, dimension)) << dimension.example;
  for (const UnitName& unit : dimension.units) {
    for (int i = 0; i < 1000; ++i) {
      const double x = number(random);
      const auto read = parse_quantity(fmt::format("{} {}", x, unit.text), dimension);
      ASSERT_TRUE(read) << x << unit.text;
      const double expected = dimension.is_whole ? std::round(x * unit.scale) : x * unit.scale;
      ASSERT_NEAR(*read, expected, 1e-12 * expected) << x << unit.text;
    }
    EXPECT_EQ(parse_quantity(fmt::format("2{}", unit.text), dimension), 2 * unit.scale) << "without a space";
  }
}

TEST(QuantityText, RefusesWhatIsNoQuantity) {
  const Dimension& bytes = dimension<Bytes>();
  for (const char* text :
       {"", "5", "GiB", "5 gib", "5 Gb", "5 GiB/s", "5 GHz", "5 GiB x", "5\tGiB", "nan GiB", "inf B",
        "1e400 B", "1e300 TB/s", "five B", "+-5 B", "0x10 B", "5,0 GiB", "- 5 B"})
    EXPECT_FALSE(parse_quantity(text, bytes)) << text;
}

TEST(QuantityText, KeepsDecimalAndBinaryPrefixesApart) {
  EXPECT_EQ(parse_quantity("80 GiB", dimension<Bytes>()), 80 * 0x1p30);
  EXPECT_EQ(parse_quantity("80 GB", dimension<Bytes>()), 80e9);
  EXPECT_EQ(parse_quantity("1 TiB/s", dimension<BytesPerSecond>()), 0x1p40);
  EXPECT_EQ(parse_quantity("400 Gb/s", dimension<BytesPerSecond>()), 50e9);
}

TEST(QuantityText, IsShort) {
  EXPECT_EQ(format_quantity(0, dimension<Seconds>()), "0 s");
  EXPECT_EQ(format_quantity(3.35e12, dimension<BytesPerSecond>()), "3.35 TB/s");
  EXPECT_EQ(format_quantity(80 * 0x1p30, dimension<Bytes>()), "80 GiB");
  EXPECT_EQ(format_quantity(2e-6, dimension<Seconds>()), "2 us");
  EXPECT_EQ(format_quantity(1.83e9, dimension<Hertz>()), "1.83 GHz");
}

TEST(QuantityText, RoundsBytesToWholeOnes) {
  EXPECT_EQ(parse_quantity("0.3 B", dimension<Bytes>()), 0);
  EXPECT_EQ(parse_quantity("1.1 KiB", dimension<Bytes>()), 1126);
  EXPECT_EQ(parse_quantity("0.3 ns", dimension<Seconds>()), 0.3e-9);
}

TEST(Numbers, AreReadWholeOrNotAtAll) {
  for (const char* text : {"", " ", "12abc", "abc", "nan", "inf", "-inf", "infinity", "1e400", "0x10", "1 ",
                           " 1", "1,5", "+-1", "++1", "--1", "1e", "."})
    EXPECT_FALSE(parse_real(text)) << "'" << text << "'";
  EXPECT_EQ(parse_real("1e6"), 1e6);
  EXPECT_EQ(parse_real("+0.5"), 0.5);
  EXPECT_EQ(parse_real("-.5"), -0.5);
  EXPECT_EQ(parse_real("010"), 10);
}

TEST(Numbers, AreWholeWhereWholeOnesAreDue) {
  for (const char* text :
       {"", "12abc", "1.5", "nan", "inf", "9223372036854775808", "1e19", "1e16", "0x10", "1_000"})
    EXPECT_FALSE(parse_integer(text)) << "'" << text << "'";
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-7"), -7);
  EXPECT_EQ(parse_integer("+7"), 7);
  EXPECT_EQ(parse_integer("1e6"), 1'000'000);
  EXPECT_EQ(parse_integer("4096.0"), 4096);
  EXPECT_EQ(parse_integer("010"), 10) << "not eight";
  EXPECT_EQ(parse_integer("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(parse_integer("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
}

TEST(Texts, ReadBackFromYaml) {
  for (std::string text : {"",          "plain",
                           "two words", "a: b",
                           "a #b",      "# a",
                           "- a",       "-",
                           "?",         "[a]",
                           "{a}",       "'a'",
                           "\"a\"",     "a\nb",
                           "a\\b",      "true",
                           "Yes",       "NO",
                           "null",      "~",
                           "1",         "1e6",
                           "010",       " a",
                           "a ",        "a,b",
                           "&a",        "*a",
                           "!a",        "|",
                           ">",         "%a",
                           "@a",        "`a`",
                           "---",       "...",
                           "a\tb",      "\u00e4\U0001f600",
                           "<<",        "=",
                           "nan",       ".5",
                           "on",        "/dev/null",
                           "a:"}) {
    Scalar s;
    s.get = [&] { return ScalarValue(text); };
    const Node node = parse_yaml("key: " + format(s) + "\n", "test");
    ASSERT_NE(node.find("key"), nullptr) << text;
    EXPECT_EQ(node.find("key")->kind, Node::Kind::Scalar) << text;
    EXPECT_EQ(node.find("key")->text, text);
  }
}

TEST(Numbers, ThatADoubleCannotHoldAreNumbersAllTheSame) {
  double x = 0;
  BytesPerSecond rate;
  std::int64_t n = 0;
  const Scalar real = detail::scalar_of(x), quantity = detail::scalar_of(rate), whole = detail::scalar_of(n);
  for (const char* text : {"1e400", "-1e400", "1e-400"}) EXPECT_TRUE(is_beyond_reading(text, real)) << text;
  for (const char* text : {"1e300 TB/s", "1e400 B/s", "1e-400 B/s"})
    EXPECT_TRUE(is_beyond_reading(text, quantity)) << text;
  for (const char* text : {"1e300", "9223372036854775808"})
    EXPECT_TRUE(is_beyond_reading(text, whole)) << text;
  for (const char* text : {"", "x", "inf", "nan", "1e400 GB", "1 x"}) {
    EXPECT_FALSE(is_beyond_reading(text, real)) << text;
    EXPECT_FALSE(is_beyond_reading(text, quantity)) << text;
    EXPECT_FALSE(is_beyond_reading(text, whole)) << text;
  }
}

TEST(Ranges, EndWhereTheDimensionDoes) {
  const Dimension& d = dimension<BytesPerSecond>();
  for (const Range& r : {within(positive(), d), within(at_least(0), d), within(any_number(), d)}) {
    EXPECT_TRUE(r.contains(3e12));
    for (const double bad : {1e-300, 1.0, 1e19, 1e300, -3e12, std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity()})
      EXPECT_FALSE(r.contains(bad)) << bad;
  }
  EXPECT_FALSE(within(positive(), d).contains(0));
  EXPECT_TRUE(within(at_least(0), d).contains(0)) << "there is none";
  EXPECT_TRUE(within(between(3600, 1e12), dimension<Seconds>()).contains(1e10)) << "as the key says";
  EXPECT_FALSE(fraction().contains(1e-300));
}

TEST(Ranges, ReadLikeASentence) {
  EXPECT_EQ(format(within(at_least(0), dimension<Watts>()), &dimension<Watts>()),
            "0 W, or at least 1 mW, at most 1 MW");
  EXPECT_EQ(format(between(1, 4096), nullptr), "at least 1, at most 4096");
  EXPECT_EQ(format(fraction(), nullptr), "at least 1e-06, at most 1");
  EXPECT_EQ(format(at_least(0), &dimension<Seconds>()), "at least 0 s");
  EXPECT_EQ(format(positive(), &dimension<Bytes>()), "above 0 B");
  EXPECT_EQ(format(Range{.high = 5}, nullptr), "at most 5");
}

}  // namespace
}  // namespace xpusim::config
