"""Search and sensitivities."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

import xpusim as xs
from xpusim import searches

from conftest import Run

SPACE = {"chip.hbm.bandwidth": ("2 TB/s", "6 TB/s"), "batch": (8, 64), "parallelism.tp": [2, 4, 8]}
GOALS = ["max tokens_per_s", "min chip.hbm.bandwidth"]


@pytest.fixture(scope="module")
def found(decode: xs.Scenario) -> xs.SearchResult:
    return xs.search(decode, SPACE, objectives=GOALS, constraints=["step_time_s <= 0.025"], trials=128)


def front_of(frame: pd.DataFrame) -> set[int]:
    """The points that no other beats, by comparing all pairs."""
    good = frame[frame.error.isna() & (frame.step_time_s <= 0.025)]
    values = list(zip(good.index, -good.tokens_per_s, good["chip.hbm.bandwidth_bytes_per_s"], strict=True))
    return {
        i for i, a, b in values if not any((c <= a and d <= b) and (c, d) != (a, b) for _, c, d in values)
    }


def test_the_front_is_what_no_trial_beats(found: xs.SearchResult) -> None:
    assert len(found.trials) == 128
    assert set(found.front.index) == front_of(found.trials) and len(found.front) > 3
    assert (found.front.step_time_s <= 0.025).all()


def test_values_stay_in_the_space(found: xs.SearchResult) -> None:
    assert found.trials["chip.hbm.bandwidth_bytes_per_s"].between(2e12, 6e12).all()
    assert found.trials["batch"].between(8, 64).all() and set(found.trials["parallelism.tp"]) <= {2, 4, 8}


def test_the_search_is_better_than_chance(found: xs.SearchResult) -> None:
    """The first generation, a quarter of the trials, is random: it holds less than its share of the front."""
    assert (found.front.index < 32).mean() < 32 / 128


def test_a_seed_gives_the_same_trials(decode: xs.Scenario) -> None:
    one, other = (xs.search(decode, SPACE, objectives=GOALS, trials=40, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(one.trials, other.trials, check_exact=True)


def test_a_search_goes_on_where_it_was(decode: xs.Scenario, tmp_path: Path) -> None:
    storage = tmp_path / "study.db"
    first = xs.search(decode, SPACE, objectives=GOALS, trials=32, storage=storage)
    more = xs.search(decode, SPACE, objectives=GOALS, trials=48, storage=storage)
    assert len(more.trials) == 48
    pd.testing.assert_frame_equal(more.trials.head(32), first.trials, check_exact=True, check_dtype=False)


def test_a_file_of_another_search_is_refused(decode: xs.Scenario, tmp_path: Path) -> None:
    storage = tmp_path / "study.db"
    xs.search(decode, SPACE, objectives=GOALS, trials=2, storage=storage)
    with pytest.raises(xs.ConfigError, match="its study 'xpusim' is of another search"):
        xs.search(decode, SPACE | {"batch": (8, 32)}, objectives=GOALS, trials=4, storage=storage)


def test_a_file_that_cannot_be_written_is_an_error(decode: xs.Scenario, tmp_path: Path) -> None:
    with pytest.raises(xs.CacheError, match="cannot keep the search: unable to open"):
        xs.search(decode, SPACE, objectives=GOALS, trials=1, storage=tmp_path / "none" / "study.db")


def finished(storage: Path) -> int:
    """Trials that a study's file holds as complete."""
    try:
        with closing(sqlite3.connect(f"file:{storage}?mode=ro", uri=True)) as file:
            return int(file.execute("select count(*) from trials where state = 'COMPLETE'").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet, or being written
        return 0


def test_a_killed_search_goes_on(tmp_path: Path, decode: xs.Scenario) -> None:
    program = tmp_path / "search.py"
    program.write_text(
        "import xpusim as xs\n"
        f"xs.search('llama31_70b_decode', {SPACE!r}, objectives={GOALS!r}, trials=5000, storage='study.db')\n"
    )
    child = subprocess.Popen([sys.executable, str(program)], cwd=tmp_path)
    while finished(tmp_path / "study.db") < 33 and child.poll() is None:
        time.sleep(0.1)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    found = xs.search(decode, SPACE, objectives=GOALS, trials=1, storage=tmp_path / "study.db")
    done = len(found.trials)
    assert 33 <= done < 5000
    more = xs.search(decode, SPACE, objectives=GOALS, trials=done + 32, storage=tmp_path / "study.db")
    assert done < len(more.trials) <= done + 32


def test_points_that_cannot_run_are_no_part_of_the_front(decode: xs.Scenario) -> None:
    result = xs.search(decode, {"parallelism.tp": [1, 8]}, objectives=["max tokens_per_s"], trials=16)
    assert set(result.front["parallelism.tp"]) == {8}
    assert (result.trials[result.trials["parallelism.tp"] == 1].error_type == "InfeasibleError").all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": {}}, "no axes"),
        ({"space": {"batch": 3}}, "3 is no axis"),
        ({"space": {"chip.hbm.bandwidth": ("2 TB/s", "6 GHz")}}, "has no unit, or two"),
        ({"space": {"chip.hbm.bandwith": ("2 TB/s", "6 TB/s")}}, "unknown key"),
        ({"objectives": ["tokens_per_s"]}, "no objective"),
        ({"objectives": []}, "objectives: none"),
        ({"objectives": ["max tokens"]}, "tokens: no such number"),
        ({"constraints": ["step_time_s < x"]}, "no constraint"),
    ],
)
def test_what_makes_no_search_is_refused(
    decode: xs.Scenario, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(xs.ConfigError) as caught:
        xs.search(decode, **({"space": SPACE, "objectives": GOALS, "trials": 1} | arguments))  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_an_elasticity_is_that_of_two_runs(decode: xs.Scenario) -> None:
    frame = xs.sensitivity(decode, ["chip.hbm.bandwidth", "batch"])
    row = frame[frame.key == "chip.hbm.bandwidth"].iloc[0]
    bandwidth = xs.Chip("h100_sxm")["hbm.bandwidth"] * 1.01
    one = xs.simulate(decode, fidelity="bound")
    other = xs.simulate(decode, fidelity="bound", changes={"chip.hbm.bandwidth": f"{bandwidth!r} B/s"})
    expected = math.log(other.step_time_s / one.step_time_s) / math.log(1.01)
    assert row.elasticity == pytest.approx(expected, rel=1e-6) and -1 < expected < 0
    batch = frame[frame.key == "batch"].iloc[0]
    assert (batch["value"], batch.changed) == ("64", "65") and batch.elasticity > 0


def test_every_number_of_the_chip_is_tried(decode: xs.Scenario) -> None:
    frame = xs.sensitivity(decode)
    assert {"chip.clock.max", "chip.hbm.latency", "chip.cores.count", "chip.overheads.graph_node"} <= set(
        frame.key
    )
    sizes = frame.elasticity.abs().dropna().tolist()
    assert sizes == sorted(sizes, reverse=True) and len(frame) > 30
    assert frame.attrs["metric"] == "step_time_s"


def test_no_such_number_is_refused(decode: xs.Scenario) -> None:
    with pytest.raises(xs.ConfigError, match="no such numbers: .'chip.name'."):
        xs.sensitivity(decode, ["chip.name"])
    with pytest.raises(xs.ConfigError, match="no such column"):
        xs.sensitivity(decode, ["batch"], metric="speed")


def test_a_missing_extra_is_named(python: Run) -> None:
    done = python(
        "import sys\nsys.modules['optuna'] = None\nimport xpusim as xs\n"
        "xs.search('llama31_70b_decode', {'batch': [1]}, objectives=['max tokens_per_s'])\n"
    )
    assert "ImportError: optuna is missing: pip install 'xpusim[search]'" in done.stderr


def test_texts_with_units_are_scaled() -> None:
    assert searches._scaled("3352 GB/s", 1.01) == (f"{3352 * 1.01!r} GB/s", 1.01)
    assert searches._scaled("132", 1.01) == ("133", 133 / 132)
    assert searches._scaled("nccl", 1.01) is None
