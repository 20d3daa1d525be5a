#!/usr/bin/env bash
# The gate on the simulator's own speed, for the preset ci: tests of its decision, the counts of the build, and proof
# that a build with a flaw does not pass (docs/speed.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=build/ci/tests/bench

python3 -m unittest discover --start-directory tests/scripts
scripts/bench_compare.py --recorded --binary $build/xpusim_instructions --markdown build/ci/speed.md

outcome=0
scripts/bench_compare.py --recorded --binary $build/xpusim_instructions_flawed >build/ci/speed_flawed.md || outcome=$?
# The search that the flaw repeats is in the kernels that map operators, and not in the event kernel's.
for kernel in bound/ascend_910b2/attention_prefill scenario/bound/train_gpt3_175b_1024_h100 tile/h100_sxm/gemm_2048; do
  if ((outcome != 1)) || ! grep -q "^| $kernel .*| SLOWER |$" build/ci/speed_flawed.md; then
    echo "speed: a flawed build must end with 1 and name $kernel; it ended with $outcome:" >&2
    cat build/ci/speed_flawed.md >&2
    exit 1
  fi
done
echo "speed: the flawed build was refused, as it must be"
