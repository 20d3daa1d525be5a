#include <gtest/gtest.h>

#include <set>

#include "bench/kernels.h"
#include "support/shipped.h"
#include "xpusim/core/error.h"
#include "xpusim/network/collective.h"
#include "xpusim/simulate.h"

/// Every described key decides some figure. Each number and choice of a file is changed by itself, and some
/// run out of a small portfolio must come out differently. What waits for its reader is listed.
namespace xpusim::test {
namespace {

/// Changes the scalar that is the `target`-th of a description, and remembers its path.
class Change : public Fields {
 public:
  explicit Change(std::size_t target) : target_(target) {}
  std::string path;  ///< of what was changed; empty: there are fewer

 protected:
  void scalar(const FieldInfo& info, const Scalar& s) override {
    if (info.plain || s.type == ScalarType::Text || seen_++ != target_) return;
    path = prefix_ + std::string(info.key);
    const ScalarValue v = s.get();
    if (const auto* i = std::get_if<std::int64_t>(&v)) s.set(*i == 0 ? std::int64_t{1} : 2 * *i);
    if (const auto* x = std::get_if<double>(&v)) s.set(*x == 0 ? 1.0 : 0.6 * *x);
    if (const auto* b = std::get_if<bool>(&v)) s.set(!*b);
    if (s.type == ScalarType::Choice) {
      const auto& names = s.choices;
      const auto at = std::find(names.begin(), names.end(), std::get<std::string>(v)) - names.begin();
      s.set(std::string(names[static_cast<std::size_t>(at + 1) % names.size()]));
    }
  }
  void group(const FieldInfo& info, const Describe& members) override { within(info.key, members); }
  void optional_group(const FieldInfo& info, bool present, const std::function<void()>&,
                      const Describe& members) override {
    if (present) within(info.key, members);
  }
  void sequence(const FieldInfo& info, const Sequence& s) override {
    within(info.key, [&](Fields& f) {
      for (std::size_t i = 0; i < s.size(); ++i) s.visit(f, i, {"[]", "", true, info.range, info.plain});
    });
  }
  void dictionary(const FieldInfo& info, const Dictionary& d) override {
    within(info.key, [&](Fields& f) {
      for (const std::string& key : d.keys()) d.visit(f, key, {"[]", "", true, info.range, info.plain});
    });
  }

 private:
  void within(std::string_view key, const Describe& members) {
    const std::string outer = prefix_;
    prefix_ += std::string(key) + ".";
    members(*this);
    prefix_ = outer;
  }
  std::size_t target_, seen_ = 0;
  std::string prefix_;
};

Request serving(const std::string& model_id, const std::string& system_id, Phase phase) {
  Request q;
  q.system = system(system_id);
  q.chip = chip(q.system.chip);
  q.model = model(model_id);
  ScenarioSpec& s = q.scenario;
  s.name = "unread";
  s.phase = phase;
  s.batch = 16;
  s.context = phase == Phase::Decode ? 4096 : 0;
  s.sequence = phase == Phase::Decode ? 1 : 1000;
  s.parallelism.dp = 0;
  s.chips = 16 / q.chip.dies;
  return q;
}

/// Figures of a request: its time and memory, or why it cannot run.
std::vector<double> figures(const Request& q) {
  Options options;
  options.fidelity = Fidelity::Bound;
  options.checks_memory = false;
  try {
    const result::Result r = simulate(q, options);
    return {r.total.count(),
            r.memory.total(),
            r.tokens,
            r.matrix_utilisation,
            r.hbm_utilisation,
            r.training ? r.training->mfu : 0,
            r.failures ? r.failures->goodput.work : 0,
            d(r.memory_capacity.count())};
  } catch (const std::runtime_error&) {
    return {-1};
  }
}

std::vector<Request> portfolio(const std::string& system_id) {
  const bool narrow = system_id != "cloudmatrix384";
  const Dtype eight = narrow ? Dtype::Fp8 : Dtype::Int8;
  Request dense = serving("llama31_70b", system_id, Phase::Prefill);
  dense.scenario.parallelism.tp = 8;
  Request decode = serving("llama31_70b", system_id, Phase::Decode);
  decode.scenario.parallelism.tp = 8;
  decode.scenario.precision.weights = Dtype::Int4;
  Request experts = serving("deepseek_v3", system_id, Phase::Decode);
  experts.scenario.batch = 128;
  experts.scenario.parallelism.ep = 16;
  experts.scenario.precision.weights = experts.scenario.precision.activations = eight;
  experts.scenario.launch = Launch::Eager;
  Request training = request("train_llama31_405b_16384_h100");
  training.system = with_chips(dense.system, 16384, dense.chip.dies);
  training.chip = dense.chip;
  training.scenario.chips = 16384 / dense.chip.dies;
  return {dense, decode, experts, training};
}

/// Paths of `T` within the requests of a portfolio whose change moves nothing.
template <class T, class Reach>
std::set<std::string> unread(const std::vector<Request>& runs, const Reach& reach) {
  std::vector<std::vector<double>> before;
  for (const Request& q : runs) before.push_back(figures(q));
  std::set<std::string> silent, heard;
  for (std::size_t run = 0; run < runs.size(); ++run)
    for (std::size_t i = 0;; ++i) {
      Request q = runs[run];
      Change change(i);
      describe(change, reach(q));
      if (change.path.empty()) break;
      if (heard.contains(change.path)) continue;
      (figures(q) != before[run] ? heard : silent).insert(change.path);
    }
  for (const std::string& path : heard) silent.erase(path);
  return silent;
}

using Paths = std::set<std::string>;

/// What a portfolio leaves unread beyond `known`: keys that nobody reads, or that a run has to be added for.
void expect_read(Paths silent, const Paths& known) {
  for (const std::string& path : known) silent.erase(path);
  EXPECT_TRUE(silent.empty()) << "nobody reads " << testing::PrintToString(silent);
}

TEST(UnreadKeys, OfChips) {
  const auto of = [](const std::string& id) {
    return unread<ChipSpec>(portfolio(id), [](Request& q) -> ChipSpec& { return q.chip; });
  };
  const Paths one = of("superpod_h100"), other = of("cloudmatrix384");
  Paths both;
  for (const std::string& path : one)
    if (other.contains(path) || !path.starts_with("die_to_die")) both.insert(path);
  expect_read(
      both,
      {
          "attention.prefill_setup", "attention.decode_setup",  // replays of kernel sets
          "attention.head_block", "attention.packed_heads",     // groups of other sizes, 8-bit keys
          "cores.multicast_cores",                              // where L2 is the slowest
          "matrix.granularity.n",                               // products of few rows and columns
          "operand_feed.a_capacity", "operand_feed.b_capacity", "operand_feed.a_rate",  // chips with feeds
          "power.idle",                                                                 // where the cap binds
      });
}

TEST(UnreadKeys, OfModels) {
  expect_read(unread<ModelSpec>(portfolio("superpod_h100"), [](Request& q) -> ModelSpec& { return q.model; }),
              {"experts.max_nodes",  // libraries that send a token to a node once
               "max_position"});     // a limit: sequences are below it
}

TEST(UnreadKeys, OfScenarios) {
  expect_read(unread<ScenarioSpec>(portfolio("superpod_h100"),
                                   [](Request& q) -> ScenarioSpec& { return q.scenario; }),
              {"failures.seed",  // of the simulated days alone
                                 // Of models with experts, of plans without, or as the stack decides anyway:
               "parallelism.etp", "parallelism.sequence_parallel", "precision.experts", "recompute",
               "training.expert_imbalance", "training.overlap.experts", "training.overlap.gradients",
               "training.overlap.parameters", "training.overlap.pipeline", "training.recompute_layers"});
}

/// LevelSpec.links, medium and module_power wait for energy and cost.
TEST(UnreadKeys, OfSystemsAreThoseThatWaitForEnergy) {
  for (const char* id : {"superpod_h100", "cloudmatrix384"}) {
    const SystemSpec s = system(id);
    const auto times = [](const SystemSpec& y) {
      std::vector<double> list;
      const ChipSpec c = chip(y.chip);
      const SystemSpec joined = with_package_level(y, c);
      for (const CollectiveKind kind :
           {CollectiveKind::AllReduce, CollectiveKind::AllToAll, CollectiveKind::Dispatch})
        for (const std::int64_t bytes : {1 << 12, 1 << 20, 1 << 28}) try {
            list.push_back(network::bound(kind, Bytes(bytes), {64, 1, {}}, joined).total.count());
          } catch (const std::runtime_error&) {
            list.push_back(-1);
          }
      return list;
    };
    const auto before = times(s);
    Paths silent;
    for (std::size_t i = 0;; ++i) {
      SystemSpec y = s;
      Change change(i);
      describe(change, y);
      if (change.path.empty()) break;
      if (times(y) == before && change.path.starts_with("levels")) silent.insert(change.path);
    }
    for (const char* waits : {"levels.[].links", "levels.[].medium", "levels.[].module_power"})
      EXPECT_TRUE(silent.contains(waits) || id != std::string("superpod_h100")) << waits;
  }
}

}  // namespace
}  // namespace xpusim::test
