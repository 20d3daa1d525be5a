#!/usr/bin/env python3
"""Search for what-ifs in which better hardware is slower: random operators on shipped chips.

    scripts/search_laws.py --pairs 100000 [--fidelity bound|tile] [--seed N] [--least 0.1] [--jobs N]

Prints each pair that is slower by more than `--least` percent with what repeats it, and a table by kind.
Builds tests/laws/search_laws of the release preset, and runs it in `--jobs` processes with seeds of their
own. Exit code 1 where a pair is slower.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PART = 5000  # pairs of one process at most: a later seed is repeated without those before it


def build() -> pathlib.Path:
    subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    command = ["cmake", "--build", "--preset", "release", "--target", "search_laws"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / "build" / "release" / "tests" / "laws" / "search_laws"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--fidelity", choices=["bound", "tile"], default="bound")
    parser.add_argument("--seed", type=int, default=1, help="of the first process; the others count on")
    parser.add_argument(
        "--least", type=float, default=None, help="percent (default: 0.1 at bound, 0.5 at tile)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    least = (
        arguments.least if arguments.least is not None else {"bound": 0.1, "tile": 0.5}[arguments.fidelity]
    )
    program = build()

    def search(seed: int, pairs: int) -> str:
        command = [program, arguments.fidelity, str(pairs), str(seed), str(least / 100)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    parts = -(-arguments.pairs // PART)
    seen: collections.Counter[str] = collections.Counter()
    slower: collections.Counter[str] = collections.Counter()
    worst: dict[str, float] = collections.defaultdict(float)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        seeds = range(arguments.seed, arguments.seed + parts)
        for seed, output in zip(
            seeds, pool.map(search, seeds, [arguments.pairs // parts] * parts), strict=True
        ):
            for line in output.splitlines():
                found = re.fullmatch(r"# (\w+): (\d+) of (\d+) worse, worst ([-+.\d]+) %", line)
                if not found:
                    print(f"seed {seed}: {line}")
                    continue
                kind = found[1]
                slower[kind] += int(found[2])
                seen[kind] += int(found[3])
                worst[kind] = max(worst[kind], float(found[4]))
    print(
        f"{'kind':<14} {'pairs':>8} {'slower':>7} {'worst %':>8}   ({arguments.fidelity}, by over {least} %)"
    )
    for kind in seen:
        print(f"{kind:<14} {seen[kind]:>8} {slower[kind]:>7} {worst[kind]:>8.3f}")
    print(f"{'all':<14} {seen.total():>8} {slower.total():>7} {max(worst.values()):>8.3f}")
    return 1 if slower.total() else 0


if __name__ == "__main__":
    sys.exit(main())
