#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "cli/command.h"

/// Where results go, and what is left behind when something stops them.
namespace xpusim::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class Outputs : public Command {
 protected:
  const Arguments kQuick = {"run", "mlp_block", "--on", "dgx_h100", "--fidelity", "bound"};

  [[nodiscard]] Outcome run_with(Arguments arguments, const Arguments& more,
                                 const std::string& stdout_file = "stdout") const {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments, stdout_file);
  }
};

TEST_F(Outputs, JsonOnStdoutIsOneDocumentAndNothingElse) {
  const Outcome o = run_with(kQuick, {"--json", "-"});
  EXPECT_EQ(o.code, kOk) << o.err;
  const Json json = Json::parse(o.out);
  EXPECT_EQ(json["schema"], "xpusim.result/1");
  EXPECT_EQ(json["results"].size(), 1U);
  const Json& result = json["results"][0];
  EXPECT_EQ(result["system"], "dgx_h100");
  EXPECT_EQ(result["config_hash"].get<std::string>().size(), 16U);
  double sum = 0;
  for (const auto& [cause, seconds] : result["breakdown"].items()) sum += seconds.get<double>();
  EXPECT_NEAR(sum, result["step_time_s"].get<double>(), 1e-9 * sum);
}

TEST_F(Outputs, NotesGoToStderr) {
  const Outcome o = run({"run", "llama31_8b_decode", "--fidelity", "bound", "--json", "-", "--set",
                         "scenario.parallelism.dp=4"});
  EXPECT_EQ(o.code, kOk);
  EXPECT_EQ(
      o.err,
      "note: dgx_h100: 4 of 8 devices are idle: tensor 1 x data 4\n"
      "note: dgx_h100: lm_head: outside what was measured on h100_sxm: n 128256 (measured: 32 to 65536)\n");
  EXPECT_EQ(Json::parse(o.out)["results"][0]["warnings"].size(), 2U);
}

TEST_F(Outputs, JsonInAFileLeavesTheTableOnStdout) {
  const Outcome o = run_with(kQuick, {"--json", "new/folder/out.json"});
  EXPECT_EQ(o.code, kOk) << o.err;
  EXPECT_NE(o.out.find("matrix utilisation"), std::string::npos);
  EXPECT_EQ(Json::parse(read_text(path("new/folder/out.json")))["results"][0]["workload"],
            "Llama 3.1 70B MLP block, 8-way tensor parallel, 4096 tokens");
}

TEST_F(Outputs, TheTraceIsChromeTraceJson) {
  const Outcome o = run_with({"run", "mlp_block", "--on", "dgx_h100"}, {"--trace", "t.json"});
  EXPECT_EQ(o.code, kOk) << o.err;
  const Json events = Json::parse(read_text(path("t.json")))["traceEvents"];
  EXPECT_GT(events.size(), 480U) << "80 times 6 operators";
  for (const Json& e : events) {
    EXPECT_TRUE(e["ph"] == "X" || e["ph"] == "M");
    if (e["ph"] == "X") {
      ASSERT_GE(e["dur"].get<double>(), 0);
    }
  }
}

TEST_F(Outputs, OneDocumentFitsOnStdout) {
  expect_refusal({"run", "mlp_block", "--on", "dgx_h100", "--json", "-", "--trace", "-"}, kUsage,
                 "-: stdout takes one document (give files for all but one of the outputs)");
  EXPECT_TRUE(Json::accept(run_with(kQuick, {"--trace", "-"}).out));
}

TEST_F(Outputs, TwoRunsGiveTheSameBytes) {
  for (const Arguments& arguments :
       std::vector<Arguments>{{"run", "mlp_block", "--on", "cloudmatrix384"},
                              {"compare", "qwen3_32b_decode", "--on", "dgx_h100", "--on", "atlas_800_a2"}}) {
    const std::string first = run_with(arguments, {"--json", "-"}).out;
    EXPECT_EQ(first, run_with(arguments, {"--json", "-"}).out);
    EXPECT_TRUE(Json::accept(first));
  }
}

TEST_F(Outputs, AnExportedGraphRunsToTheSameTotal) {
  const Outcome scenario = run({"run", "qwen3_32b_decode", "--json", "-", "--export-graph", "graph.yaml"});
  ASSERT_EQ(scenario.code, kOk) << scenario.err;
  const Outcome trace = run({"run", "graph.yaml", "--on", "dgx_h100", "--json", "-"});
  ASSERT_EQ(trace.code, kOk) << trace.err;
  EXPECT_EQ(Json::parse(trace.out)["results"][0]["step_time_s"],
            Json::parse(scenario.out)["results"][0]["step_time_s"]);
  EXPECT_EQ(run({"config", "check", "--kind", "trace", "graph.yaml"}).out, "1 file ok\n");
  expect_refusal({"run", "graph.yaml", "--on", "dgx_h100", "--export-graph", "again.yaml"}, kUsage,
                 "graph.yaml: --export-graph writes a scenario's operators (this is a trace already)");
}

TEST_F(Outputs, AWriteThatFailsIsReported) {
  write("file", "kept");
  for (const auto& [target, reason] :
       std::map<std::string, std::string>{{"file/out.json", "Not a directory"},
                                          {"/dev/full", "No space left on device"},
                                          {".", "it is a folder"}}) {
    const Outcome o = run_with(kQuick, {"--json", target});
    EXPECT_EQ(o.code, kUsage);
    EXPECT_EQ(o.err, "xpusim: " + target + ": cannot write the file (" + reason + ")\n");
  }
  EXPECT_EQ(read_text(path("file")), "kept");
  EXPECT_TRUE(fs::is_character_file("/dev/full")) << "a device must not be replaced";
}

TEST_F(Outputs, AFullStdoutIsReported) {
  const Outcome o = run_with(kQuick, {"--json", "-"}, "/dev/full");
  EXPECT_EQ(o.code, kUsage);
  EXPECT_EQ(o.err, "xpusim: stdout: cannot write the result\n");
}

TEST_F(Outputs, AKilledRunLeavesNoHalfFile) {
  const Arguments arguments = {"run", "llama31_8b_training", "--json", "out.json", "--trace", "trace.json"};
  int killed = 0;
  for (int milliseconds = 4; milliseconds < 250; milliseconds *= 2) {
    write("out.json", "old");
    const pid_t child = start(arguments);
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    ::kill(child, SIGKILL);
    killed += wait(child).signal == SIGKILL ? 1 : 0;
    const std::string json = read_text(path("out.json"));
    EXPECT_TRUE(json == "old" || Json::accept(json)) << "after " << milliseconds << " ms";
    EXPECT_TRUE(!fs::exists(path("trace.json")) || Json::accept(read_text(path("trace.json"))));
  }
  EXPECT_GT(killed, 0);
}

}  // namespace
}  // namespace xpusim::test
