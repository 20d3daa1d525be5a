#!/usr/bin/env python3
"""DeepSeek-V3 on 2,048 H800: GPU-hours per trillion tokens and the parts of a step, against publications.

Replays the measured row and runs the scenario. The parts are those of arXiv 2505.09343, table 4, summed over
a rank's passes as DualPipe orders them. Prints Markdown, which training_report.py shows too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SET = "tests/measured/training/nvidia.csv"
ROW = "dsv3_insights_t4_MPFT"
SCENARIO = "train_deepseek_v3_2048_h800"
CHIPS, TOKENS_A_STEP = 2048, 15360 * 4096
STAGES, MICRO_BATCHES = 16, 120
GOAL_HOURS = 180_000  # of H800 per trillion tokens: arXiv 2412.19437, section 1
PUBLISHED = {"1F1B": 13.95, "bubble": 2.06, "1B": 1.99, "1F": 1.13, "1W": 0.48, "optimizer": 0.29}


def gpu_hours(step_s: float) -> float:
    """Per trillion tokens."""
    return step_s * CHIPS / 3600 / TOKENS_A_STEP * 1e12


def run(xpusim: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [str(xpusim), *arguments, "--json", "-"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"deepseek_v3: {done.stderr.strip()}")
    return json.loads(done.stdout)


def replayed(xpusim: Path) -> float:
    """Seconds of a step, as the measured row is replayed."""
    lines = (ROOT / SET).read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [x for x in lines if x.startswith(("#", "id,", ROW + ","))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "row.csv"
        path.write_text("".join(kept), encoding="utf-8")
        found = run(xpusim, "validate", str(path))["sets"][0]["worst"]
    return found[0]["predicted_us"] / 1e6


def slots(stage: int) -> Iterator[tuple[str, str]]:
    """What a stage does in DualPipe, as published: name of the slot, initials of the passes in it."""
    half = STAGES // 2
    depth = min(stage, STAGES - 1 - stage)
    outer = half - depth - 1
    yield from [("1F", "f")] * (2 * outer + 2 * (depth + 1))
    yield from [("1B", "b"), ("1W", "w"), ("1F", "f")] * outer
    turns = MICRO_BATCHES // 2 - STAGES + depth + 1
    yield from [("1F", "f"), ("1B", "bw")] if outer == 0 else [("1F1B", "fbw")]
    yield from [("1F1B", "fbw")] * (2 * turns - 1)
    yield from [("1B", "bw"), ("1F1B", "fbw")] * outer
    back = 2 * (depth + 1)
    whole = 2 * ((depth + 1) // 2) + (1 - depth % 2)  # those that take their weight gradients along
    yield from [("1B", "bw")] * whole + [("1B", "b")] * (back - whole)
    yield from [("1W", "w"), ("1B", "b")] * outer
    yield from [("1W", "w")] * (back - whole)


def parts_of(trace: Path) -> list[dict[str, float]]:
    """Seconds by slot, of each stage."""
    spans = [e for e in json.loads(trace.read_text(encoding="utf-8"))["traceEvents"] if e["ph"] == "X"]
    end = max(e["ts"] + e["dur"] for e in spans) / 1e6
    stages = []
    for stage in range(STAGES):
        mine = sorted((e for e in spans if e["tid"] == stage), key=lambda e: e["ts"])
        names = [(name, kind) for name, passes in slots(stage) for kind in passes]
        if [kind for _, kind in names] != [e["cat"][0] for e in mine]:
            sys.exit("deepseek_v3: the trace does not follow DualPipe's order")
        parts = dict.fromkeys(PUBLISHED, 0.0)
        for (name, _), span in zip(names, mine, strict=True):
            parts[name] += span["dur"] / 1e6
        parts["bubble"] = end - sum(parts.values())
        stages.append(parts)
    return stages


def played(xpusim: Path) -> tuple[float, list[dict[str, float]]]:
    """Seconds of a step of the scenario, and its parts by stage."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        result = run(xpusim, "run", SCENARIO, "--trace", str(trace))["results"][0]
        stages = parts_of(trace)
    for parts in stages:
        parts["optimizer"] = result["training"]["parts"]["optimizer_s"]
    return result["step_time_s"], stages


def order(parts: dict[str, float]) -> list[str]:
    return sorted(parts, key=lambda name: -parts[name])


def section(xpusim: Path) -> list[str]:
    row = replayed(xpusim)
    step, stages = played(xpusim)
    mean = {name: sum(s[name] for s in stages) / len(stages) for name in PUBLISHED}
    steps = {
        "published": 19.926,
        f"the row, replayed (`{ROW}`)": row,
        f"the scenario `{SCENARIO}`": step,
    }
    lines = ["| | step s | H800 hours per trillion tokens | against 180,000 |", "|---|---:|---:|---:|"]
    for name, seconds in steps.items():
        hours = gpu_hours(seconds)
        lines.append(f"| {name} | {seconds:.2f} | {hours:,.0f} | {100 * (hours / GOAL_HOURS - 1):+.1f} % |")
    lines += [
        "",
        "| part, s | published | model, first rank | model, mean of 16 ranks |",
        "|---|---:|---:|---:|",
    ]
    lines += [f"| {n} | {p:.2f} | {stages[0][n]:.2f} | {mean[n]:.2f} |" for n, p in PUBLISHED.items()]
    lines += ["", f"From longest to shortest: published {', '.join(order(PUBLISHED))};"]
    lines += [f"first rank {', '.join(order(stages[0]))}; mean {', '.join(order(mean))}."]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/release/xpusim")
    print("\n".join(section(parser.parse_args().xpusim.resolve())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
