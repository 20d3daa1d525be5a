#!/usr/bin/env python3
"""Measures what training costs: cold runs with their memory, growth with the chips, the replay of all rows.

A run is one start of the program; the median of --repeat is told, beside the goal. Prints one line each.

exit codes: 0 done; 1 a run failed
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOALS_S = {  # scenario: at tile, at bound
    "train_gpt3_175b_1024_h100": (1.0, 0.1),
    "train_llama31_405b_16384_h100": (2.0, 0.1),
}
GOAL_MB = 500
FEW, MANY = 1_024, 131_072


def cold(command: list[str]) -> tuple[float, float]:
    """Wall seconds, and peak resident memory in MB, of one run."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(1)
    return seconds, used.ru_maxrss * 1024 / 1e6


def typical(command: list[str], repeat: int) -> tuple[float, float]:
    runs = [cold(command) for _ in range(repeat)]
    return statistics.median(s for s, _ in runs), max(mb for _, mb in runs)


def growth(xpusim: str, repeat: int) -> str:
    """GPT-3 on more and more replicas: batch and scale-out network grow with them."""
    seconds = {}
    for chips in (FEW, MANY):
        command = [xpusim, "run", "train_gpt3_175b_1024_h100"]
        for value in (
            f"scenario.chips={chips}",
            f"scenario.batch={2 * chips}",
            f"system.chips={chips}",
            f"system.levels[1].endpoints={chips}",
        ):
            command += ["--set", value]
        seconds[chips], _ = typical(command, repeat)
    ratio = seconds[MANY] / seconds[FEW]
    return f"{seconds[FEW]:.2f} s, {seconds[MANY]:.2f} s: {ratio:.2f} times (goal 1.5)"


def search(xpusim: str, scenario: str) -> str:
    """Plans that `run --auto=all` tries in a second, start of the program and refused ones included."""
    command = [xpusim, "run", scenario, "--auto=all", "--fidelity", "bound"]
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    found = re.search(r"(\d+) plans timed in closed form, (\d+) refused", done.stdout)
    if found is None:
        sys.exit(1)
    timed, refused = int(found[1]), int(found[2])
    text = f"{timed} plans timed and {refused} refused in {seconds:.2f} s"
    return f"{text}: {timed / seconds:.0f} timed a second (goal 1000)"


def say(name: str, text: str) -> None:
    print(f"training/{name}: {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/release/xpusim")
    options = parser.parse_args()
    xpusim = str(options.xpusim.resolve())
    for scenario, goals in GOALS_S.items():
        for fidelity, goal in zip(("tile", "bound"), goals, strict=True):
            command = [xpusim, "run", scenario, "--fidelity", fidelity]
            seconds, mb = typical(command, options.repeat)
            say(f"{scenario}/{fidelity}", f"{seconds:.3f} s (goal {goal}), {mb:.0f} MB (goal {GOAL_MB})")
    say(f"growth_{FEW}_to_{MANY}_chips", growth(xpusim, options.repeat))
    for scenario in GOALS_S:
        say(f"search/{scenario}/bound", search(xpusim, scenario))
    sets = [str(p) for p in sorted((ROOT / "tests/measured/training").glob("*.csv"))]
    seconds, mb = cold([xpusim, "validate", *sets])
    say("replay_of_all_rows/tile", f"{seconds:.0f} s on one core (goal 180 on two), {mb:.0f} MB")


if __name__ == "__main__":
    main()
