#!/usr/bin/env bash
# Compares what a suite predicts at two revisions, without a baseline in the repository:
#   ci_regression.sh [SUITE, default perf/suite.yaml] [BASE] [options of xpusim check ...]
# The base is where this branch left BASE: default what the CI job merges into, else origin/main. The head is the
# working tree. The report goes to stdout, and as a table to $GITHUB_STEP_SUMMARY where that is set. Ends as
# `xpusim check` does: 0 same, 1 differs, 2 input error.
# XPUSIM_BASE and XPUSIM_HEAD: the programs (default: xpusim). Stands alone: copy it into any repository.
set -euo pipefail

suite=${1:-perf/suite.yaml}
base=${2:-${GITHUB_BASE_REF:+origin/$GITHUB_BASE_REF}}
base=${base:-${CI_MERGE_REQUEST_DIFF_BASE_SHA:-origin/main}}
options=("${@:3}")
xpusim_base=${XPUSIM_BASE:-xpusim}
xpusim_head=${XPUSIM_HEAD:-xpusim}

fail() {
  echo "ci_regression: $*" >&2
  exit 2
}

[[ $suite != -* && $base != -* ]] || fail "usage: ci_regression.sh [SUITE] [BASE] [options of xpusim check ...]"
for program in "$xpusim_base" "$xpusim_head"; do
  command -v "$program" >/dev/null || fail "no program $program (install the package, or set XPUSIM_BASE and XPUSIM_HEAD)"
done
top=$(git rev-parse --show-toplevel) || fail "not in a git repository"
[[ -f $suite ]] || fail "no suite $suite"
path=$(realpath -- "$suite")
[[ $path == "$(realpath -- "$top")"/* ]] || fail "$suite is outside of $top"
path=${path#"$(realpath -- "$top")"/}
revision=$(git rev-parse --verify --quiet "$base^{commit}") ||
  fail "no revision $base (fetch it: a checkout of CI is often shallow; actions/checkout has fetch-depth: 0)"
revision=$(git merge-base "$revision" HEAD) || fail "$base and HEAD have no common commit (fetch more of the history)"
short=$(git rev-parse --short "$revision")

work=$(mktemp -d)
cleanup() {
  git -C "$top" worktree remove --force "$work/tree" 2>/dev/null || true
  rm -rf "$work"
  git -C "$top" worktree prune
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

program_of() {  # program_of NAME: as a path that holds in any folder
  realpath -s -- "$(command -v "$1")"
}

head_check() {  # head_check OPTIONS...: checks the head against the base, and shows it
  local code=0
  "$xpusim_head" check "$suite" --baseline "$work/base" --markdown "$work/table.md" "$@" "${options[@]}" || code=$?
  if [[ -n ${GITHUB_STEP_SUMMARY:-} && -f $work/table.md ]]; then cat "$work/table.md" >>"$GITHUB_STEP_SUMMARY"; fi
  return "$code"
}

if ! git -C "$top" cat-file -e "$revision:$path" 2>/dev/null; then
  echo "ci_regression: $path is not in $short yet: nothing to compare with"
  head_check --update --reason "not in $short"
  exit
fi
git -C "$top" -c core.hooksPath=/dev/null worktree add --quiet --detach "$work/tree" "$revision"
xpusim_base=$(program_of "$xpusim_base")
(cd "$work/tree" && "$xpusim_base" check "$path" --baseline "$work/base" --update --reason "base $short") \
  >"$work/base.log" 2>&1 || {
  code=$?
  cat "$work/base.log" >&2
  echo "ci_regression: $path of $short does not run" >&2
  exit "$code"
}
head_check
