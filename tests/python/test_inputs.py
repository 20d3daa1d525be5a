"""Chips, systems, models and scenarios, and what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from huggingface import CONFIG
from hypothesis import given
from hypothesis import strategies as st

import xpusim as xs
from xpusim import _core
from xpusim._library import path_of, text_of


def test_a_copy_has_the_new_value_and_the_first_the_old(h100: xs.Chip) -> None:
    faster = h100.with_({"hbm.bandwidth": "4.8 TB/s"})
    assert faster["hbm.bandwidth"] == 4.8e12
    assert h100["hbm.bandwidth"] == 3.352e12
    with pytest.raises(AttributeError):
        faster.id = "other"  # type: ignore[misc]


def test_later_changes_win(h100: xs.Chip) -> None:
    assert h100.with_({"cores.count": 100}).with_({"cores.count": 64})["cores.count"] == 64


def test_what_is_read_cannot_change_the_object(h100: xs.Chip) -> None:
    h100.data["hbm"]["bandwidth"] = 0
    assert h100["hbm.bandwidth"] == 3.352e12


@pytest.mark.parametrize("kind", [xs.Chip, xs.System, xs.Model, xs.Scenario])
def test_every_file_of_the_package_loads(kind: type[xs.Chip]) -> None:
    ids = kind.available()
    assert len(ids) >= 4
    for name in ids:
        loaded = kind.load(name)
        assert loaded.file.endswith(f"{name}.yaml") and Path(loaded.file).is_file()
        assert loaded.data and loaded.to_yaml()


def test_a_yaml_text_reads_back_as_the_same_values(h100: xs.Chip, tmp_path: Path) -> None:
    copy = tmp_path / "h100_sxm.yaml"
    copy.write_text(Path(h100.file).read_text())
    assert xs.Chip.load(copy).data == h100.data


def test_specs_are_equal_by_name_and_changes_and_can_be_pickled(h100: xs.Chip) -> None:
    one, other = (h100.with_({"cores.count": 64}) for _ in range(2))
    assert one == other and hash(one) == hash(other) and one != h100
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_mistake_is_an_exception_with_every_diagnostic(h100: xs.Chip) -> None:
    with pytest.raises(xs.ConfigError) as caught:
        h100.with_({"hbm.bandwith": "4.8 TB/s", "clock.max": "2 GB/s", "dies": 0})
    found = {d.key: d for d in caught.value.diagnostics}
    assert found.keys() == {"chip.dies", "chip.clock.max", "chip.hbm.bandwith"}
    typo = found["chip.hbm.bandwith"]
    assert (typo.message, typo.hint) == ("unknown key", "did you mean 'bandwidth'?")
    assert "cannot read '2 GB/s' as frequency" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert pickle.loads(pickle.dumps(caught.value)).diagnostics == caught.value.diagnostics


def test_a_mistake_in_a_file_has_its_line(tmp_path: Path, h100: xs.Chip) -> None:
    text = Path(h100.file).read_text()
    line = next(i for i, row in enumerate(text.splitlines(), 1) if row.startswith("hbm:"))
    bad = tmp_path / "h100_sxm.yaml"
    bad.write_text(text.replace("\nhbm:\n", "\nhbm:\n  colour: {value: red, basis: estimate, source: me}\n"))
    with pytest.raises(xs.ConfigError) as caught:
        xs.Chip.load(bad)
    found = caught.value.diagnostics[0]
    assert (found.file, found.line, found.column, found.key) == (str(bad), line + 1, 3, "chip.hbm.colour")


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: xs.Chip.load("h100"), "no such chip (did you mean 'h800'? known: a100_sxm"),
        (lambda: xs.Chip.load("nowhere/x.yaml"), "there is no such file"),
        (lambda: xs.Chip("h100_sxm").with_({"hbm": 3}), "expected"),
        (lambda: xs.Chip("h100_sxm").with_({"a b": 3}), "not the path of a value"),
        (lambda: xs.Chip("h100_sxm").with_({"hbm.bandwidth.x": 3}), "is a single value"),
        (lambda: xs.Chip("h100_sxm").with_({"hbm.bandwidth": object()}), "cannot be of type object"),
        (lambda: xs.System("dgx_h100").with_({"levels[7].bandwidth": "1 GB/s"}), "no such list element"),
        (lambda: xs.Scenario("llama31_70b_decode").with_({"chip.hbm.bw": "1 TB/s"}), "unknown key"),
        (lambda: xs.Scenario("llama31_70b_decode").with_({"batch": "many"}), "cannot read 'many'"),
    ],
)
def test_what_is_refused_says_what_would_be_right(load: object, message: str) -> None:
    with pytest.raises(xs.ConfigError) as caught:
        load()  # type: ignore[operator]
    assert message in str(caught.value)


def test_a_wrong_data_folder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPUSIM_DATA", "nowhere")
    with pytest.raises(xs.ConfigError, match="nowhere: no configs/chips in this folder"):
        xs.Chip.load("h100_sxm")


def test_an_edited_file_counts_from_the_next_use(tmp_path: Path, h100: xs.Chip) -> None:
    mine = tmp_path / "h100_sxm.yaml"
    mine.write_text(Path(h100.file).read_text())
    before = xs.op(str(mine), "rmsnorm", rows=4096, cols=8192, fidelity="bound").step_time_s
    mine.write_text(mine.read_text().replace("value: 3352 GB/s", "value: 1000 GB/s"))
    assert xs.op(str(mine), "rmsnorm", rows=4096, cols=8192, fidelity="bound").step_time_s > before


def test_short_names_are_those_of_the_scenario() -> None:
    assert path_of("scenario", "parallelism.tp") == "scenario.parallelism.tp"
    assert path_of("scenario", "stack.kernels.rate") == "stack.kernels.rate"
    assert path_of("scenario", "chip") == "system.chip"
    assert path_of("scenario", "system") == "scenario.system"
    assert path_of("scenario", "system.levels[0].latency") == "system.levels[0].latency"
    assert path_of("chip", "hbm.bandwidth") == path_of("chip", "chip.hbm.bandwidth") == "chip.hbm.bandwidth"


@given(
    st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
)
def test_numbers_become_texts_that_read_back(value: float) -> None:
    assert json.loads(text_of(value)) == value


@given(st.floats(1e-3, 1e6), st.sampled_from(["GB/s", "TB/s", "Gb/s", "us", "MHz", "W", "op/cycle"]))
def test_a_quantity_is_its_number_times_its_unit(number: float, unit: str) -> None:
    value, base = _core.quantity(f"{number!r} {unit}") or (0.0, "")
    one, same = _core.quantity(f"1 {unit}") or (0.0, "")
    assert base == same and value == pytest.approx(number * one, rel=1e-12)


@given(st.text(max_size=20))
def test_no_text_is_a_quantity_by_accident(text: str) -> None:
    found = _core.quantity(text)
    assert found is None or any(c.isdigit() for c in text)


def test_a_config_of_hugging_face_is_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "some-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    model = xs.Model.load(folder / "config.json")
    assert model["id"] == "some_model"
    shipped = xs.Model.load("llama31_8b").data
    named = {"id", "name", "source"}
    assert {k: v for k, v in model.data.items() if k not in named} == {
        k: v for k, v in shipped.items() if k not in named
    }
    (folder / "config.json").write_text(json.dumps(CONFIG | {"hidden_size": 0}))
    with pytest.raises(xs.ConfigError, match="hidden_size: '0' is out of range"):
        xs.Model.load(folder / "config.json")
