"""Questions: a scenario, an operator, a collective, measurements, a chip's roofline."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from xpusim import _core
from xpusim._library import need, open_library, overrides, text_of
from xpusim.arguments import checked
from xpusim.errors import ModelError, UnknownKeyError
from xpusim.inputs import Chip, Model, Scenario, System
from xpusim.results import Comparison, Result
from xpusim.tables import Table

Fidelity = Literal["bound", "tile"]
Progress = bool | Callable[[int, int], None]


@contextmanager
def reporting(progress: Progress, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """The function that is told (done, all): the caller's own, a tqdm bar, or none."""
    if callable(progress):
        yield progress
    elif not progress:
        yield None
    else:
        with need("tqdm.auto", "progress").tqdm(unit=unit) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show


@checked
def simulate(
    workload: Scenario | str | Path,
    *,
    fidelity: Fidelity = "tile",
    system: System | str | None = None,
    model: Model | str | None = None,
    chip: Chip | str | None = None,
    changes: Mapping[str, Any] | None = None,
    engines: bool = False,
    progress: Progress = False,
) -> Result:
    """Runs a scenario, or a workload trace (by id or path, with a system), and says where the time goes.

    fidelity: "tile" runs every distinct operator on the event kernel, "bound" by closed form (sweeps).
    system, model, chip: instead of those that the scenario names.
    changes: further values, {"scenario.batch": 8, "chip.hbm.bandwidth": "4 TB/s"}.
    engines: also records the engines of core 0, for the timeline and the trace.
    progress: True for a tqdm bar, or a function of (operators done, operators in all), which may raise to end
    the run. Raises ConfigError, InfeasibleError. Ctrl-C ends it between two operators. The interpreter's lock
    is free meanwhile.
    """
    spec = workload if isinstance(workload, Scenario) else Scenario(str(workload))
    named = list(spec.changes)
    place = System(system) if isinstance(system, str) else system
    if isinstance(model, str):
        model = Model(model)
    if isinstance(chip, str):
        chip = Chip(chip)
    if model:
        named += [f"scenario.model={model.id}", *model.changes]
    if place:
        named += place.changes
    if chip:
        named += [f"system.chip={chip.id}", *chip.changes]
    named += overrides("scenario", changes or {})
    with reporting(progress, "operators") as told:
        outcome = open_library().simulate(spec.id, place.id if place else "", named, fidelity, engines, told)
    shown = [c.removeprefix("scenario.") for c in named if not c.startswith("scenario.system=")]
    return Result(outcome, ", ".join(shown))


@checked
def compare(results: Sequence[Result]) -> Comparison:
    """Results side by side, ratios to the first."""
    return Comparison(results)


@checked
def op(
    chip: Chip | str,
    kind: str,
    *,
    fidelity: Fidelity = "tile",
    eager: bool = False,
    engines: bool = False,
    **shape: Any,
) -> Result:
    """Times one operator on one device (one die) of a chip.

    kind: "gemm", "attention", "rmsnorm", ...; shape: its keys in docs/reference.md, "trace": m, n, k (rows of
    A and C, columns of B and C, depth), dtype="bf16", ... Load the chip once for many calls: a name is read
    anew each time.
    eager: launched on its own, not from a graph. Raises ConfigError, InfeasibleError.
    """
    handle = (Chip(chip) if isinstance(chip, str) else chip)._handle
    return Result(handle.op(kind, words(shape), fidelity, eager, engines))


@checked
def lower_bound_s(chip: Chip | str, kind: str, **shape: Any) -> float:
    """Seconds that no schedule of the operator on one device can beat (docs/model.md#lower-bound)."""
    seconds = (Chip(chip) if isinstance(chip, str) else chip)._handle.lower_bound_s(kind, words(shape))
    return _finite(seconds, kind)


def _finite(number: float | None, what: str) -> float:
    """Raises ModelError instead of giving a figure that is none."""
    if number is None or not math.isfinite(number):
        raise ModelError(f"the time of {what} is not a finite number")
    return number


def words(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}={text_of(value)}" for key, value in values.items()]


class CollectiveTime:
    """How long a collective takes, and why."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data  #: as `xpusim collective --json` writes it

    @property
    def time_s(self) -> float:
        return float(self.data["time_us"]) * 1e-6

    @property
    def bus_bandwidth_bytes_per_s(self) -> float:
        """By the convention of nccl-tests."""
        return float(self.data["bus_bandwidth_gb_s"]) * 1e9

    @property
    def algorithm_bandwidth_bytes_per_s(self) -> float:
        return float(self.data["algorithm_bandwidth_gb_s"]) * 1e9

    @property
    def choices(self) -> Table:
        """The algorithms and protocols that were weighed, fastest first."""
        return Table(self.data["weighed"])

    @property
    def levels(self) -> Table:
        """What each level of the network carries."""
        return Table(self.data["levels"])

    def __repr__(self) -> str:
        d = self.data
        return (
            f"<xpusim {d['op']} of {d['size_bytes']} B over {d['ranks']} ranks: {d['time_us']:.4g} us, "
            f"bus {d['bus_bandwidth_gb_s']:.4g} GB/s, {d['algorithm']} {d['protocol']}>"
        )


@checked
def collective(
    system: System | str,
    kind: str,
    *,
    ranks: int,
    size: int | str,
    fidelity: Fidelity = "tile",
    beside: Sequence[str] = (),
    **parameters: Any,
) -> CollectiveTime:
    """Times a collective on a system's network.

    kind: "all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv", "dispatch",
    "combine".
    ranks: devices; size: message by nccl-tests' convention, "256 MiB" or bytes.
    beside: others that start at the same time, "KIND key=value ..." (fidelity "tile").
    parameters: algorithm, protocol, library, plane, stride, places, eager, ...
    (docs/guide.md#one-collective). Raises ConfigError, InfeasibleError. Ctrl-C waits for the end of the call.
    """
    place = System(system) if isinstance(system, str) else system
    message = size if isinstance(size, str) else f"{size} B"
    given = words({"ranks": ranks, "size": message, **parameters})
    text = open_library().collective(place.id, kind, given, list(beside), list(place.changes), fidelity)
    data = json.loads(text)["results"][0]
    _finite(data["time_us"], kind)
    return CollectiveTime(data)


class Validation:
    """Measured sets against the model."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data  #: as `xpusim validate --json` writes it

    @property
    def sets(self) -> Table:
        """One row a set: rows, mape_pct, median_ape_pct, p90_ape_pct, bias_pct."""
        kept = ("file", "chip", "op", "rows", "mape_pct", "median_ape_pct", "p90_ape_pct", "bias_pct")
        return Table([{key: s[key] for key in kept} for s in self.data["sets"]])

    @property
    def samples(self) -> Table:
        """One row a measurement, by falling error: measured_us, predicted_us, error_pct, label."""
        kept = ("line", "label", "measured_us", "predicted_us", "error_pct", "bound_by")
        return Table(
            [
                {"chip": s["chip"], "op": s["op"], **{key: sample[key] for key in kept}}
                for s in self.data["sets"]
                for sample in s["worst"]
            ]
        )

    def _repr_html_(self) -> str:
        return self.sets._repr_html_()


@checked
def validate(
    files: str | Path | Sequence[str | Path],
    *,
    chip: Chip | str | None = None,
    fidelity: Fidelity = "tile",
    progress: Progress = False,
) -> Validation:
    """Replays measured sets (CSV, docs/guide.md#measurements) and says how far off the model is.

    chip: instead of the one that the sets name. Raises ConfigError with every mistake of a set.
    """
    paths = [files] if isinstance(files, (str, Path)) else list(files)
    instead = Chip(chip) if isinstance(chip, str) else chip
    with reporting(progress, "rows") as told:
        text = open_library().validate(
            [str(path) for path in paths],
            instead.id if instead else "",
            list(instead.changes) if instead else [],
            fidelity,
            2**31,
            told,
        )
    return Validation(json.loads(text))


class Roofline:
    """The rates of one device of a chip that no operator beats (Williams et al., 2009)."""

    def __init__(self, name: str, data: Mapping[str, Any]) -> None:
        self.name = name
        self._data = data  # the chip's, in SI base units

    @classmethod
    @checked
    def of_result(cls, result: Result) -> Roofline:
        """That of the chip which a result ran on, with what was changed."""
        section = result.data["config"].partition("# chip\n")[2].partition("\n# op\n")[0]
        return cls(result.data["chip"], si_values(json.loads(_core.parse_yaml(section, "chip"))))

    @cached_property
    def peaks_flops_per_s(self) -> dict[str, float]:
        """Dense matrix peak of one die at the highest clock, by data type."""
        rate = float(self._data["cores"]["count"]) * self._data["clock"]["max"]
        rates = self._data["matrix"]["flops_per_cycle"]
        return {dtype: per_cycle * rate for dtype, per_cycle in rates.items()}

    @property
    def hbm_bytes_per_s(self) -> float:
        """Data-sheet bandwidth of one die's HBM."""
        return float(self._data["hbm"]["bandwidth"])

    @checked
    def ridge_flops_per_byte(self, dtype: str = "bf16") -> float:
        """The intensity from which on the matrix engines, not HBM, are the limit."""
        return self._peak(dtype) / self.hbm_bytes_per_s

    @checked
    def flops_per_s(self, flops_per_byte: float, dtype: str = "bf16") -> float:
        """The highest rate at an intensity (FLOP per byte of HBM traffic)."""
        return min(self._peak(dtype), flops_per_byte * self.hbm_bytes_per_s)

    def _peak(self, dtype: str) -> float:
        if dtype not in self.peaks_flops_per_s:
            known = ", ".join(self.peaks_flops_per_s)
            raise UnknownKeyError([(self.name, 0, 0, "dtype", f"no matrix rate of '{dtype}'", known)])
        return self.peaks_flops_per_s[dtype]

    def __repr__(self) -> str:
        peaks = ", ".join(f"{d} {p / 1e12:.4g} TFLOP/s" for d, p in self.peaks_flops_per_s.items())
        return f"<xpusim roofline of {self.name}: {peaks}; HBM {self.hbm_bytes_per_s / 1e12:.4g} TB/s>"


def si_values(tree: Any) -> Any:
    """The texts of a YAML tree as numbers in SI base units, where they are such."""
    if isinstance(tree, dict):
        return {key: si_values(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [si_values(value) for value in tree]
    if isinstance(tree, str):
        found = _core.quantity(tree)
        if found:
            return found[0]
        with suppress(ValueError):
            return float(tree)
    return tree


@checked
def roofline(chip: Chip | str) -> Roofline:
    """The roofline of one device of a chip; xs.plot.roofline draws it with operators."""
    spec = Chip.load(chip) if isinstance(chip, str) else chip
    return Roofline(spec["name"], spec.data)
