#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "cli/command.h"

/// `xpusim check` as a CI job runs it.
namespace xpusim::test {
namespace {

namespace fs = std::filesystem;
constexpr int kDiffers = 1;

const std::string kSuite = R"(name: Mine
cases:
  product:
    op: gemm m=512 n=8192 k=8192 dtype=bf16
    chips: [h100_sxm, ascend_910b2]
  thin:
    op: gemm m=1 n=8192 k=8192 dtype=bf16
    chips: [h100_sxm]
    measured: {h100_sxm: {time: 49.2 us, source: somebody}}
  decode: {scenario: llama31_70b_decode, systems: [dgx_h100]}
  sum: {collective: all_reduce ranks=8 size=64MiB, systems: [dgx_h100, atlas_800_a2]}
)";

class Check : public Command {
 protected:
  void SetUp() override { write("suite.yaml", kSuite); }

  Outcome check(Arguments more) const {
    more.insert(more.begin(), {"check", "suite.yaml"});
    return run(more);
  }
  void accept() const {
    const Outcome o = check({"--update", "--reason", "first"});
    ASSERT_EQ(o.code, kOk) << o.err;
  }
  [[nodiscard]] std::string baseline() const { return read_text(path("suite.baseline")); }
  /// Replaces text of the baseline.
  void edit(const std::string& from, const std::string& to) const {
    std::string text = baseline();
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write("suite.baseline", text.replace(at, from.size(), to));
  }
};

void expect_contains(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << "\nin\n" << text;
}

TEST_F(Check, WritesOutsideOfTheSuitesFolderOnlyWhereItIsTold) {
  write("suites/far.yaml",
        "name: Far\nbaseline: ../elsewhere.baseline\ncases:\n  thin: {op: gemm m=1 n=64 k=64, chips: "
        "[h100_sxm]}\n");
  const Arguments update{"check", "suites/far.yaml", "--update", "--reason", "first"};
  expect_refusal(
      update, kUsage,
      "suites/far.yaml: its baseline, suites/../elsewhere.baseline, is outside of its folder (to write "
      "there, name it: --baseline suites/../elsewhere.baseline)");
  EXPECT_FALSE(fs::exists(path("elsewhere.baseline")));
  Arguments named = update;
  named.insert(named.end(), {"--baseline", "elsewhere.baseline"});
  EXPECT_EQ(run(named).code, kOk);
  EXPECT_EQ(run({"check", "suites/far.yaml"}).code, kOk) << "reading is no harm";
}

TEST_F(Check, WritesThroughNoLinkOutOfTheSuitesFolder) {
  write("outside/x", "");
  write("suites/far.yaml",
        "name: Far\nbaseline: link/far.baseline\ncases:\n  thin: {op: gemm m=1 n=64 k=64, chips: "
        "[h100_sxm]}\n");
  fs::create_symlink(path("outside"), path("suites/link"));
  EXPECT_EQ(run({"check", "suites/far.yaml", "--update", "--reason", "first"}).code, kUsage);
}

TEST_F(Check, WantsABaselineFirstAndAReasonForIt) {
  const Outcome none = check({});
  EXPECT_EQ(none.code, kUsage);
  EXPECT_EQ(
      none.err,
      "suite.baseline: no baseline (write the first one: xpusim check suite.yaml --update --reason '...')\n");
  EXPECT_EQ(check({"--update"}).err,
            "--update: no reason (say why the numbers may change: --update --reason '...')\n");
  EXPECT_EQ(check({"--update", "--reason", " "}).code, kUsage);
  EXPECT_EQ(check({"--reason", "why"}).code, kUsage);
  EXPECT_EQ(check({"--update", "--reason", "why", "--set", "chip.dies=1"}).code, kUsage);
  EXPECT_FALSE(fs::exists(path("suite.baseline")));
}

TEST_F(Check, FindsTheSameAgainInAnyNumberOfProcesses) {
  accept();
  expect_contains(baseline(), {"schema: xpusim.baseline/1\n", "reason: first\n", "thin/h100_sxm"});
  for (const char* jobs : {"1", "2", "5"}) {
    const Outcome o = check({"--jobs", jobs, "--baseline", "suite.baseline"});
    EXPECT_EQ(o.code, kOk) << o.out;
    expect_contains(o.out, {"6 cases: 0 changed, 0 new, 0 removed, 6 same", "against measurement: 1 cases"});
    EXPECT_EQ(
        check({"--jobs", jobs, "--baseline", std::string("other") + jobs, "--update", "--reason", "first"})
            .code,
        kOk);
    EXPECT_EQ(read_text(path(std::string("other") + jobs)), baseline());
  }
  expect_contains(check({"--update", "--reason", "again"}).out, {"nothing changed, nothing written"});
  expect_contains(baseline(), {"reason: first\n"});
}

TEST_F(Check, NamesTheOperatorsThatHbmBoundsWhenHbmChanges) {
  accept();
  const Outcome o = check({"--set", "chip.hbm.bandwidth=3 TB/s"});
  EXPECT_EQ(o.code, kDiffers) << o.err;
  expect_contains(
      o.out, {"what if: chip.hbm.bandwidth=3 TB/s", "chip h100_sxm: hbm.bandwidth 3352 GB/s -> 3 TB/s",
              "changed thin/h100_sxm  hbm", "because of   its inputs: chip h100_sxm", "by cause     hbm +",
              "layer.down +", "[gemm, hbm]", "[attention, hbm]", "error        +"});
  expect_contains(o.out, {" 4 same"});  // collectives know no HBM, products in L2 little of it
  EXPECT_EQ(o.out.find("changed sum"), std::string::npos) << o.out;
}

TEST_F(Check, ToldOfAFittedConstantSaysItsName) {
  const std::string fitted =
      "base: h100_sxm\nid: mine\nname: Mine\nhbm:\n  achieved_fraction: {value: 0.8, basis: fitted, "
      "source: my measurements}\n";
  write("chips/mine.yaml", fitted);
  write("suite.yaml",
        "name: Mine\ncases:\n  thin: {op: gemm m=1 n=8192 k=8192 dtype=bf16, chips: [chips/mine.yaml]}\n");
  accept();
  write("chips/mine.yaml", replaced(fitted, "0.8", "0.76"));
  const Outcome o = check({});
  EXPECT_EQ(o.code, kDiffers) << o.err;
  expect_contains(o.out, {"chip mine: hbm.achieved_fraction 0.8 -> 0.76", "because of   its inputs",
                          "by cause     hbm +", "gemm +", "[gemm, hbm]"});
}

TEST_F(Check, FindsFilesOfItsOwnFolderFromAnyOther) {
  write("own/mine.yaml", "base: h100_sxm\nid: mine\nname: Mine\n");
  write("own/node.yaml", "base: dgx_h100\nid: node\nname: Mine\nchip: mine.yaml\n");
  write("own/gemm.csv", "# chip=mine.yaml op=gemm_bf16\nm,n,k,time_us\n64,4096,4096,20\n");
  write("own/calls.csv",
        "# system=node.yaml op=collectives\nop,ranks,ranks_per_node,message_bytes,dtype,time_us\n"
        "all_reduce,8,8,67108864,bf16,330\n");
  write("own/suite.yaml",
        "name: Mine\ncases:\n  products: {validation: gemm.csv}\n  calls: {validation: calls.csv}\n");
  const Outcome first = run({"check", "own/suite.yaml", "--update", "--reason", "first"});
  ASSERT_EQ(first.code, kOk) << first.err;
  expect_contains(first.out, {"own/suite.baseline, model ", "; none before\n"});
  expect_contains(read_text(path("own/suite.baseline")),
                  {"\n  chip mine:\n", "inputs: [chip mine]", "inputs: [system node, chip mine]"});
  write("own/other/mine.yaml",
        "base: h100_sxm\nid: mine\nname: Mine, too\nhbm:\n  bandwidth: {value: 4 TB/s, basis: "
        "estimate, source: me}\n");
  write("own/both.yaml",
        "name: Both\ncases:\n  norm: {op: rmsnorm rows=4096 cols=8192, chips: [mine.yaml, "
        "other/mine.yaml]}\n");
  ASSERT_EQ(run({"check", "own/both.yaml", "--update", "--reason", "first"}).code, kOk);
  expect_contains(read_text(path("own/both.baseline")),
                  {"inputs: [chip mine]", "inputs: [\"chip mine #2\"]"});
  write("own/gemm.csv", "# chip=none.yaml op=gemm_bf16\nm,n,k,time_us\n64,4096,4096,20\n");
  const Outcome none = run({"check", "own/suite.yaml"});
  EXPECT_EQ(none.code, kUsage);
  expect_contains(none.err, {"suite.cases.products.validation", "own/none.yaml: there is no such file"});
}

TEST_F(Check, SaysHowAFileOfOnesOwnIsNamed) {
  write("own/mine.yaml", "base: h100_sxm\nid: mine\nname: Mine\n");
  write("own/node.yaml", "base: dgx_h100\nid: node\nname: Mine\nchip: mine\n");
  write("own/lost.yaml", "base: dgx_h100\nid: lost\nname: Mine\nchip: none.yaml\n");
  write("own/gemm.csv", "# chip=mine op=gemm_bf16\nm,n,k,time_us\n64,4096,4096,20\n");
  write("own/suite.yaml", R"(name: Mine
cases:
  a: {op: gemm m=1 n=1 k=1, chips: [mine]}
  b: {collective: all_reduce ranks=8 size=1MiB, systems: [node.yaml, lost.yaml]}
  c: {validation: gemm.csv}
  d: {scenario: own}
)");
  const Outcome names = run({"check", "own/suite.yaml"});
  EXPECT_EQ(names.code, kUsage);
  expect_contains(
      names.err, {"mine: no such chip (a file is named by its path: mine.yaml)\n",
                  "own/node.yaml:4:7: system.chip: no chip 'mine' (a file is named by its path: mine.yaml)\n",
                  "own/lost.yaml:4:7: system.chip: own/none.yaml: there is no such file\n",
                  "own/gemm.csv: no chip 'mine' (a file is named by its path: mine.yaml)\n",
                  "own: no such scenario (known: "});
  write("own/suite.yaml",
        "name: Mine\ncases:\n  a: {op: gemm m=1 n=1 k=1, chips: [mine.yaml, mine.yaml,chip.dies=1]}\n");
  expect_contains(run({"check", "own/suite.yaml"}).err,
                  {"'chip.dies=1' is a value without a name (in a list, NAME,path=value stands in quotes)"});
  EXPECT_EQ(run({"check", "suite"}).err, "suite: no such suite (a file is named by its path: suite.yaml)\n");
}

TEST_F(Check, TellsAChangeOfTheModelFromOneOfItsInputs) {
  accept();
  // A build that predicts times of kernels that are 3 % longer.
  const Outcome o = wait(start({"check", "suite.yaml"}, "stdout", XPUSIM_FLAWED_COMMAND));
  EXPECT_EQ(o.code, kDiffers) << o.err;
  expect_contains(
      o.out, {"changed product/ascend_910b2", "because of   the model: its inputs are the same", "+3 %"});
}

TEST_F(Check, WritesWhatOthersRead) {
  accept();
  const Outcome o = check({"--set", "chip.hbm.bandwidth=3 TB/s", "--markdown", "m.md", "--junit", "ci/j.xml",
                           "--json", "-", "--github-benchmark", "g.json", "--bencher", "b.json"});
  EXPECT_EQ(o.code, kDiffers);
  const auto json = nlohmann::json::parse(o.out);
  EXPECT_EQ(json.at("schema"), "xpusim.check/1");
  EXPECT_EQ(json.at("cases").size(), 6U);
  EXPECT_FALSE(json.at("same").get<bool>());
  expect_contains(read_text(path("m.md")),
                  {"### Mine: 6 cases: 2 changed", "| case | metric | baseline | now |", "by operator",
                   "<summary>4 unchanged</summary>"});
  expect_contains(read_text(path("ci/j.xml")),
                  {"tests=\"6\" failures=\"2\"", "name=\"thin/h100_sxm\" time=\""});
  EXPECT_EQ(nlohmann::json::parse(read_text(path("g.json"))).at(0).at("unit"), "us");
  EXPECT_TRUE(nlohmann::json::parse(read_text(path("b.json"))).contains("decode/dgx_h100"));
}

TEST_F(Check, RefusesAllMistakesOfASuiteAtOnce) {
  write("suite.yaml", R"(name: Wrong
cases:
  a: {op: gemm m=4096, chips: [h100_sxm]}
  b: {op: gemm m=1 n=1 k=1 dtype=bf16, chips: [h100]}
  c: {scenario: llama31_70b_decod}
  d: {collective: all_reduce ranks=8, systems: [dgx_h100]}
  e: {validation: no.csv}
  f: {op: rmsnorm rows=1 cols=64, chips: [h100_sxm], metrics: [mfu_pct]}
  g: {op: rmsnorm rows=1 cols=64, chips: [h100_sxm], set: {system.chips: 1}}
)");
  const Outcome o = check({"--update", "--reason", "first"});
  EXPECT_EQ(o.code, kUsage);
  expect_contains(o.err, {"suite.yaml:3:11: suite.cases.a.op (n): op gemm: missing required key",
                          "suite.yaml:3:11: suite.cases.a.op (k)",
                          "suite.yaml:4:11: suite.cases.b.op: h100: no such chip (did you mean ",
                          "llama31_70b_decod: no such scenario (did you mean 'llama31_70b_decode'?",
                          "suite.yaml:6:19: suite.cases.d.collective (size)", "no.csv",
                          "suite.cases.f.op (metrics): this case has no mfu_pct (one of time_us, ",
                          "this command reads no system"});
  EXPECT_EQ(o.out, "");
  EXPECT_FALSE(fs::exists(path("suite.baseline")));
}

TEST_F(Check, RefusesASuiteThatContradictsItself) {
  write("suite.yaml", R"(name: Wrong
cases:
  a: {op: gemm m=1 n=1 k=1, scenario: llama31_70b_decode}
  b: {op: gemm m=1 n=1 k=1, systems: [dgx_h100]}
  c: {collective: all_reduce ranks=8 size=1MiB}
  d: {op: gemm m=1 n=1 k=1, chips: [h100_sxm, h100_sxm]}
  "e f": {scenario: llama31_70b_decode}
  g: {op: gemm m=1 n=1 k=1, chips: [h100_sxm], measured: {a100_sxm: {time: 1 us, source: me}}}
  h: {op: gemm m=1 n=1 k=1, chips: [h100_sxm], tolerance_pct: {time: 3}}
)");
  const Outcome o = check({});
  EXPECT_EQ(o.code, kUsage);
  expect_contains(
      o.err,
      {"suite.cases.a: not one thing to run (give one of op, scenario, trace, collective, validation)",
       "suite.yaml:4:39: suite.cases.b.systems: op takes no systems (give chips)",
       "suite.cases.c: no systems (list one or more)", "suite.cases.d.chips[1]: 'h100_sxm' is there twice",
       "'e f' is no name of a case", "measured on 'a100_sxm', which the case does not run on",
       "suite.cases.h.tolerance_pct.time: unknown key (known: time_us, tokens_per_s,"});
}

TEST_F(Check, KnowsItsCases) {
  accept();
  EXPECT_EQ(check({"--only", "decod"}).err,
            "--only decod: no such case in suite.yaml (known: decode/dgx_h100, "
            "product/ascend_910b2, product/h100_sxm, sum/atlas_800_a2, sum/dgx_h100, "
            "thin/h100_sxm)\n");
  EXPECT_EQ(check({"--only", "thin/h100_sx"}).err,
            "--only thin/h100_sx: no such case in suite.yaml (did you mean 'thin/h100_sxm'?)\n");
  expect_contains(check({"--only", "product", "--only", "thin/h100_sxm"}).out, {"3 cases: ", "3 same"});
}

TEST_F(Check, ListsWhatIsNewAndWhatIsGone) {
  accept();
  write("suite.yaml", replaced(kSuite, "  thin:", "  slim:"));
  const Outcome o = check({});
  EXPECT_EQ(o.code, kDiffers);
  expect_contains(o.out,
                  {"0 changed, 1 new, 1 removed, 5 same", "new slim/h100_sxm", "removed thin/h100_sxm"});
}

TEST_F(Check, UpdatesAPartAndKeepsTheRest) {
  accept();
  const std::string before = baseline();
  write("suite.yaml", replaced(replaced(kSuite, "m=1 n=8192", "m=2 n=8192"), "64MiB", "32MiB"));
  EXPECT_EQ(check({"--only", "thin", "--update", "--reason", "two rows"}).code, kOk);
  expect_contains(baseline(), {"reason: two rows\n"});
  const Outcome o = check({});
  EXPECT_EQ(o.code, kDiffers);
  expect_contains(o.out, {"2 changed", "changed sum/dgx_h100", "changed sum/atlas_800_a2",
                          "because of   the suite: what it runs is another"});
}

TEST_F(Check, TakesWhatIfValuesForTheCasesThatReadThem) {
  write("suite.yaml",
        "name: Mine\ncases:\n  trace: {trace: mlp_block, systems: [dgx_h100]}\n  alone: {collective: "
        "all_reduce "
        "ranks=1 size=1MiB, systems: [dgx_h100]}\n  step: {scenario: llama31_8b_training}\n");
  accept();
  const Outcome o = check({"--set", "stack.host.step=1 s"});
  EXPECT_EQ(o.code, kDiffers) << o.err;
  expect_contains(o.out, {"1 changed, 0 new, 0 removed, 2 same", "stack megatron_core: host.step",
                          "by cause     host +1 s"});
  EXPECT_EQ(check({"--set", "stack.hots.step=1 s"}).code, kUsage);
}

TEST_F(Check, SeesThatAMeasuredSetChanged) {
  const std::string set = "# chip=h100_sxm op=gemm_bf16\nm,n,k,time_us\n4096,4096,4096,174.3\n";
  write("set.csv", set);
  write("suite.yaml", "name: Mine\ncases:\n  error: {validation: set.csv}\n");
  accept();
  write("set.csv", replaced(set, "174.3", "180"));
  const Outcome o = check({});
  EXPECT_EQ(o.code, kDiffers) << o.err;
  expect_contains(o.out, {"MAPE", "because of   the suite: what it runs is another"});
}

TEST_F(Check, KeepsACaseThatCannotRun) {
  write("suite.yaml",
        "name: Mine\ncases:\n  big:\n    scenario: llama31_70b_decode\n    systems: [dgx_h100]\n    set: "
        "{scenario.parallelism.tp: 1}\n");
  accept();
  expect_contains(baseline(), {"refused: "});
  EXPECT_EQ(check({}).code, kOk);
  edit("refused: \"", "refused: \"not ");
  const Outcome o = check({});
  EXPECT_EQ(o.code, kDiffers);
  expect_contains(o.out, {"changed big/dgx_h100", "cannot run"});
}

TEST_F(Check, RefusesABaselineThatIsNone) {
  accept();
  const std::string whole = baseline();
  write("suite.baseline", whole.substr(0, 40));
  EXPECT_EQ(check({}).code, kUsage);
  write("suite.baseline", whole);
  EXPECT_EQ(run({"check", "./suite.baseline"}).err,
            "./suite.baseline:2:9: this is a baseline, not a suite (name the suite's file)\n");
  edit("cases:\n", "=======\ncases:\n");
  const Outcome merged = check({});
  EXPECT_EQ(merged.code, kUsage);
  expect_contains(merged.err,
                  {"\nsuite.baseline: this baseline cannot be read (restore it from version control, "});
  write("suite.baseline", whole);
  edit("xpusim.baseline/1", "xpusim.baseline/2");
  const Outcome other = check({});
  EXPECT_EQ(other.code, kUsage);
  expect_contains(other.err, {"suite.baseline:2:9: schema: 'xpusim.baseline/2'", "migrate"});
  write("suite.baseline", "<<<<<<< HEAD\n" + whole);
  EXPECT_EQ(check({"--update", "--reason", "over a conflict"}).code, kUsage);
  EXPECT_EQ(baseline(), "<<<<<<< HEAD\n" + whole) << "what cannot be read is not written over";
  const std::string other_schema = replaced(whole, "xpusim.baseline/1", "xpusim.baseline/0");
  write("suite.baseline", other_schema);
  EXPECT_EQ(check({"--update", "--reason", "schema"}).code, kOk) << "the way to migrate";
}

TEST_F(Check, InterruptedLosesNothing) {
  accept();
  const std::string whole = baseline();
  write("suite.yaml", replaced(kSuite, "m=1 n=8192", "m=2 n=8192"));
  int killed = 0;
  for (int i = 0; i < 24; ++i) {
    const int signal = i % 2 == 0 ? SIGKILL : SIGINT;
    const pid_t child = start({"check", "suite.yaml", "--update", "--reason", "new", "--jobs", "2"});
    std::this_thread::sleep_for(std::chrono::milliseconds(4 * i));
    ::kill(child, signal);
    killed += wait(child).signal == signal ? 1 : 0;
    const std::string now = baseline();
    ASSERT_TRUE(now == whole || now.find("reason: new\n") != std::string::npos);
    ASSERT_TRUE(now.ends_with("\n"));
    write("suite.baseline", whole);
  }
  EXPECT_GT(killed, 0);
  EXPECT_EQ(check({"--update", "--reason", "new"}).code, kOk);
}

TEST_F(Check, RefusesAPlaceThatIsNoFile) {
  fs::create_directories(path("folder"));
  const Outcome o = check({"--update", "--reason", "new", "--baseline", "folder"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_EQ(o.err, "folder: is a folder (name a file in it)\n");
  EXPECT_EQ(check({"--update", "--reason", "new", "--baseline", "/dev/full"}).code, kUsage);
}

}  // namespace
}  // namespace xpusim::test
