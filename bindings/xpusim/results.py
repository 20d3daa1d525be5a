"""What a run comes to."""

from __future__ import annotations

import html
import json
import os
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from xpusim.arguments import checked
from xpusim.errors import FileError, config_error
from xpusim.tables import Table, html_table

if TYPE_CHECKING:
    import pandas


class Outcome(Protocol):
    """Where a result's documents come from: the compiled library, or text that was kept."""

    @property
    def step_time_s(self) -> float: ...
    @property
    def tokens_per_s(self) -> float: ...
    def json(self) -> str: ...
    def trace(self) -> str: ...
    def table(self) -> str: ...


class Saved:
    """The documents of a result that came out of another process."""

    def __init__(self, json_text: str, trace_text: str, table_text: str) -> None:
        self._texts = (json_text, trace_text, table_text)
        first = json.loads(json_text)["results"][0]
        self.step_time_s: float = first["step_time_s"]
        self.tokens_per_s: float = first["tokens_per_s"]

    def json(self) -> str:
        return self._texts[0]

    def trace(self) -> str:
        return self._texts[1]

    def table(self) -> str:
        return self._texts[2]


def write_file(path: str | Path, text: str) -> Path:
    """Writes under a temporary name and renames, so that an interrupted run leaves no half of a file. Raises
    FileError.
    """
    path = Path(path)
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException as error:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise FileError(error.errno, f"cannot write: {error.strerror}", str(path)) from error
        raise
    return path


class Result:
    """One workload on one system. Times in seconds, as the suffix of every name says; see docs/model.md."""

    def __init__(self, outcome: Outcome, variant: str = "") -> None:
        self._outcome = outcome
        self.variant = variant  #: the values that were changed

    @property
    def step_time_s(self) -> float:
        """Seconds of one step: a decoded token, a prompt, an optimizer step, or one operator."""
        return self._outcome.step_time_s

    @property
    def tokens_per_s(self) -> float:
        """Of the whole system; 0 where the workload has no tokens."""
        return self._outcome.tokens_per_s

    @cached_property
    def data(self) -> dict[str, Any]:
        """The result as `xpusim run --json` writes it, SI base units with the unit in the key."""
        data: dict[str, Any] = json.loads(self._outcome.json())["results"][0]
        data["variant"] = self.variant
        return data

    @property
    def breakdown(self) -> dict[str, float]:
        """Seconds by what the step waits for; they add up to step_time_s (docs/model.md#breakdown)."""
        return {key.removesuffix("_s"): value for key, value in self.data["breakdown"].items()}

    @property
    def bound_by(self) -> str:
        """The largest part of the breakdown."""
        return str(self.data["bound_by"])

    @property
    def ops(self) -> Table:
        """One row an operator of the graph: time of one run, count, FLOP, bytes, parts of its time."""
        return Table([flat(row) for row in self.data["operators"]])

    @property
    def classes(self) -> Table:
        """One row a kind of operator, by falling time, all its runs together."""
        return Table([flat(row) for row in self.data["classes"]])

    @cached_property
    def timeline(self) -> Table:
        """One row a span: lane, operator, kind, begin_s, end_s. Lanes do not overlap in themselves."""
        events = json.loads(self._outcome.trace())["traceEvents"]
        lanes = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
        spans = (e for e in events if e["ph"] == "X")
        return Table(
            [
                {
                    "lane": lanes[e["tid"]],
                    "operator": e["name"],
                    "op": e["cat"],
                    "begin_s": e["ts"] * 1e-6,
                    "end_s": (e["ts"] + e["dur"]) * 1e-6,
                }
                for e in spans
            ]
        )

    @property
    def warnings(self) -> list[str]:
        """What to know before the numbers are used."""
        return list(self.data["warnings"])

    @property
    def label(self) -> str:
        """The system and what was changed."""
        return f"{self.data['system']} ({self.variant})" if self.variant else str(self.data["system"])

    def to_json(self) -> str:
        """The whole document (schema xpusim.result/1)."""
        document = json.loads(self._outcome.json())
        document["results"] = [self.data]
        return json.dumps(document, indent=2) + "\n"

    @checked
    def save_trace(self, path: str | Path) -> Path:
        """Writes a Chrome trace (ui.perfetto.dev opens it). Raises FileError, an OSError; leaves no half of a
        file.
        """
        return write_file(path, self._outcome.trace())

    def __reduce__(self) -> tuple[Any, ...]:
        texts = (self._outcome.json(), self._outcome.trace(), self._outcome.table())
        return revive, (texts, self.variant)

    def __str__(self) -> str:
        return self._outcome.table()

    def __repr__(self) -> str:
        tokens = f", {self.tokens_per_s:.4g} tokens/s" if self.tokens_per_s else ""
        return f"<xpusim result {self.label}: {self.step_time_s * 1e3:.4g} ms{tokens}, most: {self.bound_by}>"

    def _repr_html_(self) -> str:
        return Comparison([self])._repr_html_()


def revive(texts: tuple[str, str, str], variant: str) -> Result:
    """A result from its documents."""
    return Result(Saved(*texts), variant)


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """Inner maps as columns "outer_inner"."""
    columns: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            columns.update({f"{key}_{inner}": inner_value for inner, inner_value in value.items()})
        else:
            columns[key] = value
    return columns


class Comparison:
    """Results side by side; ratios are to the first."""

    METRICS = (
        "step_time_s",
        "tokens_per_s",
        "tokens_per_s_per_chip",
        "flops_per_s_per_device",
        "matrix_utilisation",
        "hbm_utilisation",
        "error_band_pct",
        "bound_by",
    )

    @checked
    def __init__(self, results: Sequence[Result]) -> None:
        if not len(results):
            raise config_error("results", "nothing to compare", "give at least one result")
        self.results = tuple(results)

    @cached_property
    def table(self) -> Table:
        """One row a result: what ran where, speedup, the main figures, and the breakdown in seconds."""
        first = self.results[0].step_time_s
        rows = []
        for r in self.results:
            names = {
                key: r.data[key] for key in ("workload", "system", "variant", "chip", "chips", "devices")
            }
            figures = {key: r.data[key] for key in self.METRICS}
            parts = {f"{key}_s": seconds for key, seconds in r.breakdown.items()}
            rows.append({**names, "speedup": first / r.step_time_s, **figures, **parts})
        return Table(rows)

    def to_pandas(self) -> pandas.DataFrame:
        """`table` as a DataFrame."""
        return self.table.to_pandas()

    def __str__(self) -> str:
        lines = [f"{r.label:<40} {r.step_time_s * 1e3:>10.4g} ms" for r in self.results]
        speedups = [f"{row['speedup']:>8.2f}x  most: {row['bound_by']}" for row in self.table]
        return "\n".join(f"{line} {speed}" for line, speed in zip(lines, speedups, strict=True))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        labels = ["", *(r.label for r in self.results)]
        rows = [
            dict(zip(labels, [key, *(row[key] for row in self.table)], strict=True))
            for key in self.table.columns
            if key not in ("workload", "system", "variant")
        ]
        if len(set(labels)) < len(labels):  # two columns of one name
            rows = [
                {"figure": key, **{str(i): row[key] for i, row in enumerate(self.table)}}
                for key in self.table.columns
            ]
        notes = sorted({f"{r.label}: {w}" for r in self.results for w in r.warnings})
        listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
        head = html.escape(
            f"{self.results[0].data['workload']} ({self.results[0].data['fidelity']} fidelity)"
        )
        return f"<b>{head}</b>{html_table(rows)}" + (f"<ul>{listed}</ul>" if listed else "")
