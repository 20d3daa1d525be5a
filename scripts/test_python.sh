#!/usr/bin/env bash
# Runs the tests and notebooks of the Python package from the wheel in an empty environment:
# scripts/test_python.sh [pytest arguments ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/python_env.sh
root=$PWD
work=$root/build/python
mkdir -p "$work/run"
cd "$work/run"  # away from the sources: what is imported is what was installed
unset PYTHONPATH XPUSIM_DATA
pytest=("$work/venv/bin/pytest" -c "$root/pyproject.toml" --rootdir "$root" -p no:cacheprovider)
"${pytest[@]}" --junitxml "$work/junit.xml" "${@:-$root/tests/python}"
(($#)) || exec "${pytest[@]}" --nbmake --nbmake-timeout=300 "$root/bindings/notebooks"
