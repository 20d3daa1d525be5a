#!/usr/bin/env python3
"""Fit a chip's few physical constants to measured sets, and print (or write) them with their basis.

The search runs `xpusim validate --fidelity bound` on every n-th row of a set; stages whose programs are short
end it with both fidelities. `--tile` confirms the constants with the event kernel on all rows. The search is
deterministic and does not start at the shipped constants, so that it reproduces them. Fitted is only what
no data sheet and no micro-benchmark gives (STAGES below); none depends on a shape. Stages run in order: each
keeps what the ones before it found.

    scripts/calibrate.py --chip h100_sxm [--stages gemm prefill decode] [--write | --check]
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection

try:
    import numpy as np
    import yaml
    from scipy.optimize import differential_evolution, minimize  # type: ignore[import-untyped]
except ImportError:
    import in_venv

    in_venv.restart()

ROOT = pathlib.Path(__file__).resolve().parent.parent
# stage: its measured sets of the chip, and its constants, path below chip: (unit, low, high)
STAGES: dict[str, tuple[list[str], dict[str, tuple[str, float, float]]]] = {
    "gemm": (
        ["gemm_bf16.csv", "gemm_fp16.csv"],
        {
            "matrix.issue_efficiency": ("", 0.7, 1.0),
            "overheads.kernel_start": ("us", 0.3, 8.0),
            "hbm.achieved_fraction": ("", 0.70, 0.95),
            "l2.bandwidth": ("GB/s", 2500, 9000),
            "l2.write_bandwidth": ("GB/s", 800, 6000),
        },
    ),
    "prefill": (
        ["attention_prefill.csv"],
        {
            "attention.matrix_efficiency": ("", 0.4, 1.0),
            "attention.softmax_overlap": ("", 0.0, 1.0),
            "attention.prefill_block": ("us", 0.0, 5.0),
            "attention.prefill_setup": ("us", 0.0, 20.0),
        },
    ),
    "decode": (
        ["attention_decode.csv"],
        {
            "attention.decode_block": ("us", 0.0, 8.0),
            "attention.head_block": ("us", 0.0, 4.0),
            "attention.decode_setup": ("us", 0.0, 12.0),
        },
    ),
    # Behind the others: a chip that they leave no constant keeps the values of its file.
    "moe": (
        ["moe.csv"],
        {"moe.gather_fraction": ("", 0.3, 0.95)},
    ),
    "vector": (["vector.csv"], {"vector.kernel_efficiency": ("", 0.02, 1.0)}),
}
# Few rows carry few constants: the first ones of a stage.
ROWS_PER_CONSTANT = 10
MOST_CONSTANTS = 12
SAMPLE = 320  # rows of a set that the search looks at
KNOWN = ("datasheet", "measured", "paper")  # such constants are not fitted
BOTH_FIDELITIES = ("gemm",)  # stages whose search ends with the event kernel too


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


def leaf_of(chip: str, path: str) -> dict[str, str]:
    """The constant that the chip file has now: value with unit, basis, source."""
    tree = yaml.safe_load((ROOT / "configs" / "chips" / f"{chip}.yaml").read_text())
    for key in path.split("."):
        tree = tree[key]
    return tree


def shipped(chip: str, path: str) -> float:
    return float(str(leaf_of(chip, path)["value"]).split()[0])


def write(chip: str, values: dict[str, str], files: list[str], residual: float) -> None:
    """Replaces the fitted leaves of the chip file, one flow mapping each, and leaves the rest as it is."""
    path = ROOT / "configs" / "chips" / f"{chip}.yaml"
    lines = path.read_text().splitlines()
    names = ", ".join(str(pathlib.Path(f).resolve().relative_to(ROOT)) for f in files)
    for key, value in values.items():
        group, leaf = key.split(".")
        begin = next(i for i, line in enumerate(lines) if re.match(rf"{group}:( |$)", line))
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


def follow(chip: str, paths: Collection[str]) -> None:
    """Brings the fitted leaves of other chips that say "as <chip>" to what that chip has now."""
    for path in sorted((ROOT / "configs" / "chips").glob("*.yaml")):
        lines, group = path.read_text().splitlines(), ""
        for i, line in enumerate(lines):
            if opened := re.match(r"(\w+):", line):
                group = opened[1]
            leaf = re.match(
                rf'(  (\w+): {{value: )([^,}}]+)(, basis: \w+, source: "as {chip}\b(?!\'s).*)', line
            )
            if leaf and f"{group}.{leaf[2]}" in paths:
                lines[i] = f"{leaf[1]}{leaf_of(chip, f'{group}.{leaf[2]}')['value']}{leaf[4]}"
        path.write_text("\n".join(lines) + "\n")


def sample(file: str, folder: str) -> str:
    """A set with every n-th row of it, so that about SAMPLE are left."""
    lines = pathlib.Path(file).read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    columns, *rows = [line for line in lines if not line.startswith("#")]
    part = pathlib.Path(folder) / pathlib.Path(file).name
    part.write_text("".join([*head, columns, *rows[:: max(1, round(len(rows) / SAMPLE))]]))
    return str(part)


def fit(
    binary: str, chip: str, stage: str, known: dict[str, str], generations: int
) -> tuple[dict[str, str], float]:
    """The stage's constants, and the error that they leave."""
    files = measured(chip, stage)
    rows = sum(s["rows"] for s in validate(binary, chip, files, {}, "bound"))
    most = min(rows // ROWS_PER_CONSTANT, MOST_CONSTANTS - len(known))
    free = [(path, c) for path, c in STAGES[stage][1].items() if leaf_of(chip, path)["basis"] not in KNOWN]
    constants = dict(free[:most])
    if not constants:
        return {}, 0.0

    low = np.array([c[1] for c in constants.values()])
    high = np.array([c[2] for c in constants.values()])

    def settings(x: np.ndarray) -> dict[str, str]:
        inside = np.clip(x, low, high)
        found = {path: text(v, constants[path][0]) for path, v in zip(constants, inside, strict=True)}
        return {**known, **found}

    with tempfile.TemporaryDirectory() as folder:
        parts = [sample(file, folder) for file in files]

        def at_bound(x: np.ndarray) -> float:
            return error(validate(binary, chip, parts, settings(x), "bound"))

        def at_both(x: np.ndarray) -> float:
            return (at_bound(x) + error(validate(binary, chip, parts, settings(x), "tile"))) / 2

        best = differential_evolution(
            at_bound,
            list(zip(low, high, strict=True)),
            maxiter=generations,
            popsize=8,
            init="sobol",
            seed=1,
            tol=1e-6,
            polish=False,
        ).x
        if stage in BOTH_FIDELITIES:
            simplex = np.vstack(
                [best, best + np.diag(0.08 * (high - low) * np.sign((low + high) / 2 - best))]
            )
            best = minimize(
                at_both, best, method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": 80}
            ).x
    values = {path: settings(best)[path] for path in constants}
    return values, error(validate(binary, chip, files, {**known, **values}, "bound"))


def measured(chip: str, stage: str) -> list[str]:
    """The stage's sets of the chip, or of one die of it."""
    folders = [ROOT / "tests" / "measured" / "kernels" / f"{chip}{suffix}" for suffix in ("", "_die")]
    files = [folder / name for folder in folders for name in STAGES[stage][0]]
    return [str(file) for file in files if file.exists()]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chip", required=True)
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--xpusim", default=str(ROOT / "build" / "release" / "xpusim"))
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--tile", action="store_true", help="confirm each stage with the event kernel")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the constants into the chip file, and where others say that they are as this chip's",
    )
    parser.add_argument("--check", action="store_true", help="fail when the chip file has other constants")
    arguments = parser.parse_args()

    known: dict[str, str] = {}
    differ = []
    for stage in arguments.stages:
        files = measured(arguments.chip, stage)
        if not files:
            print(f"{stage}: no measured set of {arguments.chip}")
            continue
        before = error(validate(arguments.xpusim, arguments.chip, files, {}, "bound"))
        values, residual = fit(arguments.xpusim, arguments.chip, stage, known, arguments.generations)
        if not values:
            print(f"{stage}: too few rows, or as many constants as a chip may have")
            continue
        known |= values
        print(f"{stage}: bound: MAPE {before:.2f} % as shipped, {residual:.2f} % as fitted", flush=True)
        for path, value in values.items():
            now = shipped(arguments.chip, path)
            same = abs(float(value.split()[0]) - now) <= 1e-3 * abs(now)
            print(f"  chip.{path}: {value}{'' if same else f' (shipped: {now:g})'}", flush=True)
            differ += [] if same else [path]
        if arguments.write:
            write(arguments.chip, values, files, residual)
            follow(arguments.chip, values)
        for s in validate(arguments.xpusim, arguments.chip, files, known, "tile") if arguments.tile else []:
            print(
                f"  tile: {s['op']}: {s['rows']} rows, MAPE {s['mape_pct']:.2f} %,"
                f" P90 {s['p90_ape_pct']:.2f} %"
            )
    return 1 if arguments.check and differ else 0


if __name__ == "__main__":
    sys.exit(main())
