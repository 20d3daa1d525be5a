#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/temporary_folder.h"
#include "xpusim/report/file.h"
#include "xpusim/report/plot.h"
#include "xpusim/report/results.h"
#include "xpusim/result/version.h"

namespace xpusim::report {
namespace {
namespace fs = std::filesystem;
using result::Result;

TEST(Results, HaveTheirPartsInJson) {
  Result r;
  r.workload = "w";
  r.total = Seconds(0.5);
  r.tokens = 8;
  r.breakdown[Bound::Matrix] = 0.5;
  r.operators.emplace_back().op.work = GemmShape{};
  const auto json = to_json({r, r});
  EXPECT_EQ(json["schema"], "xpusim.result/1");
  EXPECT_EQ(json["version"], result::version());
  ASSERT_EQ(json["results"].size(), 2U);
  const auto& first = json["results"][0];
  EXPECT_EQ(first["step_time_s"], 0.5);
  EXPECT_EQ(first["tokens_per_s"], 16);
  EXPECT_EQ(first["bound_by"], "matrix");
  EXPECT_EQ(first["breakdown"].size(), kBounds);
  EXPECT_EQ(first["operators"][0]["op"], "gemm");
}

TEST(Results, OfNoTimeHaveNoSpeed) {
  EXPECT_EQ(to_table({Result{}}).find("nan"), std::string::npos) << to_table({Result{}});
}

TEST(Results, StandInAlignedColumns) {
  Result a, b;
  a.system = "short";
  b.system = "a_longer_name";
  a.total = b.total = Seconds(1);
  const std::string text = to_table({a, b}), head = text.substr(0, text.find('\n'));
  EXPECT_TRUE(head.ends_with("  short  a_longer_name")) << text;
  EXPECT_NE(text.find("\n" + std::string(head.size(), '-') + "\n"), std::string::npos) << text;
  EXPECT_NE(text.find("speed against the first"), std::string::npos);
}

TEST(Page, ShowsNamesAsTheyAre) {
  const std::string bad = "<script>a & \"b\"</script>";
  for (const bool compares : {false, true}) {
    const std::string text = page(bad, Plot{{bad}, {bad}, {{bad, {{1, 2, bad}}}}, compares});
    EXPECT_EQ(text.find("<script>"), std::string::npos) << text;
    EXPECT_EQ(text.find("a & "), std::string::npos) << text;
    EXPECT_EQ(text.find("\"b\""), std::string::npos) << text;
  }
}

TEST(Markdown, ShowsTextAsText) {
  EXPECT_EQ(escaped_markdown("[l](javascript:x) ![](http://y)"), "\\[l\\](javascript:x) \\!\\[\\](http://y)");
  EXPECT_EQ(escaped_markdown("@everyone #1"), "@<!-- -->everyone #<!-- -->1");
  EXPECT_EQ(escaped_markdown("a|b\n<i> `c` \\ *d*"), "a\\|b \\<i> \\`c\\` \\\\ \\*d\\*");
  EXPECT_EQ(escaped_markdown("gemm_4096/h100_sxm, 3.35 TB/s"), "gemm_4096/h100_sxm, 3.35 TB/s");
}

TEST(Markdown, KeepsCodeInItsFence) {
  EXPECT_EQ(markdown_code("chip.x=3"), "`chip.x=3`");
  EXPECT_EQ(markdown_code("a`](x)``b\nc"), "``` a`](x)``b c ```");
}

TEST(WriteFile, ReplacesAFileAndCreatesFolders) {
  const test::TemporaryFolder folder;
  const fs::path file = folder.path() / "new" / "deep" / "out.json";
  write_file(file.string(), "first");
  write_file(file.string(), "second");
  EXPECT_EQ(test::read_text(file), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(file.parent_path()), {}), 1) << "no partial file is left";
}

TEST(WriteFile, KeepsALinkAndWritesWhereItPoints) {
  const test::TemporaryFolder folder;
  const fs::path target = folder.write("target", "old"), link = folder.path() / "link";
  fs::create_symlink(target, link);
  write_file(link.string(), "new");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(test::read_text(target), "new");
}

std::string failure(const std::string& path) {
  try {
    write_file(path, "text");
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "written";
}

TEST(WriteFile, NeverReplacesADevice) {
  EXPECT_EQ(failure("/dev/null"), "written");
  EXPECT_EQ(failure("/dev/full"), "/dev/full: cannot write the file (No space left on device)");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST(WriteFile, SaysWhyItCannot) {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("file", "kept");
  EXPECT_EQ(failure(file + "/out"), file + "/out: cannot write the file (Not a directory)");
  EXPECT_EQ(failure(folder.path()), folder.path().string() + ": cannot write the file (it is a folder)");
  EXPECT_EQ(failure(""), ": cannot write the file (No such file or directory)");
  EXPECT_EQ(test::read_text(file), "kept");
}

}  // namespace
}  // namespace xpusim::report
