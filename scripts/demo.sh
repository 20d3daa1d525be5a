#!/usr/bin/env bash
# Compares NVIDIA and Ascend systems on three workloads, then asks one what-if; files go to build/demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release >/dev/null
mkdir -p build/demo

xpusim() {  # prints the command as a person would type it, then runs it
  local argument words="xpusim"
  for argument in "$@"; do
    [[ $argument == *" "* ]] && argument="'$argument'"
    words+=" $argument"
  done
  printf '\n$ %s\n' "$words"
  build/release/xpusim "$@"
}

systems=(--on dgx_h100 --on dgx_a100 --on atlas_800_a2 --on atlas_800_a3)
scenarios=workloads/scenarios
files=()
for scenario in llama31_70b_decode llama31_70b_prefill llama31_8b_training; do
  out=build/demo/${scenario##*_}
  xpusim compare "$scenarios/$scenario.yaml" "${systems[@]}" --json "$out.json" --trace "$out.trace.json"
  files+=("$out.json" "$out.trace.json")
done
xpusim compare "$scenarios/llama31_70b_decode.yaml" --on atlas_800_a2 \
  --on 'atlas_800_a2,chip.hbm.bandwidth=3.2 TB/s'

printf '\nWritten (open a .trace.json in ui.perfetto.dev):\n'
ls "${files[@]}"
