#!/usr/bin/env python3
"""Compares the simulator's own speed: of two revisions, or of a build against the record in git.

Instructions of a few kernels, counted by valgrind's callgrind, do not scatter: they are the gate. Times of
the Google Benchmark suite do: they are reported. docs/speed.md says what is gated, how to record anew.

exit codes: 0 nothing is slower; 1 a kernel takes over 2 % more instructions; 2 wrong use, nothing to compare
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORD = "tests/bench/instructions.json"
SCHEMA = 1
KERNELS, SUITE = "xpusim_instructions", "xpusim_bench"
WORKING_TREE = "the working tree"
COUNT_LIMIT_PERCENT, TIME_LIMIT_PERCENT = 2, 10
NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
RECORD_ANEW = 'scripts/bench_compare.py --record --reason "..."'

Counts = dict[str, int]
Times = dict[str, float]
Build = dict[str, str]


class UnusableError(Exception):
    """There is nothing to compare; the message says what would be right."""


# --- What is decided: values in, values out


@dataclass(frozen=True)
class Change:
    """One kernel or benchmark on both sides; None where a side does not have it."""

    name: str
    base: float | None
    head: float | None
    limit_percent: int

    @property
    def percent(self) -> float | None:
        if self.base is None or self.head is None:
            return None
        return 100 * (self.head - self.base) / self.base

    @property
    def verdict(self) -> str:
        if self.base is None:
            return "new"
        if self.head is None:
            return "removed"
        change, limit = 100 * (self.head - self.base), self.limit_percent * self.base
        return "SLOWER" if change > limit else "faster" if change < -limit else "ok"


def changes(base: Counts | Times, head: Counts | Times, limit_percent: int) -> list[Change]:
    """Of all names of both sides, the largest change first; what one side lacks comes last."""
    for side, values in (("base", base), ("head", head)):
        for name, value in values.items():
            if value <= 0:
                raise UnusableError(f"{name}: {value} on the {side}; a kernel that runs takes more than 0")
    both = [Change(n, base.get(n), head.get(n), limit_percent) for n in base.keys() | head.keys()]
    return sorted(both, key=lambda c: (c.percent is None, -abs(c.percent or 0), c.name))


def medians(rounds: list[Times]) -> Times:
    """Of each benchmark over the rounds that had it."""
    names = {name for times in rounds for name in times}
    return {name: statistics.median(t[name] for t in rounds if name in t) for name in names}


Measure = Callable[[str, int], tuple[list[Times], list[Times]]]


def time_changes(measure: Measure, pattern: str, rounds: int) -> list[Change]:
    """Medians of both sides. What is beyond the limit is measured again, in twice the rounds: they count."""
    base, head = (medians(side) for side in measure(pattern, rounds))
    suspects = [c.name for c in changes(base, head, TIME_LIMIT_PERCENT) if c.verdict in ("SLOWER", "faster")]
    if suspects:
        exactly = "^(" + "|".join(re.escape(name) for name in suspects) + ")$"
        again = measure(exactly, 2 * rounds)
        base, head = base | medians(again[0]), head | medians(again[1])
    return changes(base, head, TIME_LIMIT_PERCENT)


@dataclass(frozen=True)
class Record:
    build: Build
    counts: Counts
    reason: str

    def text(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, sort_keys=True) + "\n"


def parse_record(text: str) -> Record:
    """Raises UnusableError for what `text` of a record would not have written."""
    way_out = f"git restore {RECORD}, or {RECORD_ANEW}"
    try:
        data: Any = json.loads(text)
    except ValueError as error:
        raise UnusableError(f"{RECORD} is no JSON ({error}): {way_out}") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise UnusableError(f"{RECORD} has schema {schema}, this script reads {SCHEMA}: {way_out}")
    build, counts, reason = (data.get(key) for key in ("build", "counts", "reason"))
    sound = isinstance(build, dict) and isinstance(reason, str) and isinstance(counts, dict) and bool(counts)
    if not sound or not all(type(n) is int and n > 0 for n in counts.values()):
        raise UnusableError(f"{RECORD} lacks build, reason, or positive counts: {way_out}")
    return Record(build, counts, reason)


def text_of(build: Build) -> str:
    """For instance: build_type Release, compiler GNU 12.2.0, libc 2.36."""
    return ", ".join(f"{key} {value}" for key, value in sorted(build.items()))


def check_names(record: Record, kernels: list[str]) -> None:
    """A kernel that only one side has would pass unseen for ever."""
    if different := sorted(record.counts.keys() ^ set(kernels)):
        raise UnusableError(f"{RECORD} and the build differ in {', '.join(different)}: {RECORD_ANEW}")


def table(rows: list[Change], unit: str) -> str:
    lines = [f"| name | base [{unit}] | head [{unit}] | change |  |", "|---|---:|---:|---:|---|"]
    for c in rows:
        base, head = ("" if v is None else f"{v:,.0f}" for v in (c.base, c.head))
        percent = "" if c.percent is None else f"{c.percent:+.2f} %"
        lines.append(f"| {c.name} | {base} | {head} | {percent} | {c.verdict} |")
    return "\n".join(lines)


def summary(rows: list[Change]) -> str:
    """For instance: 1 SLOWER, 4 ok."""
    verdicts = [c.verdict for c in rows]
    kinds = [k for k in ("SLOWER", "faster", "new", "removed", "ok") if k in verdicts]
    return ", ".join(f"{verdicts.count(k)} {k}" for k in kinds) or "none"


def report(title: str, counts: list[Change], times: list[Change] | None) -> str:
    """Markdown. Times within the limit are folded into one line."""
    text = f"## Simulator speed: {title}\n\n"
    text += f"### Instructions (gate: +{COUNT_LIMIT_PERCENT} %): {summary(counts)}\n\n"
    text += table(counts, "instructions") + "\n"
    slower = [c.name for c in counts if c.verdict == "SLOWER"]
    if slower:
        text += f"\nSlower: {', '.join(slower)}. Make it faster, or accept it: {RECORD_ANEW}\n"
    elif any(c.verdict == "faster" for c in counts):
        text += f"\nFaster: keep the gain with {RECORD_ANEW}\n"
    if times is not None:
        text += f"\n### CPU times (reported from {TIME_LIMIT_PERCENT} % on, not gated): {summary(times)}\n"
        moved = [c for c in times if c.verdict != "ok"]
        if moved:
            text += "\n" + table(moved, "ns") + "\n"
    return text


def as_json(title: str, counts: list[Change], times: list[Change] | None) -> str:
    def rows(side: list[Change]) -> list[dict[str, Any]]:
        return [{**asdict(c), "percent": c.percent, "verdict": c.verdict} for c in side]

    data = {"schema": SCHEMA, "title": title, "instructions": rows(counts)}
    if times is not None:
        data["cpu_times_ns"] = rows(times)
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


# --- What is measured


def run(command: list[str | Path], where: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Standard output; a command that fails makes the comparison unusable."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise UnusableError(f"exit {done.returncode} of {' '.join(words)}\n{tail}")
    return done.stdout


def instructions_of(profile: str) -> int:
    """The sum that callgrind writes at the end of a profile."""
    found = re.search(r"^summary: (\d+)", profile, re.MULTILINE)
    if found is None or int(found[1]) == 0:
        raise UnusableError("callgrind counted nothing: was xpusim_measured renamed, or stripped?")
    return int(found[1])


def count(binary: Path, kernel: str) -> int:
    # Bound early, symbols cost nothing where they are first called; no other variable reaches the kernel.
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "LD_BIND_NOW": "1"}
    callgrind = ["valgrind", "--tool=callgrind", "--quiet", "--collect-atstart=no"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "profile"
        collect = ["--toggle-collect=xpusim_measured", f"--callgrind-out-file={out}"]
        run([*callgrind, *collect, binary, kernel], environment=environment)
        return instructions_of(out.read_text(encoding="utf-8"))


def described(binary: Path) -> tuple[Build, list[str]]:
    """What decides the counts of a binary beside the sources, and the names of its kernels."""
    if not binary.is_file():
        raise UnusableError(f"{binary} is not there: cmake --build --preset ci --target {KERNELS}")
    data = json.loads(run([binary]))
    return data["build"], data["kernels"]


def counts_of(binary: Path) -> Counts:
    if shutil.which("valgrind") is None:
        raise UnusableError("valgrind is not installed: scripts/setup.sh installs it")
    _, kernels = described(binary)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # a count does not depend on what else runs
        return dict(zip(kernels, pool.map(lambda kernel: count(binary, kernel), kernels), strict=True))


def times_of(suite: Path, pattern: str) -> Times:
    """CPU time of one round, nothing where no benchmark matches. A thread that never waits takes just that on
    a core of its own; wall time grows with whatever else the machine does.
    """
    if not run([suite, f"--benchmark_filter={pattern}", "--benchmark_list_tests"]).strip():
        return {}
    how = ["--benchmark_format=json", "--benchmark_min_time=0.05"]
    rows = json.loads(run([suite, f"--benchmark_filter={pattern}", *how]))["benchmarks"]
    return {row["name"]: row["cpu_time"] * NANOSECONDS[row["time_unit"]] for row in rows}


def interleaved(base: Path, head: Path) -> Measure:
    """Round after round, each side first in every other one: a machine that grows slower hits both alike."""

    def measure(pattern: str, rounds: int) -> tuple[list[Times], list[Times]]:
        sides: dict[Path, list[Times]] = {base: [], head: []}
        for i in range(rounds):
            print(f"bench_compare: round {i + 1} of {rounds}", file=sys.stderr, flush=True)
            for suite in (base, head) if i % 2 == 0 else (head, base):
                sides[suite].append(times_of(suite, pattern))
        return sides[base], sides[head]

    return measure


# --- What is built


def commit_of(revision: str) -> str:
    try:
        return run(["git", "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"]).strip()
    except UnusableError:
        raise UnusableError(f"git knows no revision '{revision}': give a branch, a tag or a commit") from None


@contextlib.contextmanager
def worktree(commit: str, folder: Path) -> Iterator[Path]:
    """The files of a commit, as long as it is used: the binaries read their configs there."""
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)  # of a run that was killed
    run(["git", "worktree", "add", "--force", "--detach", source, commit])
    try:
        yield source
    finally:
        run(["git", "worktree", "remove", "--force", source])


def build(source: Path, folder: Path, targets: list[str]) -> Path:
    """The folder of the benchmarks' executables."""
    print(f"bench_compare: building {', '.join(targets)} in {folder}", file=sys.stderr, flush=True)
    run(["cmake", "--preset", "release", "-B", folder], source)
    run(["cmake", "--build", folder, "--parallel", str(os.cpu_count()), "--target", *targets], source)
    return folder / "tests/bench"


@contextlib.contextmanager
def built(revision: str | None, side: str, targets: list[str]) -> Iterator[Path]:
    """Of a revision, or of the working tree. A revision from before the counted kernels lacks theirs."""
    if revision is None:
        yield build(ROOT, ROOT / "build/release", targets)
        return
    folder = ROOT / f"build/bench-{side}"
    with worktree(commit_of(revision), folder) as source:
        there = [t for t in targets if t != KERNELS or (source / "tests/bench/instructions.cpp").exists()]
        try:
            executables = build(source, folder / "build", there)
        except UnusableError as error:
            raise UnusableError(f"{revision} cannot be built here; take another revision\n{error}") from None
        if KERNELS not in there:
            (executables / KERNELS).unlink(missing_ok=True)  # of a newer revision that was built there
        yield executables


def same_build(base: Path, head: Path) -> None:
    one, other = described(base)[0], described(head)[0]
    if one != other:
        raise UnusableError(
            f"not comparable: {text_of(one)}, and {text_of(other)}. Build with the preset release or ci; "
            "where build/bench-base is of another compiler, remove it"
        )


# --- What is asked


def finish(options: argparse.Namespace, title: str, counts: list[Change], times: list[Change] | None) -> int:
    text = report(title, counts, times)
    print(text, end="")
    if options.markdown:
        write(options.markdown, text)
    if options.json:
        write(options.json, as_json(title, counts, times))
    return 1 if any(c.verdict == "SLOWER" for c in counts) else 0


def write(path: Path, text: str) -> None:
    """All or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def compare_revisions(options: argparse.Namespace) -> int:
    targets = [SUITE, KERNELS]
    commit_of(options.base)
    with built(options.head, "head", targets) as head, built(options.base, "base", targets) as base:
        kernels = [side / KERNELS for side in (base, head) if (side / KERNELS).exists()]
        if len(kernels) == 2:
            same_build(*kernels)
        counts = {path: counts_of(path) for path in kernels}
        rows = changes(counts.get(base / KERNELS, {}), counts.get(head / KERNELS, {}), COUNT_LIMIT_PERCENT)
        times = time_changes(interleaved(base / SUITE, head / SUITE), options.filter, options.rounds)
        if not times:
            raise UnusableError(f"'{options.filter}' matches none of {SUITE} --benchmark_list_tests")
    return finish(options, f"{options.base} against {options.head or WORKING_TREE}", rows, times)


def counts_at_record(binary: Path) -> Counts:
    """The record's own commit, measured on this machine."""
    if run(["git", "rev-parse", "--is-shallow-repository"]).strip() == "true":
        raise UnusableError("this clone is shallow, so the record's commit may lack: git fetch --unshallow")
    commit = run(["git", "log", "-1", "--format=%H", "--", RECORD]).strip()
    if not commit:
        raise UnusableError(f"no commit has {RECORD} yet: commit it")
    print(f"bench_compare: measuring the record's commit {commit[:9]} anew", file=sys.stderr)
    with built(commit, "base", [KERNELS]) as base:
        if not (base / KERNELS).exists():
            raise UnusableError(f"commit {commit[:9]} has {RECORD} but no kernels: {RECORD_ANEW}")
        same_build(base / KERNELS, binary)
        return counts_of(base / KERNELS)


def compare_with_record(options: argparse.Namespace) -> int:
    try:
        record = parse_record((ROOT / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableError(f"{RECORD} is not there: git restore {RECORD}, or {RECORD_ANEW}") from None
    binary = binary_of(options)
    this_build, kernels = described(binary)
    check_names(record, kernels)
    base = record.counts
    title = f"the record against {binary.relative_to(ROOT) if binary.is_relative_to(ROOT) else binary}"
    if this_build != record.build:
        print(f"bench_compare: not comparable: {RECORD} is of {text_of(record.build)}")
        print(f"bench_compare: and this build of {text_of(this_build)}")
        base = counts_at_record(binary)
        title += ", remeasured"
    return finish(options, title, changes(base, counts_of(binary), COUNT_LIMIT_PERCENT), None)


def write_record(options: argparse.Namespace) -> int:
    binary = binary_of(options)
    record = Record(described(binary)[0], counts_of(binary), options.reason)
    write(ROOT / RECORD, record.text())
    print(f"bench_compare: {RECORD} holds {len(record.counts)} kernels; commit it")
    return 0


def binary_of(options: argparse.Namespace) -> Path:
    if options.binary is None:
        return build(ROOT, ROOT / "build/release", [KERNELS]) / KERNELS
    return Path(options.binary).resolve()


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--base", metavar="REV", help="compare instructions and times of two revisions")
    what.add_argument("--recorded", action="store_true", help=f"compare a build's instructions with {RECORD}")
    what.add_argument("--record", action="store_true", help=f"write {RECORD} anew; needs --reason")
    parser.add_argument("--head", metavar="REV", help="with --base (default: the working tree)")
    parser.add_argument("--filter", metavar="REGEX", default="", help="with --base: the benchmarks to time")
    parser.add_argument("--rounds", type=positive, help="with --base: rounds of each side (default: 5)")
    parser.add_argument("--binary", type=Path, help=f"{KERNELS} of a build (default: builds build/release)")
    parser.add_argument("--reason", help="with --record: why the counts are right")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write what is printed")
    options = parser.parse_args(arguments)
    if options.base is None and (options.head or options.filter or options.rounds):
        parser.error("--head, --filter and --rounds go with --base")
    if options.base is not None and options.binary:
        parser.error("--base builds both sides itself: leave out --binary")
    if options.record != bool(options.reason and options.reason.strip()):
        parser.error("--record and --reason go together: the record keeps why the counts are right")
    if options.record and (options.json or options.markdown):
        parser.error("--record compares nothing: leave out --json and --markdown")
    options.filter = options.filter or "."
    options.rounds = options.rounds or 5
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        if options.record:
            return write_record(options)
        return compare_with_record(options) if options.recorded else compare_revisions(options)
    except UnusableError as error:
        print(f"bench_compare: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
