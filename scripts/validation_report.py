#!/usr/bin/env python3
"""Replays every measured set of tests/measured/kernels and reports how far off the simulator is.

Writes docs/validation.md, the plots in docs/validation/, tests/measured/accuracy.json, and
configs/accuracy.yaml, from which every result takes its error band. With one fidelity, the document holds
only that one, and the other's numbers in accuracy.json stay as they are. --check writes nothing and compares
with accuracy.json.

exit codes: 0 done; 1 --check found that a class moved, or a set that is not recorded; 2 a set cannot be read
"""

from __future__ import annotations

import argparse
import bisect
import csv
import io
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
try:
    import matplotlib
    import matplotlib.pyplot as plt
    import yaml
    from PIL import Image
except ImportError:
    import in_venv

    in_venv.restart()

KERNELS = ROOT / "tests/measured/kernels"
ACCURACY = ROOT / "tests/measured/accuracy.json"
BANDS = ROOT / "configs/accuracy.yaml"
DOCUMENT = ROOT / "docs/validation.md"
PLOTS = ROOT / "docs/validation"
FIDELITIES = ("bound", "tile")
ALL_ROWS = 1_000_000  # --worst: every row
TOLERANCE = 1.0  # points of MAPE that --check allows a class to move
FEW_ROWS = 20  # regions below this are not called systematic
SYSTEMATIC = 15.0  # bias in % from which a set or region is
FURTHER = 5.0  # points between a region's bias and its set's, from which the region is named too
MOST_REGIONS = 20

# What most of a row's time is spent on, as the plots group it: name, colour, causes of the breakdown.
GROUPS = (
    ("engines", "#0072b2", ("matrix", "vector")),
    ("L2, operand feed", "#009e73", ("l2", "operand_feed")),
    ("HBM", "#e69f00", ("hbm",)),
    ("launch", "#8c8c8c", ("launch",)),
    ("fill, drain, tail", "#cc5f94", ("fill_drain", "wave_tail")),
    ("other", "#000000", ("communication",)),
)
COLOUR = {cause: colour for _, colour, causes in GROUPS for cause in causes}
INK, FAINT = "#24292f", "#d0d7de"


class Failed(Exception):
    """A set that cannot be replayed, with the simulator's message."""


@dataclass(frozen=True)
class Row:
    line: int
    label: str
    measured: float  # us
    predicted: float
    error: float  # %, signed
    tiling: str
    operators: str  # class of the error bands
    cause: str
    breakdown: dict[str, float]  # us by cause


@dataclass(frozen=True)
class Errors:
    rows: int
    mape: float
    median: float
    p90: float
    bias: float


def errors_of(rows: Sequence[Row]) -> Errors:
    """As validation/replay.cpp: statistics computes them."""
    absolute = sorted(abs(r.error) for r in rows)
    last = len(absolute) - 1
    return Errors(
        rows=len(rows),
        mape=sum(absolute) / len(rows),
        median=absolute[int(0.5 * last)],
        p90=absolute[int(0.9 * last)],
        bias=sum(r.error for r in rows) / len(rows),
    )


@dataclass
class MeasuredSet:
    """One CSV file, and what the simulator says of it."""

    path: Path
    header: list[str]  # the '#' lines, without the one that names chip and op
    columns: list[str]
    fields: dict[int, dict[str, str]]  # by line
    chip: str = ""
    op: str = ""
    family: str = ""
    classes: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # of operators: measured ranges
    skipped: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)  # by fidelity, in file order

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def kind(self) -> str:
        """The class: the file's name, which is the op unless a chip has two sets of one."""
        return self.path.stem

    @property
    def key(self) -> str:
        return f"{self.chip}/{self.kind}"

    @property
    def plot(self) -> str:
        return f"{self.chip}-{self.kind}.png"

    def shape_columns(self) -> list[str]:
        return self.columns[: self.columns.index("time_us")]


def read_set(path: Path) -> MeasuredSet:
    header: list[str] = []
    columns: list[str] = []
    fields: dict[int, dict[str, str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#"):
            words = line.lstrip("# ").strip()
            if not words.startswith("chip="):
                header.append(words)
        elif line.strip():
            cells = next(csv.reader(io.StringIO(line)))
            if columns:
                fields[number] = dict(zip(columns, cells, strict=False))
            else:
                columns = cells
    return MeasuredSet(path, header, columns, fields)


def replay(measured: MeasuredSet, fidelity: str, xpusim: Path, data: Path | None) -> dict[str, Any]:
    command = [str(xpusim), *(["--data", str(data)] if data else []), "validate", measured.name]
    command += ["--fidelity", fidelity, "--json", "-", "--worst", str(ALL_ROWS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{measured.name}: xpusim validate: exit {done.returncode}\n{done.stderr.strip()}")
    try:
        (found,) = json.loads(done.stdout)["sets"]
    except (ValueError, KeyError) as error:
        raise Failed(f"{measured.name}: xpusim validate: not its JSON: {error}") from error
    if len(found["worst"]) != found["rows"]:
        raise Failed(f"{measured.name}: {len(found['worst'])} of {found['rows']} rows in the JSON")
    return found


def take(measured: MeasuredSet, fidelity: str, found: dict[str, Any]) -> None:
    measured.chip, measured.op, measured.skipped = found["chip"], found["op"], found["skipped"]
    measured.family, measured.classes = found["family"], found["classes"]
    measured.rows[fidelity] = sorted(
        (
            Row(
                line=r["line"],
                label=r["label"],
                measured=r["measured_us"],
                predicted=r["predicted_us"],
                error=r["error_pct"],
                tiling=r["tiling"],
                operators=r["class"],
                cause=r["bound_by"],
                breakdown={k.removesuffix("_us"): v for k, v in r["breakdown"].items()},
            )
            for r in found["worst"]
        ),
        key=lambda row: row.line,
    )


class Progress:
    """A bar on a terminal, a line per finished set elsewhere; on stderr."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()
        self.terminal = sys.stderr.isatty()
        self.show("")

    def show(self, text: str) -> None:
        seconds = time.monotonic() - self.start
        if self.terminal:
            filled = 24 * self.done // max(1, self.total)
            line = f"{'#' * filled:-<24} {self.done}/{self.total} {seconds:.0f} s {text}"
            print(
                f"\r\033[K{line:.100}",
                end="" if self.done < self.total else "\n",
                file=sys.stderr,
                flush=True,
            )
        elif text:
            print(f"{self.done:>3}/{self.total} {seconds:7.1f} s  {text}", file=sys.stderr, flush=True)

    def step(self, text: str) -> None:
        self.done += 1
        self.show(text)


def replay_all(fidelities: Sequence[str], xpusim: Path, data: Path | None, jobs: int) -> list[MeasuredSet]:
    """All sets, by chip and class. Throws Failed on the first that cannot be read."""
    sets = [read_set(path) for path in sorted(KERNELS.glob("*/*.csv"))]
    if not sets:
        raise Failed(f"no measured set in {KERNELS}")
    # The long ones first: the last to finish is then a short one.
    work = [(f, s) for f in reversed(FIDELITIES) if f in fidelities for s in sets]
    work.sort(key=lambda item: (FIDELITIES.index(item[0]), len(item[1].fields)), reverse=True)
    progress = Progress(len(work))
    with ThreadPoolExecutor(max_workers=jobs) as pool:  # each thread waits for its process
        running = {pool.submit(replay, s, f, xpusim, data): (f, s) for f, s in work}
        try:
            for future in as_completed(running):
                fidelity, measured = running[future]
                take(measured, fidelity, future.result())
                progress.step(f"{fidelity} {measured.key}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    sets.sort(key=lambda s: s.key)
    for one, two in zip(sets, sets[1:], strict=False):
        if one.key == two.key:
            raise Failed(f"{one.name} and {two.name} are both {one.key}")
    return sets


# --- accuracy.json -----------------------------------------------------------------------------------------


def accuracy_of(sets: Iterable[MeasuredSet], fidelity: str) -> dict[str, dict[str, float]]:
    """The sets that were predicted; one without any predicted row is not recorded."""
    table = {}
    for s in sets:
        if s.rows[fidelity]:
            e = errors_of(s.rows[fidelity])
            table[s.key] = {
                "rows": e.rows,
                "mape_pct": round(e.mape, 2),
                "p90_ape_pct": round(e.p90, 2),
                "bias_pct": round(e.bias, 2),
            }
    return table


def bands_of(sets: Iterable[MeasuredSet], fidelity: str) -> list[dict[str, Any]]:
    """One entry per chip and class of operators, the rows of all its sets pooled."""
    rows: dict[tuple[str, str], list[Row]] = {}
    families: dict[str, str] = {}
    ranges: dict[tuple[str, str], dict[str, list[float]]] = {}
    for s in sets:
        chip = s.chip.removesuffix("_die")
        families[chip] = s.family
        for row in s.rows[fidelity]:
            rows.setdefault((chip, row.operators), []).append(row)
        for operators, extents in s.classes.items():
            known = ranges.setdefault((chip, operators), {})
            for name, (low, high) in extents.items():
                before = known.get(name, [low, high])
                known[name] = [min(before[0], low), max(before[1], high)]
    entries = []
    for (chip, operators), pooled in sorted(rows.items()):
        e = errors_of(pooled)
        entries.append(
            {
                "chip": chip,
                "family": families[chip],
                "operators": operators,
                "rows": e.rows,
                "mape_pct": round(e.mape, 1),
                "bias_pct": round(e.bias, 1),
                "p90_pct": round(e.p90, 1),
                "extents": [
                    {"name": name, "low": int(low), "high": int(high)}
                    for name, (low, high) in ranges[chip, operators].items()
                ],
            }
        )
    return entries


class IndentedLists(yaml.SafeDumper):
    """Lists stand deeper than their key, as in the files written by hand."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def bands_text(sets: Iterable[MeasuredSet], fidelity: str) -> str:
    head = (
        f"# Generated by scripts/validation_report.py from tests/measured/kernels, at fidelity {fidelity}.\n"
        "# What every result says of its own error; docs/validation.md explains the numbers.\n"
    )
    return head + yaml.dump(
        {"classes": bands_of(sets, fidelity)},
        Dumper=IndentedLists,
        sort_keys=False,
        default_flow_style=None,
        width=110,
    )


def recorded() -> dict[str, dict[str, dict[str, float]]]:
    return json.loads(ACCURACY.read_text(encoding="utf-8")) if ACCURACY.exists() else {}


def check(sets: list[MeasuredSet], fidelities: Sequence[str]) -> int:
    findings = []
    before = recorded()
    for fidelity in fidelities:
        old, new = before.get(fidelity, {}), accuracy_of(sets, fidelity)
        for key in sorted(old.keys() | new.keys()):
            was, now = old.get(key), new.get(key)
            if was is None or now is None:
                verdict = "not recorded" if was is None else "recorded, but not predicted any more"
            elif abs(now["mape_pct"] - was["mape_pct"]) > TOLERANCE:
                verdict = "better" if now["mape_pct"] < was["mape_pct"] else "worse"
            elif now["rows"] != was["rows"]:
                verdict = "other rows"
            else:
                continue
            cells = [
                f"{x[name]:g}" if x else "-" for name in ("rows", "mape_pct", "bias_pct") for x in (was, now)
            ]
            findings.append((fidelity, key, *cells, verdict))
    total = sum(bool(s.rows[f]) for s in sets for f in fidelities)
    if findings:
        shape = "{:<6} {:<36} {:>6} {:>6} {:>8} {:>8} {:>8} {:>8}  {}"
        print(shape.format("", "", "rows", "", "MAPE %", "", "bias %", "", ""))
        print(shape.format("", "chip/class", "then", "now", "then", "now", "then", "now", ""))
        for finding in findings:
            print(shape.format(*finding))
        print("if this is meant: scripts/validation_report.py, and say in the commit why it moved")
    print(f"validation_report: {total} sets, " + (f"{len(findings)} FAILED" if findings else "ok"))
    return 1 if findings else 0


# --- regions -----------------------------------------------------------------------------------------------


Region = tuple[float, str]  # sorts by the first, shows the second


def power(x: float) -> int:
    return math.floor(math.log10(x) + 1e-9)


def decade(x: float) -> Region:
    """1, 2 to 9, 10 to 99, ..."""
    if x < 1:
        return -1, "0"
    low = 10 ** power(x)
    return (0.0, "1") if x == 1 else (low, f"{max(2, low):,} to {10 * low - 1:,}")


def scaled(x: float, unit: str, prefixes: Sequence[str]) -> Region:
    """A decade of a quantity: 10 to 100 MB. The prefixes go up by thousands from 1."""
    names = [
        f"{10 ** (p % 3)} {prefixes[p // 3]}{unit}" if p >= 0 else f"{10.0**p:g} {unit}"
        for p in (power(x), power(x) + 1)
    ]
    return power(x), " to ".join(names)


def bytes_of(x: float) -> Region:
    return scaled(x, "B", ("", "k", "M", "G", "T"))


def duration(us: float) -> Region:
    return scaled(us, "s", ("u", "m", "")) if us >= 1 else (-1, "below 1 us")


WIDTH = {"fp32": 4, "tf32": 4, "hf32": 4, "fp8": 1, "int8": 1}  # bytes; all others 2

Grouping = tuple[str, Callable[[Row, dict[str, str]], Region]]


def by_number(title: str, column: str) -> Grouping:
    return title, lambda _, cells: decade(float(cells.get(column) or 0))


def by_text(title: str, *columns: str) -> Grouping:
    return title, lambda _, cells: (0, " / ".join(cells.get(c, "") or "-" for c in columns))


def by_size(title: str, rows: str, columns: str, dtype: str) -> Grouping:
    def region(_: Row, cells: dict[str, str]) -> Region:
        extents = cells["shape"].split("x") if "shape" in cells else (cells[rows], cells[columns])
        return bytes_of(math.prod(map(float, extents)) * WIDTH.get(cells.get(dtype, ""), 2))

    return title, region


SHAPES: dict[str, list[Grouping]] = {
    "gemm": [by_number("m", "m"), by_number("n", "n"), by_number("k", "k")],
    "attention_prefill": [
        by_number("sequence", "isl"),
        by_text("type / cache", "attn_dtype", "kv_cache_dtype"),
    ],
    "attention_decode": [
        by_number("tokens in cache", "step"),
        by_number("batch", "batch_size"),
        by_text("type / cache", "attn_dtype", "kv_cache_dtype"),
    ],
    "attention": [by_number("keys", "kv_len"), by_number("queries", "q_len"), by_text("causal", "causal")],
    "vector": [
        by_text("operator", "op"),
        by_size("one operand", "rows", "cols", "dtype"),
    ],
    "scale_matrix": [by_size("input", "m", "k", "")],
    "moe": [
        by_number("tokens", "num_tokens"),
        by_number("experts", "num_experts"),
        by_number("ranks of experts", "moe_ep_size"),
        by_text("type", "moe_dtype"),
    ],
}
COMMON: list[Grouping] = [
    ("timing", lambda _, cells: (0, cells.get("timing", ""))),
    ("measured", lambda row, _: duration(row.measured)),
    ("most time in", lambda row, _: (0, row.cause)),
]


def regions(s: MeasuredSet, fidelity: str) -> Iterator[tuple[str, str, list[int]]]:
    """Title, region, and the lines in it. A grouping that tells no rows apart is left out."""
    family = "gemm" if s.op.startswith("gemm") else s.op
    for title, place in [*SHAPES.get(family, []), *COMMON]:
        found: dict[Region, list[int]] = {}
        for row in s.rows[fidelity]:
            found.setdefault(place(row, s.fields[row.line]), []).append(row.line)
        if len(found) > 1 or title == "measured":
            for (_, name), lines in sorted(found.items()):
                yield title, name, lines


def fitted(s: MeasuredSet) -> list[str]:
    """The chip's constants that were fitted on this very set."""
    chip = s.chip.removesuffix("_die")
    found: dict[str, dict[str, Any]] = {}

    def walk(tree: Any, path: str) -> None:
        if isinstance(tree, dict) and "basis" in tree:
            found.setdefault(path, tree)  # the chip's own leaf hides its base's
        elif isinstance(tree, dict):
            for key, value in tree.items():
                walk(value, f"{path}.{key}" if path else str(key))

    seen: set[str] = set()
    while chip and chip not in seen and (path := ROOT / f"configs/chips/{chip}.yaml").exists():
        seen.add(chip)
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        walk(tree, "")
        chip = str(tree.get("base", ""))
    return sorted(
        path
        for path, leaf in found.items()
        if leaf["basis"] == "fitted" and s.name in str(leaf.get("source", ""))
    )


# --- the document ------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The first column and those whose title ends in a blank are left-aligned, the others right."""
    lines = ["| " + " | ".join(h.strip() for h in head) + " |"]
    lines += ["|" + "|".join("---" if i == 0 or h.endswith(" ") else "--:" for i, h in enumerate(head)) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def anchor(title: str) -> str:
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def title_of(s: MeasuredSet) -> str:
    return f"{s.chip} {s.kind}"


def microseconds(x: float) -> str:
    return f"{x:,.0f}" if x >= 1000 else f"{x:.4g}"


def causes(row: Row) -> str:
    """The two largest parts of the predicted time."""
    parts = sorted(row.breakdown.items(), key=lambda item: -item[1])[:2]
    total = sum(row.breakdown.values())
    return ", ".join(f"{name} {100 * part / total:.0f} %" for name, part in parts if part >= 0.05 * total)


def pick(rows: Sequence[Row], lines: Iterable[int]) -> list[Row]:
    wanted = set(lines)
    return [row for row in rows if row.line in wanted]


def systematic(sets: Sequence[MeasuredSet], fidelity: str) -> list[str]:
    found = []
    for s in sets:
        whole = errors_of(s.rows[fidelity])
        if abs(whole.bias) >= SYSTEMATIC:
            found.append((-abs(whole.bias), s, "all rows", whole))
        for title, name, lines in regions(s, fidelity):
            e = errors_of(pick(s.rows[fidelity], lines))
            further = abs(e.bias) >= abs(whole.bias) + FURTHER or e.bias * whole.bias < 0
            if e.rows >= FEW_ROWS and abs(e.bias) >= SYSTEMATIC and further:
                found.append((-abs(e.bias), s, f"{title}: {name}", e))
    found.sort(key=lambda item: (item[0], item[1].key, item[2]))
    return table(
        ["set", "region ", "rows", "MAPE %", "bias %"],
        (
            (
                f"[{title_of(s)}](#{anchor(title_of(s))})",
                name,
                f"{e.rows:,}",
                f"{e.mape:.1f}",
                f"{e.bias:+.1f}",
            )
            for _, s, name, e in found[:MOST_REGIONS]
        ),
    )


def section(s: MeasuredSet, fidelities: Sequence[str], main: str) -> list[str]:
    lines = ["", f"### {title_of(s)}", "", f"![{s.key}](validation/{s.plot})", ""]
    if s.header:
        escaped = (h.replace("<", "&lt;").replace("*", "\\*") for h in s.header)
        lines += [f"[The set]({os.path.relpath(s.path, DOCUMENT.parent)}) says of itself:", ""]
        lines += ["> " + "  \n> ".join(escaped), ""]
    if constants := fitted(s):
        lines += ["Fitted on this very set: " + ", ".join(f"`{c}`" for c in constants) + ".", ""]
    for reason, count in sorted(s.skipped.items()):
        lines += [f"Skipped ({count:,}): {reason}.", ""]

    head = ["by", "region ", "rows"]
    for f in fidelities:
        head += [f"{f}: MAPE %", "P90", "bias"]
    body, last = [], ""
    for title, name, of in regions(s, main):
        cells = ["" if title == last else title, name, f"{len(of):,}"]
        last = title
        for f in fidelities:
            e = errors_of(pick(s.rows[f], of))
            cells += [f"{e.mape:.1f}", f"{e.p90:.1f}" if e.rows >= 10 else "-", f"{e.bias:+.1f}"]
        body.append(cells)
    lines += table(head, body)

    worst = sorted(s.rows[main], key=lambda row: (-abs(row.error), row.line))[:5]
    shape = " ".join(s.shape_columns())
    lines += ["", f"Worst of `{main}` (`{shape}`):", ""]
    lines += table(
        ["line", "shape ", "measured us", "predicted us", "error %", "tiling ", "most time in "],
        (
            (
                str(row.line),
                f"`{row.label}`",
                microseconds(row.measured),
                microseconds(row.predicted),
                f"{row.error:+.1f}",
                row.tiling or "-",
                causes(row),
            )
            for row in worst
        ),
    )
    return lines


def document(sets: Sequence[MeasuredSet], fidelities: Sequence[str], main: str) -> str:
    option = "" if len(fidelities) == len(FIDELITIES) else f" --fidelity {main}"
    usable = [s for s in sets if s.rows[main]]
    lines = [
        f"<!-- Generated by `scripts/validation_report.py{option}`. Do not edit. -->",
        "# Validation",
        "",
        "How far the model is from published measurements of single kernels. Written by"
        f" `scripts/validation_report.py{option}` from the sets in"
        " [tests/measured/kernels](../tests/measured/kernels); `scripts/validation_report.py --check` says"
        " what moved since ([guide](guide.md#how-far-off-is-it)).",
        "",
        "- The error of a row is predicted / measured - 1. *MAPE* is the mean of its absolute value,"
        " *median* and *P90* are quantiles of it, *bias* is the mean with its sign: below zero the model is"
        " too fast.",
        "- *skipped* are rows without a model, or that do not fit the chip; they count nowhere else.",
        "- *fitted* counts the chip's constants that were fitted on this very set. Where there are some, an"
        " error says how well the model follows the hardware, not how well it predicts. At 0, constants may"
        " still come from other sets.",
        "- Fidelities are `bound`, the closed form, and `tile`, the event-driven executor"
        " ([guide](guide.md#bound-or-tile)).",
        f"- Plots, causes and worst rows are those of `{main}`. Causes are those of the"
        " [breakdown](model.md#breakdown).",
    ]
    for fidelity in fidelities:
        lines += ["", f"## Errors at {fidelity} fidelity", ""]
        body = []
        for s in sets:
            skipped = f"{sum(s.skipped.values()):,}"
            if s.rows[fidelity]:
                e = errors_of(s.rows[fidelity])
                link = f"[{s.kind}](#{anchor(title_of(s))})"
                figures = [f"{x:.1f}" for x in (e.mape, e.median, e.p90)] + [f"{e.bias:+.1f}"]
                body.append([s.chip, link, f"{e.rows:,}", *figures, skipped, str(len(fitted(s)))])
            else:
                body.append([s.chip, s.kind, "0", "-", "-", "-", "-", skipped, "-"])
        lines += table(
            ["chip", "class ", "rows", "MAPE %", "median %", "P90 %", "bias %", "skipped", "fitted"], body
        )
    lines += [
        "",
        "![errors of every set](validation/overview.png)",
        "",
        "## Where it is off systematically",
        "",
        f"Sets with a bias of {SYSTEMATIC:g} % and more at `{main}`, and regions of {FEW_ROWS} rows and more"
        f" where it is that large and {FURTHER:g} points further off than the whole set; the largest first,"
        f" {MOST_REGIONS} at most. Groupings overlap, so one reason can show several times.",
        "",
        *systematic(usable, main),
    ]
    chip = ""
    for s in usable:
        if s.chip != chip:
            chip = s.chip
            lines += ["", f"## {chip}"]
        lines += section(s, fidelities, main)
    return "\n".join(lines) + "\n"


# --- plots -------------------------------------------------------------------------------------------------

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#8c959f",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#eaeef2",
    "grid.linewidth": 0.7,
    "xtick.color": "#57606a",
    "ytick.color": "#57606a",
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
    "svg.hashsalt": "xpusim",
}
WIDE = 9.6  # inches
DPI = 130
FAR = 75.0  # % at which the error axis ends; points beyond sit on its edge


def save(figure: Any, path: Path) -> None:
    """The same bytes every time: no version and no date inside."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    with Image.open(buffer) as full:
        full.convert("RGB").save(path, optimize=True)


def plain_log(axis: Any, low: float, high: float) -> None:
    """Decades as 1, 10, 100, 1k: no powers of ten."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = 1 if last - first <= 8 else 2
    ticks = [10.0**p for p in range(first, last + 1, step)]
    axis.set_ticks(
        ticks, [f"{t / 1e6:g}M" if t >= 1e6 else f"{t / 1e3:g}k" if t >= 1e3 else f"{t:g}" for t in ticks]
    )
    axis.set_ticks([], minor=True)


def running(rows: Sequence[Row]) -> list[tuple[float, ...]]:
    """(measured, P10, median, P90 of the signed error) along measured time; bins of equal count."""
    ordered = sorted(rows, key=lambda row: row.measured)
    bins = min(14, len(ordered) // 12)
    out = []
    for i in range(bins):
        part = ordered[len(ordered) * i // bins : len(ordered) * (i + 1) // bins]
        signed = sorted(row.error for row in part)
        place = math.exp(sum(math.log(row.measured) for row in part) / len(part))
        out.append((place, *(signed[int(q * (len(signed) - 1))] for q in (0.1, 0.5, 0.9))))
    return out


def plot_set(s: MeasuredSet, fidelity: str, path: Path) -> None:
    rows = s.rows[fidelity]
    e = errors_of(rows)
    measured = [row.measured for row in rows]
    low = min(min(measured), min(row.predicted for row in rows)) / 1.25
    high = max(max(measured), max(row.predicted for row in rows)) * 1.25
    colours = [COLOUR.get(row.cause, "#000000") for row in rows]
    size, alpha = (5, 0.55) if len(rows) > 300 else (14, 0.75)
    figure = plt.figure(figsize=(WIDE, 3.75))
    grid = figure.add_gridspec(
        1, 3, width_ratios=[1, 1.25, 0.32], left=0.065, right=0.985, top=0.80, bottom=0.135, wspace=0.24
    )
    scatter, error = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    histogram = figure.add_subplot(grid[2], sharey=error)

    for band, shade in ((0.3, "#f3f5f7"), (0.1, "#dfe4ea")):
        ends = [low, high]
        scatter.fill_between(
            ends, [x * (1 - band) for x in ends], [x * (1 + band) for x in ends], color=shade, lw=0
        )
        for axes in (error, histogram):
            axes.axhspan(-100 * band, 100 * band, color=shade, lw=0)
    scatter.plot([low, high], [low, high], color="#57606a", lw=0.8)
    scatter.scatter(measured, [row.predicted for row in rows], s=size, c=colours, alpha=alpha, lw=0)
    scatter.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    scatter.set(xlabel="measured [us]", ylabel="predicted [us]")
    for axis in (scatter.xaxis, scatter.yaxis):
        plain_log(axis, low, high)
    scatter.set_xlim(low, high)
    scatter.set_ylim(low, high)
    scatter.set_box_aspect(1)

    error.axhline(0, color="#57606a", lw=0.8)
    for inside in (True, False):
        chosen = [(row, c) for row, c in zip(rows, colours, strict=True) if (abs(row.error) <= FAR) == inside]
        for marker, sign in (("o", 0),) if inside else (("^", 1), ("v", -1)):
            part = [(row, c) for row, c in chosen if sign == 0 or row.error * sign > 0]
            error.scatter(
                [row.measured for row, _ in part],
                [max(-FAR, min(FAR, row.error)) for row, _ in part],
                s=size if inside else 16,
                c=[c for _, c in part],
                alpha=alpha if inside else 1,
                marker=marker,
                lw=0,
                clip_on=inside,
            )
    if trend := running(rows):
        x = [t[0] for t in trend]
        for column, width, style in ((1, 0.9, ":"), (2, 1.6, "-"), (3, 0.9, ":")):
            error.plot(x, [t[column] for t in trend], color=INK, lw=width, ls=style)
    error.set(xscale="log", xlim=(min(measured) / 1.25, max(measured) * 1.25), ylim=(-FAR, FAR))
    error.set(xlabel="measured [us]", ylabel="error [%]")
    plain_log(error.xaxis, min(measured) / 1.25, max(measured) * 1.25)
    error.set_xlim(min(measured) / 1.25, max(measured) * 1.25)
    error.set_yticks([-60, -30, -10, 10, 30, 60], ["-60", "-30", "-10", "+10", "+30", "+60"])

    edges = [-FAR + 5 * i for i in range(31)]
    counts = [0] * 30
    for row in rows:
        counts[min(29, max(0, bisect.bisect_right(edges, row.error) - 1))] += 1
    histogram.barh(
        [x + 2.5 for x in edges[:-1]], [100 * c / len(rows) for c in counts], height=4.4, color="#57606a"
    )
    histogram.axhline(0, color="#57606a", lw=0.8)
    histogram.set(xlabel="rows [%]", ylim=(-FAR, FAR))
    histogram.tick_params(labelleft=False)
    histogram.grid(axis="y", visible=False)

    figure.text(0.012, 0.945, f"{s.chip}  {s.kind}", weight="bold", size=11)
    figure.text(
        0.988,
        0.945,
        f"{fidelity} fidelity, {e.rows:,} rows: MAPE {e.mape:.1f} %, P90 {e.p90:.1f} %, bias {e.bias:+.1f} %",
        ha="right",
    )
    present = [(name, colour) for name, colour, of in GROUPS if any(row.cause in of for row in rows)]
    handles: list[Any] = [
        plt.Line2D([], [], marker="o", ls="", ms=5, color=c, label=name) for name, c in present
    ]
    if trend:
        handles.append(plt.Line2D([], [], color=INK, lw=1.6, label="median"))
        handles.append(plt.Line2D([], [], color=INK, lw=0.9, ls=":", label="P10, P90"))
    handles.append(plt.Rectangle((0, 0), 1, 1, color="#dfe4ea", label="within 10 %"))
    handles.append(plt.Rectangle((0, 0), 1, 1, color="#f3f5f7", label="within 30 %"))
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.003, 0.925),
        ncols=len(handles),
        fontsize=8.5,
        handletextpad=0.4,
        columnspacing=1.4,
        borderaxespad=0.2,
    )
    save(figure, path)


def plot_overview(sets: Sequence[MeasuredSet], fidelities: Sequence[str], path: Path) -> None:
    """Quantiles of the signed error, a line per set and fidelity."""
    shades = {"tile": "#0072b2", "bound": "#8c959f"}
    pitch = 0.30 if len(fidelities) > 1 else 0.24
    figure = plt.figure(figsize=(WIDE, 1.15 + pitch * len(sets)))
    height = figure.get_figheight()
    axes = figure.add_axes((0.22, 0.5 / height, 0.76, pitch * len(sets) / height))
    for band, shade in ((30, "#f3f5f7"), (10, "#dfe4ea")):
        axes.axvspan(-band, band, color=shade, lw=0)
    axes.axvline(0, color="#57606a", lw=0.8)
    for i, s in enumerate(sets):
        for j, fidelity in enumerate(reversed(fidelities)):
            y = i + (0 if len(fidelities) == 1 else -0.17 + 0.34 * j)
            signed = sorted(row.error for row in s.rows[fidelity])
            p5, p25, p50, p75, p95 = (
                signed[int(q * (len(signed) - 1))] for q in (0.05, 0.25, 0.5, 0.75, 0.95)
            )
            colour = shades[fidelity]
            axes.plot([p5, p95], [y, y], color=colour, lw=1.1, solid_capstyle="butt")
            axes.plot([p25, p75], [y, y], color=colour, lw=4.5, solid_capstyle="butt")
            axes.plot([p50], [y], marker="o", ms=4.2, mfc="white", mec=colour, mew=1.1)
        if i and s.chip != sets[i - 1].chip:
            axes.axhline(i - 0.5, color=FAINT, lw=0.7)
    axes.set(xlim=(-FAR, FAR), ylim=(len(sets) - 0.5, -0.5), xlabel="error: predicted / measured - 1 [%]")
    axes.set_xticks([-60, -30, -10, 0, 10, 30, 60], ["-60", "-30", "-10", "0", "+10", "+30", "+60"])
    axes.set_yticks(range(len(sets)), [f"{s.chip}  {s.kind}" for s in sets])
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    top = 1 - 0.25 / height
    figure.text(0.012, top, "Errors of every set", weight="bold", size=11, va="center")
    handles: list[Any] = [
        plt.Line2D([], [], marker="o", ms=4.2, mfc="white", lw=4.5, color=shades[f], label=f)
        for f in reversed(fidelities)
    ]
    figure.legend(
        handles=handles,
        loc="center right",
        bbox_to_anchor=(0.985, top),
        ncols=2,
        title_fontsize=8.5,
        fontsize=8.5,
        borderaxespad=0,
    )
    figure.text(
        0.22,
        top,
        "dot: median; bar: half of the rows; line: 90 % of the rows",
        size=8.5,
        va="center",
        color="#57606a",
    )
    save(figure, path)


# -----------------------------------------------------------------------------------------------------------


def network_section(path: Path) -> str:
    """What scripts/network_report.py and, behind it, scripts/training_report.py wrote into the document."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    at = text.find("<!-- network_report: begin -->")
    return "\n" + text[at:] if at >= 0 else ""


def write(sets: Sequence[MeasuredSet], fidelities: Sequence[str]) -> None:
    main = fidelities[-1]
    usable = [s for s in sets if s.rows[main]]
    PLOTS.mkdir(parents=True, exist_ok=True)
    kept = {"overview.png", *(s.plot for s in usable)}
    for old in PLOTS.glob("*.png"):
        if old.name not in kept and not old.name.startswith(("comm-", "training-")):  # other reports
            old.unlink()
    matplotlib.use("Agg")
    matplotlib.rcParams.update(STYLE)
    plot_overview(usable, fidelities, PLOTS / "overview.png")
    for s in usable:
        plot_set(s, main, PLOTS / s.plot)
    network = network_section(DOCUMENT)
    DOCUMENT.write_text(document(sets, fidelities, main) + network, encoding="utf-8")
    accuracy = recorded() | {f: accuracy_of(sets, f) for f in fidelities}
    ACCURACY.write_text(json.dumps(accuracy, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    BANDS.write_text(bands_text(usable, main), encoding="utf-8")
    names = ", ".join(path.relative_to(ROOT).as_posix() for path in (DOCUMENT, ACCURACY, BANDS))
    print(f"validation_report: wrote {names} and {len(kept)} plots")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--fidelity", choices=[*FIDELITIES, "both"], default="both", help="default: %(default)s"
    )
    parser.add_argument("--check", action="store_true", help="compare with accuracy.json; writes nothing")
    parser.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="processes at once; default: %(default)s"
    )
    parser.add_argument("--xpusim", type=Path, help="default: build/ci/xpusim, else build/release/xpusim")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with configs/, for the simulator")
    options = parser.parse_args()
    builds = [options.xpusim] if options.xpusim else [ROOT / f"build/{b}/xpusim" for b in ("ci", "release")]
    xpusim = next((b.resolve() for b in builds if b.exists()), None)
    if xpusim is None:
        print(f"validation_report: no {builds[0]}; build it with scripts/test.sh", file=sys.stderr)
        return 2
    fidelities = FIDELITIES if options.fidelity == "both" else (options.fidelity,)
    data = options.data.resolve() if options.data else None
    try:
        sets = replay_all(fidelities, xpusim, data, max(1, options.jobs))
    except Failed as error:
        print(f"validation_report: {error}", file=sys.stderr)
        return 2
    if options.check:
        return check(sets, fidelities)
    write(sets, fidelities)
    return 0


if __name__ == "__main__":
    sys.exit(main())
