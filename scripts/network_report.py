#!/usr/bin/env python3
"""Replays the measured collectives of tests/measured/comm: the network's part of docs/validation.md.

Writes the part between its two marks (at the end, where there are none yet), a log-log plot per set into
docs/validation/, and tests/measured/network_accuracy.json. --check writes nothing and compares with the last.

exit codes: 0 done; 1 --check found that a set moved; 2 a set cannot be read
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
try:
    import matplotlib
    import matplotlib.pyplot as plt
except ImportError:
    import in_venv

    in_venv.restart()
matplotlib.use("Agg")
SETS = ROOT / "tests/measured/comm"
DOCUMENT = ROOT / "docs/validation.md"
PLOTS = ROOT / "docs/validation"
ACCURACY = ROOT / "tests/measured/network_accuracy.json"
BEGIN, END = "<!-- network_report: begin -->", "<!-- network_report: end -->"
TOLERANCE = 1.0  # points of MAPE that --check allows a set to move
COLOURS = {
    "all_reduce": "#0072b2",
    "all_gather": "#009e73",
    "reduce_scatter": "#e69f00",
    "all_to_all": "#cc5f94",
    "send_recv": "#8c8c8c",
    "dispatch": "#56b4e9",
    "combine": "#000000",
}
Row = dict[str, Any]


def replay(path: Path, xpusim: Path) -> dict[str, Any]:
    command = [
        str(xpusim),
        "validate",
        path.relative_to(ROOT).as_posix(),
        "--json",
        "-",
        "--worst",
        "1000000",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"network_report: {done.stderr.strip()}")
    (found,) = json.loads(done.stdout)["sets"]
    return found


def key_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def mape(rows: list[Row]) -> float:
    return sum(abs(r["error_pct"]) for r in rows) / len(rows)


def bias(rows: list[Row]) -> float:
    return sum(r["error_pct"] for r in rows) / len(rows)


def group_of(row: Row) -> tuple[str, int]:
    """Operation, with the library where it is not the system's own, and number of ranks."""
    words = row["label"].split()  # OP N ranks BYTES B [LIBRARY] [eager]
    extra = " ".join(words[5:])
    return row["class"] + (f", {extra}" if extra else ""), int(words[1])


def table_of(rows: list[Row]) -> list[str]:
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        groups[group_of(row)].append(row)
    lines = ["| operation | ranks | rows | MAPE % | bias % |", "|---|---:|---:|---:|---:|"]
    for (name, ranks), part in sorted(groups.items()):
        lines.append(f"| {name} | {ranks} | {len(part)} | {mape(part):.1f} | {bias(part):+.1f} |")
    return lines


def plot(key: str, rows: list[Row], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(5.2, 4.6), constrained_layout=True)
    low = min(min(r["measured_us"], r["predicted_us"]) for r in rows) * 0.8
    high = max(max(r["measured_us"], r["predicted_us"]) for r in rows) * 1.25
    axes.plot([low, high], [low, high], color="#57606a", lw=0.8)
    for operation, colour in COLOURS.items():
        part = [r for r in rows if r["class"] == operation]
        if part:
            axes.plot(
                [r["measured_us"] for r in part],
                [r["predicted_us"] for r in part],
                "o",
                ms=3,
                alpha=0.6,
                mew=0,
                color=colour,
                label=operation,
            )
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="measured [us]", ylabel="predicted [us]", title=key)
    axes.grid(color="#e4e4e4")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def section(found: dict[str, dict[str, Any]]) -> str:
    """The network's part of the document."""
    lines = [
        BEGIN,
        "",
        "## Collectives",
        "",
        "Written by `scripts/network_report.py` at fidelity tile, from `tests/measured/comm` (origin and",
        "licence in the first lines of each file). How they are predicted: [model](model.md#collectives).",
        "",
        "| set | rows | MAPE % | median % | P90 % | bias % | skipped |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for key, s in found.items():
        skipped = sum(s["skipped"].values())
        lines.append(
            f"| {key} | {s['rows']} | {s['mape_pct']:.1f} | {s['median_ape_pct']:.1f} "
            f"| {s['p90_ape_pct']:.1f} | {s['bias_pct']:+.1f} | {skipped} |"
        )
    for key, s in found.items():
        lines += ["", f"### {key}", ""]
        for reason, rows in s["skipped"].items():
            lines += [f"{rows} rows skipped: {reason}.", ""]
        if s["worst"]:
            lines += [*table_of(s["worst"]), "", f"![{key}](validation/comm-{key.replace('/', '-')}.png)"]
    return "\n".join([*lines, "", END]) + "\n"


def replace_section(text: str) -> None:
    document = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    if BEGIN in document:
        head, _, rest = document.partition(BEGIN)
        document = head + text + rest.partition(END)[2].lstrip("\n")
    else:
        document = document.rstrip("\n") + "\n\n" + text
    DOCUMENT.write_text(document, encoding="utf-8")


def accuracy_of(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    return {
        key: {"rows": s["rows"], "mape_pct": round(s["mape_pct"], 2), "bias_pct": round(s["bias_pct"], 2)}
        for key, s in found.items()
    }


def check(found: dict[str, dict[str, Any]]) -> int:
    before, now = json.loads(ACCURACY.read_text(encoding="utf-8")), accuracy_of(found)
    moved = [
        key
        for key in sorted(before.keys() | now.keys())
        if key not in before
        or key not in now
        or before[key]["rows"] != now[key]["rows"]
        or abs(before[key]["mape_pct"] - now[key]["mape_pct"]) > TOLERANCE
    ]
    for key in moved:
        print(f"{key}: then {before.get(key)}, now {now.get(key)}")
    print(f"network_report: {len(now)} sets, " + (f"{len(moved)} FAILED" if moved else "ok"))
    return 1 if moved else 0


def write(found: dict[str, dict[str, Any]]) -> None:
    PLOTS.mkdir(parents=True, exist_ok=True)
    for key, s in found.items():
        if s["worst"]:
            plot(key, s["worst"], PLOTS / f"comm-{key.replace('/', '-')}.png")
    replace_section(section(found))
    ACCURACY.write_text(json.dumps(accuracy_of(found), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare with the recorded errors")
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/release/xpusim")
    options = parser.parse_args()
    found = {key_of(p): replay(p, options.xpusim.resolve()) for p in sorted(SETS.glob("*/*.csv"))}
    if options.check:
        return check(found)
    write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
