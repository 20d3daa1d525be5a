#include "xpusim/config/node.h"

#include <gtest/gtest.h>

namespace xpusim::config {
namespace {

std::string message(const std::string& text) {
  try {
    static_cast<void>(parse_yaml(text, "f.yaml"));
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no mistake";
}

TEST(Yaml, RemembersWhereEverythingStands) {
  const Node root = parse_yaml("a: 1\nb:\n  - x\n  - {c: y}\n", "f.yaml");
  ASSERT_TRUE(root.is_map());
  ASSERT_EQ(root.entries.size(), 2U);
  EXPECT_EQ(root.entries[1].where.line, 2);
  EXPECT_EQ(root.entries[1].where.column, 1);
  const Node& c = *root.find("b")->items[1].find("c");
  EXPECT_EQ(c.text, "y");
  EXPECT_EQ(c.where.location().file, "f.yaml");
  EXPECT_EQ(c.where.line, 4);
  EXPECT_EQ(c.where.column, 9);
}

TEST(Yaml, TakesTextAsItStands) {
  const Node root =
      parse_yaml("a: 010\nb: yes\nc: ~\nd: '~'\ne: null\nf:\ng: \"null\"\nh: 2001-01-01\n", "f.yaml");
  EXPECT_EQ(root.find("a")->text, "010");
  EXPECT_EQ(root.find("b")->text, "yes");
  EXPECT_EQ(root.find("c")->kind, Node::Kind::Null);
  EXPECT_EQ(root.find("d")->kind, Node::Kind::Scalar);
  EXPECT_EQ(root.find("e")->kind, Node::Kind::Null);
  EXPECT_EQ(root.find("f")->kind, Node::Kind::Null);
  EXPECT_EQ(root.find("g")->text, "null");
  EXPECT_EQ(root.find("h")->text, "2001-01-01");
}

TEST(Yaml, KeepsAKeyThatIsThereTwice) {
  const Node root = parse_yaml("a: 1\na: 2\n", "f.yaml");
  ASSERT_EQ(root.entries.size(), 2U);
  EXPECT_EQ(root.find("a")->text, "1");
}

TEST(Yaml, AcceptsAByteOrderMarkAndCarriageReturns) {
  EXPECT_EQ(parse_yaml("\xef\xbb\xbf"
                       "a: 1\r\nb: 2\r\n",
                       "f.yaml")
                .find("b")
                ->text,
            "2");
}

TEST(Yaml, RefusesWhatIsNotPlain) {
  EXPECT_EQ(message("a: &x 1\n"),
            "f.yaml:1:4: an anchor (&name) is not accepted here (write the value out, or inherit a file with "
            "base:)");
  EXPECT_EQ(message("a: 1\nb: *a\n"),
            "f.yaml:2:4: not readable as YAML: the referenced anchor is not defined (write the value out)");
  EXPECT_EQ(message("a: !!int 1\n"), "f.yaml:1:4: a tag (!name) is not accepted here (leave it out)");
  EXPECT_EQ(message("a: !x {b: 1}\n"), "f.yaml:1:4: a tag (!name) is not accepted here (leave it out)");
  EXPECT_EQ(message("{[a]: 1}\n"),
            "f.yaml:1:2: a list or map as a key is not accepted here (keys are plain words; is a bracket not "
            "closed?)");
  EXPECT_EQ(message("a: 1\n---\nb: 2\n"),
            "f.yaml:2:1: a second document is not accepted here (one document a file; is the indent right?)");
  EXPECT_EQ(message("a: \"\\e[1m\"\n"),
            "f.yaml:1:4: a control character is not accepted here (leave it out)");
  EXPECT_EQ(message("a: b: c\n"),
            "f.yaml:1:5: not readable as YAML: illegal map value (is the indent right? text with ': ' in it "
            "stands in "
            "quotes)");
}

TEST(Yaml, RefusesBytesThatAreNoText) {
  EXPECT_EQ(message(std::string("a: 1\nb: \0", 9)),
            "f.yaml:2:4: byte 0x00 is not text (a config is text in UTF-8)");
  EXPECT_EQ(message("a: \x04 b"), "f.yaml:1:4: byte 0x04 is not text (a config is text in UTF-8)");
  EXPECT_EQ(message("\xff\xfe"
                    "a"),
            "f.yaml:1:1: byte 0xff is not text (a config is text in UTF-8)");
  for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                          "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x82"})
    EXPECT_NE(message(std::string("\u00e4: ") + bad).find("f.yaml:1:4: byte"), std::string::npos) << bad;
  for (const char* good : {"\u00e4", "\u20ac", "\U0001f600", "\U0010ffff", "\ud7ff", "\ue000", "\t"})
    EXPECT_EQ(message(std::string("a: 'x") + good + "'"), "no mistake");
}

TEST(Yaml, RefusesDeepNestingOfAnyStyle) {
  constexpr int kLevels = 100'000;
  std::string flow, block, keys, maps;
  for (int i = 0; i < kLevels; ++i) {
    flow += '[';
    block += "- ";
    maps += "{a: ";
    if (i < 1000) keys += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  }
  const std::string deep = ": nesting deeper than 64 levels is not accepted here (flatten it)";
  EXPECT_EQ(message(flow + std::string(kLevels, ']')), "f.yaml:1:65" + deep);
  EXPECT_EQ(message(block), "f.yaml:1:129" + deep);
  EXPECT_EQ(message(keys), "f.yaml:65:65" + deep);
  EXPECT_NE(message(flow), "no mistake");
  EXPECT_NE(message(maps), "no mistake");
  EXPECT_EQ(message(std::string(60, '[') + std::string(60, ']')), "no mistake");
}

TEST(Yaml, RefusesHugeFiles) {
  EXPECT_EQ(message(std::string(kMostBytes + 1, ' ')),
            "f.yaml: more than 4 MiB (repeat sections instead of writing them out)");
  EXPECT_EQ(message("# " + std::string(kMostBytes - 2, 'x')), "no mistake");
}

TEST(Overlay, LaysMapsKeyByKeyAndLeavesAsAWhole) {
  Node under = parse_yaml("a: {x: 1, y: 2}\nb: {value: 1, source: s}\nc: [1, 2]\n", "under");
  overlay(under, parse_yaml("a: {y: 3, z: 4}\nb: {value: 2}\nc: [5]\nd: 6\n", "over"));
  EXPECT_EQ(under.find("a")->find("x")->text, "1");
  EXPECT_EQ(under.find("a")->find("y")->text, "3");
  EXPECT_EQ(under.find("a")->find("z")->text, "4");
  EXPECT_EQ(under.find("b")->find("source"), nullptr);
  EXPECT_EQ(under.find("c")->items.size(), 1U);
  EXPECT_EQ(under.find("d")->text, "6");
}

}  // namespace
}  // namespace xpusim::config
