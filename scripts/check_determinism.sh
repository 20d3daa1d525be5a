#!/usr/bin/env bash
# Checks that the numbers depend on the inputs alone: runs tests/golden/standard.yaml twice with one binary, on one core
# and on two, and once with another build (clang -O1; --all: gcc -O1 and clang -O3 too). All must write the same file.
# scripts/check_determinism.sh [--all] [--xpusim PATH, default build/ci/xpusim]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

builds=(clang-O1)
reference=build/ci/xpusim
while (($#)); do
  case "$1" in
    --all) builds=(clang-O1 gcc-O1 clang-O3) ;;
    --xpusim)
      reference=${2:?--xpusim: give the path of a binary}
      shift
      ;;
    *)
      echo "usage: scripts/check_determinism.sh [--all] [--xpusim PATH]" >&2
      exit 2
      ;;
  esac
  shift
done
if [[ ! -x $reference ]]; then
  echo "determinism: no $reference (cmake --preset ci && cmake --build --preset ci --target xpusim_cli)" >&2
  exit 2
fi
scripts/setup.sh

suite=tests/golden/standard.yaml
folder=build/determinism
export XPUSIM_DATA=$PWD  # the same inputs, wherever the reference was built
mkdir -p "$folder"
failed=()

build() {  # build NAME: the command line alone, as the preset release but for compiler and level
  local compiler=g++ start=$SECONDS
  [[ $1 != clang-* ]] || compiler=clang++
  if ! { cmake -S . -B "$folder/$1" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_CXX_FLAGS_RELEASE="-${1##*-} -DNDEBUG" -DXPUSIM_BUILD_TESTS=OFF &&
    cmake --build "$folder/$1" --target xpusim_cli; } >"$folder/$1.log" 2>&1; then
    tail -n 20 "$folder/$1.log"
    echo "determinism: $1: does not build"
    return 1
  fi
  echo "determinism: $1: built in $((SECONDS - start)) s"
}

record() {  # record NAME XPUSIM JOBS: writes FOLDER/NAME.txt
  rm -f "$folder/$1.txt"
  if ! "$2" check "$suite" --baseline "$folder/$1.txt" --update --reason "scripts/check_determinism.sh" \
    --jobs "$3" >"$folder/$1.log" 2>&1 || [[ ! -s $folder/$1.txt ]]; then
    tail -n 20 "$folder/$1.log"
    echo "determinism: $1: the suite did not run"
    return 1
  fi
}

compare() {  # compare NAME XPUSIM JOBS: runs the suite and compares with the first run
  local start=$SECONDS
  record "$@" || return 1
  if cmp -s "$folder/reference.txt" "$folder/$1.txt"; then
    echo "determinism: $1: same to the last digit ($((SECONDS - start)) s)"
    return 0
  fi
  diff "$folder/reference.txt" "$folder/$1.txt" | head -n 40 || true
  echo "determinism: $1: DIFFERS from $reference ($((SECONDS - start)) s)"
  return 1
}

start=$SECONDS
record reference "$reference" 1 || exit 1
echo "determinism: reference: $(wc -l <"$folder/reference.txt") lines ($((SECONDS - start)) s)"
compare again "$reference" 2 || failed+=(again)
for name in "${builds[@]}"; do
  { build "$name" && compare "$name" "$folder/$name/xpusim" 2; } || failed+=("$name")
done

if ((${#failed[@]})); then
  echo "determinism: FAILED: ${failed[*]}"
  exit 1
fi
echo "determinism: ok"
