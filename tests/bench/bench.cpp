#include <benchmark/benchmark.h>

#include "bench/kernels.h"
#include "xpusim/des/calendar.h"
#include "xpusim/step/search.h"

/// How fast the simulator is. Goals: 10 M tile transactions/s on one core; a GEMM of 8192 cubed in 100 ms, of
/// 4096 cubed in 20 ms, whole call; 50 us per operator by closed form; an all-reduce over any number of equal
/// ranks in 200 ms, with one slow rank in 4,096 in 10 s; a training step by closed form in 100 ms, 1,000
/// plans/s.
namespace xpusim {
namespace {

using test::decode;
using test::gemm;
using test::grouped;
using test::prefill;
using test::rowwise;

/// The event kernel alone: one program, already mapped.
void tile_engine(benchmark::State& state, const std::string& chip_id, const Operator& o) {
  const ChipSpec c = test::chip(chip_id);
  const mapping::TileProgram p = test::fastest_program(o, c);
  for (auto _ : state) benchmark::DoNotOptimize(chip::execute(p, c, c.clock.max, Seconds(0)));
  const auto transactions = static_cast<double>(mapping::totals(p).transactions);
  state.counters["transactions"] = transactions;
  state.counters["tx_per_s"] =
      benchmark::Counter(transactions, benchmark::Counter::kIsIterationInvariantRate);
}

/// What a user waits for: mapping, clock and execution of an operator that is not known yet.
void whole_call(benchmark::State& state, const std::string& chip_id, const Operator& o, Fidelity fidelity) {
  const ChipSpec c = test::chip(chip_id);
  for (auto _ : state) {
    chip::Estimator e(c, fidelity, Launch::Graph);
    benchmark::DoNotOptimize(e.time(o));
  }
}

void candidate_programs(benchmark::State& state, const std::string& chip_id, const Operator& o) {
  const ChipSpec c = test::chip(chip_id);
  std::size_t n = 0;
  for (auto _ : state) benchmark::DoNotOptimize(n = mapping::candidates(o, c).size());
  state.counters["programs"] = static_cast<double>(n);
}

void read_configs(benchmark::State& state) {
  const config::Library& files = test::library();
  for (auto _ : state) {
    for (const std::string& id : files.list(config::FileKind::Chip)) benchmark::DoNotOptimize(files.chip(id));
    for (const std::string& id : files.list(config::FileKind::System))
      benchmark::DoNotOptimize(files.system(id));
    for (const std::string& id : files.list(config::FileKind::Stack))
      benchmark::DoNotOptimize(files.stack(id));
    for (const std::string& id : files.list(config::FileKind::Model))
      benchmark::DoNotOptimize(files.model(id));
    for (const std::string& id : files.list(config::FileKind::Scenario))
      benchmark::DoNotOptimize(files.scenario(id));
    for (const std::string& id : files.list(config::FileKind::Trace))
      benchmark::DoNotOptimize(files.trace(id));
  }
}

void scenario(benchmark::State& state, const std::string& id, const std::string& on, Fidelity fidelity) {
  const Request q = test::request(id, on);
  const Options options = test::at(fidelity);
  for (auto _ : state) benchmark::DoNotOptimize(simulate(q, options));
}

/// Plans timed by closed form, and those refused on the way; none is played at tile fidelity.
void plan_search(benchmark::State& state, const std::string& id) {
  const Request q = test::request(id);
  step::PlanKeys all_keys;
  for (std::size_t i = 0; i < EnumNames<step::PlanKey>::value.size(); ++i)
    all_keys.insert(static_cast<step::PlanKey>(i));
  std::size_t timed = 0;
  for (auto _ : state) {
    const step::PlanSearch found =
        step::search_plans(q, q.scenario.chips * q.chip.dies, all_keys, 0, test::at(chip::Fidelity::Bound));
    timed = found.tried;
    benchmark::DoNotOptimize(timed);
  }
  state.counters["plans_per_s"] =
      benchmark::Counter(static_cast<double>(timed), benchmark::Counter::kIsIterationInvariantRate);
}

void collective(benchmark::State& state, Algorithm algorithm, std::int64_t ranks, bool slow_rank) {
  const auto [call, system] = test::all_reduce(algorithm, ranks, slow_rank);
  for (auto _ : state) benchmark::DoNotOptimize(network::execute(call, system));
}

/// Takes `turns` turns, a different number of ticks apart for each actor.
class Walker : public des::Actor {
 public:
  Walker(std::int64_t stride, std::int64_t turns) : stride_(stride), left_(turns) {}
  std::int64_t turn(std::int64_t now) override { return --left_ > 0 ? now + stride_ : kIdle; }

 private:
  std::int64_t stride_, left_;
};

void calendar_turns(benchmark::State& state) {
  const std::int64_t actors = state.range(0), turns = 1'000'000 / actors;
  for (auto _ : state) {
    std::vector<Walker> walkers;
    for (std::int64_t i = 0; i < actors; ++i) walkers.emplace_back(1000 + i * 7 % 13, turns);
    std::vector<des::Actor*> all;
    for (Walker& w : walkers) all.push_back(&w);
    benchmark::DoNotOptimize(des::run(all));
  }
  state.counters["turns_per_s"] =
      benchmark::Counter(static_cast<double>(actors * turns), benchmark::Counter::kIsIterationInvariantRate);
}

void register_all() {
  const auto add = [](const std::string& name, auto run, auto... arguments) {
    return benchmark::RegisterBenchmark(name.c_str(), run, arguments...);
  };
  const auto ms = benchmark::kMillisecond;
  const auto us = benchmark::kMicrosecond;
  add("tile_engine/h100_sxm/gemm_8192", tile_engine, "h100_sxm", gemm(8192, 8192, 8192))->Unit(ms);
  add("tile_engine/ascend_910b2/gemm_8192", tile_engine, "ascend_910b2", gemm(8192, 8192, 8192, Dtype::Fp16))
      ->Unit(ms);
  add("tile_engine/h100_sxm/attention_8192", tile_engine, "h100_sxm", prefill())->Unit(ms);
  add("tile_engine/ascend_910b2/attention_8192", tile_engine, "ascend_910b2", prefill())->Unit(ms);
  add("tile_engine/h100_sxm/rmsnorm", tile_engine, "h100_sxm", rowwise(RowwiseKind::RmsNorm, 16384, 8192))
      ->Unit(ms);

  add("tile/h100_sxm/gemm_4096", whole_call, "h100_sxm", gemm(4096, 4096, 4096), Fidelity::Tile)->Unit(ms);
  add("tile/h100_sxm/gemm_8192", whole_call, "h100_sxm", gemm(8192, 8192, 8192), Fidelity::Tile)->Unit(ms);
  add("tile/ascend_910b2/gemm_8192", whole_call, "ascend_910b2", gemm(8192, 8192, 8192), Fidelity::Tile)
      ->Unit(ms);

  for (const ChipSpec& c : test::chips()) {
    const std::string at = "bound/" + c.id + "/";
    const Dtype dtype = test::half_type(c);
    for (const std::int64_t m : {1, 64, 4096})
      add(at + "gemm_" + std::to_string(m) + "x8192x8192", whole_call, c.id, gemm(m, 8192, 8192, dtype),
          Fidelity::Bound)
          ->Unit(us);
    add(at + "gemm_8192", whole_call, c.id, gemm(8192, 8192, 8192, dtype), Fidelity::Bound)->Unit(us);
    add(at + "grouped_gemm_64", whole_call, c.id, grouped(64, 4096, dtype), Fidelity::Bound)->Unit(us);
    add(at + "attention_prefill", whole_call, c.id, prefill(dtype), Fidelity::Bound)->Unit(us);
    add(at + "attention_decode", whole_call, c.id, decode(dtype), Fidelity::Bound)->Unit(us);
    add(at + "rmsnorm", whole_call, c.id, rowwise(RowwiseKind::RmsNorm, 4096, 8192), Fidelity::Bound)
        ->Unit(us);
  }
  add("tile/h100_sxm/grouped_gemm_64", whole_call, "h100_sxm", grouped(64, 4096), Fidelity::Tile)->Unit(ms);
  add("candidates/h100_sxm/gemm_4096", candidate_programs, "h100_sxm", gemm(4096, 4096, 4096))->Unit(us);
  add("candidates/h100_sxm/attention_prefill", candidate_programs, "h100_sxm", prefill())->Unit(us);

  add("scenario/bound/llama31_70b_decode", scenario, "llama31_70b_decode", "dgx_h100", Fidelity::Bound)
      ->Unit(ms);
  add("scenario/tile/llama31_70b_decode", scenario, "llama31_70b_decode", "dgx_h100", Fidelity::Tile)
      ->Unit(ms);
  add("scenario/tile/llama31_70b_prefill", scenario, "llama31_70b_prefill", "dgx_h100", Fidelity::Tile)
      ->Unit(ms);
  for (const std::string id : {"train_gpt3_175b_1024_h100", "train_llama31_405b_16384_h100"}) {
    for (const Fidelity f : {Fidelity::Bound, Fidelity::Tile})
      add("scenario/" + std::string(f == Fidelity::Bound ? "bound/" : "tile/") + id, scenario, id, "", f)
          ->Unit(ms);
    add("search/" + id, plan_search, id)->Unit(ms);
  }
  for (const std::int64_t ranks : {8, 64, 512, 4096, 16384, 131072})
    for (const Algorithm a : {Algorithm::Ring, Algorithm::Hierarchical})
      add("collective/" + std::string(enum_name(a)) + "/" + std::to_string(ranks), collective, a, ranks,
          false)
          ->Unit(ms);
  add("collective/slow_rank/4096", collective, Algorithm::Ring, 4096, true)->Unit(ms)->Iterations(1);
  add("configs/read_all", read_configs)->Unit(ms);
  benchmark::RegisterBenchmark("calendar/turns", calendar_turns)->Arg(1)->Arg(132)->Arg(4096)->Unit(ms);
}

}  // namespace
}  // namespace xpusim

int main(int argc, char** argv) {
  xpusim::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
