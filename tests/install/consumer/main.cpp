#include <cstdio>

#include "xpusim/config/library.h"
#include "xpusim/simulate.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const xpusim::ChipSpec chip = xpusim::config::Library(argv[1]).chip("h100_sxm").value;
  xpusim::Operator gemm;
  gemm.name = "gemm";
  gemm.work = xpusim::GemmShape{.m = 1024, .n = 1024, .k = 1024};
  const auto result = xpusim::simulate(gemm, chip, xpusim::Launch::Graph, {});
  std::printf("gemm on %s takes %.3f us\n", result.chip.c_str(), result.total.count() * 1e6);
  return result.total.count() > 0 ? 0 : 1;
}
