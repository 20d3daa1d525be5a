#include <fmt/format.h>
#include <gnu/libc-version.h>

#include <cstdio>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/kernels.h"

/// The kernels whose instructions scripts/bench_compare.py counts: those of a kernel's second run.
namespace xpusim {
namespace {

using Work = std::function<void()>;

Work tile_engine(const std::string& chip_id, const Operator& o) {
  const ChipSpec c = test::chip(chip_id);
  return [c, p = test::fastest_program(o, c)] {
    static_cast<void>(chip::execute(p, c, c.clock.max, Seconds(0)));
  };
}

Work whole_call(const std::string& chip_id, const Operator& o, Fidelity fidelity) {
  return [c = test::chip(chip_id), o, fidelity] { chip::Estimator(c, fidelity, Launch::Graph).time(o); };
}

Work scenario(const std::string& id, Fidelity fidelity) {
  return [q = test::request(id), options = test::at(fidelity)] { static_cast<void>(simulate(q, options)); };
}

Work collective(Algorithm algorithm, std::int64_t ranks, bool slow_rank) {
  return [call = test::all_reduce(algorithm, ranks, slow_rank)] {
    static_cast<void>(network::execute(call.first, call.second));
  };
}

const std::map<std::string, std::function<Work()>>& kernels() {
  static const std::map<std::string, std::function<Work()>> all = {
      {"bound/ascend_910b2/attention_prefill",
       [] { return whole_call("ascend_910b2", test::prefill(Dtype::Fp16), Fidelity::Bound); }},
      {"collective/ring_slow_rank/128", [] { return collective(Algorithm::Ring, 128, true); }},
      {"scenario/bound/train_gpt3_175b_1024_h100",
       [] { return scenario("train_gpt3_175b_1024_h100", Fidelity::Bound); }},
      {"tile/h100_sxm/gemm_2048",
       [] { return whole_call("h100_sxm", test::gemm(2048, 2048, 2048), Fidelity::Tile); }},
      {"tile_engine/h100_sxm/gemm_4096",
       [] { return tile_engine("h100_sxm", test::gemm(4096, 4096, 4096)); }},
  };
  return all;
}

/// The names of the kernels, and what decides their counts beside the sources.
std::string describe_build() {
  nlohmann::json build = {
      {"compiler", XPUSIM_COMPILER}, {"build_type", XPUSIM_BUILD_TYPE}, {"libc", gnu_get_libc_version()}};
  nlohmann::json names = nlohmann::json::array();
  for (const auto& [name, prepare] : kernels()) names.push_back(name);
  return nlohmann::json{{"build", build}, {"kernels", names}}.dump();
}

}  // namespace
}  // namespace xpusim

/// The one function in which callgrind collects: a name that C++ does not mangle, and a call that stays one.
extern "C" [[gnu::noinline]] void xpusim_measured(const std::function<void()>& work) { work(); }

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print("{}\n", xpusim::describe_build());
    return 0;
  }
  const auto kernel = xpusim::kernels().find(argv[1]);
  if (kernel == xpusim::kernels().end()) {
    fmt::print(stderr, "no kernel '{}'; without an argument the names are listed\n", argv[1]);
    return 2;
  }
  const auto work = kernel->second();
  // A first run leaves the heap alike, whatever the preparation did: without it, the length of the checkout's
  // path moves counts by up to 0.7 %.
  work();
  xpusim_measured(work);
}
