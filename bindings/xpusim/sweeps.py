"""Many points of one scenario, over processes or a cluster, into one table."""

from __future__ import annotations

import itertools
import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpusim import _core
from xpusim._library import (
    PACKAGE,
    data_root,
    need,
    open_library,
    overrides,
    path_of,
    placed,
    placed_change,
    text_of,
)
from xpusim.arguments import check, checked, shown
from xpusim.cache import Cache, build, flaw_of, key_of
from xpusim.errors import ConfigError, WorkerError, config_error
from xpusim.inputs import Scenario
from xpusim.results import flat
from xpusim.runs import Fidelity, Progress, reporting
from xpusim.tables import unit_of

if TYPE_CHECKING:
    import pandas

Space = Mapping[str, Iterable[Any]]
#: What a column of an axis ends in, by the unit of its values.
SUFFIXES = {
    "B": "bytes",
    "s": "s",
    "Hz": "hz",
    "W": "w",
    "B/s": "bytes_per_s",
    "B/cycle": "bytes_per_cycle",
    "FLOP/cycle": "flops_per_cycle",
    "op/cycle": "ops_per_cycle",
}
#: Mistakes of a key or a value that no other value can put right: the sweep is refused, not its rows.
HOPELESS = (
    "unknown key",
    "cannot read",
    "no such list element",
    "not the path of a value",
    "a path begins with",
    " is a single value",
)
_LARGEST_CHUNK = {"bound": 32, "tile": 1}  # some 50 ms of work
_ROWS_A_BLOCK = 4096
_MOST_CHECKED = 1000  # values, some 0.5 s; a wrong one beyond them is a row with its error
#: Of a column, by the type of its first value; a number that is not known is None.
_DTYPES = {int: "Int64", float: "float64", type(None): "float64"}


@dataclass(frozen=True)
class Task:
    """A chunk of points for one worker."""

    scenario: str
    points: tuple[tuple[str, ...], ...]
    fidelity: str
    root: str  #: of the files; empty: the worker's own package
    sweep: str  #: its chunks read each file once; another sweep reads anew
    build: str
    keyed: bool = False  #: are rows to be kept?


@lru_cache(maxsize=1)
def _library_of(root: str, sweep: str) -> _core.Library:
    """The files, read and parsed once for all chunks of a sweep."""
    del sweep
    return _core.Library(root or str(PACKAGE / "data"))


def evaluate(task: Task) -> list[tuple[str, str]]:
    """The key and the row of each point as JSON text. Runs in a worker.

    The key is of what was read for the row: an edit meanwhile cannot part them. Empty: not to be kept.
    """
    if task.build != build():
        raise config_error(
            "worker", f"runs xpusim {build()}, the sweep {task.build}", "install the same wheel"
        )
    library = _library_of(task.root, task.sweep)
    points = [list(point) for point in task.points]
    accuracy, found = library.accuracy(), []
    for inputs, row in library.evaluate(task.scenario, points, task.fidelity, task.keyed):
        key = key_of(inputs, accuracy, task.fidelity) if inputs else ""
        flaw = flaw_of(row)
        found.append((key, failure("ModelError", f"no result: {flaw}") if flaw else row))
    return found


def keys_of(
    library: _core.Library, scenario: str, points: Iterable[tuple[str, ...]], fidelity: str
) -> list[str]:
    """The key of each point as its files are now; empty where they cannot be read."""
    accuracy, keys = library.accuracy(), []
    for point in points:
        try:
            keys.append(key_of(library.inputs(scenario, list(point)), accuracy, fidelity))
        except ConfigError:
            keys.append("")
    return keys


def failure(kind: str, message: str) -> str:
    """The row of a point that has no result."""
    return json.dumps({"error_type": kind, "error": message})


def points_of(space: Space | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The points of a space: all combinations of its axes' values, the last axis fastest; or a list of
    points.
    """
    if not isinstance(space, Mapping):
        points = []
        for point in space:
            check(point, Mapping[str, Any], "space")
            points.append(dict(point))
        if not points:
            raise config_error("space", "no points", "give at least one")
        if any(point.keys() != points[0].keys() for point in points):
            raise config_error("space", "points have different keys", "the same keys in each")
        return points
    if not space:
        raise config_error("space", "no axes", 'e.g. {"chip.hbm.bandwidth": ["3 TB/s", "4 TB/s"]}')
    axes = []
    for key, values in space.items():
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise config_error("space", f"{shown(values)} is not a list of values", "[...]", key)
        axes.append(list(values))
        if not axes[-1]:
            raise config_error("space", "no values", "at least one", key)
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*axes)]


def check_axes(scenario: Scenario, points: Iterable[Mapping[str, Any]]) -> None:
    """Refuses keys and units that are wrong whatever the other values are. Raises ConfigError with all of
    them.
    """
    library, found = open_library(), []
    paths = {key: path_of("scenario", key) for point in points for key in point}
    if len(set(paths.values())) < len(paths):
        raise config_error("space", "two axes are the same value", ", ".join(sorted(paths)))
    texts = dict.fromkeys(text for point in points for text in overrides("scenario", point))
    for text in itertools.islice(texts, _MOST_CHECKED):
        try:
            library.document("scenario", scenario.id, [*scenario.changes, text])
        except ConfigError as error:
            found += [d for d in error.diagnostics if any(word in d.message for word in HOPELESS)]
    if found:
        unique = dict.fromkeys(found)
        raise ConfigError([(d.file, d.line, d.column, d.key, d.message, d.hint) for d in unique])


@checked
def sweep(
    scenario: Scenario | str | Path,
    space: Space | Iterable[Mapping[str, Any]],
    *,
    fidelity: Fidelity = "bound",
    executor: Executor | None = None,
    jobs: int | None = None,
    cache: str | Path | None = None,
    shard: tuple[int, int] = (1, 1),
    progress: Progress = False,
) -> pandas.DataFrame:
    """Runs a scenario at every point of a space; one row a point, in the order of the points.

    space: {key: values}, all combinations (keys as in Scenario.with_); or a list of points {key: value}.
    executor: any concurrent.futures.Executor: xs.dask_executor, mpi4py's MPIPoolExecutor, ...; default:
    `jobs` processes (all cores), which end with this one, however it ends.
    cache: a folder that keeps rows by all that they are computed from; a sweep that was killed goes on from
    there. Several may share one. Rows there are believed: share it with those who may install the wheel.
    shard: (i, n): every n-th point from the i-th on; the index keeps the numbers of the whole.

    Columns: the axes (quantities as SI numbers, the unit in the name), the members of a result's summary with
    units in their names, `fidelity` (also where the point failed), `error_type` and `error` (None where it
    ran). Rows are the same bits for any
    executor and order. Raises ConfigError (unknown keys and units, an empty space), CacheError (a full disk).
    Ctrl-C ends it.
    """
    spec = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
    points = points_of(space)
    check_axes(spec, points)
    first, of = shard
    if not 1 <= first <= of:
        raise config_error(f"shard {first}/{of}", "no such shard", "1/n to n/n")
    numbers = range(first - 1, len(points), of)
    texts = [spec.changes + overrides("scenario", points[i]) for i in numbers]
    rows = run_points(spec.id, texts, fidelity, executor, jobs, cache, progress)
    frame = to_frame([points[i] for i in numbers], rows, fidelity, list(numbers))
    frame.attrs.update(scenario=spec.id, changes=list(spec.changes), xpusim=_core.version())
    return frame


def run_points(
    scenario: str,
    points: Sequence[tuple[str, ...]],
    fidelity: str,
    executor: Executor | None,
    jobs: int | None,
    cache: str | Path | None,
    progress: Progress,
) -> list[str]:
    """The row of each point as JSON text: out of the cache, or from workers."""
    if jobs is not None and jobs < 1:
        raise config_error("jobs", f"{jobs} processes", "1 or more, or None: one a core")
    scenario, points = placed(scenario), [tuple(map(placed_change, point)) for point in points]
    kept = Cache(cache)
    root = str(data_root().absolute()) if os.environ.get("XPUSIM_DATA") else ""
    every = Task(scenario, tuple(points), fidelity, root, uuid.uuid4().hex, build(), cache is not None)
    keys = [] if kept.is_empty else keys_of(_library_of(root, every.sweep), scenario, points, fidelity)
    rows = [kept.get(key) for key in keys] or [None] * len(points)
    missing = [i for i, row in enumerate(rows) if row is None]
    workers = int(jobs or os.cpu_count() or 1)
    size = max(1, min(_LARGEST_CHUNK[fidelity], math.ceil(len(missing) / (4 * workers))))
    chunks = [missing[at : at + size] for at in range(0, len(missing), size)]
    tasks = [replace(every, points=tuple(points[i] for i in chunk)) for chunk in chunks]
    done = len(points) - len(missing)
    with reporting(progress, "points") as told:
        for chunk, found in _run(tasks, chunks, executor, workers):
            kept.put([key for key, _ in found], [row for _, row in found])
            for i, (_, row) in zip(chunk, found, strict=True):
                rows[i] = row
            done += len(chunk)
            if told:
                told(done, len(points))
    return [row for row in rows if row is not None]


def _run(
    tasks: Sequence[Task], chunks: Sequence[list[int]], executor: Executor | None, workers: int
) -> Iterator[tuple[list[int], list[tuple[str, str]]]]:
    """Chunks with their keys and rows as they come. The points of one that a worker failed are rows without a
    key.
    """
    if executor is None and (workers == 1 or len(tasks) <= 1):
        for task, chunk in zip(tasks, chunks, strict=True):
            yield chunk, evaluate(task)
        return
    from xpusim._workers import Workers  # what it imports is for those who have many points

    owned: AbstractContextManager[Executor] = nullcontext(executor) if executor else Workers(workers)
    futures: dict[Future[list[tuple[str, str]]], list[int]] = {}
    try:
        with owned as pool:
            for task, chunk in zip(tasks, chunks, strict=True):
                futures[pool.submit(evaluate, task)] = chunk
            for future in as_completed(list(futures)):
                chunk = futures.pop(future)
                try:
                    yield chunk, future.result()
                except (BrokenExecutor, ConfigError):
                    raise
                except Exception as error:
                    yield chunk, [("", failure(type(error).__name__, str(error)))] * len(chunk)
    except BrokenExecutor as error:
        raise WorkerError(f"the executor is broken: {error}") from error
    finally:
        for future in futures:
            future.cancel()


@checked
def dask_executor(address: str, **options: Any) -> Executor:
    """An executor on a Dask cluster: a scheduler's address, "tcp://host:8786".

    The points of a worker that dies run again on another (distributed's `allowed-failures` times). Workers
    need the same wheel. options: as of distributed.Client.get_executor. Raises OSError when nobody answers.
    """
    need("distributed", "dask")
    from xpusim._dask import ClusterExecutor

    executor: Executor = ClusterExecutor(address, **{"pure": False, "retries": 3, **options})
    return executor


def axis_column(key: str, values: Sequence[Any]) -> tuple[str, list[Any]]:
    """The column of an axis: its name, with a unit where all values have the same, and the values in SI
    units.
    """
    found = [_core.quantity(value) if isinstance(value, str) else None for value in values]
    units = {item[1] if item else None for item in found}
    if len(units) == 1 and None not in units:
        return f"{key}_{SUFFIXES[found[0][1]]}", [item[0] for item in found if item]  # type: ignore[index]
    scalars = all(isinstance(v, (str, bool, int, float)) or hasattr(v, "item") for v in values)
    return key, list(values) if scalars else [text_of(v) for v in values]


def to_frame(
    points: Sequence[Mapping[str, Any]], rows: list[str], fidelity: str, index: Sequence[int]
) -> pandas.DataFrame:
    """Points and their rows as one table. Empties `rows`: the texts and the table need not be there at
    once.
    """
    pd = need("pandas", "tables")
    kinds = _kinds(rows)
    blocks: list[Any] = []
    while rows:
        block = [_columns(row) for row in rows[:_ROWS_A_BLOCK]]
        del rows[:_ROWS_A_BLOCK]
        blocks.append({k: _array(pd, [row.get(k) for row in block], kind) for k, kind in kinds.items()})
        blocks[-1] |= {
            k: pd.array([row.get(k) for row in block], dtype="object") for k in ("error_type", "error")
        } | {"fidelity": pd.array([fidelity] * len(block), dtype="object")}
    axes = dict(axis_column(key, [point[key] for point in points]) for key in points[0]) if points else {}
    columns: dict[str, Any] = dict(axes)
    for name in blocks[0] if blocks else ():
        if name not in columns:
            columns[name] = pd.concat([pd.Series(block[name]) for block in blocks]).array
    frame: pandas.DataFrame = pd.DataFrame(columns, index=pd.Index(index, name="point"))
    frame.attrs["units"] = {column: unit_of(column) for column in frame.columns}
    frame.attrs.update(axes=list(axes), fidelity=fidelity)
    return frame


def _kinds(rows: Sequence[str]) -> dict[str, type]:
    """The type of each column, by the first point that ran."""
    kinds: dict[str, type] = {}
    for row in rows:
        kinds = {key: type(value) for key, value in _columns(row).items()}
        if "error" not in kinds:
            break
    return kinds


def _array(pd: Any, values: list[Any], kind: type) -> Any:
    """One type a column, whichever rows failed."""
    try:
        return pd.array(values, dtype=_DTYPES.get(kind, "object"))
    except (OverflowError, TypeError, ValueError):  # a member that flaw_of knows no type of
        return pd.array(values, dtype="object")


def _columns(row: str) -> dict[str, Any]:
    columns = flat(json.loads(row))
    for left_out in ("variant", "error_band_evidence"):
        columns.pop(left_out, None)
    return columns
