#!/usr/bin/env python3
"""Fits the constants of software stacks to measured training steps.

A stack's fitted constants are the leaves of configs/stacks/STACK.yaml with `basis: fitted`, at most six.
They are fitted at bound fidelity to the rows of tests/measured/training/*.csv that the stack is measured as:
the mean |ln(predicted / measured)| is made least (Nelder-Mead). Rows of derived stacks without constants of
their own take no part. Without --write, prints; with --check, compares with the files.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
try:
    import numpy as np
    import yaml
    from scipy.optimize import minimize  # type: ignore[import-untyped]
except ImportError:
    import in_venv

    in_venv.restart()

STACKS = ROOT / "configs/stacks"
SETS = sorted((ROOT / "tests/measured/training").glob("*.csv"))
MOST_CONSTANTS = 6
TOLERANCE = 0.01  # of a constant, between fits on different machines
#: What a constant may be: (least, most, step of the search, unit in the file, SI value of the unit).
LIMITS = {
    "rate": (0.3, 1.2, 0.1, "", 1.0),
    "attention_rate": (0.1, 1.5, 0.2, "", 1.0),
    "spread": (0.0, 0.03, 0.01, "", 1.0),
    "core_share": (0.0, 0.6, 0.1, "", 1.0),
    "kernel": (0.0, 20.0, 5.0, " us", 1e-6),
    "step": (0.0, 2000.0, 50.0, " ms", 1e-3),
}


def limits_of(path: str) -> tuple[float, float, float, str, float]:
    name = path.split(".")
    return LIMITS["attention_rate" if "attention_rate" in name else name[-1]]


def leaves(node: object, path: str = "") -> dict[str, str]:
    """Paths of the fitted leaves of a stack file, and their values as written."""
    if not isinstance(node, dict):
        return {}
    if node.get("basis") == "fitted":
        return {path: str(node["value"])}
    found: dict[str, str] = {}
    for key, value in node.items():
        found |= leaves(value, f"{path}.{key}" if path else key)
    return found


def stacks() -> dict[str, dict]:
    return {f.stem: yaml.safe_load(f.read_text(encoding="utf-8")) for f in sorted(STACKS.glob("*.yaml"))}


def rows_by_stack(binary: Path) -> dict[str, list[tuple[Path, str]]]:
    """The labels of the rows that each stack is measured as."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for file in SETS:
        for row in predict(binary, file, {}):
            found.setdefault(row["class"], []).append((file, row["label"]))
    return found


def predict(binary: Path, file: Path, values: dict[str, str]) -> list[dict]:
    command = [str(binary), "validate", str(file), "--fidelity", "bound", "--json", "-", "--worst", "100000"]
    for path, value in values.items():
        command += ["--set", f"stack.{path}={value}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)["sets"][0]["worst"]


def subset(file: Path, labels: set[str], folder: str) -> Path:
    """The file with only these rows."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    body = list(csv.reader([line for line in lines if not line.startswith("#")]))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([body[0], *[r for r in body[1:] if r[0] in labels]])
    path = Path(folder) / file.name
    path.write_text("".join(head) + text.getvalue(), encoding="utf-8")
    return path


def written(path: str, value: float) -> str:
    return f"{value:.4g}{limits_of(path)[3]}"


def number(path: str, text: str) -> float:
    """A value as written, in the unit of its limits."""
    match = re.fullmatch(r"([-+.\de]+) ?(\w*)", text)
    if match is None:
        raise ValueError(f"{path}: cannot read {text!r}")
    scale = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0}[match[2]]
    return float(match[1]) * scale / limits_of(path)[4]


def fit(binary: Path, files: list[Path], start: dict[str, float]) -> tuple[dict[str, float], float]:
    paths = list(start)
    low = np.array([limits_of(p)[0] for p in paths])
    high = np.array([limits_of(p)[1] for p in paths])
    step = np.array([limits_of(p)[2] for p in paths])
    known: dict[tuple[str, ...], float] = {}

    def error(x: np.ndarray) -> float:
        inside = np.clip(x, low, high)
        values = {p: written(p, v) for p, v in zip(paths, inside, strict=True)}
        key = tuple(values.values())
        if key not in known:
            rows = [row for file in files for row in predict(binary, file, values)]
            logs = [abs(np.log(r["predicted_us"] / r["measured_us"])) for r in rows]
            known[key] = float(np.mean(logs))
        return known[key] + float(np.sum(np.abs(x - inside) / step))

    x = np.array([start[p] for p in paths])
    for _ in range(2):  # the second simplex leaves a corner that the first got stuck in
        corners = np.vstack(
            [x] + [x + s * np.eye(len(x))[i] * (1 if x[i] + s <= high[i] else -1) for i, s in enumerate(step)]
        )
        x = minimize(
            error,
            x,
            method="Nelder-Mead",
            options={"initial_simplex": corners, "xatol": 1e-3, "fatol": 1e-5, "maxfev": 300},
        ).x
    x = np.clip(x, low, high)
    return dict(zip(paths, x, strict=True)), error(x)


def write(stack: str, values: dict[str, float], rows: int, residual: float) -> None:
    """Replaces the fitted leaves in the stack's file; their path is told by the indentation."""
    path = STACKS / f"{stack}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    above: list[tuple[int, str]] = []
    for i, line in enumerate(lines):
        if not (key := re.match(r"( *)(\w+):", line)):
            continue
        above = [a for a in above if a[0] < len(key[1])] + [(len(key[1]), key[2])]
        place = ".".join(name for _, name in above)
        if place in values:
            note = f"mean error {100 * residual:.1f} % (bound)"
            source = f"scripts/calibrate_training.py on {rows} rows of tests/measured/training"
            lines[i] = (
                f"{key[1]}{key[2]}: {{value: {written(place, values[place])}, basis: fitted,"
                f' source: "{source}", note: "{note}"}}'
            )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/release/xpusim")
    parser.add_argument("--stack", action="append", help="only these; default: all, bases first")
    parser.add_argument("--write", action="store_true", help="write the constants into the stacks' files")
    parser.add_argument("--check", action="store_true", help="exit 1 unless the files hold what is fitted")
    options = parser.parse_args()
    files = stacks()
    order = sorted(files, key=lambda s: (len(chain(s, files)), s))
    rows = rows_by_stack(options.xpusim)
    differs = False
    for stack in order:
        fitted = leaves(files[stack])
        if not fitted or (options.stack and stack not in options.stack):
            continue
        if len(fitted) > MOST_CONSTANTS:
            print(f"{stack}: {len(fitted)} fitted constants, at most {MOST_CONSTANTS}", file=sys.stderr)
            return 2
        mine = rows.get(stack, [])
        with tempfile.TemporaryDirectory() as folder:
            parts = [
                subset(f, {lab for g, lab in mine if g == f}, folder)
                for f in SETS
                if any(g == f for g, _ in mine)
            ]
            start = {p: number(p, v) for p, v in fitted.items()}
            values, residual = fit(options.xpusim, parts, start)
        shown = ", ".join(f"{p} {written(p, v)} (was {fitted[p]})" for p, v in values.items())
        print(f"{stack}: {len(mine)} rows, mean error {100 * residual:.1f} %: {shown}", flush=True)
        differs |= any(
            abs(values[p] - start[p]) > TOLERANCE * max(abs(start[p]), limits_of(p)[2]) for p in values
        )
        if options.write:
            write(stack, values, len(mine), residual)
    return 1 if options.check and differs else 0


def chain(stack: str, files: dict[str, dict]) -> list[str]:
    base = files[stack].get("base")
    return [stack] + (chain(base, files) if base else [])


if __name__ == "__main__":
    sys.exit(main())
