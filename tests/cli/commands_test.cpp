#include "cli/command.h"

/// What each command prints.
namespace xpusim::test {
namespace {

class CommandLine : public Command {};

TEST_F(CommandLine, HelpOfEachCommandGoesToStdout) {
  const std::vector<Arguments> commands = {{},
                                           {"run"},
                                           {"compare"},
                                           {"op"},
                                           {"list"},
                                           {"config"},
                                           {"config", "check"},
                                           {"config", "show"},
                                           {"config", "schema"},
                                           {"config", "docs"}};
  for (Arguments command : commands) {
    const std::string usage = "Usage: xpusim";
    command.emplace_back("--help");
    const Outcome o = run(command);
    EXPECT_EQ(o.code, kOk) << o.err;
    EXPECT_NE(o.out.find(usage), std::string::npos) << o.out;
    EXPECT_EQ(o.err, "");
  }
}

TEST_F(CommandLine, HelpNamesEveryOptionOfRun) {
  const Outcome o = run({"run", "--help"});
  for (const char* option : {"--on", "--set", "--fidelity", "--json", "--trace", "--export-graph"})
    EXPECT_NE(o.out.find(option), std::string::npos) << option;
}

TEST_F(CommandLine, VersionIsAloneOnItsLine) {
  const Outcome o = run({"--version"});
  EXPECT_EQ(o.code, kOk);
  EXPECT_EQ(std::count(o.out.begin(), o.out.end(), '.'), 2) << o.out;
}

TEST_F(CommandLine, MisuseExitsWithTwoAndSaysWhere) {
  for (const Arguments& arguments :
       std::vector<Arguments>{{},
                              {"fly"},
                              {"run"},
                              {"run", "mlp_block", "--fast"},
                              {"run", "mlp_block", "--fidelity", "exact"},
                              {"compare", "mlp_block"},
                              {"op", "gemm"},
                              {"config"},
                              {"config", "show", "chips", "x"},
                              {"list", "chip"},
                              {"run", "mlp_block", "--on", "dgx_h100", "--on", "dgx_a100"}}) {
    const Outcome o = run(arguments);
    EXPECT_EQ(o.code, kUsage) << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_NE(o.err, "");
  }
}

TEST_F(CommandLine, ListNamesWhatRunTakes) {
  const Outcome o = run({"list"});
  EXPECT_EQ(o.code, kOk);
  for (const char* line : {"chips:\n", "  h100_sxm\n", "systems:\n", "  dgx_h100\n", "models:\n",
                           "scenarios:\n", "  llama31_70b_decode\n", "traces:\n", "  mlp_block\n"})
    EXPECT_NE(o.out.find(line), std::string::npos) << line;
  EXPECT_EQ(run({"list", "traces"}).out, "mlp_block\n");
}

TEST_F(CommandLine, RunPrintsATable) {
  const Outcome o = run({"run", "llama31_70b_decode", "--fidelity", "bound"});
  EXPECT_EQ(o.code, kOk) << o.err;
  EXPECT_EQ(o.err, "");
  for (const char* part : {"Llama 3.1 70B decode, batch 64 (bound fidelity)", "8 x h100_sxm", "tokens/s",
                           "hbm", "where the time goes", "by operator", "memory per device"})
    EXPECT_NE(o.out.find(part), std::string::npos) << part;
}

TEST_F(CommandLine, CompareSetsColumnsAgainstTheFirst) {
  const Outcome o = run({"compare", "mlp_block", "--fidelity", "bound", "--on", "dgx_h100", "--on",
                         "dgx_h100,chip.hbm.bandwidth=6.7 TB/s,chip.cores.count=66", "--on", "atlas_800_a2"});
  EXPECT_EQ(o.code, kOk) << o.err;
  EXPECT_NE(o.out.find("chip.hbm.bandwidth=6.7 TB/s, chip.cores.count=66"), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("1.00x"), std::string::npos);
  EXPECT_NE(o.out.find("8 x ascend_910b2"), std::string::npos);
}

TEST_F(CommandLine, AWhatIfColumnChangesThatColumnOnly) {
  const auto total = [&](const std::string& on, const Arguments& more) {
    Arguments arguments = {"run", "llama31_70b_decode", "--fidelity", "bound", "--json", "-", "--on", on};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return nlohmann::json::parse(run(arguments).out)["results"][0]["step_time_s"].get<double>();
  };
  const double plain = total("atlas_800_a2", {}),
               what_if = total("atlas_800_a2,chip.hbm.bandwidth=3.2 TB/s", {});
  EXPECT_LT(what_if, plain);
  EXPECT_EQ(what_if, total("atlas_800_a2", {"--set", "chip.hbm.bandwidth=3.2 TB/s"}));
  const auto json =
      nlohmann::json::parse(run({"compare", "llama31_70b_decode", "--fidelity", "bound", "--json", "-",
                                 "--on", "atlas_800_a2,chip.hbm.bandwidth=3.2 TB/s", "--on", "atlas_800_a2"})
                                .out);
  EXPECT_EQ(json["results"][0]["step_time_s"], what_if);
  EXPECT_EQ(json["results"][1]["step_time_s"], plain);
  EXPECT_EQ(json["results"][0]["variant"], "chip.hbm.bandwidth=3.2 TB/s");
}

TEST_F(CommandLine, OpPrintsItsTiling) {
  const Outcome o = run({"op", "gemm", "--chip", "h100_sxm", "m=1024", "n=1024", "k=1024"});
  EXPECT_EQ(o.code, kOk) << o.err;
  EXPECT_NE(o.out.find("gemm m=1024 n=1024 k=1024 (tile fidelity)\n\ntiling "), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("lower bound "), std::string::npos);
}

TEST_F(CommandLine, OpReportsAllWrongParameters) {
  expect_refusal({"op", "gemm", "--chip", "h100_sxm", "m=1", "m=2", "n", "after=x", "=3"}, kUsage,
                 "op gemm: m: given twice (once each)\n"
                 "op gemm: n: no key=value (e.g. m=4096)\n"
                 "op gemm: after: not a parameter of a single operator (leave it out)\n"
                 "op gemm: =3: no key=value (e.g. m=4096)");
  expect_refusal({"op", "gemm", "--chip", "h100_sxm", "m=0", "n=-4", "kk=2"}, kUsage,
                 "op gemm: m: '0' is out of range (at least 1, at most 1099511627776)\n"
                 "op gemm: n: '-4' is out of range (at least 1, at most 1099511627776)\n"
                 "op gemm: k: missing required key (depth of the product)\n"
                 "op gemm: kk: unknown key (did you mean 'k'?)");
  expect_refusal({"op", "attention", "--chip", "h100_sxm", "batch=1", "q_len=8", "kv_len=4", "heads=8",
                  "kv_heads=3", "head_dim=128"},
                 kUsage,
                 "op attention: kv_heads: 3 does not divide 8 heads (heads = kv_heads x group)\n"
                 "op attention: kv_len: 4 is less than q_len 8 (kv_len counts the new tokens too)");
  expect_refusal({"op", "all_reduce", "--chip", "h100_sxm", "bytes=1 MiB"}, kUsage,
                 "op all_reduce: a collective runs on a system, not on one chip (xpusim collective --system "
                 "SYSTEM, or a workload trace)");
}

TEST_F(CommandLine, ConfigCheckReportsTheMistakesOfAllFiles) {
  write("models/a.yaml", "id: a\n");
  write("models/b.yaml", "id: [b]\n");
  const Outcome o = run({"config", "check", "models/a.yaml", "models/b.yaml"});
  EXPECT_EQ(o.code, kUsage);
  EXPECT_NE(o.err.find("models/a.yaml:1:1: model.layers: missing required key"), std::string::npos) << o.err;
  EXPECT_NE(o.err.find("models/b.yaml:1:5: model.id: expected a value, found a list"), std::string::npos)
      << o.err;
  const Outcome ok = run({"config", "check", kSources + "/configs/chips/h100_sxm.yaml",
                          kSources + "/workloads/models/qwen3_32b.yaml"});
  EXPECT_EQ(ok.out, "2 files ok\n") << ok.err;
  write("a.yaml", "id: a\n");
  expect_refusal({"config", "check", "a.yaml"}, kUsage,
                 "a.yaml: what kind of file is this? (give --kind chip, system, stack, model, scenario, "
                 "trace or suite)");
}

TEST_F(CommandLine, ConfigShowSaysWhereValuesComeFrom) {
  const Outcome o = run({"config", "show", "chip", "h100_sxm", "--origin", "--set", "chip.cores.count=100"});
  EXPECT_EQ(o.code, kOk) << o.err;
  EXPECT_NE(o.out.find("# --set chip.cores.count=100\n"), std::string::npos);
  EXPECT_NE(o.out.find("configs/chips/h100_sxm.yaml:"), std::string::npos);
  expect_refusal({"config", "show", "chip", "h100_sxm", "--set", "system.chips=1"}, kUsage,
                 "--set system.chips=1: system.chips: this command reads no system (it reads chip)");
}

TEST_F(CommandLine, ConfigSchemaAndDocsPrintTheirFiles) {
  EXPECT_EQ(nlohmann::json::parse(run({"config", "schema", "trace"}).out)["type"], "object");
  EXPECT_EQ(run({"config", "docs"}).out.substr(0, 31), "# Reference of the input files\n");
}

TEST_F(CommandLine, PrintsNoColours) {
  for (const char* term : {"xterm-256color", "dumb"}) {
    environment = {{"TERM", term}};
    for (const Arguments& arguments :
         std::vector<Arguments>{{"--help"},
                                {"list"},
                                {"run", "mlp_block", "--on", "dgx_h100", "--fidelity", "bound"},
                                {"run", "x"}}) {
      const Outcome o = run(arguments);
      EXPECT_EQ((o.out + o.err).find('\x1b'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace xpusim::test
