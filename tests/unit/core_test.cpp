#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "xpusim/core/breakdown.h"
#include "xpusim/core/error.h"
#include "xpusim/core/hash.h"
#include "xpusim/core/text.h"

namespace xpusim {
namespace {

constexpr std::array<std::string_view, 4> kKeys = {"bandwidth", "latency", "capacity", "m"};

TEST(Nearest, FindsATypingMistake) {
  EXPECT_EQ(nearest("bandwith", kKeys), "bandwidth");
  EXPECT_EQ(nearest("latecny", kKeys), "latency");
  EXPECT_EQ(nearest("capacity", kKeys), "capacity");
}

TEST(Nearest, LeavesOtherWordsAlone) {
  EXPECT_EQ(nearest("price", kKeys), "");
  EXPECT_EQ(nearest("", std::array<std::string_view, 1>{"latency"}), "");
  EXPECT_EQ(nearest("x", {}), "");
  EXPECT_EQ(nearest(std::string(1'000'000, 'x'), kKeys), "");
}

TEST(Nearest, TakesTheFirstOfEquals) {
  EXPECT_EQ(nearest("int9", std::array<std::string_view, 2>{"int8", "int4"}), "int8");
}

TEST(Text, JoinsWords) {
  EXPECT_EQ(join(std::vector<std::string_view>{}), "");
  EXPECT_EQ(join(std::vector<std::string_view>{"a"}), "a");
  EXPECT_EQ(join(std::vector<std::string_view>{"a", "b"}, " x "), "a x b");
}

TEST(Text, IsMadeFitForAMessage) {
  EXPECT_EQ(in_quotes("a\tb\x1b[1m"), "'a\\x09b\\x1b[1m'");
  EXPECT_EQ(printable(std::string(100, 'x')), std::string(60, 'x') + "...");
  const std::string umlauts = std::string(59, 'x') + "\u00e4\u00e4";
  EXPECT_EQ(printable(umlauts), std::string(59, 'x') + "...") << "cut inside of a character";
}

TEST(Text, ShowsWhatATerminalWouldObey) {
  EXPECT_EQ(visible("plain, \u00e4\U0001f600"), "plain, \u00e4\U0001f600");
  EXPECT_EQ(visible("a\nb\x7f\xc2\x9b!"), "a\\x0ab\\x7f\\xc2\\x9b!") << "C1 controls, too";
  EXPECT_EQ(visible("caf\xe9"), "caf\\xe9") << "what is no UTF-8";
}

TEST(MistakeList, ListsTheFirstAndCountsTheRest) {
  MistakeList list(2);
  EXPECT_NO_THROW(list.raise());
  for (int i = 0; i < 1'200'002; ++i) list.push_back({{"f", i + 1, 1}, "", "wrong", ""});
  try {
    list.raise();
    FAIL();
  } catch (const ConfigError& e) {
    EXPECT_STREQ(e.what(), "f:1:1: wrong\nf:2:1: wrong\nf: and 1,200,000 more mistakes");
  }
}

TEST(Hasher, IsFnv1a) {  // published test vectors: the hash may not change between versions
  EXPECT_EQ(Hasher().hex(), "cbf29ce484222325");
  EXPECT_EQ(Hasher().add("a").hex(), "af63dc4c8601ec8c");
  EXPECT_EQ(Hasher().add("foobar").hex(), "85944171f73967e8");
  EXPECT_EQ(Hasher().add("foo").add("bar").value(), Hasher().add("foobar").value());
}

TEST(Hasher, TakesNumbersAsEightBytes) {
  EXPECT_EQ(Hasher().add(1).value(), Hasher().add(std::int64_t{1}).value());
  EXPECT_EQ(Hasher().add(1).value(), Hasher().add(std::string_view("\1\0\0\0\0\0\0\0", 8)).value());
  EXPECT_NE(Hasher().add(1).value(), Hasher().add(2).value());
}

TEST(Breakdown, AddsUp) {
  Breakdown a, b;
  a[Bound::Matrix] = 2;
  a[Bound::Hbm] = 3;
  b[Bound::Hbm] = 0.5;
  EXPECT_EQ(a.total(), 5);
  EXPECT_EQ(a.largest(), Bound::Hbm);
  a.add(b, 4);
  EXPECT_EQ(a[Bound::Hbm], 5);
  EXPECT_EQ(a.total(), 7);
  EXPECT_EQ(Breakdown().total(), 0);
  EXPECT_EQ(Breakdown().largest(), Bound::Matrix);
}

TEST(Diagnostics, RenderWhatIsThere) {
  EXPECT_EQ(
      render({{{"a.yaml", 3, 7}, "chip.id", "wrong", "right"}, {{"--set x", 0, 0}, "", "no value", ""}}),
      "a.yaml:3:7: chip.id: wrong (right)\n--set x: no value");
  EXPECT_STREQ(ConfigError(Diagnostic{{"a.yaml", 1, 1}, "", "empty", ""}).what(), "a.yaml:1:1: empty");
}

TEST(Invariant, ThrowsWithItsText) {
  EXPECT_NO_THROW(check_invariant(true, "fine"));
  try {
    check_invariant(false, "time went backwards");
    FAIL();
  } catch (const ModelError& e) {
    EXPECT_STREQ(e.what(), "time went backwards");
  }
}

}  // namespace
}  // namespace xpusim
