#include <gtest/gtest.h>

#include "support/shipped.h"
#include "xpusim/core/error.h"
#include "xpusim/jobs/job.h"

/// A search of plans knows the one that it was given.
namespace xpusim::jobs {
namespace {

using step::PlanCandidate;
using step::PlanKey;
using step::PlanKeys;

constexpr std::size_t kConfirmed = 5;
const Options kBound{Fidelity::Bound, false, true, {}};

ScenarioJob training(const std::string& id, const std::vector<std::string>& changes = {}) {
  config::Overrides overrides;
  for (const std::string& change : changes) overrides.push_back(config::parse_override(change));
  return std::get<ScenarioJob>(load(test::library(), {Kind::Scenario, id}, "", overrides));
}

PlanKeys all_keys() {
  PlanKeys keys;
  for (std::size_t i = 0; i < EnumNames<PlanKey>::value.size(); ++i) keys.insert(static_cast<PlanKey>(i));
  return keys;
}

std::vector<std::string> training_scenarios() {
  std::vector<std::string> ids;
  for (const std::string& id : test::library().list(config::FileKind::Scenario))
    if (test::scenario(id).phase == Phase::Training) ids.push_back(id);
  return ids;
}

TEST(PlanSearch, IsNeverSlowerThanWhatItWasGiven) {
  const auto ids = training_scenarios();
  ASSERT_GE(ids.size(), 5U);
  for (const std::string& id : ids) {
    const Seconds own = simulate(training(id).request(), kBound).total;
    for (const PlanKeys& freed : {PlanKeys{}, PlanKeys{PlanKey::Vpp, PlanKey::MicroBatch}}) {
      ScenarioJob job = training(id);
      const auto found = search(job, freed, kConfirmed, kBound);
      EXPECT_LE(found.best.front().played->total, own) << id;
      EXPECT_EQ(simulate(job.request(), kBound).total, found.best.front().played->total) << id;
      EXPECT_TRUE(std::any_of(found.best.begin(), found.best.end(), [](const PlanCandidate& c) {
        return c.is_stated;
      })) << id;
    }
  }
}

TEST(PlanSearch, OfAllKeysIsNotSlowerEither) {
  for (const char* id : {"train_llama31_405b_16384_h100", "train_bert_large", "llama31_8b_training"}) {
    ScenarioJob job = training(id);
    const Seconds own = simulate(job.request(), kBound).total;
    EXPECT_LE(search(job, all_keys(), kConfirmed, kBound).best.front().played->total, own) << id;
  }
}

TEST(PlanSearch, KeepsWhatTheScenarioStates) {
  ScenarioJob job = training("train_gpt3_175b_1024_h100");
  const ParallelismSpec stated = job.scenario.value.parallelism;
  const auto found = search(job, {PlanKey::MicroBatch, PlanKey::Vpp}, kConfirmed, kBound);
  EXPECT_FALSE(found.searched.contains(PlanKey::Tp));
  EXPECT_TRUE(found.searched.contains(PlanKey::Vpp));
  for (const PlanCandidate& c : found.best) {
    EXPECT_EQ(c.parallelism.tp, stated.tp);
    EXPECT_EQ(c.parallelism.pp, stated.pp);
  }
}

TEST(PlanSearch, FreesTheReplicasWithTheGroupsThatTheyAreLeftBy) {
  ScenarioJob job = training("train_llama31_405b_16384_h100");  // states dp
  const auto found = search(job, {PlanKey::Tp}, kConfirmed, kBound);
  EXPECT_TRUE(found.searched.contains(PlanKey::Dp));
  EXPECT_FALSE(found.searched.contains(PlanKey::Pp));
}

TEST(PlanSearch, TriesEveryNumberOfChunksThatDivides) {
  ScenarioJob job = training("train_gpt3_175b_1024_h100");
  const std::int64_t pp = job.scenario.value.parallelism.pp, layers = job.model.value.layers;
  const auto found = search(job, {PlanKey::Vpp, PlanKey::Recompute}, 1000, kBound);
  for (std::int64_t vpp = 1; pp * vpp <= layers; ++vpp) {
    if (layers % (pp * vpp) != 0) continue;
    EXPECT_TRUE(std::any_of(found.best.begin(), found.best.end(), [&](const PlanCandidate& c) {
      return c.parallelism.vpp == vpp;
    })) << vpp;
  }
}

TEST(PlanSearch, SaysWhyTheStatedPlanCannotRun) {
  ScenarioJob job = training("llama31_8b_training", {"scenario.parallelism.tp=1"});
  const auto found = search(job, {PlanKey::Tp}, kConfirmed, kBound);
  EXPECT_NE(found.stated_refused, "");
  EXPECT_FALSE(found.best.front().is_stated);
}

}  // namespace
}  // namespace xpusim::jobs
