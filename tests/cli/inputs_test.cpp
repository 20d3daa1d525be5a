#include <filesystem>

#include "cli/command.h"

/// Inputs that are wrong, hostile or too large: an exit code, one clear message, no crash.
namespace xpusim::test {
namespace {

namespace fs = std::filesystem;

class Inputs : public Command {
 protected:
  /// The refusal of a trace file of this text.
  [[nodiscard]] std::string refusal(const std::string& text) const {
    write("t.yaml", text);
    const Outcome o = run({"run", "t.yaml", "--on", "dgx_h100"});
    EXPECT_EQ(o.code, kUsage) << o.err.substr(0, 500);
    EXPECT_EQ(o.out, "");
    return o.err.substr(0, o.err.find('\n'));
  }
};

TEST_F(Inputs, AMissingWorkloadGetsTheKnownOnes) {
  const Outcome o = run({"run", "llama31_70b_decod"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_EQ(
      o.err.substr(0, 99),
      "llama31_70b_decod: no such scenario or trace (did you mean 'llama31_70b_decode'? known: bert_large_");
  expect_refusal({"run", "nowhere/t.yaml"}, kUsage, "nowhere/t.yaml: there is no such file");
}

TEST_F(Inputs, AFolderIsNoFile) {
  write("folder.yaml/x", "");
  expect_refusal({"run", "folder.yaml"}, kUsage, "folder.yaml: is a folder (name a file in it)");
  expect_refusal({"config", "check", "--kind", "chip", "./"}, kUsage, "./: is a folder (name a file in it)");
}

TEST_F(Inputs, AChipIsNoWorkload) {
  const std::string chip = kSources + "/configs/chips/h100_sxm.yaml";
  const Outcome o = run({"run", chip, "--on", "dgx_h100"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_TRUE(
      o.err.ends_with(": this is a chip file, not a scenario (its keys are those of configs/chips)\n"))
      << o.err;
}

TEST_F(Inputs, AnUnreadableFileIsRefused) {
  EXPECT_EQ(refusal("sections: [\n"),
            "t.yaml:2:1: not readable as YAML: end of sequence flow not found (is the '[' of line 1, column "
            "11 closed?)");
  EXPECT_EQ(refusal("sections:\n\t- x\n"),
            "t.yaml:2:2: not readable as YAML: illegal block entry (is the indent right?)");
  EXPECT_EQ(refusal(std::string("sections: \0", 11)),
            "t.yaml:1:11: byte 0x00 is not text (a config is text in UTF-8)");
  EXPECT_EQ(refusal(""), "t.yaml: expected a scenario file: a map of keys (see docs/reference.md)");
  std::string garbage;
  for (unsigned i = 0, x = 1; i < 100'000; ++i, x = x * 1664525 + 1013904223)
    garbage += static_cast<char>(x >> 24);
  EXPECT_NE(refusal(garbage).find(" is not text (a config is text in UTF-8)"), std::string::npos);
}

TEST_F(Inputs, AHugeFileIsRefused) {
  EXPECT_EQ(refusal("sections:\n" + std::string(10 << 20, '#')),
            "t.yaml: more than 4 MiB (repeat sections instead of writing them out)");
}

TEST_F(Inputs, DeepNestingIsRefused) {
  constexpr std::size_t kLevels = 100'000;
  std::string block;
  for (std::size_t i = 0; i < kLevels; ++i) block += "- ";
  EXPECT_EQ(refusal(std::string(kLevels, '[') + std::string(kLevels, ']')),
            "t.yaml:1:65: nesting deeper than 64 levels is not accepted here (flatten it)");
  EXPECT_EQ(refusal(block), "t.yaml:1:129: nesting deeper than 64 levels is not accepted here (flatten it)");
  static_cast<void>(refusal(std::string(kLevels, '[')));
}

TEST_F(Inputs, ABillionLaughsAreNotLaughed) {
  std::string text = "a0: &a0 [lol, lol]\n";
  for (int i = 1; i < 40; ++i)
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + ", *a" +
            std::to_string(i - 1) + "]\n";
  EXPECT_EQ(refusal(text),
            "t.yaml:1:5: an anchor (&name) is not accepted here (write the value out, or inherit a file with "
            "base:)");
}

TEST_F(Inputs, AModelThatDoesNotFitSaysByHowMuchAndWhatWould) {
  expect_refusal(
      {"run", "llama31_70b_decode", "--set", "scenario.parallelism.tp=1", "--set", "scenario.chips=1"},
      kInfeasible,
      "xpusim: llama31_70b does not fit h100_sxm: a rank needs 211.5 GiB, 131.5 GiB more than its 80.0 GiB "
      "(scenario.parallelism.tp=4 is the least that fits, on 4 devices instead of 1)");
}

TEST_F(Inputs, ParallelismMustDivide) {
  expect_refusal(
      {"run", "llama31_70b_decode", "--set", "scenario.parallelism.tp=3", "--set",
       "scenario.parallelism.dp=1"},
      kInfeasible,
      "xpusim: scenario.parallelism.tp: 3 does not divide 64 heads (nearest that does: 2 or 4)\n"
      "  scenario.parallelism.tp: 3 does not divide 8 KV heads (nearest that does: 2 or 4)\n"
      "  scenario.parallelism.tp: 3 does not divide 28672 FFN columns (nearest that does: 2 or 4)");
  const Outcome o = run({"run", "llama31_70b_decode", "--set", "model.heads=63"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_TRUE(o.err.ends_with("model.kv_heads: 8 does not divide 63 heads (heads = kv_heads x group)\n"))
      << o.err;
}

TEST_F(Inputs, ZeroAndNegativeSizesAreRefused) {
  expect_refusal(
      {"run", "llama31_70b_decode", "--set", "scenario.batch=0"}, kUsage,
      "--set scenario.batch=0: scenario.batch: '0' is out of range (at least 1, at most 16777216)");
  expect_refusal(
      {"run", "llama31_70b_decode", "--set", "model.hidden=-8192"}, kUsage,
      "--set model.hidden=-8192: model.hidden: '-8192' is out of range (at least 1, at most 16777216)");
  expect_refusal(
      {"op", "gemm", "--chip", "h100_sxm", "m=1", "n=1", "k=1", "--set", "chip.hbm.bandwidth=0 GB/s"}, kUsage,
      "--set chip.hbm.bandwidth=0 GB/s: chip.hbm.bandwidth: '0 GB/s' is out of range (at least 1 MB/s, at "
      "most "
      "1e+18 B/s; is the unit right?)");
}

TEST_F(Inputs, ATypeThatTheChipLacksIsInfeasible) {
  expect_refusal({"op", "gemm", "--chip", "ascend_910b2", "m=64", "n=64", "k=64", "dtype=fp8"}, kInfeasible,
                 "xpusim: ascend_910b2 has no fp8 matrix rate (it has fp32, fp16, bf16, int8)");
}

TEST_F(Inputs, GroupsThatCannotShareTheirRowsAreRefused) {
  const auto groups = [&](const std::vector<std::string>& more) {
    Arguments a{"op", "grouped_gemm", "--chip", "h100_sxm", "n=64", "k=64"};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  };
  expect_refusal(groups({"groups=0", "m=8"}), kUsage,
                 "op grouped_gemm: groups: '0' is out of range (at least 1, at most 1048576)");
  expect_refusal(groups({"groups=8", "m=4", "active=5"}), kUsage,
                 "op grouped_gemm: active: 5 groups of 8 cannot share 4 rows (at most 4)");
  expect_refusal(groups({"groups=4", "m=8", "imbalance=3"}), kUsage,
                 "op grouped_gemm: imbalance: 3 times the mean leaves no row for each of the 3 other groups "
                 "(at most 2.5)");
}

TEST_F(Inputs, BuffersTooSmallForAnyTileAreInfeasible) {
  for (const char* buffer : {"chip.accumulator.capacity=64 B", "chip.staging.capacity=64 B"}) {
    const Outcome o = run({"op", "gemm", "--chip", "h100_sxm", "m=512", "n=512", "k=512", "--set", buffer});
    EXPECT_EQ(o.code, kInfeasible) << buffer << o.out << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_EQ(o.err.substr(0, 8), "xpusim: ");
    EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  }
}

TEST_F(Inputs, OperandsBeyondTheMemoryAreInfeasible) {
  expect_refusal(
      {"op", "add", "--chip", "h100_sxm", "rows=1e9", "cols=1e5"}, kInfeasible,
      "xpusim: add rows=1e9 cols=1e5: its operands take 3.725e+05 GiB, the memory of h100_sxm has 80 GiB");
  for (const Arguments& arguments : std::vector<Arguments>{
           {"op", "gemm", "--chip", "h100_sxm", "m=1099511627776", "n=1099511627776", "k=1099511627776",
            "batch=1099511627776"},
           {"op", "rmsnorm", "--chip", "h100_sxm", "rows=1099511627776", "cols=1099511627776"},
           {"op", "attention", "--chip", "h100_sxm", "batch=1099511627776", "q_len=1099511627776",
            "kv_len=1099511627776", "heads=1099511627776", "kv_heads=1", "head_dim=1024"}})
    EXPECT_EQ(run(arguments).code, kInfeasible) << arguments[1];
}

TEST_F(Inputs, AWorkloadOfNoTimeHasNoSpeed) {
  write("t.yaml", "name: t\nsections: [{name: s, operators: [{name: a, op: all_reduce, bytes: 8 B}]}]\n");
  const Outcome table = run({"compare", "t.yaml", "--on", "dgx_h100", "--on", "dgx_a100"});
  EXPECT_EQ(table.code, kOk) << table.err;
  EXPECT_EQ(table.out.find("nan"), std::string::npos) << table.out;
  const Outcome json = run({"run", "t.yaml", "--on", "dgx_h100", "--json", "-"});
  EXPECT_EQ(json.out.find("_s\": null"), std::string::npos) << json.out;
  EXPECT_EQ(json.out.find("utilisation\": null"), std::string::npos) << json.out;
}

TEST_F(Inputs, ASystemOfTooManyChipsNamesTheLevel) {
  const Outcome o = run({"run", "llama31_70b_decode", "--set", "system.chips=64"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_NE(o.err.find("system.levels[0].endpoints: the outermost level joins 8 endpoints (64 chips of 1 "
                       "dies are 64 devices)"),
            std::string::npos)
      << o.err;
}

TEST_F(Inputs, AnUnknownSystemOfAScenarioIsReportedThere) {
  write("s.yaml", "name: x\nmodel: llama31_8b\nsystem: dgx_h1000\nphase: prefill\nbatch: 8\nsequence: 128\n");
  const Outcome o = run({"run", "s.yaml"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_EQ(o.err.substr(0, 84),
            "s.yaml:3:9: scenario.system: no system 'dgx_h1000' (did you mean 'dgx_h100'? known: ");
}

TEST_F(Inputs, AColumnIsASystemAndValues) {
  expect_refusal({"run", "mlp_block", "--on", ""}, kUsage, "--on : no name (--on NAME[,path=value...])");
  expect_refusal({"run", "mlp_block", "--on", "dgx_h100,chip.hbm.bandwith=1 TB/s"}, kUsage,
                 "--on chip.hbm.bandwith=1 TB/s: chip.hbm.bandwith: unknown key (did you mean 'bandwidth'?)");
  expect_refusal(
      {"run", "mlp_block", "--on", "dgx_h100,scenario.batch=1"}, kUsage,
      "--on scenario.batch=1: scenario.batch: this command reads no scenario (it reads chip, system)");
  expect_refusal(
      {"run", "mlp_block"}, kUsage,
      "mlp_block: a workload trace names no system (give one with --on SYSTEM (xpusim list systems))");
}

TEST_F(Inputs, TheDataFolderIsFoundFromAnywhere) {
  EXPECT_EQ(run({"list", "traces"}).out, "mlp_block\n") << "the working folder is not the source tree";
  fs::create_directories(path("data/workloads/traces"));
  fs::copy(kSources + "/configs", path("data/configs"), fs::copy_options::recursive);
  write("data/workloads/traces/mine.yaml",
        "name: mine\nsections: [{name: s, operators: [{name: a, op: copy, rows: 8, cols: 8}]}]\n");
  EXPECT_EQ(run({"--data", "data", "list", "traces"}).out, "mine\n");
  environment = {{"XPUSIM_DATA", path("data")}};
  EXPECT_EQ(run({"list", "traces"}).out, "mine\n");
  EXPECT_EQ(run({"run", "mine", "--on", "dgx_h100"}).code, kOk);
  EXPECT_EQ(run({"--data", kSources, "list", "traces"}).out, "mlp_block\n") << "the option wins";
}

TEST_F(Inputs, AWrongDataFolderIsNotReplacedByAnother) {
  expect_refusal(
      {"--data", "nowhere", "list"}, kUsage,
      "nowhere: no configs/chips in this folder (name the folder that holds configs and workloads)");
  environment = {{"XPUSIM_DATA", "nowhere"}};
  expect_refusal({"list"}, kUsage,
                 "XPUSIM_DATA=nowhere: no configs/chips in this folder (it names the folder that holds "
                 "configs and workloads)");
}

TEST_F(Inputs, ABaseBesideAFileWithoutAFolderIsFound) {
  write("h100_sxm.yaml",
        read_text(std::filesystem::path(XPUSIM_SOURCE_ROOT) / "configs/chips/h100_sxm.yaml"));
  write("mine.yaml", "base: h100_sxm\nid: mine\nname: Mine\n");
  const Outcome o = run({"config", "check", "--kind", "chip", "mine.yaml"});
  EXPECT_EQ(o.code, kOk) << o.err;
}

TEST_F(Inputs, AMeasuredSetWithMistakesIsRefusedWhole) {
  write("set.csv", "# chip=h100_sxm op=gemm_bf16\nm,n,k,time_us\n8,8,8,nan\n8,8,x,1\n");
  const Outcome o = run({"validate", "set.csv"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_NE(o.err.find("set.csv:3:1: time_us: cannot read 'nan'"), std::string::npos) << o.err;
  EXPECT_NE(o.err.find("set.csv:4:1: k: cannot read 'x'"), std::string::npos) << o.err;
  EXPECT_EQ(o.out, "");
}

TEST_F(Inputs, TheValidationPageNeedsNothingElse) {
  write("set.csv", "# chip=h100_sxm op=gemm_bf16\nm,n,k,time_us\n64,4096,4096,20\n128,4096,4096,21\n");
  const Outcome o = run({"validate", "--fidelity", "bound", "--html", "out.html", "set.csv"});
  ASSERT_EQ(o.code, kOk) << o.err;
  const std::string page = read_text(path("out.html"));
  EXPECT_EQ(page.substr(0, 15), "<!doctype html>");
  EXPECT_EQ(page.find("http"), std::string::npos) << "loads from elsewhere";
  std::size_t points = 0;
  for (std::size_t at = 0; (at = page.find("<circle", at)) != std::string::npos; ++at) ++points;
  EXPECT_EQ(points, 2U);
}

TEST_F(Inputs, AMeasuredSetOfAnUnknownChipListsTheKnown) {
  write("set.csv", "# chip=h1000 op=gemm_bf16\nm,n,k,time_us\n8,8,8,3\n");
  const Outcome o = run({"validate", "set.csv"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_NE(o.err.find("no chip 'h1000' (known: a100_sxm,"), std::string::npos) << o.err;
}

TEST_F(Inputs, AResultCarriesItsErrorBandAndSaysWhereNothingWasMeasured) {
  const auto band = [&](const Outcome& o) {
    return nlohmann::json::parse(o.out)["results"][0]["error_band_pct"];
  };
  const Outcome measured =
      run({"op", "--chip", "h100_sxm", "--json", "-", "gemm", "m=64", "n=4096", "k=4096"});
  const Outcome relative =
      run({"op", "--chip", "h200_sxm", "--json", "-", "gemm", "m=64", "n=4096", "k=4096"});
  ASSERT_EQ(measured.code, kOk) << measured.err;
  EXPECT_EQ(measured.err, "");
  EXPECT_GT(band(measured), 0);
  EXPECT_GT(band(relative), band(measured)) << "never measured: wider";
  const Outcome outside =
      run({"op", "--chip", "h100_sxm", "--json", "-", "gemm", "m=1000000", "n=256", "k=256"});
  EXPECT_NE(outside.err.find("outside what was measured on h100_sxm: m 1000000"), std::string::npos)
      << outside.err;
}

}  // namespace
}  // namespace xpusim::test
