#include <gtest/gtest.h>

#include "support/shipped.h"
#include "xpusim/jobs/job.h"

/// A job runs on what its record shows, and its packages are joined in one place.
namespace xpusim::jobs {
namespace {

Options options(Fidelity fidelity) { return {fidelity, false, true, {}}; }

Job job(const Subject& subject, const std::string& on, const std::string& change = "scenario.chips=4") {
  return load(test::library(), subject, on, {config::parse_override(change)});
}

Job small_collective() {
  return job({Kind::Collective, "all_reduce", {"ranks=16", "size=1MiB"}}, "cloudmatrix384");
}

TEST(Jobs, ShowTheSystemAsItsFileHasIt) {
  const Job j = job({Kind::Scenario, "llama31_8b_decode"}, "cloudmatrix384");
  const Platform& p = std::get<ScenarioJob>(j).platform;
  EXPECT_EQ(p.network.levels.size(), p.system.value.levels.size() + 1);
  EXPECT_EQ(p.network.levels.front().name, "package");
  EXPECT_EQ(resolved(j).find("name: package"), std::string::npos);
  EXPECT_EQ(resolved(small_collective()).find("name: package"), std::string::npos);
}

TEST(Jobs, AreWhatTheFacadeSaysOfTheDescribedSystem) {
  const Job j = job({Kind::Scenario, "llama31_8b_decode"}, "cloudmatrix384");
  const auto direct = simulate(std::get<ScenarioJob>(j).request(), options(Fidelity::Bound));
  EXPECT_EQ(std::get<result::Result>(run(j, options(Fidelity::Bound))).total, direct.total);
}

TEST(Jobs, CollectivesCrossThePackages) {
  const Job j = small_collective();
  const auto& c = std::get<CollectiveJob>(j);
  const SystemSpec joined = with_package_level(c.platform.system.value, c.platform.chip->value);
  EXPECT_EQ(std::get<network::CollectiveTime>(run(j, options(Fidelity::Bound))).total,
            network::bound(c.calls.front(), joined).total);
}

TEST(Jobs, HashesTellInputsAndFidelitiesApart) {
  const Subject gemm{Kind::Op, "gemm", {"m=64", "n=64", "k=64", "dtype=bf16"}};
  const std::string same = "chip.cores.count=7", other = "chip.cores.count=8";
  EXPECT_EQ(hash_of(job(gemm, "h100_sxm", same), Fidelity::Tile),
            hash_of(job(gemm, "h100_sxm", same), Fidelity::Tile));
  EXPECT_NE(hash_of(job(gemm, "h100_sxm", same), Fidelity::Tile),
            hash_of(job(gemm, "h100_sxm", other), Fidelity::Tile));
  EXPECT_NE(hash_of(small_collective(), Fidelity::Tile), hash_of(small_collective(), Fidelity::Bound));
}

TEST(Jobs, FindTheStructOfEachKindOfFile) {
  for (std::size_t i = 0; i < config::kFileKindNames.size(); ++i) {
    const auto kind = static_cast<config::FileKind>(i);
    config::with_kind(kind, [&]<class T>(std::type_identity<T>) { EXPECT_EQ(config::kind_of<T>(), kind); });
  }
}

}  // namespace
}  // namespace xpusim::jobs
