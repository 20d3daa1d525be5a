"""Charts: what to draw as plain data, drawn by plotly (interactive) or by matplotlib (static)."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xpusim._library import need
from xpusim.arguments import check, checked
from xpusim.errors import FileError, config_error
from xpusim.results import Result, write_file
from xpusim.runs import Roofline, Validation

if TYPE_CHECKING:
    import pandas

# Okabe and Ito's colours, which colour-blind readers tell apart, then darker ones of the same hues.
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9",
    "#D55E00", "#999999", "#F0E442", "#004B75", "#8F5C00",
)  # fmt: skip
#: One colour a cause, the same in every chart.
CAUSES = (
    "matrix", "vector", "operand_feed", "l2", "hbm", "launch", "fill_drain", "wave_tail", "communication",
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """One set of marks. Spans are horizontal bars from `base` to `base + x`, in row `y`."""

    name: str
    style: Literal["line", "points", "bar", "span"]
    x: Sequence[Any]
    y: Sequence[Any]
    base: Sequence[float] = ()
    text: Sequence[str] = ()
    color: str = ""


@dataclass(frozen=True, repr=False)
class Chart:
    """A chart as data. Shown by itself in a notebook; `save` writes .html (one file, no network), .png,
    .svg, .pdf.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series] = field(default=())
    log: bool = False  #: both axes

    def plotly(self) -> Any:
        """The chart as a plotly.graph_objects.Figure."""
        go = need("plotly.graph_objects", "plots")
        figure = go.Figure([_plotly_trace(go, s, self._color(i)) for i, s in enumerate(self.series)])
        kind = "log" if self.log else None
        figure.update_layout(
            title=html.escape(self.title),
            barmode="relative" if any(s.style == "bar" for s in self.series) else "overlay",
            template="plotly_white",
            xaxis={"title": self.x_label, "type": kind},
            yaxis={"title": self.y_label, "type": kind, "automargin": True},
        )
        if any(s.style == "span" for s in self.series):
            figure.update_yaxes(autorange="reversed", type="category")
        return figure

    def matplotlib(self) -> Any:
        """The chart as a matplotlib.figure.Figure."""
        need("matplotlib", "plots")
        figure = need("matplotlib.figure", "plots").Figure(figsize=(9, 5), layout="constrained")
        axes = figure.add_subplot(title=self.title, xlabel=self.x_label, ylabel=self.y_label)
        tops: dict[Any, float] = {}
        for i, s in enumerate(self.series):
            _draw(axes, s, self._color(i), tops)
        if self.log:
            axes.set(xscale="log", yscale="log")
        if any(s.style == "span" for s in self.series):
            axes.invert_yaxis()
        names = {s.name for s in self.series if s.name}
        if 1 < len(names) <= 12:
            figure.legend(loc="outside right upper", fontsize="small")
        return figure

    @checked
    def save(self, path: str | Path) -> Path:
        """Writes the chart; the suffix says the format."""
        path = Path(path)
        if path.suffix == ".html":
            return write_file(path, self.plotly().to_html(include_plotlyjs=True))
        figure = self.matplotlib()
        known = sorted(figure.canvas.get_supported_filetypes())
        if path.suffix[1:] not in known:
            raise config_error(str(path), "no chart can be written there", f"html, {', '.join(known)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path)
        except OSError as error:
            raise FileError(error.errno, f"cannot write: {error.strerror}", str(path)) from error
        return path

    def _color(self, index: int) -> str:
        return self.series[index].color or PALETTE[index % len(PALETTE)]

    def __repr__(self) -> str:
        marks = sum(len(s.x) for s in self.series)
        return f"<xpusim chart '{self.title}': {len(self.series)} series, {marks} marks>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The static picture, and the interactive one where plotly is there and knows the front end."""
        png = io.BytesIO()
        self.matplotlib().savefig(png, format="png")
        bundle: dict[str, Any] = {"image/png": base64.b64encode(png.getvalue()).decode()}
        with suppress(ImportError):
            bundle |= self.plotly()._repr_mimebundle_()
        return bundle


def _plain(values: Iterable[Any]) -> list[Any]:
    """Texts that plotly does not take for its markup."""
    return [html.escape(value) if isinstance(value, str) else value for value in values]


def _plotly_trace(go: Any, s: Series, color: str) -> Any:
    common = {
        "name": html.escape(s.name),
        "showlegend": bool(s.name),
        "x": _plain(s.x),
        "y": _plain(s.y),
        "hovertext": _plain(s.text) or None,
    }
    if s.style == "bar":
        return go.Bar(**common, marker_color=color)
    if s.style == "span":
        return go.Bar(**common, base=list(s.base), orientation="h", marker_color=color)
    if s.style == "line":
        return go.Scatter(**common, mode="lines", line={"color": color})
    return go.Scatter(**common, mode="markers", marker={"color": color, "size": 8})


def _draw(axes: Any, s: Series, color: str, tops: dict[Any, float]) -> None:
    """`tops`: where the stack of each bar ends."""
    if s.style == "line":
        axes.plot(s.x, s.y, color=color, label=s.name or None)
    elif s.style == "points":
        axes.scatter(s.x, s.y, color=color, label=s.name or None, s=18)
    elif s.style == "bar":
        axes.bar(s.x, s.y, bottom=[tops.get(x, 0.0) for x in s.x], color=color, label=s.name)
        tops.update({x: tops.get(x, 0.0) + y for x, y in zip(s.x, s.y, strict=True)})
    else:
        axes.barh(s.y, s.x, left=s.base or 0, color=color, label=s.name)


def _results(results: Result | Iterable[Result]) -> list[Result]:
    shown = [results] if isinstance(results, Result) else list(results)
    check(shown, Sequence[Result], "results")
    return shown


def _columns(frame: pandas.DataFrame, *columns: str) -> None:
    """Raises ConfigError unless the table has them."""
    for column in columns:
        if column not in frame:
            raise config_error(column, "no such column", ", ".join(map(str, frame.columns)))


def _labels(results: Sequence[Result]) -> list[str]:
    """A label a result, numbered where two are alike."""
    names = [r.label for r in results]
    return [
        f"{name} #{names[:i].count(name) + 1}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


@checked
def roofline(
    roofline: Roofline, results: Result | Iterable[Result] = (), *, dtype: str | Sequence[str] = "bf16"
) -> Chart:
    """Roofs of a chip, and the operators of results on it: FLOP/s over FLOP per byte of HBM traffic."""
    dtypes = [dtype] if isinstance(dtype, str) else list(dtype)
    if not dtypes:
        raise config_error("dtype", "none", "e.g. bf16")
    shown = _results(results)
    points = [_roofline_points(r, label) for r, label in zip(shown, _labels(shown), strict=True)]
    ridges = [roofline.ridge_flops_per_byte(d) for d in dtypes]
    intensities = [x for p in points for x in p.x]
    low = min([1.0, *intensities]) / 2
    high = max([4 * max(ridges), *intensities]) * 2
    roofs = []
    for name, ridge in zip(dtypes, ridges, strict=True):
        x = [low, ridge, high]
        y = [roofline.flops_per_s(i, name) / 1e12 for i in x]
        roofs.append(Series(f"roof {name}", "line", x, y))
    title = f"Roofline of one device of {roofline.name}"
    return Chart(title, "FLOP / byte of HBM traffic", "TFLOP/s", [*roofs, *points], log=True)


def _roofline_points(r: Result, label: str) -> Series:
    rows = [row for row in r.ops if row["flops"] > 0 and row["hbm_bytes"] > 0 and row["time_s"] > 0]
    return Series(
        label,
        "points",
        [row["flops"] / row["hbm_bytes"] for row in rows],
        [row["flops"] / row["time_s"] / 1e12 for row in rows],
        text=[f"{row['name']}: {row['time_s'] * 1e6:.4g} us" for row in rows],
    )


@checked
def breakdown(results: Result | Iterable[Result]) -> Chart:
    """Stacked bars: where the time of each result goes."""
    shown = _results(results)
    labels = _labels(shown)
    causes = [c for c in CAUSES if any(r.breakdown.get(c, 0) > 0 for r in shown)]
    causes += sorted({c for r in shown for c, s in r.breakdown.items() if s > 0} - set(CAUSES))
    series = [
        Series(c, "bar", labels, [1e3 * r.breakdown.get(c, 0) for r in shown], color=_cause_color(c))
        for c in causes
    ]
    return Chart("Where the time goes", "", "time [ms]", series)


def _cause_color(cause: str) -> str:
    return PALETTE[CAUSES.index(cause) % len(PALETTE)] if cause in CAUSES else "#555555"


@checked
def timeline(result: Result, *, spans: int = 60) -> Chart:
    """The first spans of a step by lane; all of them are in Result.save_trace."""
    if spans < 1:
        raise config_error("spans", f"{spans} spans", "1 or more")
    rows = sorted(result.timeline, key=lambda row: row["begin_s"])
    shown, kinds = rows[:spans], list(dict.fromkeys(row["op"] for row in rows[:spans]))
    series = []
    for kind in kinds:
        of_kind = [row for row in shown if row["op"] == kind]
        series.append(
            Series(
                kind,
                "span",
                [1e6 * (row["end_s"] - row["begin_s"]) for row in of_kind],
                [row["lane"] for row in of_kind],
                [1e6 * row["begin_s"] for row in of_kind],
                [row["operator"] for row in of_kind],
            )
        )
    part = "" if len(rows) <= spans else f", first {spans} of {len(rows)} spans"
    return Chart(f"Timeline of {result.label}{part}", "time [us]", "", series)


@checked
def scaling(frame: pandas.DataFrame, x: str, y: str, *, by: str = "", log: bool = True) -> Chart:
    """Curves of column y over column x of a sweep, one for each value of column `by`. Failed points are left
    out.
    """
    _columns(frame, x, y, *([by] if by else []))
    good = frame[frame[y].notna()].sort_values(x)
    groups = good.groupby(by, sort=False) if by else [("", good)]
    series = []
    for name, group in groups:
        points = (group[x].tolist(), group[y].tolist())
        series += [
            Series(f"{by} = {name}" if by else y, "line", *points),
            Series("", "points", *points, color="#555555"),
        ]
    return Chart(f"{y} over {x}", x, y, series, log=log)


@checked
def pareto(trials: pandas.DataFrame, front: pandas.DataFrame, x: str, y: str) -> Chart:
    """All points of a search or sweep, and those that no other beats in both columns."""
    _columns(trials, x, y)
    _columns(front, x, y)
    good = trials[trials[x].notna() & trials[y].notna()]
    best = front.sort_values([x, y])
    return Chart(
        "Pareto front",
        x,
        y,
        [
            Series("tried", "points", good[x].tolist(), good[y].tolist(), color="#BBBBBB"),
            Series("front", "line", best[x].tolist(), best[y].tolist(), color=PALETTE[5]),
            Series("not beaten", "points", best[x].tolist(), best[y].tolist(), color=PALETTE[0]),
        ],
    )


@checked
def tornado(sensitivities: pandas.DataFrame, *, most: int = 15) -> Chart:
    """Bars of the largest elasticities of xs.sensitivity: % of the metric by 1 % more of each value."""
    _columns(sensitivities, "key", "elasticity")
    good = sensitivities[sensitivities["elasticity"].notna()]
    top = good.reindex(good["elasticity"].abs().sort_values(ascending=False).index).head(most)
    metric = sensitivities.attrs.get("metric", "the metric")
    bars = Series("elasticity", "span", top["elasticity"].tolist(), top["key"].tolist(), [0.0] * len(top))
    return Chart(f"What 1 % more of each value does to {metric}", f"% of {metric}", "", [bars])


@checked
def measured(validation: Validation) -> Chart:
    """Predicted over measured time of every row, a series a set, and the line of no error."""
    sets = list(dict.fromkeys((row["chip"], row["op"]) for row in validation.samples))
    series = []
    for chip, kind in sets:
        rows = [row for row in validation.samples if (row["chip"], row["op"]) == (chip, kind)]
        series.append(
            Series(
                f"{chip} {kind}",
                "points",
                [row["measured_us"] for row in rows],
                [row["predicted_us"] for row in rows],
                text=[str(row["label"]) for row in rows],
            )
        )
    ends = [value for s in series for value in (min(s.x), max(s.x))]
    if not ends:
        raise config_error("validation", "no rows", "measured sets with one or more")
    exact = Series("no error", "line", [min(ends), max(ends)], [min(ends), max(ends)], color="#555555")
    return Chart("Predicted over measured", "measured [us]", "predicted [us]", [*series, exact], log=True)
