#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "support/temporary_folder.h"
#include "xpusim/core/error.h"
#include "xpusim/report/comparison.h"

/// Baselines survive being written and read, and a comparison says all that moved and nothing else.
namespace xpusim::regression {
namespace {

constexpr std::size_t kSamples = 200;

/// Names and texts that a careless writer would spoil.
const std::vector<std::string> kTexts = {"gemm",     "a/b",      "x,chip.cores.count=3",
                                         "yes",      "1e3",      "a: b",
                                         "#c",       "\"q\"",    "{}",
                                         "\xc3\xa9", "[0]",      "- x",
                                         "80 GiB",   " padded ", "two\nlines"};

class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return random_() % n; }
  double positive() { return std::exp(std::uniform_real_distribution<double>(-3, 20)(random_)); }
  std::string text() { return kTexts[below(kTexts.size())]; }

  CaseRecord record() {
    CaseRecord c;
    c.config = "0123456789abcdef";
    c.inputs = {text(), text()};
    c.bound = "hbm";
    const double all = positive();
    c.metrics[Metric::TimeUs] = rounded(all);
    if (below(2) == 0) c.metrics[Metric::BiasPct] = rounded(positive() - positive());
    c.causes_us = {{"hbm", rounded(0.7 * all)}, {"matrix", rounded(0.3 * all)}};
    for (std::size_t i = 0; i < 1 + below(30); ++i)
      c.operators["layer." + std::to_string(i)] = {"gemm", "hbm", rounded(positive())};
    return c;
  }
  Baseline baseline() {
    Baseline b;
    b.model = "1.2.3";
    b.reason = text();
    for (std::size_t i = 0; i < below(4); ++i) b.inputs["chip " + text()][text()][text()] = text();
    for (std::size_t i = 0; i < 1 + below(5); ++i) b.cases["case" + std::to_string(i)] = record();
    if (below(4) == 0) b.cases["refused"].refused = "needs 3 GiB more: " + text();
    return b;
  }

 private:
  std::mt19937 random_;
};

Suite suite_of(const Baseline& b) {
  Suite s;
  s.name = "test";
  for (const auto& [id, c] : b.cases) s.cases.push_back({id, {}, {}, {}});
  return s;
}

TEST(BaselineText, ReadsBackAsWritten) {
  for (unsigned seed = 0; seed < kSamples; ++seed) {
    const Baseline b = Draw(seed).baseline();
    const std::string text = to_text(b);
    const Baseline read = parse_baseline(text, "written");
    ASSERT_EQ(to_text(read), text);
    ASSERT_EQ(read.reason, b.reason);
    ASSERT_EQ(read.inputs, b.inputs);
    ASSERT_TRUE(compare(suite_of(b), b, read).same()) << text;
  }
}

TEST(BaselineText, ChangesByTheLineOfWhatChanged) {
  Baseline b = Draw(1).baseline();
  const std::string before = to_text(b);
  b.cases.begin()->second.operators.begin()->second.us *= 2;
  const std::string after = to_text(b);
  std::istringstream old_lines(before), new_lines(after);
  int differing = 0;
  for (std::string x, y; std::getline(old_lines, x) && std::getline(new_lines, y);)
    differing += x == y ? 0 : 1;
  EXPECT_EQ(differing, 1);
}

/// Whatever a merge or an editor does to the file: it reads, or the error says where. Never anything else.
TEST(BaselineText, OfAnyBytesIsReadOrRefused) {
  const std::string text = to_text(Draw(7).baseline());
  std::mt19937 random(11);
  std::size_t refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string spoiled = text;
    if (i % 3 == 0)
      spoiled.resize(random() % spoiled.size());
    else
      for (int k = 0; k < i % 5 + 1; ++k)
        spoiled[random() % spoiled.size()] = static_cast<char>(random() % 256);
    try {
      static_cast<void>(parse_baseline(spoiled, "spoiled"));
    } catch (const ConfigError& e) {
      ++refused;
      ASSERT_FALSE(e.diagnostics().empty());
      ASSERT_EQ(e.diagnostics().front().where.file, "spoiled");
    }
  }
  EXPECT_GT(refused, 500U);
}

std::string message(const std::string& text) {
  try {
    static_cast<void>(parse_baseline(text, "b"));
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no mistake";
}

TEST(BaselineText, SaysWhatIsWrong) {
  EXPECT_EQ(
      message("cases: {}\n"),
      "b:1:1: schema: this is no baseline of xpusim check (restore it from version control, or remove it and "
      "write a new one with --update)");
  EXPECT_EQ(message("schema: xpusim.baseline/7\n"),
            "b:1:9: schema: 'xpusim.baseline/7'; this xpusim reads xpusim.baseline/1 (migrate: check with "
            "the xpusim "
            "that wrote it, then write it anew with this one, --update --reason 'schema')");
  EXPECT_EQ(
      message(
          "schema: xpusim.baseline/1\nmodel: 1\nreason: r\ncases:\n  a: {config: x, metrics: {time_u: 3}}\n"),
      "b:5:28: cases.a.metrics.time_u: unknown key (did you mean 'time_us'?)\nb: this baseline cannot be "
      "read (restore it from "
      "version control, or remove it and write a new one with --update)");
  EXPECT_NE(message("<<<<<<< HEAD\nschema: xpusim.baseline/1\n").find("b:"), std::string::npos);
}

TEST(Message, CarriesARecordWhole) {
  for (unsigned seed = 0; seed < kSamples; ++seed) {
    const CaseRecord c = Draw(seed).record();
    const CaseRecord read = parse_message(to_message(c));
    ASSERT_EQ(read.metrics, c.metrics);
    ASSERT_EQ(read.inputs, c.inputs);
    ASSERT_EQ(read.operators.size(), c.operators.size());
  }
}

TEST(Comparison, OfTheSameIsSame) {
  for (unsigned seed = 0; seed < kSamples; ++seed) {
    Baseline b = Draw(seed).baseline();
    const Baseline now = b;
    for (auto& [id, c] : b.cases) c = without_small(c);  // as a file has it
    const Comparison all = compare(suite_of(b), b, now);
    ASSERT_TRUE(all.same());
    ASSERT_TRUE(all.inputs.empty());
  }
}

/// All times 3 % longer: every case moved, and the parts of each attribution add up to the change.
TEST(Comparison, AttributesAllOfAChange) {
  for (unsigned seed = 0; seed < kSamples; ++seed) {
    Baseline before = Draw(seed).baseline(), now = before;
    before.cases.erase("refused");
    now.cases.erase("refused");
    for (auto& [id, c] : now.cases) {
      c.metrics[Metric::TimeUs] *= 1.03;
      for (auto& [cause, us] : c.causes_us) us *= 1.03;
      for (auto& [name, o] : c.operators) o.us *= 1.03;
    }
    for (auto& [id, c] : before.cases) c = without_small(c);
    const Comparison all = compare(suite_of(now), before, now);
    ASSERT_EQ(all.count(Verdict::Changed), all.cases.size());
    for (const CaseComparison& c : all.cases) {
      ASSERT_NEAR(c.changes.front().change_pct, 3, 1e-9);
      ASSERT_FALSE(c.inputs_differ);
      double causes = 0, classes = 0, operators = 0, expected = 0;
      for (const Contribution& x : c.causes) causes += x.us;
      for (const Contribution& x : c.classes) classes += x.us;
      for (const Contribution& x : c.operators) operators += x.us;
      for (const auto& [name, o] : before.cases.at(c.id).operators) expected += 0.03 * o.us;
      const double change = *c.changes.front().now - *c.changes.front().before;
      ASSERT_NEAR(causes, change, 1e-5 * std::abs(change));
      ASSERT_NEAR(classes, expected, 1e-5 * expected);
      ASSERT_NEAR(operators, expected, 1e-5 * expected);
    }
  }
}

Comparison with_times(double before_us, double now_us, Metric metric, std::map<Metric, double> tolerance) {
  Baseline before, now;
  before.cases["a"].metrics[metric] = before_us;
  now.cases["a"].metrics[metric] = now_us;
  Suite s = suite_of(now);
  s.cases[0].tolerance_pct = std::move(tolerance);
  return compare(s, before, now);
}

TEST(Comparison, FailsBeyondTheToleranceEitherWay) {
  EXPECT_TRUE(with_times(1000, 1001, Metric::TimeUs, {}).same());
  EXPECT_TRUE(with_times(1000, 999, Metric::TimeUs, {}).same());
  EXPECT_FALSE(with_times(1000, 1001.1, Metric::TimeUs, {}).same());
  EXPECT_FALSE(with_times(1000, 998.9, Metric::TimeUs, {}).same()) << "faster is suspicious, too";
  EXPECT_TRUE(with_times(1000, 1049, Metric::TimeUs, {{Metric::TimeUs, 5}}).same());
  EXPECT_FALSE(with_times(1000, 1000.001, Metric::TimeUs, {{Metric::TimeUs, 0}}).same());
  EXPECT_FALSE(with_times(0, 1, Metric::HbmBytes, {{Metric::HbmBytes, 100}}).same())
      << "from nothing to something";
  EXPECT_TRUE(with_times(0, 0, Metric::HbmBytes, {{Metric::HbmBytes, 0}}).same());
}

TEST(Comparison, TakesPercentagesInPoints) {
  EXPECT_TRUE(with_times(0.05, 0.14, Metric::BiasPct, {}).same());
  EXPECT_FALSE(with_times(0.05, 0.16, Metric::BiasPct, {}).same());
  EXPECT_TRUE(with_times(-0.04, 0.04, Metric::BiasPct, {}).same());
}

TEST(Comparison, CountsWhatCameAndWent) {
  Baseline before = Draw(3).baseline(), now = before;
  now.cases["more"] = now.cases.begin()->second;
  now.cases.erase(before.cases.begin()->first);
  const Comparison all = compare(suite_of(now), before, now);
  EXPECT_EQ(all.count(Verdict::New), 1U);
  EXPECT_EQ(all.count(Verdict::Removed), 1U);
  EXPECT_EQ(all.count(Verdict::Changed), 0U);
  EXPECT_FALSE(all.same());
}

TEST(Comparison, SeesACaseThatNoLongerRuns) {
  Baseline before = Draw(5).baseline(), now = before;
  CaseRecord& c = now.cases.begin()->second;
  c = {c.config, c.inputs, "needs 3 GiB more", "", {}, {}, {}};
  const Comparison all = compare(suite_of(now), before, now);
  EXPECT_EQ(all.cases.front().verdict, Verdict::Changed);
  EXPECT_NE(report::to_text(all).find("needs 3 GiB more"), std::string::npos);
}

TEST(Comparison, NamesTheInputsThatChanged) {
  Baseline before, now;
  before.inputs["chip x"]["hbm"] = {{"bandwidth", "3 TB/s"}, {"latency", "1 us"}};
  now.inputs["chip x"]["hbm"] = {{"bandwidth", "4 TB/s"}, {"latency", "1 us"}};
  now.inputs["chip y"]["hbm"] = {{"bandwidth", "1 TB/s"}};  // of a new case: no change
  const Comparison all = compare({}, before, now);
  ASSERT_EQ(all.inputs.size(), 1U);
  EXPECT_EQ(all.inputs[0].path, "hbm.bandwidth");
  EXPECT_EQ(all.inputs[0].before + " " + all.inputs[0].now, "3 TB/s 4 TB/s");
}

TEST(Comparison, PutsTheLargestChangeFirst) {
  for (unsigned seed = 0; seed < kSamples; ++seed) {
    const Baseline before = Draw(seed).baseline();
    Baseline now = before;
    Draw draw(seed + 1);
    for (auto& [id, c] : now.cases)
      if (c.refused.empty()) c.metrics[Metric::TimeUs] *= 0.5 + static_cast<double>(draw.below(1000)) / 1000;
    const Comparison all = compare(suite_of(now), before, now);
    for (std::size_t i = 1; i < all.cases.size(); ++i)
      if (all.cases[i].verdict == all.cases[i - 1].verdict) {
        ASSERT_GE(all.cases[i - 1].largest_pct(), all.cases[i].largest_pct());
      }
  }
}

Comparison moved() {
  Baseline before = Draw(9).baseline(), now = before;
  now.cases.begin()->second.metrics[Metric::TimeUs] *= 2;
  now.cases.begin()->second.operators.begin()->second.bound = "l2 | <b>";
  now.cases["more"] = before.cases.begin()->second;
  Suite s = suite_of(now);
  s.name = "a & <b> \"c\" | d";
  for (Case& c : s.cases) c.measured = MeasuredTime{Seconds(1e-3), "somebody"};
  return compare(s, before, now);
}

TEST(Reports, KeepTablesWhole) {
  const std::string text = report::to_markdown(moved());
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("|")) continue;
    int bars = 0;
    for (std::size_t i = 0; i < line.size(); ++i)
      bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
    EXPECT_EQ(bars, 9) << line;
  }
  EXPECT_NE(text.find("mean absolute error"), std::string::npos);
  EXPECT_NE(text.find("<details><summary>1 new</summary>"), std::string::npos);
}

TEST(Reports, EscapeXml) {
  const std::string text = report::to_junit(moved());
  EXPECT_NE(text.find("<testsuite name=\"a &amp; &lt;b&gt; &quot;c&quot; | d\""), std::string::npos) << text;
  EXPECT_NE(text.find("failures=\"2\""), std::string::npos) << text;
}

TEST(Reports, HaveTheShapesOfOtherTools) {
  const Comparison all = moved();
  const auto history = report::to_github_benchmark(all);
  ASSERT_TRUE(history.is_array());
  ASSERT_GE(history.size(), all.cases.size() - 1) << "one cannot run";
  for (const auto& one : history) {
    EXPECT_TRUE(one.at("name").is_string() && one.at("unit").is_string() && one.at("value").is_number());
    EXPECT_EQ(one.at("name").get<std::string>().find("bias"), std::string::npos) << "less is not better";
  }
  const auto metrics = report::to_bencher(all);
  EXPECT_TRUE(metrics.at("more").at("time_us").at("value").is_number());
  const auto json = report::to_json(all);
  EXPECT_EQ(json.at("schema"), "xpusim.check/1");
  EXPECT_EQ(json.at("same"), false);
  EXPECT_EQ(json.at("cases").size(), all.cases.size());
}

}  // namespace
}  // namespace xpusim::regression
