#!/usr/bin/env bash
# Builds a CMake preset and runs its tests: scripts/test.sh [PRESET, default ci] [ctest arguments ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-ci}

scripts/setup.sh
cmake --preset "$preset"
cmake --build --preset "$preset"
exec ctest --preset "$preset" "${@:2}"
