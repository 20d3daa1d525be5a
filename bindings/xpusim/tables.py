"""Rows without pandas, and as pandas."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xpusim._library import need

if TYPE_CHECKING:
    import pandas

#: What the last words of a column's name say about its unit; the first that fits counts.
UNITS = {
    "tokens_per_s_per_chip": "1/s",
    "tokens_per_s": "1/s",
    "flops_per_s_per_device": "FLOP/s",
    "flops_per_s": "FLOP/s",
    "bytes_per_s": "B/s",
    "gb_s": "GB/s",
    "bytes_per_cycle": "B/cycle",
    "flops_per_cycle": "FLOP/cycle",
    "ops_per_cycle": "op/cycle",
    "bytes": "B",
    "flops": "FLOP",
    "us": "us",
    "hz": "Hz",
    "pct": "%",
    "w": "W",
    "s": "s",
}


def unit_of(column: str) -> str:
    """The unit that a column's name ends in; empty: a count, a ratio or a name."""
    named = f"_{column}"
    return next((unit for words, unit in UNITS.items() if named.endswith(f"_{words}")), "")


class Table(Sequence[Mapping[str, Any]]):
    """Rows of one shape, each a dict. Column names carry the unit."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = list(rows)

    @property
    def columns(self) -> list[str]:
        return list(self._rows[0]) if self._rows else []

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._rows)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a DataFrame; `attrs["units"]` has the unit of each column."""
        frame = need("pandas", "tables").DataFrame(self._rows)
        frame.attrs["units"] = {column: unit_of(column) for column in frame.columns}
        result: pandas.DataFrame = frame
        return result

    def __repr__(self) -> str:
        return f"<{len(self)} rows of {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        return html_table(self._rows[:60]) + (f"<p>{len(self) - 60} more</p>" if len(self) > 60 else "")


def text_of(value: Any) -> str:
    """A cell for people."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def html_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as an HTML table, escaped."""
    if not rows:
        return "<p>no rows</p>"
    head = "".join(f"<th>{html.escape(str(c))}</th>" for c in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(text_of(v))}</td>" for v in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
