#!/usr/bin/env bash
# Builds the wheel and installs it with all extras into an empty environment, build/python/venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
work=$PWD/build/python
rm -rf "$work"
mkdir -p "$work"
# A warning is an error here: the compiler's cache then serves what the preset ci has built.
.venv/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work" \
  --config-settings=cmake.define.XPUSIM_WERROR=ON .
.venv/bin/python -m venv "$work/venv"
wheel=$(echo "$work"/xpusim-*.whl)
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  -r scripts/requirements-python.txt "xpusim[all] @ file://$wheel"
