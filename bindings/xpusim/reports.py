"""One HTML file that needs nothing else: tables, charts, inputs."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from xpusim import _core, plot
from xpusim._library import need
from xpusim.arguments import check, checked
from xpusim.plot import Chart
from xpusim.results import Comparison, Result, write_file
from xpusim.runs import Roofline
from xpusim.tables import html_table

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color:
#222; } table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.chart { width: 100%; height: 30rem; margin: 1rem 0; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; }
footer { color: #666; margin-top: 3rem; }
"""


def charts_of(results: Sequence[Result]) -> list[Chart]:
    """The breakdown of all, and each result's roofline (where it has matrix products) and timeline."""
    charts = [plot.breakdown(results)]
    for result in results:
        chart = plot.roofline(Roofline.of_result(result), result)
        if chart.series[-1].x:
            charts.append(chart)
        charts.append(plot.timeline(result))
    return charts


@checked
def report(
    results: Result | Iterable[Result],
    path: str | Path,
    *,
    title: str = "XPUSim report",
    charts: Iterable[Chart] = (),
) -> Path:
    """Writes results as one self-contained page: comparison, charts, operators, warnings, resolved inputs.

    charts: further ones, after those of the results. Opens without network. Raises FileError, an OSError;
    leaves no half of a file.
    """
    shown = [results] if isinstance(results, Result) else list(results)
    comparison = Comparison(shown)
    charts = list(charts)
    check(charts, Sequence[Chart], "charts")
    drawn = [*charts_of(shown), *charts]
    plotly_js = need("plotly.offline", "plots").get_plotlyjs()
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
        '<link rel="icon" href="data:,">',
        f"<style>{_STYLE}</style><script>{plotly_js}</script></head><body>",
        f"<h1>{html.escape(title)}</h1>",
        comparison._repr_html_(),
        *(_chart_html(chart, i) for i, chart in enumerate(drawn)),
        *(_details(result) for result in shown),
        f"<footer>Made by XPUSim {_core.version()}: a model's results, not measurements.</footer>",
        "</body></html>",
    ]
    return write_file(path, "\n".join(parts))


def _chart_html(chart: Chart, index: int) -> str:
    figure = chart.plotly().to_json().replace("</", "<\\/")
    return (
        f'<div class="chart" id="chart-{index}" role="img" aria-label="{html.escape(chart.title)}"></div>'
        f"<script>{{const f = {figure}; const o = {{responsive: true, displaylogo: false}}; "
        f'Plotly.newPlot("chart-{index}", f.data, f.layout, o);}}</script>'
    )


def _details(result: Result) -> str:
    columns = ("section", "name", "op", "count", "time_s", "error_band_pct", "detail")
    rows = [{key: row[key] for key in columns} for row in result.ops]
    return (
        f"<h2>{html.escape(result.label)}</h2>{html_table(rows)}"
        f"<details><summary>Resolved inputs, hash {html.escape(result.data['config_hash'])}</summary>"
        f"<pre>{html.escape(result.data['config'])}</pre></details>"
    )
