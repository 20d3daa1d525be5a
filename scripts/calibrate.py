#!/usr/bin/env python3
"""Fit a chip's few physical constants to measured sets, and print (or write) them with their basis.

The search runs `xpusim validate --fidelity bound`; the constants found are confirmed once with `tile`. It
starts at the chip file's constants and is deterministic. Fitted is only what no data sheet and no
micro-benchmark gives (CONSTANTS below); none depends on a shape.

    scripts/calibrate.py --chip h100_sxm tests/measured/kernels/h100_sxm/gemm_bf16.csv [--write]
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import subprocess
import sys

import yaml
from scipy.optimize import differential_evolution  # type: ignore[import-untyped]

ROOT = pathlib.Path(__file__).resolve().parent.parent
# path below chip: (unit, low, high)
CONSTANTS = {
    "overheads.kernel_start": ("us", 0.3, 4.0),
    "overheads.block_sync": ("us", 0.3, 4.0),
    "hbm.achieved_fraction": ("", 0.70, 0.95),
    "l2.bandwidth": ("GB/s", 3000, 9000),
    "l2.write_bandwidth": ("GB/s", 1200, 6000),
}


def validate(binary: str, chip: str, files: list[str], values: dict[str, str], fidelity: str) -> list[dict]:
    command = [binary, "validate", "--chip", chip, "--fidelity", fidelity, "--json", "-", *files]
    for path, value in values.items():
        command += ["--set", f"chip.{path}={value}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 2:  # a combination that the chip file's checks refuse
        return []
    done.check_returncode()
    return json.loads(done.stdout)["sets"]


def error(sets: list[dict]) -> float:
    """Mean of the sets' MAPE: a long set does not drown a short one."""
    scored = [s["mape_pct"] for s in sets if s["rows"]]
    return sum(scored) / len(scored) if scored else 1e3


def text(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".strip()


def shipped(chip: str, path: str) -> float:
    """The constant that the chip file has now: the search starts there and can only improve on it."""
    tree = yaml.safe_load((ROOT / "configs" / "chips" / f"{chip}.yaml").read_text())
    for key in path.split("."):
        tree = tree[key]
    return float(str(tree["value"]).split()[0])


def write(chip: str, values: dict[str, str], files: list[str], residual: float) -> None:
    """Replaces the fitted leaves of the chip file, one flow mapping each, and leaves the rest as it is."""
    path = ROOT / "configs" / "chips" / f"{chip}.yaml"
    lines = path.read_text().splitlines()
    names = ", ".join(str(pathlib.Path(f).resolve().relative_to(ROOT)) for f in files)
    for key, value in values.items():
        group, leaf = key.split(".")
        begin = next(i for i, line in enumerate(lines) if line == f"{group}:")
        at = next(i for i in range(begin, len(lines)) if re.match(rf"  {leaf}:", lines[i]))
        end = at + 1
        while end < len(lines) and re.match(r"   +\S", lines[end]):
            end += 1
        old = yaml.safe_load("\n".join(lines[at:end]))[leaf]
        note = (
            f"MAPE {residual:.1f} % (bound); before: {old['value']}, {old['basis']}: {old['source']}".replace(
                '"', "'"
            )
        )
        if old["basis"] == "fitted":
            note = re.sub(r"^MAPE [\d.]+ %", f"MAPE {residual:.1f} %", old["note"])
        source = f"scripts/calibrate.py on {names}"
        lines[at:end] = [f'  {leaf}: {{value: {value}, basis: fitted, source: "{source}", note: "{note}"}}']
    path.write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", help="measured sets")
    parser.add_argument("--chip", required=True)
    parser.add_argument("--constants", nargs="+", choices=sorted(CONSTANTS), default=sorted(CONSTANTS))
    parser.add_argument("--xpusim", default=str(ROOT / "build" / "release" / "xpusim"))
    parser.add_argument("--generations", type=int, default=25)
    parser.add_argument("--write", action="store_true", help="write the constants into the chip file")
    arguments = parser.parse_args()

    def settings(x: list[float]) -> dict[str, str]:
        return {path: text(v, CONSTANTS[path][0]) for path, v in zip(arguments.constants, x, strict=True)}

    def objective(x: list[float]) -> float:
        return error(validate(arguments.xpusim, arguments.chip, arguments.files, settings(x), "bound"))

    def progress(x: list[float], convergence: float) -> None:
        print(f"\r{objective(x):.2f} %", end="", file=sys.stderr, flush=True)

    before = error(validate(arguments.xpusim, arguments.chip, arguments.files, {}, "bound"))
    bounds = [CONSTANTS[path][1:] for path in arguments.constants]
    now = [shipped(arguments.chip, path) for path in arguments.constants]
    start = [min(max(value, low), high) for value, (low, high) in zip(now, bounds, strict=True)]
    found = differential_evolution(
        objective,
        bounds,
        x0=start,
        maxiter=arguments.generations,
        popsize=6,
        seed=1,
        tol=1e-6,
        polish=False,
        callback=progress,
    )
    objective_now = float(found.fun)
    values = settings(list(found.x))
    print(f"\rbound: MAPE {before:.2f} % -> {objective_now:.2f} % in {found.nfev} evaluations")
    for path, value in values.items():
        print(f"  chip.{path}: {value}")
    for s in validate(arguments.xpusim, arguments.chip, arguments.files, values, "tile"):
        print(f"tile: {s['op']}: {s['rows']} rows, MAPE {s['mape_pct']:.2f} %, P90 {s['p90_ape_pct']:.2f} %")
    if arguments.write:
        write(arguments.chip, values, arguments.files, objective_now)
    return 0


if __name__ == "__main__":
    sys.exit(main())
