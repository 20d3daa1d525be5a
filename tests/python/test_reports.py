"""The report, opened by a real browser that has no network."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import xpusim as xs
from xpusim import plot
from xpusim.plot import Chart

SHOTS = Path(os.environ.get("XPUSIM_SHOTS", "screenshots"))


@pytest.fixture(scope="module")
def results(decode: xs.Scenario) -> list[xs.Result]:
    shown = [xs.simulate(decode, system=s, fidelity="bound") for s in ("dgx_h100", "atlas_800_a2")]
    shown.append(xs.simulate(decode, changes={"name": "</script><b>&"}, fidelity="bound"))
    return shown


@pytest.fixture(scope="module")
def further(decode: xs.Scenario) -> list[Chart]:
    sweep = xs.sweep(decode, {"parallelism.tp": [4, 8], "batch": [16, 32, 64]}, jobs=1)
    space = {"chip.hbm.bandwidth": ("2 TB/s", "6 TB/s"), "batch": [16, 32]}
    goals = ["max tokens_per_s", "min chip.hbm.bandwidth"]
    measured = Path(__file__).parents[1] / "measured/kernels/a100_sxm/gemm_bf16.csv"
    return [
        plot.scaling(sweep, "batch", "tokens_per_s", by="parallelism.tp"),
        xs.search(decode, space, objectives=goals, trials=32).plot(),
        plot.tornado(xs.sensitivity(decode)),
        plot.measured(xs.validate(measured, fidelity="bound")),
    ]


@pytest.fixture(scope="module")
def page_file(
    results: list[xs.Result], further: list[Chart], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return xs.report(
        results, tmp_path_factory.mktemp("report") / "report.html", title="H100 & <910B2>", charts=further
    )


class Opened:
    """The page in Chromium, and all that it complained about or asked the network for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.messages: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture(scope="module")
def opened(page_file: Path) -> Iterator[Opened]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "scripts/setup.sh installs Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
        found = Opened(context.new_page())
        found.page.goto(page_file.as_uri())
        found.page.wait_for_function("document.querySelectorAll('.chart .main-svg').length > 0")
        yield found
        browser.close()


def test_nothing_but_the_file_is_asked_for_and_nothing_is_wrong(opened: Opened, page_file: Path) -> None:
    assert [url for url in opened.requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert opened.messages == []


def expected(results: list[xs.Result], further: list[Chart]) -> list[Chart]:
    return [*xs.reports.charts_of(results), *further]


def test_every_chart_has_its_data_and_is_drawn(
    opened: Opened, results: list[xs.Result], further: list[Chart]
) -> None:
    charts = expected(results, further)
    assert opened.page.locator(".chart").count() == len(charts)
    SHOTS.mkdir(exist_ok=True)
    for i, chart in enumerate(charts):
        held = opened.page.evaluate(f"document.getElementById('chart-{i}').data.map(t => Array.from(t.y))")
        assert held == [list(s.y) for s in chart.series], chart.title
        element = opened.page.locator(f"#chart-{i}")
        marks = element.locator(".point, .js-line").count()
        assert marks >= sum(len(s.x) for s in chart.series if s.style in ("bar", "span")) * 0.9, chart.title
        shot = element.screenshot(
            path=SHOTS / f"{i:02d}-{re.sub(r'[^a-z0-9]+', '-', chart.title.lower())[:40]}.png"
        )
        pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).reshape(-1, 3).astype(int)
        coloured = (pixels.max(axis=1) - pixels.min(axis=1)) > 40
        assert coloured.sum() > 100, f"{chart.title}: no mark in colour"


def test_texts_are_escaped_and_shown(opened: Opened, results: list[xs.Result]) -> None:
    assert opened.page.title() == "H100 & <910B2>"
    assert opened.page.locator("h1").inner_text() == "H100 & <910B2>"
    text = opened.page.locator("body").inner_text()
    assert "tokens_per_s" in text and "llama31_70b" in opened.page.content()
    assert opened.page.locator("details").count() == len(results)


def test_a_hover_names_the_operator(opened: Opened) -> None:
    point = opened.page.locator("#chart-1 .scatterlayer .point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.page.wait_for_selector("#chart-1 .hoverlayer .hovertext")
    assert " us" in opened.page.locator("#chart-1 .hoverlayer").text_content()


def test_a_report_that_cannot_be_written_leaves_nothing(results: list[xs.Result], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        xs.report(results, tmp_path / "file" / "r.html")
    with pytest.raises(ValueError, match="at least one"):
        xs.report([], tmp_path / "r.html")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
