#!/usr/bin/env bash
# Installs what building, testing and linting need: Debian 12 / Ubuntu 24.04 packages, and the pinned Python
# tools of scripts/requirements.txt into .venv. Does nothing, and needs no root, when all is there already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec 1>&2  # stdout belongs to the scripts that call this one

# clang-format comes from requirements.txt (one version everywhere). libclang-rt-dev holds the sanitizer and
# libFuzzer runtimes of the default clang; llvm holds the symbolizer that makes their reports readable.
packages=(
  g++ clang clang-tidy libclang-rt-dev llvm
  cmake ninja-build ccache pkg-config git shellcheck python3 python3-venv
  libsystemc-dev libyaml-cpp-dev libfmt-dev libcli11-dev nlohmann-json3-dev
  libgtest-dev libgmock-dev libbenchmark-dev valgrind
)
# Of the Python package and its tests: headers, a browser for the report, MPI for the pool. What the distribution does
# not have is left out (Ubuntu has no package of Chromium): the tests that need it then say so.
extras=(python3-dev chromium openmpi-bin)
packages+=("${extras[@]}")
# shellcheck disable=SC2016  # ${...} below is dpkg-query's own syntax
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
done

if ((${#missing[@]})); then
  as_root=(env)
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "setup: no root and no sudo; ask an administrator for: apt-get install ${missing[*]}"
      exit 1
    fi
    as_root=(sudo env)
  fi
  echo "setup: installing ${missing[*]}"
  apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  "${apt[@]}" update
  available=()
  for package in "${missing[@]}"; do
    if [[ " ${extras[*]} " != *" $package "* ]] || apt-cache show "$package" >/dev/null 2>&1; then
      available+=("$package")
    fi
  done
  ((${#available[@]} == 0)) || "${apt[@]}" install -y --no-install-recommends "${available[@]}"
fi

# The stamp names all that the environment was made from: tools, place (its scripts hold absolute paths), Python.
stamp=.venv/stamp
want=$(cat scripts/requirements.txt && pwd)
if ! .venv/bin/python -c '' 2>/dev/null || [[ "$(cat "$stamp" 2>/dev/null)" != "$want" ]]; then
  python=""
  for candidate in python3 /usr/bin/python3; do  # the first may be a pyenv shim of a Python that is too old
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
  if [[ -z "$python" ]]; then
    echo "setup: no python3 of version 3.11 or later with the venv module"
    exit 1
  fi
  echo "setup: creating .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r scripts/requirements.txt
  printf '%s\n' "$want" >"$stamp"
fi
echo "setup: ready"
