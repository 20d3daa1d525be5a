"""Every public function with odd arguments: an answer, or an xs.Error that says what is wrong."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import xpusim as xs
from xpusim.arguments import shown

from conftest import ROOT


class Rude:
    """Has no repr, no length, no items."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


ODD: tuple[Any, ...] = (
    None, True, 0, -3, 1.5, math.nan, math.inf, 10**30, 1j, "", "no such", "a\0b", "\ud800", "a=b", "[",
    "../..", b"h100_sxm", [], [None], ["x"], [["x"]], (), (1, 2), ("1 GB", "1 s"), {}, {"x": 1}, {1: 2},
    {"batch": Rude()}, {"batch": [Rude()]}, {"batch": [math.nan, {}]}, set(), range(3), object(), Rude(),
    Rude, len, np.array([[1, 2]]), np.float64("nan"), np.int64(8), Path("a\0b"), Path("/"), xs.Chip("none"),
    xs.Model("none"), pd.DataFrame({"x": [1]}), iter([1]),
)  # fmt: skip
SCENARIO = "llama31_70b_decode"


@pytest.fixture(scope="module")
def functions(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Every public function and method, each with good arguments that answer at once."""
    chip, folder = xs.Chip.load("h100_sxm"), tmp_path_factory.mktemp("odd")
    result = xs.op(chip, "gemm", m=64, n=64, k=64, fidelity="bound")
    frame = xs.sweep(SCENARIO, {"batch": [8, 16]}, jobs=1)
    space, goals = {"batch": [8, 16]}, ["max tokens_per_s", "min chips"]
    found = xs.search(SCENARIO, space, objectives=goals, trials=2)
    measured = ROOT / "tests/measured/kernels/a100_sxm/gemm_bf16.csv"
    validation = xs.validate(measured, fidelity="bound")
    gemm = {"chip": chip, "kind": "gemm", "m": 64, "n": 64, "k": 64}
    run = {"fidelity": "bound", "system": "dgx_h100", "model": "llama31_8b", "chip": "h100_sxm"}
    run |= {"changes": {}, "engines": False, "progress": False}
    ring = {"system": "dgx_h100", "kind": "all_reduce", "ranks": 8, "size": "1 MiB", "algorithm": "ring"}
    loads = {
        f"{kind.__name__}.{name}": (getattr(kind, name), {"id_or_path": id_} if name == "load" else {})
        for kind, id_ in ((xs.Chip, "h100_sxm"), (xs.System, "dgx_h100"), (xs.Model, "llama31_8b"))
        for name in ("load", "available")
    }
    return loads | {
        "Chip": (xs.Chip, {"id": "h100_sxm", "changes": ()}),
        "Chip.with_": (chip.with_, {"changes": {"hbm.bandwidth": "4 TB/s"}}),
        "Chip[]": (chip.__getitem__, {"key": "hbm.bandwidth"}),
        "Scenario.load": (xs.Scenario.load, {"id_or_path": SCENARIO}),
        "Scenario.with_": (xs.Scenario(SCENARIO).with_, {"changes": {"batch": 8}}),
        "simulate": (xs.simulate, {"workload": SCENARIO, **run}),
        "compare": (xs.compare, {"results": [result, result]}),
        "Comparison": (xs.Comparison, {"results": [result]}),
        "op": (xs.op, {**gemm, "fidelity": "bound", "eager": False, "engines": False, "dtype": "bf16"}),
        "lower_bound_s": (xs.lower_bound_s, gemm),
        "collective": (xs.collective, {**ring, "fidelity": "bound", "beside": ()}),
        "validate": (xs.validate, {"files": measured, "chip": None, "fidelity": "bound", "progress": False}),
        "roofline": (xs.roofline, {"chip": chip}),
        "Roofline.of_result": (xs.Roofline.of_result, {"result": result}),
        "Roofline.ridge": (xs.roofline(chip).ridge_flops_per_byte, {"dtype": "bf16"}),
        "Roofline.flops": (xs.roofline(chip).flops_per_s, {"flops_per_byte": 3.0, "dtype": "bf16"}),
        "Result.save_trace": (result.save_trace, {"path": folder / "t.json"}),
        "report": (xs.report, {"results": result, "path": folder / "r.html", "title": "t", "charts": ()}),
        "sweep": (
            xs.sweep,
            {"scenario": SCENARIO, "space": space, "fidelity": "bound", "executor": None, "jobs": 1,
             "cache": None, "shard": (1, 1), "progress": False},
        ),
        "search": (
            xs.search,
            {"scenario": SCENARIO, "space": space, "objectives": goals, "constraints": (), "trials": 2,
             "fidelity": "bound", "executor": None, "jobs": 1, "cache": None, "storage": None, "name": "n",
             "seed": 0, "progress": False},
        ),
        "SearchResult.plot": (found.plot, {}),
        "sensitivity": (
            xs.sensitivity,
            {"scenario": SCENARIO, "keys": ["batch"], "metric": "step_time_s", "change": 0.01,
             "fidelity": "bound", "executor": None, "jobs": 1, "cache": None},
        ),
        "dask_executor": (xs.dask_executor, {"address": "inproc://nobody"}),
        "plot.roofline": (xs.plot.roofline, {"roofline": xs.roofline(chip), "results": (), "dtype": "bf16"}),
        "plot.breakdown": (xs.plot.breakdown, {"results": result}),
        "plot.timeline": (xs.plot.timeline, {"result": result, "spans": 3}),
        "plot.scaling": (
            xs.plot.scaling, {"frame": frame, "x": "batch", "y": "step_time_s", "by": "", "log": True},
        ),
        "plot.pareto": (
            xs.plot.pareto,
            {"trials": found.trials, "front": found.front, "x": "batch", "y": "tokens_per_s"},
        ),
        "plot.tornado": (
            xs.plot.tornado, {"sensitivities": xs.sensitivity(SCENARIO, ["batch"]), "most": 3},
        ),
        "plot.measured": (xs.plot.measured, {"validation": validation}),
        "Chart.save": (xs.plot.breakdown(result).save, {"path": folder / "c.svg"}),
    }  # fmt: skip


#: What is reached at an address or written at a path is the caller's choice.
CHOSEN = {"address": str, "path": (str, Path), "cache": (str, Path), "storage": (str, Path)}


def odd_calls(good: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for word, value in itertools.product(good, ODD):
        chosen = isinstance(value, CHOSEN.get(word, ())) and "\0" not in str(value)
        endless = word == "trials" and isinstance(value, int) and value > 1000
        if not (chosen or endless or (word == "progress" and callable(value))):
            yield word, {**good, word: value}


def test_none_is_forgotten(functions: dict[str, Any]) -> None:
    ours = {n for n in xs.__all__ if inspect.isfunction(getattr(xs, n))}
    plots = {n: f for n, f in vars(xs.plot).items() if inspect.isfunction(f) and not n.startswith("_")}
    drawn = {f"plot.{n}" for n, f in plots.items() if f.__module__ == xs.plot.__name__}
    assert ours | drawn <= set(functions)


@pytest.mark.filterwarnings("ignore")  # of pandas and matplotlib, about odd tables
def test_odd_arguments_are_xpusims_own_errors(
    functions: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls, wrong = 0, []
    for name, (function, good) in functions.items():
        if name != "dask_executor":
            function(**good)
        for word, call in odd_calls(good):
            calls += 1
            try:
                function(**call)
            except xs.Error as error:
                assert str(error), call
            except Exception as error:
                wrong.append(f"{name}({word}={shown(call[word])}): {type(error).__name__}: {error}")
    assert not wrong and calls > 3000
    assert not any(tmp_path.iterdir()), "something was written in the caller's folder"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: xs.simulate(SCENARIO, system=3), "system: 3 is of the wrong type (System or text or None)"),
        (lambda: xs.op(None, "gemm", m=1, n=1, k=1), "chip: None is of the wrong type (Chip or text)"),
        (lambda: xs.validate(3), "files: 3 is of the wrong type (text or Path or a list of text or Path)"),
        (lambda: xs.sweep(SCENARIO, 3), "space: 3 is of the wrong type"),
        (lambda: xs.sweep(SCENARIO, {"batch": [8]}, fidelity="exact"), "no fidelity 'exact' (bound or tile)"),
        (lambda: xs.sweep(SCENARIO, {"batch": [8]}, jobs=-3), "jobs: -3 processes (1 or more, or None"),
        (lambda: xs.sensitivity(SCENARIO, ["batch"], change=0), "change: 0 moves nothing (a part"),
        (lambda: xs.sensitivity(SCENARIO, ["batch"], metric="bound_by"), "bound_by: is no number (break"),
        (lambda: xs.sensitivity(SCENARIO, "batch"), "keys: 'batch' is of the wrong type"),
        (lambda: xs.search(SCENARIO, {"batch": [1]}, objectives="max x"), "objectives: 'max x' is of the"),
        (lambda: xs.Chip.load("h100_sxm")["hbm.bandwith"], "h100_sxm: hbm.bandwith: no such key (capacity,"),
        (lambda: xs.op(xs.Chip("h100_sxm"), "gemm", m={1, 2}, n=1, k=1), "a value cannot be of type set"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_said_with_the_value_and_what_is_right(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(xs.ConfigError) as caught:
        call()
    assert message in str(caught.value)


def test_a_key_that_is_not_there_is_a_key_error_too() -> None:
    with pytest.raises(KeyError):
        xs.Chip.load("h100_sxm")["hbm.bandwith"]


def test_numbers_of_numpy_are_numbers(decode: xs.Scenario) -> None:
    time = xs.collective("dgx_h100", "all_reduce", ranks=np.int64(8), size=np.int64(1024), fidelity="bound")
    assert time.time_s == xs.collective("dgx_h100", "all_reduce", ranks=8, size=1024, fidelity="bound").time_s
    space = {"batch": (np.int64(8), np.int64(16)), "chip.hbm.achieved_fraction": [np.float64(0.5)]}
    found = xs.search(decode, space, objectives=["min step_time_s"], trials=2)
    assert found.trials.error.isna().all() and found.fidelity == "bound" == found.trials.attrs["fidelity"]
