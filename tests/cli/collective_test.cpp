#include "command.h"

namespace {

using namespace xpusim::test;

class CollectiveCommand : public Command {
 protected:
  [[nodiscard]] std::string error(Arguments arguments, int code) const {
    arguments.insert(arguments.begin(), "collective");
    const Outcome o = run(arguments);
    EXPECT_EQ(o.code, code) << o.out << o.err;
    return o.err;
  }
};

TEST_F(CollectiveCommand, PrintsTimeLevelsAndWhatWasWeighed) {
  const Outcome o = run({"collective", "--system", "dgx_h100", "all_reduce", "ranks=8", "size=64MiB"});
  EXPECT_EQ(o.code, 0) << o.err;
  for (const char* part : {"all_reduce over 8 ranks on dgx_h100 (tile fidelity)", "bus bandwidth", "node",
                           "busiest: ", "weighed by closed form", "ring"})
    EXPECT_NE(o.out.find(part), std::string::npos) << part;
}

TEST_F(CollectiveCommand, RunsOnEveryShippedSystem) {
  for (const char* id :
       {"dgx_a100", "dgx_h100", "superpod_h100", "meta_h100_24k", "h800_8plane", "gb200_nvl72",
        "atlas_800_a2", "cloudmatrix384", "atlas_950", "tpu_v4_pod", "mi300x_node"})
    for (const char* kind : {"all_reduce", "all_to_all"}) {
      const Outcome o = run({"collective", "--system", id, kind, "ranks=8", "--sweep", "size=1KiB..1GiB"});
      EXPECT_EQ(o.code, 0) << id << " " << o.err;
      EXPECT_NE(o.out.find("busbw"), std::string::npos) << id;
    }
}

TEST_F(CollectiveCommand, ASweepIsAlsoJsonAndACurve) {
  const Outcome o = run({"collective", "--system", "dgx_h100", "all_gather", "ranks=4", "--sweep",
                         "size=1KiB..1MiB", "--json", "-", "--html", "curve.html"});
  EXPECT_EQ(o.code, 0) << o.err;
  const auto document = nlohmann::json::parse(o.out);
  EXPECT_EQ(document["schema"], "xpusim.collective/1");
  EXPECT_EQ(document["results"].size(), 11U);
  EXPECT_EQ(document["results"][10]["size_bytes"], 1 << 20);
}

TEST_F(CollectiveCommand, SaysWhatIsWrong) {
  const auto contains = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  contains(error({"--system", "dgx_h100", "all_reduse", "ranks=8", "size=1MiB"}, 2),
           "did you mean 'all_reduce'?");
  contains(error({"--system", "dgx_h100", "all_reduce", "rank=8", "size=1MiB"}, 2), "did you mean 'ranks'?");
  contains(
      error({"--system", "dgx_h100", "all_reduce", "ranks=8", "size=1MiB", "--beside", "all_to_al rank=8"},
            2),
      "did you mean 'all_to_all'?");
  contains(error({"--system", "dgx_h100", "all_reduce", "ranks=8", "size=1 MB/s"}, 2), "size: cannot read");
  contains(error({"--system", "dgx_h100", "all_reduce", "ranks=9", "size=1MiB"}, 3),
           "9 ranks, 1 apart, are more than the 8 devices");
  contains(
      error({"--system", "dgx_h100", "all_reduce", "ranks=6", "size=1MiB", "algorithm=halving_doubling"}, 3),
      "no power of two");
  contains(error({"--system", "dgx_h100", "all_reduce", "ranks=8", "size=1MiB", "degrade=nod.out.1:0"}, 3),
           "no level 'nod'");
  contains(error({"--system", "dgx_h100", "all_reduce", "ranks=8", "size=1MiB", "library=mpi"}, 3),
           "no library 'mpi'");
  contains(error({"--system", "dgx_h100", "all_reduce", "ranks=8", "--sweep", "1..2"}, 2), "size=1KiB..8GiB");
  contains(run({"run", "llama31_70b_decode", "--on", "tpu_v4_pod"}).err, "tpu_v4_pod names no chip");
}

TEST_F(CollectiveCommand, OneBesideAnotherIsSlower) {
  const auto time = [&](const Arguments& more) {
    Arguments all{"collective", "--system",   "superpod_h100", "all_gather",
                  "ranks=16",   "size=64MiB", "--json",        "-"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome o = run(all);
    EXPECT_EQ(o.code, 0) << o.err;
    return nlohmann::json::parse(o.out)["results"][0]["time_us"].get<double>();
  };
  EXPECT_GT(time({"--beside", "all_to_all ranks=16 size=64MiB"}), 1.2 * time({}));
}

}  // namespace
