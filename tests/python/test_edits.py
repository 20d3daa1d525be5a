"""Files that are edited between two calls, wherever they lie: every kept row is of the files as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from huggingface import CONFIG

import xpusim as xs
from xpusim import sweeps

DATA = Path(xs.__file__).parent / "data"
#: Of each kind of file: what is replaced in it, by what.
EDITS = {
    "s/scenario.yaml": ("sequence: 4096", "sequence: 2048"),
    "y/node.yaml": ("value: 450 GB/s", "value: 45 GB/s"),
    "y/under.yaml": ("launch: {value: 5.2", "launch: {value: 995.2"),
    "c/chip.yaml": ("value: 3 TB/s", "value: 6 TB/s"),
    "c/deep/../under.yaml": ("max: {value: 1.98 GHz", "max: {value: 1.5 GHz"),
    "m/config.json": ('"num_hidden_layers": 32', '"num_hidden_layers": 16'),
    "t/stack.yaml": ("value: 0.5", "value: 0.9"),
    "t/under.yaml": ("core_share: {value: 0.15", "core_share: {value: 0.25"),
}


def copy(kind: str, name: str, target: Path) -> None:
    """A file of the package under another id."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = (DATA / "configs" / kind / f"{name}.yaml").read_text()
    target.write_text(text.replace(f"\nid: {name}\n", f"\nid: {target.stem}\n"))


def value(text: str) -> str:
    return f"{{value: {text}, basis: estimate, source: a test}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A training scenario, its system, chip, model and stack: each in a folder of its own, over a base."""
    return build(tmp_path / "files")


def build(root: Path) -> Path:
    copy("chips", "h100_sxm", root / "c/under.yaml")
    copy("systems", "dgx_h100", root / "y/under.yaml")
    copy("stacks", "megatron_core", root / "t/under.yaml")
    (root / "c/deep").mkdir()
    (root / "c/chip.yaml").write_text(
        f"base: under\nid: chip\nname: mine\nhbm:\n  bandwidth: {value('3 TB/s')}\n"
    )
    text = (root / "y/under.yaml").read_text()
    levels = text[text.index("\nlevels:") : text.index("\nlibraries:")]
    (root / "y/node.yaml").write_text(f"base: under\nid: node\nname: mine\nchip: ../c/chip.yaml\n{levels}\n")
    (root / "t/stack.yaml").write_text(
        f"base: under\nid: stack\nname: mine\nkernels:\n  rate: {value('0.5')}\n"
    )
    (root / "m").mkdir()
    (root / "m/config.json").write_text(json.dumps(CONFIG))
    scenario = (DATA / "workloads/scenarios/llama31_8b_training.yaml").read_text()
    for old, new in (
        ("model: llama31_8b", "model: ../m/config.json"),
        ("system: dgx_h100", "system: ../y/node.yaml"),
        ("recompute: none", "recompute: none\ntraining: {stack: ../t/stack.yaml}"),
    ):
        assert old in scenario
        scenario = scenario.replace(old, new)
    (root / "s").mkdir()
    (root / "s/scenario.yaml").write_text(scenario)
    return root


def edit(folder: Path, file: str) -> None:
    path, (old, new) = folder / file, EDITS[file]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def swept(folder: Path, cache: Path) -> pd.DataFrame:
    return xs.sweep(folder / "s/scenario.yaml", {"batch": [64]}, jobs=1, cache=cache)


def searched(folder: Path, cache: Path) -> pd.DataFrame:
    goals = ["min step_time_s"]
    found = xs.search(folder / "s/scenario.yaml", {"batch": [64]}, objectives=goals, trials=1, cache=cache)
    return found.trials


def tried(folder: Path, cache: Path) -> pd.DataFrame:
    return xs.sensitivity(folder / "s/scenario.yaml", ["chip.clock.max"], cache=cache)


ASKED = (swept, searched, tried)


@pytest.mark.parametrize("file", EDITS)
@pytest.mark.parametrize("ask", ASKED)
def test_an_edited_file_counts_wherever_it_lies(
    folder: Path, tmp_path: Path, file: str, ask: Callable[[Path, Path], pd.DataFrame]
) -> None:
    cache = tmp_path / "cache"
    before = ask(folder, cache).step_time_s[0]
    edit(folder, file)
    after = ask(folder, cache).step_time_s[0]
    run = xs.simulate(folder / "s/scenario.yaml", fidelity="bound", changes={"batch": 64})
    assert after == run.step_time_s != before


@pytest.mark.parametrize("key", ["system", "system.chip", "model", "training.stack"])
def test_an_edited_file_that_a_change_names_counts(folder: Path, tmp_path: Path, key: str) -> None:
    names = {"system": "y/node.yaml", "system.chip": "c/chip.yaml", "model": "m/config.json"}
    file = names.get(key, "t/stack.yaml")
    scenario = xs.Scenario.load("llama31_8b_training")
    key = "stack" if key == "training.stack" and "stack" in scenario.data else key

    def ask() -> float:
        frame = xs.sweep(scenario, {key: [str(folder / file)]}, jobs=1, cache=tmp_path / "cache")
        assert frame.error.isna().all(), frame.error[0]
        return float(frame.step_time_s[0])

    before = ask()
    edit(folder, file)
    assert ask() != before


def test_an_edited_table_of_errors_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(DATA, tmp_path / "data")
    monkeypatch.setenv("XPUSIM_DATA", str(tmp_path / "data"))
    before = xs.sweep("llama31_70b_decode", {"batch": [8]}, cache=tmp_path / "cache").error_band_pct[0]
    (tmp_path / "data/configs/accuracy.yaml").unlink()
    after = xs.sweep("llama31_70b_decode", {"batch": [8]}, cache=tmp_path / "cache").error_band_pct
    assert before > 0 and after.isna().all()


@pytest.mark.parametrize(
    ("space", "file"),
    [({"batch": [64]}, "c/chip.yaml"), ({"chip": ["c/h800.yaml", "h100_sxm"]}, "c/h800.yaml")],
)
def test_a_search_does_not_go_on_with_edited_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: dict[str, list[Any]], file: str
) -> None:
    monkeypatch.chdir(folder)
    copy("chips", "h800", folder / "c/h800.yaml")

    def ask() -> None:
        goals = ["min step_time_s"]
        xs.search("s/scenario.yaml", space, objectives=goals, trials=1, storage=tmp_path / "study.db")

    ask()
    ask()
    text = (folder / file).read_text()
    (folder / file).write_text(re.sub(r"bandwidth: {value: \S+ ", "bandwidth: {value: 2 ", text))
    with pytest.raises(xs.ConfigError, match="is of another search, build or state of the files"):
        ask()


@pytest.mark.parametrize("ask", ASKED)
def test_what_is_kept_is_known_wherever_the_files_are_mounted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Path, Path], pd.DataFrame]
) -> None:
    first = ask(folder, tmp_path / "cache")
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    monkeypatch.setattr(sweeps, "evaluate", lambda task: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(ask(moved, tmp_path / "cache"), first, check_exact=True)
    monkeypatch.chdir(moved / "c")
    pd.testing.assert_frame_equal(ask(Path(".."), tmp_path / "cache"), first, check_exact=True)


def test_a_comment_is_no_edit(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = swept(folder, tmp_path / "cache")
    chip = folder / "c/chip.yaml"
    chip.write_text("# mine\n" + chip.read_text())
    monkeypatch.setattr(sweeps, "evaluate", lambda task: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(swept(folder, tmp_path / "cache"), first, check_exact=True)


def test_a_row_is_kept_as_of_the_files_that_it_was_computed_from(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit between the look into the cache and the run."""
    xs.sweep(folder / "s/scenario.yaml", {"batch": [32]}, jobs=1, cache=tmp_path / "cache")
    run = sweeps.evaluate

    def late(task: sweeps.Task) -> list[tuple[str, str]]:
        edit(folder, "c/chip.yaml")
        return run(task)

    with monkeypatch.context() as edited:
        edited.setattr(sweeps, "evaluate", late)
        edited.setattr(sweeps, "_library_of", lambda root, sweep: sweeps._core.Library(root or str(DATA)))
        fast = swept(folder, tmp_path / "cache").step_time_s[0]
    assert swept(folder, tmp_path / "cache").step_time_s[0] == fast
    shutil.rmtree(folder)
    build(folder)
    assert swept(folder, tmp_path / "cache").step_time_s[0] > fast


@pytest.mark.parametrize("jobs", [1, 2])
def test_paths_hold_in_any_folder_and_in_workers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    keys = ["chip.clock.max", "chip.hbm.bandwidth", "sequence"]
    frames = []
    for place, name in ((tmp_path, "files/s/scenario.yaml"), (folder / "c", "../s/scenario.yaml")):
        monkeypatch.chdir(place)
        frames.append(xs.sensitivity(name, keys, jobs=jobs))
        assert frames[-1].error.isna().all() and frames[-1].elasticity.notna().all()
        chip = os.path.relpath(folder / "c/chip.yaml")
        table = xs.sweep(name, {"chip": [chip], "batch": [32, 64]}, jobs=jobs)
        assert table.error.isna().all()
    pd.testing.assert_frame_equal(*frames, check_exact=True)
