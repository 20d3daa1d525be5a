#!/usr/bin/env python3
"""Replays the measured training steps of tests/measured/training: the training part of docs/validation.md.

Writes the part between its two marks (at the end, where there are none yet), a log-log plot per vendor into
docs/validation/, and tests/measured/training_accuracy.json. --check writes nothing and compares with the last
(bound fidelity: a second).

exit codes: 0 done; 1 --check found that a set or a stack moved; 2 a set cannot be read
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deepseek_v3

ROOT = Path(__file__).resolve().parent.parent
try:
    import matplotlib
    import matplotlib.pyplot as plt
    import yaml
except ImportError:
    import in_venv

    in_venv.restart()
matplotlib.use("Agg")
SETS = ROOT / "tests/measured/training"
STACKS = ROOT / "configs/stacks"
DOCUMENT = ROOT / "docs/validation.md"
PLOTS = ROOT / "docs/validation"
ACCURACY = ROOT / "tests/measured/training_accuracy.json"
BEGIN, END = "<!-- training_report: begin -->", "<!-- training_report: end -->"
FIDELITIES = ("bound", "tile")
GOALS = {"nvidia": (8, 12), "ascend": (10, 15)}  # median and mean absolute error, %
BIAS_GOAL = 15  # % of a stack, either way
TOLERANCE = 1.0  # points of MAPE and bias that --check allows
COLOURS = ("#0072b2", "#009e73", "#e69f00", "#cc5f94", "#56b4e9", "#000000", "#d55e00")
MARKERS = ("o", "^", "s")
BLANKS = ("recompute", "sharding", "sp", "micro_batch", "schedule", "inter_node_gbps_per_chip")
Row = dict[str, Any]
Found = dict[str, dict[str, Any]]


def replay(xpusim: Path, fidelity: str) -> Found:
    """The sets as `xpusim validate` reports them, by name."""
    sets = [p.relative_to(ROOT).as_posix() for p in sorted(SETS.glob("*.csv"))]
    command = [str(xpusim), "validate", *sets, "--fidelity", fidelity, "--json", "-", "--worst", "1000000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"training_report: {done.stderr.strip()}", file=sys.stderr)
        sys.exit(2)
    return {Path(s["file"]).stem: s for s in json.loads(done.stdout)["sets"]}


# ---- figures


def errors(rows: list[Row]) -> dict[str, float]:
    sizes = [abs(r["error_pct"]) for r in rows]
    return {
        "rows": len(rows),
        "mape_pct": round(statistics.mean(sizes), 2),
        "median_ape_pct": round(statistics.median(sizes), 2),
        "bias_pct": round(statistics.mean(r["error_pct"] for r in rows), 2),
    }


def by_stack(found: Found) -> dict[str, list[Row]]:
    stacks: dict[str, list[Row]] = {}
    for s in found.values():
        for row in s["worst"]:
            stacks.setdefault(row["class"], []).append(row)
    return dict(sorted(stacks.items()))


def accuracy_of(found: Found) -> dict[str, Any]:
    keys = ("mape_pct", "median_ape_pct", "p90_ape_pct", "bias_pct")
    return {
        "sets": {
            name: {"rows": s["rows"], "skipped": sum(s["skipped"].values())}
            | {k: round(s[k], 2) for k in keys}
            for name, s in found.items()
        },
        "stacks": {name: errors(rows) for name, rows in by_stack(found).items()},
    }


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The values of a stack's file: where they stand, and what is said of them."""
    if not isinstance(node, dict):
        return
    if "basis" in node:
        yield path, node
        return
    for key, value in node.items():
        yield from leaves(value, f"{path}.{key}" if path else key)


def stack_file(name: str) -> Any:
    return yaml.safe_load((STACKS / f"{name}.yaml").read_text(encoding="utf-8"))


def constants(name: str, *bases: str) -> str:
    shown = [
        f"{path.removeprefix('kernels.')} {leaf['value']}"
        for path, leaf in leaves(stack_file(name))
        if leaf["basis"] in bases
    ]
    return ", ".join(shown) or "-"


def count(name: str, *bases: str) -> int:
    return sum(leaf["basis"] in bases for _, leaf in leaves(stack_file(name)))


# ---- the document


def sets_table(found: dict[str, Found]) -> list[str]:
    lines = [
        "| set | fidelity | rows | MAPE % | median % | P90 % | bias % | skipped | goal: median, MAPE % |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, (median, mape) in GOALS.items():
        for fidelity in FIDELITIES:
            s = found[fidelity][name]
            met = s["median_ape_pct"] <= median and s["mape_pct"] <= mape
            lines.append(
                f"| {name} | {fidelity} | {s['rows']} | {s['mape_pct']:.1f} | {s['median_ape_pct']:.1f} "
                f"| {s['p90_ape_pct']:.1f} | {s['bias_pct']:+.1f} | {sum(s['skipped'].values())} "
                f"| {median}, {mape}: {'met' if met else 'missed'} |"
            )
    for name, s in found["bound"].items():
        lines += [""] if s["skipped"] else []
        lines += [f"- {name}, {rows} rows skipped: {reason}." for reason, rows in s["skipped"].items()]
    return lines


def stacks_table(found: dict[str, Found]) -> list[str]:
    bound, tile = (accuracy_of(found[f])["stacks"] for f in FIDELITIES)
    lines = [
        "| stack | rows | MAPE %, bound | tile | median %, bound | tile | bias %, bound | tile | fitted |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, b in bound.items():
        t = tile[name]
        cells = [f"{x[k]:.1f}" for k in ("mape_pct", "median_ape_pct") for x in (b, t)]
        cells += [f"{x['bias_pct']:+.1f}" for x in (b, t)]
        lines.append(f"| {name} | {b['rows']} | {' | '.join(cells)} | {constants(name, 'fitted')} |")
    largest = max((abs(x["bias_pct"]), n) for a in (bound, tile) for n, x in a.items())
    verdict = "met" if largest[0] <= BIAS_GOAL else "missed"
    lines += [
        "",
        f"Largest bias of a stack: {largest[0]:.1f} % ({largest[1]}). Goal: {BIAS_GOAL} %, {verdict}.",
    ]
    return lines


def evidence_table() -> list[str]:
    lines = [
        "| stack | from | fitted | paper, derived | recalled | judgement |",
        "|---|---|---:|---:|---:|---|",
    ]
    for path in sorted(STACKS.glob("*.yaml")):
        base = stack_file(path.stem).get("base", "-")
        counts = [count(path.stem, *b) for b in (("fitted",), ("paper", "derived"), ("recalled",))]
        cells = " | ".join(str(n) for n in counts)
        lines.append(f"| {path.stem} | {base} | {cells} | {constants(path.stem, 'estimate')} |")
    return lines


def worst_table(found: Found) -> list[str]:
    rows = [(r, name) for name, s in found.items() for r in s["worst"]]
    rows.sort(key=lambda x: -abs(x[0]["error_pct"]))
    lines = [
        "| row | stack | measured s | predicted s | error % | where the model's time goes |",
        "|---|---|---:|---:|---:|---|",
    ]
    for r, name in rows[:10]:
        lines.append(
            f"| `{r['label']}` ({name}:{r['line']}) | {r['class']} | {r['measured_us'] / 1e6:.3g} "
            f"| {r['predicted_us'] / 1e6:.3g} | {r['error_pct']:+.1f} | {r['tiling']} |"
        )
    return lines


def blanks_table(found: Found) -> list[str]:
    """How many of the replayed rows leave a column blank."""
    lines = [f"| set | rows | {' | '.join(BLANKS)} |", "|---|---:|" + "---:|" * len(BLANKS)]
    for name, s in found.items():
        with (SETS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            labels = {r["label"] for r in s["worst"]}
            rows = [r for r in csv.DictReader(x for x in file if not x.startswith("#")) if r["id"] in labels]
        cells = " | ".join(str(sum(not r[c] for r in rows)) for c in BLANKS)
        lines.append(f"| {name} | {len(rows)} | {cells} |")
    return lines


HEAD = """\
## Training

Written by `scripts/training_report.py` from `tests/measured/training` (origins and licences in the first
lines of each file): published runs, one optimizer step a row. The model: [training](model.md#training),
and [pipelines](model.md#pipelines). A row's family is the software that ran it, a stack of
`configs/stacks`: the one whose `measured_as` says most of the row's id, source and note. Whether a run
fits its memory is not asked: it did."""

STACKS_TEXT = """\
### Stacks

*fitted* are the stack's own constants, those of the stack it derives from not repeated: `rate` of all
kernels against the model of single kernels, `attention_rate` of attention besides, `host.step` once a
step, `spread` of the chips' speed. `scripts/calibrate_training.py` fits them at bound fidelity, at most
six a stack, none for a row."""

STACKS_CAUTION = """\
What these errors do not say:

- The stacks are fitted to these very rows. The errors tell how well few constants follow many runs, not
  how well a new family is predicted; runs that nobody here has seen have to tell that.
- A constant takes up what the model leaves out. `host.step` of internevo, mindspeed and mindformers is
  tenths of a second, more than a host costs; `spread` of fsdp, internevo and mindspeed stands at or near
  the end of its search (0.03).
- hai_llm has one row, DeepSeek-V3, and no fitted constant of its own: its constants come from publications
  (DualPipe, DeepEP, DeepGEMM, FlashAttention-3). It inherits megatron_core's `rate`, fitted without its row.
  mindspeed_mc2 and mindspeed_no_flash inherit mindspeed's constants in the same way: their rows, too, are
  predicted, not fitted.
- deepspeed_zero3_2021 is not explained: six rows whose errors have both signs.
- Equal configurations differ by up to 1.57 times through software, and one source often gives all rows of
  a stack.

What the constants rest on, as the stacks' files say (leaves of each file, those of its base not repeated).
*recalled* is knowledge of the software that was not read again; *judgement* lists estimates, each of one
head and no source:"""

BLANK_TEXT = """\
### What a row leaves blank

Rules of `interpret_training` (`sim/xpusim/validation/training.cpp`); the table counts the blanks of the
replayed rows.

- Software that no stack is measured as: the stack that stands for it on the chip's family (`default_for`).
- `recompute`: the stack's habit (`recompute` of its file), where it has one; else the least of none,
  selective, full that fits the memory. "full:N layers; block": N layers of each stage; "full per stage
  ...": all; "selective per stage ...": the attention of all; "granularity not set": none.
- `sharding`: zero1. `sp`: on where tp > 1. `micro_batch`, `global_batch`, and parallel degrees: 1.
  `schedule` (or none): 1f1b, interleaved where vpp > 1; zb-1p is zb_h1, zb-2p is zb_h2. Network rate
  between nodes: the system's.
- Gated blocks come with RMS norms and rotated positions, the head apart from the embedding (LLaMA's line).
  Others have layer norms, and, where all heads have keys of their own, learned positions and a tied head
  (GPT's).
- `attention` mla: the latent sizes of DeepSeek-V3. Attention is causal. Experts: the busiest rank has 1.15
  times the mean (arXiv 2408.15664, figure 2). fp8: products of 8-bit numbers, weights kept in bf16.
- The chip's system is that of the file's `systems` attribute, with as many chips as the run."""

DEEPSEEK_TEXT = """\
### DeepSeek-V3

Written by `scripts/deepseek_v3.py` (tile). Hours are `step x 2,048 / 3,600 / (15,360 x 4,096) x 10^12`;
goal: within 10 % of the published 180,000 (arXiv 2412.19437). The scenario recomputes norms, activations and
the up-projections of latent attention, as the report says, and fits 80 GB. The row's network is the
multi-plane fat tree; its balance of experts is assumed (1.15 of the mean on the busiest rank)."""

PARTS_TEXT = """\
The parts of a step (arXiv 2505.09343, table 4) are sums over the passes of a rank in DualPipe's order, in
the scenario: passes forward alone (1F), back alone (1B), weight gradients alone (1W), and a
forward beside a backward pass (1F1B, counted here as one after the other). The table does not say which
rank was measured. The model's optimizer is ten times too short; why is open."""


def section(found: dict[str, Found], xpusim: Path) -> str:
    hours, _, parts = "\n".join(deepseek_v3.section(xpusim)).partition("\n\n")
    blocks = [
        BEGIN,
        HEAD,
        *["\n".join(sets_table(found))],
        *[f"![{n}: predicted over measured, by stack](validation/training-{n}.png)" for n in GOALS],
        STACKS_TEXT,
        "\n".join(stacks_table(found)),
        STACKS_CAUTION,
        "\n".join(evidence_table()),
        "### Worst training rows\n\nAt tile fidelity; shares below half a percent are left out.",
        "\n".join(worst_table(found["tile"])),
        BLANK_TEXT,
        "\n".join(blanks_table(found["tile"])),
        DEEPSEEK_TEXT,
        hours,
        PARTS_TEXT,
        parts,
        END,
    ]
    return "\n\n".join(blocks) + "\n"


def replace_section(text: str) -> None:
    document = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    if BEGIN in document:
        head, _, rest = document.partition(BEGIN)
        document = head + text + rest.partition(END)[2].lstrip("\n")
    else:
        document = document.rstrip("\n") + "\n\n" + text
    DOCUMENT.write_text(document, encoding="utf-8")


def plot(name: str, rows: list[Row], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7.4, 5), constrained_layout=True)
    seconds = [r[k] / 1e6 for r in rows for k in ("measured_us", "predicted_us")]
    low, high = min(seconds) * 0.8, max(seconds) * 1.25
    axes.fill_between([low, high], [0.8 * low, 0.8 * high], [1.2 * low, 1.2 * high], color="#eef1f4")
    axes.plot([low, high], [low, high], color="#57606a", lw=0.8)
    for i, stack in enumerate(sorted({r["class"] for r in rows})):
        part = [r for r in rows if r["class"] == stack]
        axes.plot(
            [r["measured_us"] / 1e6 for r in part],
            [r["predicted_us"] / 1e6 for r in part],
            MARKERS[i // len(COLOURS)],
            ms=4,
            alpha=0.7,
            mew=0,
            color=COLOURS[i % len(COLOURS)],
            label=f"{stack} ({len(part)})",
        )
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="measured step [s]", ylabel="predicted step, tile [s]", title=f"{name} (band: 20 %)")
    axes.grid(color="#e4e4e4")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)
    plt.close(figure)


# ---- commands


def moved(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Sets or stacks that came, went, have other rows, or other errors."""
    return [
        name
        for name in sorted(before.keys() | now.keys())
        if name not in before
        or name not in now
        or before[name]["rows"] != now[name]["rows"]
        or any(abs(before[name][k] - now[name][k]) > TOLERANCE for k in ("mape_pct", "bias_pct"))
    ]


def check(found: Found, fidelity: str) -> int:
    before, now = json.loads(ACCURACY.read_text(encoding="utf-8"))[fidelity], accuracy_of(found)
    failed = 0
    for kind in ("sets", "stacks"):
        for name in moved(before[kind], now[kind]):
            print(f"{name}: then {before[kind].get(name)}, now {now[kind].get(name)}")
            failed += 1
    total = f"{len(now['sets'])} sets, {len(now['stacks'])} stacks"
    print(f"training_report: {total}, " + (f"{failed} FAILED" if failed else "ok"))
    return 1 if failed else 0


def write(xpusim: Path) -> None:
    found = {f: replay(xpusim, f) for f in FIDELITIES}
    PLOTS.mkdir(parents=True, exist_ok=True)
    for name, s in found["tile"].items():
        plot(name, s["worst"], PLOTS / f"training-{name}.png")
    replace_section(section(found, xpusim))
    accuracy = {f: accuracy_of(found[f]) for f in FIDELITIES}
    ACCURACY.write_text(json.dumps(accuracy, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare with the recorded errors")
    parser.add_argument("--fidelity", choices=FIDELITIES, default="bound", help="of --check; tile: a minute")
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/release/xpusim")
    options = parser.parse_args()
    xpusim = options.xpusim.resolve()
    if options.check:
        return check(replay(xpusim, options.fidelity), options.fidelity)
    write(xpusim)
    return 0


if __name__ == "__main__":
    sys.exit(main())
