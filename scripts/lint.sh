#!/usr/bin/env bash
# Checks format and style of every file that git knows or would add; --fix rewrites what a tool can rewrite.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fix=false
case "${1:-}" in
  "") ;;
  --fix) fix=true ;;
  *)
    echo "usage: scripts/lint.sh [--fix]" >&2
    exit 2
    ;;
esac

scripts/setup.sh
export PATH="$PWD/.venv/bin:$PATH"
all=$(git ls-files --cached --others --exclude-standard)
failed=()

files() {  # files REGEX: the known paths that match and exist
  local path
  while IFS= read -r path; do
    [[ $path =~ $1 && -f $path ]] && printf '%s\n' "$path"
  done <<<"$all"
  return 0
}

check() {  # check NAME REGEX COMMAND...: runs the command on the files that match
  local name=$1 list
  mapfile -t list < <(files "$2")
  ((${#list[@]})) || return 0
  if "${@:3}" "${list[@]}"; then
    echo "lint: $name ok (${#list[@]} files)"
  else
    failed+=("$name")
  fi
}

cpp='^(sim|tests|bindings)/.*\.(h|cpp)$'
python='\.py$'
prose='^(docs/|sim/|scripts/|README\.md$)'
spell=(codespell --ignore-words scripts/codespell-ignore.txt)
if $fix; then
  check clang-format "$cpp" clang-format -i
  check ruff-check "$python" ruff check --quiet --fix
  check ruff-format "$python" ruff format --quiet
  check codespell "$prose" "${spell[@]}" --write-changes
else
  check clang-format "$cpp" clang-format --dry-run --Werror --ferror-limit=1
  check ruff-check "$python" ruff check --quiet
  check ruff-format "$python" ruff format --quiet --check
  check codespell "$prose" "${spell[@]}"
fi
check shellcheck '^(scripts/.*\.sh|\.ci/run)$' shellcheck
check mypy '^scripts/.*\.py$' mypy --no-error-summary
check mypy-package '^bindings/xpusim/.*\.pyi?$' mypy --no-error-summary --strict
check yamllint '^(configs|workloads|tests/scenarios|docs/examples)/.*\.ya?ml$' yamllint --strict
check cmake-lint '(^|/)CMakeLists\.txt$|\.cmake$' cmake-lint --suppress-decorations --config-files .cmake-format.yaml --

if ((${#failed[@]})); then
  echo "lint: FAILED: ${failed[*]}"
  exit 1
fi
echo "lint: ok"
