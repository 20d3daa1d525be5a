#!/usr/bin/env bash
# Measures the simulator's own speed: its micro-benchmarks (arguments go to Google Benchmark), then one comparison.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release --target xpusim_cli xpusim_bench xpusim_instructions >/dev/null
build/release/tests/bench/xpusim_bench "$@"
echo
scripts/bench_compare.py --recorded --binary build/release/tests/bench/xpusim_instructions || (($? == 1))  # shown, not gated
echo
.venv/bin/python scripts/time_command.py build/release/xpusim compare \
  workloads/scenarios/llama31_70b_decode.yaml \
  --on dgx_h100 --on dgx_a100 --on atlas_800_a2 --on atlas_800_a3

# Replays of every measured set: the closed form on one core, the event kernel in two processes.
.venv/bin/python scripts/time_command.py taskset -c 0 build/release/xpusim validate --fidelity bound --json - \
  tests/measured/kernels/*/*.csv
.venv/bin/python scripts/time_command.py .venv/bin/python scripts/validation_report.py --check --fidelity tile --jobs 2

# Training steps: cold runs, growth with the chips, the replay of all measured rows.
.venv/bin/python scripts/bench_training.py

# The Python package, from its wheel: import, one call, sweeps, Dask, a sweep that is killed and resumed.
scripts/python_env.sh
build/python/venv/bin/python scripts/bench_python.py
