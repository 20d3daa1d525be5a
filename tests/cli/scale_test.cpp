#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "command.h"

namespace {

using namespace xpusim::test;

class ScaleCommand : public Command {
 protected:
  /// Llama 3.1 8B over numbers of H100, closed form.
  [[nodiscard]] Outcome scale(Arguments more) const {
    Arguments all{"scale", "llama31_8b_training", "--fidelity", "bound"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
  [[nodiscard]] nlohmann::json curves(Arguments more) const {
    more.insert(more.end(), {"--json", "-"});
    const Outcome o = scale(more);
    EXPECT_EQ(o.code, 0) << o.err;
    return nlohmann::json::parse(o.out)["curves"];
  }
};

TEST_F(ScaleCommand, PrintsCurvesAndWhatIsEquivalent) {
  const Outcome o = scale({"--chips", "8,64,512", "--on", "superpod_h100", "--on", "atlas_800_a2"});
  EXPECT_EQ(o.code, 0) << o.err;
  for (const char* part :
       {"weak scaling", "superpod_h100 x h100_sxm", "(outermost level extended)", "efficiency",
        "communication takes", "the same throughput on superpod_h100 and on atlas_800_a2"})
    EXPECT_NE(o.out.find(part), std::string::npos) << part << '\n' << o.out;
}

TEST_F(ScaleCommand, WeakScalingKeepsTheShareOfAReplicaAndNeverGains) {
  const auto points = curves({"--chips", "8,64,512"})[0]["points"];
  ASSERT_EQ(points.size(), 3U);
  double before = 2;
  for (const auto& p : points) {
    EXPECT_EQ(p["refused"], "");
    EXPECT_DOUBLE_EQ(p["tokens_per_step"].get<double>() / p["chips"].get<double>(), 64.0 * 4096 / 8);
    const double efficiency = p["efficiency"];
    EXPECT_LE(efficiency,
              before * 1.01);  // a full node's collectives come out a little faster than half of one's
    before = efficiency;
  }
}

TEST_F(ScaleCommand, StrongScalingKeepsTheBatch) {
  const auto list = curves({"--strong", "--chips", "8,16,32"});
  for (const auto& p : list[0]["points"]) EXPECT_DOUBLE_EQ(p["tokens_per_step"].get<double>(), 64.0 * 4096);
}

TEST_F(ScaleCommand, APointThatCannotRunSaysWhy) {
  const auto points = curves({"--strong", "--chips", "8,512,1024"})[0]["points"];
  EXPECT_EQ(points[0]["refused"], "");
  const std::string refused = points[2]["refused"];
  EXPECT_NE(refused.find("scenario.parallelism.dp: 256 does not divide 64"), std::string::npos) << refused;
}

TEST_F(ScaleCommand, ASystemIsEquivalentToItself) {
  const auto list = curves({"--chips", "8,64", "--on", "superpod_h100", "--on", "superpod_h100"});
  for (const auto& p : list[1]["points"])
    EXPECT_NEAR(p["equivalent_chips_of_first"].get<double>(), p["chips"].get<double>(), 1e-6);
}

TEST_F(ScaleCommand, DrawsAPage) {
  const Outcome o = scale({"--chips", "8,16", "--html", "scale.html"});
  EXPECT_EQ(o.code, 0) << o.err;
  const std::string page = read_text(path("scale.html"));
  EXPECT_NE(page.find("tokens per second and chip over chips"), std::string::npos);
  EXPECT_NE(page.find("<polyline"), std::string::npos);
}

TEST_F(ScaleCommand, SaysWhatIsWrong) {
  const auto says = [&](Arguments arguments, int code, const std::string& part) {
    arguments.insert(arguments.begin(), "scale");
    const Outcome o = run(arguments);
    EXPECT_EQ(o.code, code) << o.err;
    EXPECT_NE(o.err.find(part), std::string::npos) << o.err;
  };
  says({"llama31_8b_training", "--chips", "8,four"}, 2, "not a number of chips above the one before");
  says({"llama31_8b_training", "--chips", "64,8"}, 2, "rising whole numbers");
  says({"llama31_70b_decode", "--chips", "8"}, 3, "scale takes a training scenario; its phase is decode");
  says({"llama31_8b_training", "--chips", "8", "--weak", "--strong"}, 2, "excludes");
}

TEST_F(ScaleCommand, ASearchFindsAPlanNoSlowerThanTheScenarios) {
  const auto step = [&](Arguments more) {
    Arguments all{"run", "llama31_8b_training", "--fidelity", "bound", "--json", "-"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome o = run(all);
    EXPECT_EQ(o.code, 0) << o.err;
    return nlohmann::json::parse(o.out)["results"][0]["step_time_s"].get<double>();
  };
  const double own = step({});
  EXPECT_LE(step({"--auto"}), own);
  EXPECT_LE(step({"--auto=tp,pp,vpp"}), own);
  EXPECT_LT(step({"--auto=all"}), own) << "tp 2 is faster than the 4 that it states";
  const Outcome table = run({"run", "llama31_8b_training", "--fidelity", "bound", "--auto"});
  EXPECT_NE(table.out.find("plans timed in closed form"), std::string::npos) << table.out;
  EXPECT_NE(
      table.out.find("kept as the scenario states them: tp, micro_batch, recompute (--auto=tp,micro_batch,"
                     "recompute would search these, too)"),
      std::string::npos)
      << table.out;
  expect_refusal({"run", "llama31_8b_training", "--auto=tp,micro_bach"}, kUsage,
                 "--auto=tp,micro_bach: no key 'micro_bach' of a plan (did you mean 'micro_batch'?)");
  const Outcome refused = run({"run", "llama31_70b_decode", "--auto"});
  EXPECT_EQ(refused.code, 3);
  EXPECT_NE(refused.err.find("a search needs a training scenario"), std::string::npos) << refused.err;
  const Outcome small = run({"run", "train_llama31_405b_16384_h100", "--auto", "--set", "scenario.chips=8"});
  EXPECT_EQ(small.code, 3);
  EXPECT_NE(small.err.find("plans fits 8 devices"), std::string::npos) << small.err;
}

TEST_F(ScaleCommand, ASearchTellsTheOtherPlansAndWhatItDidNotSearch) {
  const Outcome o = run({"run", "llama31_8b_training", "--fidelity", "bound", "--auto=all", "--json", "-"});
  ASSERT_EQ(o.code, 0) << o.err;
  const auto result = nlohmann::json::parse(o.out)["results"][0];
  const auto& search = result["search"];
  EXPECT_EQ(search["plan"]["step_time_s"], result["step_time_s"]);
  EXPECT_GE(search["plans"].size(), 5U);
  bool has_own = false;
  for (const auto& plan : search["plans"]) {
    EXPECT_GE(plan["step_time_s"], result["step_time_s"]);
    has_own |= plan["is_the_scenarios"].get<bool>();
  }
  EXPECT_TRUE(has_own) << search;
  EXPECT_TRUE(search["kept"].empty());
  EXPECT_FALSE(search["never_searched"].empty());
}

}  // namespace
