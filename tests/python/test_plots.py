"""Charts: what they hold, in both ways of drawing."""

from __future__ import annotations

from pathlib import Path

import pytest

import xpusim as xs
from xpusim.plot import Chart

from conftest import ROOT, Run


@pytest.fixture(scope="module")
def results(decode: xs.Scenario) -> list[xs.Result]:
    return [xs.simulate(decode, system=s, fidelity="bound") for s in ("dgx_h100", "dgx_a100")]


@pytest.fixture(scope="module")
def charts(decode: xs.Scenario, results: list[xs.Result]) -> dict[str, Chart]:
    """One of each kind, by name."""
    sweep = xs.sweep(decode, {"parallelism.tp": [4, 8], "batch": [16, 32, 64]}, jobs=1)
    search = xs.search(
        decode,
        {"chip.hbm.bandwidth": ("2 TB/s", "6 TB/s"), "batch": [16, 32]},
        objectives=["max tokens_per_s", "min chip.hbm.bandwidth"],
        trials=32,
    )
    measured = xs.validate(ROOT / "tests/measured/kernels/a100_sxm/gemm_bf16.csv", fidelity="bound")
    return {
        "roofline": xs.plot.roofline(xs.roofline("h100_sxm"), results[0]),
        "breakdown": xs.plot.breakdown(results),
        "timeline": xs.plot.timeline(results[0]),
        "scaling": xs.plot.scaling(sweep, "batch", "tokens_per_s", by="parallelism.tp"),
        "pareto": search.plot(),
        "tornado": xs.plot.tornado(xs.sensitivity(decode)),
        "measured": xs.plot.measured(measured),
    }


NAMES = ["roofline", "breakdown", "timeline", "scaling", "pareto", "tornado", "measured"]


@pytest.mark.parametrize("name", NAMES)
def test_plotly_gets_every_mark(charts: dict[str, Chart], name: str) -> None:
    chart = charts[name]
    figure = chart.plotly()
    assert [len(trace.x) for trace in figure.data] == [len(s.x) for s in chart.series]
    assert figure.layout.title.text == chart.title and sum(len(s.x) for s in chart.series) > 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_every_chart_is_a_file(charts: dict[str, Chart], name: str, suffix: str, tmp_path: Path) -> None:
    path = charts[name].save(tmp_path / "deep" / f"{name}{suffix}")
    assert path.stat().st_size > 5000


def test_a_stack_is_as_high_as_the_step(charts: dict[str, Chart], results: list[xs.Result]) -> None:
    for i, result in enumerate(results):
        height = sum(series.y[i] for series in charts["breakdown"].series)
        assert height == pytest.approx(1e3 * result.step_time_s)


def test_no_operator_is_above_its_roof(results: list[xs.Result]) -> None:
    for result in results:
        roof = xs.Roofline.of_result(result)
        for x, y in zip(*_points(xs.plot.roofline(roof, result)), strict=True):
            assert 1e12 * y <= roof.flops_per_s(x) * (1 + 1e-9)


def _points(chart: Chart) -> tuple[list[float], list[float]]:
    points = chart.series[-1]
    return list(points.x), list(points.y)


def test_a_timeline_says_what_it_leaves_out(results: list[xs.Result]) -> None:
    chart = xs.plot.timeline(results[0], spans=10)
    assert sum(len(s.x) for s in chart.series) == 10
    assert f"first 10 of {len(results[0].timeline)} spans" in chart.title


def test_equal_labels_are_numbered(results: list[xs.Result]) -> None:
    chart = xs.plot.breakdown([results[0], results[0]])
    assert list(chart.series[0].x) == ["dgx_h100 #1", "dgx_h100 #2"]


@pytest.mark.parametrize("missing", [True, False])
def test_a_notebook_gets_the_static_chart_and_the_interactive_one(python: Run, missing: bool) -> None:
    hide = "sys.modules['plotly'] = sys.modules['plotly.graph_objects'] = None\n" if missing else ""
    done = python(
        "import os, sys\nos.environ['PLOTLY_RENDERER'] = 'plotly_mimetype'\nimport xpusim as xs\n"
        + hide
        + "r = xs.op('h100_sxm', 'gemm', m=64, n=64, k=64, fidelity='bound')\n"
        "print(*xs.plot.breakdown(r)._repr_mimebundle_())\n"
    )
    assert done.stdout.split() == ["image/png"] + ["application/vnd.plotly.v1+json"] * (not missing), (
        done.stderr
    )
