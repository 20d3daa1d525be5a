"""Search of a design space on Optuna, and what one per cent of each value buys."""

from __future__ import annotations

import errno
import json
import math
import operator
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpusim import _core, plot
from xpusim._library import REFERENCES, need, open_library, overrides, path_of
from xpusim.arguments import checked, fits, shown
from xpusim.cache import build
from xpusim.errors import CacheError, config_error, error_of
from xpusim.inputs import Scenario
from xpusim.results import flat
from xpusim.runs import Fidelity, Progress, reporting
from xpusim.sweeps import check_axes, keys_of, run_points, to_frame

if TYPE_CHECKING:
    import pandas

_COMPARISONS: dict[str, Callable[[float, float], float]] = {"<=": operator.sub, ">=": lambda a, b: b - a}
_BATCH = 32  # trials that are asked before the first is told


@dataclass(frozen=True)
class SearchResult:
    """All trials, and those that no other beats."""

    trials: pandas.DataFrame  #: one row a trial, columns as of a sweep
    front: pandas.DataFrame  #: the Pareto set among those that keep the constraints
    objectives: tuple[tuple[str, str], ...]  #: (direction, column)
    fidelity: str  #: of all trials

    def plot(self) -> plot.Chart:
        """The first two objectives, and the front."""
        if len(self.objectives) < 2:
            raise config_error("objectives", "one makes no front", "two or more")
        x, y = (column for _, column in self.objectives[:2])
        return plot.pareto(self.trials, self.front, x, y)


def parse_objective(text: str) -> tuple[str, str]:
    """ "max tokens_per_s" or "min step_time_s": direction and column."""
    match = re.fullmatch(r"(min|max)(?:imize)? +(\S+)", text.strip())
    if not match:
        raise config_error(text, "no objective", "e.g. 'max tokens_per_s_per_chip' or 'min step_time_s'")
    return match[1], match[2]


def parse_constraint(text: str) -> tuple[str, str, float]:
    """ "step_time_s <= 0.02": column, comparison, limit."""
    match = re.fullmatch(r"(\S+) *(<=|>=) *(\S+)", text.strip())
    try:
        return match[1], match[2], float(match[3])  # type: ignore[index]
    except (TypeError, ValueError):
        raise config_error(text, "no constraint", "e.g. 'step_time_s <= 0.02'") from None


def suggest(trial: Any, key: str, choice: Any) -> Any:
    """A value of an axis: out of a list, or between the two ends of a tuple (whole numbers, numbers,
    quantities).
    """
    if isinstance(choice, list):
        return trial.suggest_categorical(key, choice)
    low, high = choice
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high)
    if isinstance(low, str):
        (begin, unit), (end, _) = _core.quantity(low), _core.quantity(high)  # type: ignore[misc]
        return f"{trial.suggest_float(key, begin, end)!r} {unit}"
    return trial.suggest_float(key, low, high)


def check_space(space: Mapping[str, Any]) -> dict[str, Any]:
    """The space with plain values. Raises ConfigError unless every axis is a list of choices, or a tuple of
    two ends.
    """
    if not space:
        raise config_error("space", "no axes", 'e.g. {"chip.hbm.bandwidth": ("2 TB/s", "6 TB/s")}')
    for key, choice in space.items():
        if isinstance(choice, list) and choice:
            if not fits(choice, Sequence[str | int | float | bool | None]):
                raise config_error("space", f"{shown(choice)} are no choices", "texts or numbers", key)
            continue
        if not (isinstance(choice, tuple) and len(choice) == 2):
            raise config_error("space", f"{shown(choice)} is no axis", "[choices, ...] or (low, high)", key)
        if fits(choice, tuple[str, str]):
            found = [_core.quantity(end) for end in choice]
            if None in found or found[0][1] != found[1][1]:  # type: ignore[index]
                raise config_error("space", f"{choice!r} has no unit, or two", '("2 TB/s", "6 TB/s")', key)
            ends = [end[0] for end in found if end]
        elif fits(choice, tuple[float, float]):
            ends = list(choice)
        else:
            raise config_error("space", f"{shown(choice)} is no axis", "two numbers, or two quantities", key)
        if not ends[0] <= ends[1] < math.inf or abs(ends[0]) == math.inf:
            raise config_error("space", f"{choice!r} is no range", "(low, high)", key)
    return {key: type(choice)(map(_plain, choice)) for key, choice in space.items()}


def _plain(value: Any) -> Any:
    """A NumPy scalar as Python's own."""
    return value.item() if hasattr(value, "item") else value


@checked
def search(
    scenario: Scenario | str | Path,
    space: Mapping[str, Any],
    *,
    objectives: Sequence[str],
    constraints: Sequence[str] = (),
    trials: int = 200,
    fidelity: Fidelity = "bound",
    executor: Executor | None = None,
    jobs: int | None = 1,
    cache: str | Path | None = None,
    storage: str | Path | None = None,
    name: str = "xpusim",
    seed: int = 0,
    progress: Progress = False,
) -> SearchResult:
    """Looks for the points that no other beats, by NSGA-II (Deb et al., 2002) on Optuna.

    space: {key: [choices]} or {key: (low, high)} of whole numbers, numbers or quantities.
    objectives: "max tokens_per_s", "min step_time_s": columns of a sweep, the axes among them.
    constraints: "step_time_s <= 0.02": what breaks one is no part of the front, nor what cannot run.
    storage: an SQLite file; with it, a search that was killed goes on until it has `trials`.
    Raises ConfigError, CacheError.
    """
    spec = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
    space = check_space(space)
    goals, limits = tuple(map(parse_objective, objectives)), tuple(map(parse_constraint, constraints))
    if not goals:
        raise config_error("objectives", "none", "e.g. ['max tokens_per_s']")
    if trials < 1:
        raise config_error("trials", f"{trials} trials", "1 or more")
    if not 0 <= seed < 2**31:
        raise config_error("seed", f"{seed} is out of range", "0 to 2^31 - 1")
    if not name:
        raise config_error("name", "a study has one", "e.g. 'xpusim'")
    check_axes(spec, [{key: choice[i]} for key, choice in space.items() for i in range(len(choice))])

    def evaluate(points: Sequence[tuple[str, ...]]) -> list[str]:
        return run_points(spec.id, points, fidelity, executor, jobs, cache, False)

    problem = _Problem(spec, space, goals, limits, evaluate)
    study = _study(problem, fidelity, storage, name, seed)
    with reporting(progress, "trials") as told:
        while len(study.trials) < trials:
            _run_batch(study, problem, min(_BATCH, trials - len(study.trials)))
            if told:
                told(len(study.trials), trials)
    return _result(study, goals, fidelity)


@dataclass(frozen=True)
class _Problem:
    """What is looked for, and how points are run."""

    scenario: Scenario
    space: Mapping[str, Any]
    goals: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str, float], ...]
    evaluate: Callable[[Sequence[tuple[str, ...]]], list[str]]

    def describe(self, fidelity: str) -> str:
        """Equal for equal problems on files of equal content."""
        named = [
            {key: name}
            for key, choice in self.space.items()
            if path_of("scenario", key) in REFERENCES
            for name in choice
        ]
        points = tuple(self.scenario.changes + overrides("scenario", point) for point in [{}, *named])
        read = keys_of(open_library(), self.scenario.id, points, fidelity)
        return json.dumps(
            [read, build(), dict(self.space), self.goals, self.limits, fidelity], sort_keys=True
        )


def _study(problem: _Problem, fidelity: str, storage: str | Path | None, name: str, seed: int) -> Any:
    optuna = need("optuna", "search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name,
        storage=None if storage is None else _storage(optuna, Path(storage).resolve()),
        load_if_exists=True,
        directions=[{"min": "minimize", "max": "maximize"}[direction] for direction, _ in problem.goals],
    )
    known = problem.describe(fidelity)
    if study.user_attrs.setdefault("problem", known) != known:
        raise config_error(
            str(storage),
            f"its study '{name}' is of another search, build or state of the files",
            "another name or file",
        )
    study.set_user_attr("problem", known)
    killed = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    for trial in killed:
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    study.sampler = optuna.samplers.NSGAIISampler(seed=seed + len(study.trials), population_size=_BATCH)
    return study


def _storage(optuna: Any, path: Path) -> Any:
    """An SQLite file that does not wait for the disk: a kill loses nothing, a power cut may."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=60)
        connection.execute("pragma synchronous = off")
        return connection

    try:
        connect().close()
        return optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"creator": connect})
    except sqlite3.Error as error:
        raise CacheError(errno.EIO, f"cannot keep the search: {error}", str(path)) from error


def _run_batch(study: Any, problem: _Problem, count: int) -> None:
    failed = need("optuna", "search").trial.TrialState.FAIL
    asked = [study.ask() for _ in range(count)]
    points = [{key: suggest(t, key, choice) for key, choice in problem.space.items()} for t in asked]
    rows = problem.evaluate([problem.scenario.changes + overrides("scenario", point) for point in points])
    for trial, point, row in zip(asked, points, rows, strict=True):
        trial.set_user_attr("asked", {"point": point, "row": row})
        values = {**_axes(point), **flat(json.loads(row))}
        if "error" in values:
            study.tell(trial, state=failed)
            continue
        for column, sign, limit in problem.limits:
            excess = _COMPARISONS[sign](_number(values, column), limit)
            trial.set_constraint(f"{column} {sign} {limit}", excess)
        study.tell(trial, [_number(values, column) for _, column in problem.goals])


def _axes(point: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a point by key, quantities in SI base units."""
    found = {key: _core.quantity(value) if isinstance(value, str) else None for key, value in point.items()}
    return {key: quantity[0] if quantity else point[key] for key, quantity in found.items()}


def _number(values: Mapping[str, Any], column: str) -> float:
    value = values.get(column)
    if not fits(value, float):
        numbers = sorted(key for key, v in values.items() if fits(v, float))
        raise config_error(column, "no such number", "one of: " + ", ".join(numbers))
    return float(value)  # type: ignore[arg-type]


def _result(study: Any, goals: tuple[tuple[str, str], ...], fidelity: str) -> SearchResult:
    told = {t.number: t.user_attrs["asked"] for t in study.get_trials(deepcopy=False) if t.user_attrs}
    points = [asked["point"] for asked in told.values()]
    frame = to_frame(points, [asked["row"] for asked in told.values()], fidelity, list(told))
    columns = dict(zip(points[0], frame.attrs["axes"], strict=True)) if points else {}
    named = tuple((direction, columns.get(column, column)) for direction, column in goals)
    best = {t.number for t in study.best_trials}
    return SearchResult(frame, frame[frame.index.isin(best)], named, fidelity)


def number_leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The numbers of a YAML tree other than 0: dotted key, and text with its unit."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from number_leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from number_leaves(value, f"{path}[{i}]")
    elif isinstance(tree, str) and _scaled(tree, 1.0) is not None and float(tree.split()[0]) != 0:
        yield path, tree


def _scaled(text: str, factor: float) -> tuple[str, float] | None:
    """A number's text times a factor, and the factor that it came to: whole numbers move by at least 1."""
    number, _, unit = text.partition(" ")
    try:
        if not unit and re.fullmatch(r"\d+", number):
            moved = max(int(number) + 1, round(int(number) * factor)) if factor > 1 else int(number)
            return str(moved), moved / int(number) if int(number) else 1.0
        return f"{float(number) * factor!r} {unit}".strip(), factor
    except ValueError:
        return None


@checked
def sensitivity(
    scenario: Scenario | str | Path,
    keys: Sequence[str] | None = None,
    *,
    metric: str = "step_time_s",
    change: float = 0.01,
    fidelity: Fidelity = "bound",
    executor: Executor | None = None,
    jobs: int | None = 1,
    cache: str | Path | None = None,
) -> pandas.DataFrame:
    """Raises one number at a time and says what it does to a metric.

    keys: as in Scenario.with_; default: the numbers of the scenario's chip, but no counts below 20, of which
    1 % is no step.
    change: by this part (0.01: 1 %); whole numbers move by at least 1.
    A row a key, by falling effect: key, value, changed, the metric before and after, elasticity (per cent of
    the metric by one per cent of the value: the ratio of the logarithms of both changes; NaN where the value
    cannot be moved so, the metric is 0 or the point fails), fidelity, error.
    Raises ConfigError; InfeasibleError where the scenario itself cannot run.
    """
    if not -1 < change < math.inf or change == 0:
        raise config_error("change", f"{change} moves nothing", "a part, e.g. 0.01")
    spec = scenario if isinstance(scenario, Scenario) else Scenario.load(scenario)
    texts = _numbers_of(spec)
    chosen = [key for key in texts if _is_rate_of_chip(key, texts[key])] if keys is None else list(keys)
    unknown = [key for key in chosen if key not in texts]
    if unknown or not chosen:
        raise config_error("keys", f"no such numbers: {unknown}", "dotted keys, e.g. chip.hbm.bandwidth")
    moves = [_scaled(texts[key], 1 + change) or (texts[key], 1.0) for key in chosen]
    changed = zip(chosen, moves, strict=True)
    points = [spec.changes + overrides("scenario", {key: text}) for key, (text, _) in changed]
    rows = run_points(spec.id, [spec.changes, *points], fidelity, executor, jobs, cache, False)
    base, *others = [flat(json.loads(row)) for row in rows]
    if "error" in base:
        raise error_of(spec.id, base["error_type"], base["error"])
    if not fits(base.get(metric), float):
        what = "is no number" if metric in base else "no such column"
        raise config_error(metric, what, ", ".join(sorted(key for key in base if fits(base[key], float))))
    before = base[metric]
    table = []
    for key, (text, factor), row in zip(chosen, moves, others, strict=True):
        after = row.get(metric)
        moved = fits(after, float) and after * before > 0 and factor not in (0, 1)
        elasticity = math.log(after / before) / math.log(factor) if moved else math.nan
        table.append(
            {"key": key, "value": texts[key], "changed": text, metric: before, f"changed_{metric}": after,
             "elasticity": elasticity, "fidelity": fidelity, "error": row.get("error")}
        )  # fmt: skip
    frame = need("pandas", "tables").DataFrame(table)
    frame = frame.reindex(frame["elasticity"].abs().sort_values(ascending=False, kind="stable").index)
    frame.attrs.update(metric=metric, fidelity=fidelity)
    result: pandas.DataFrame = frame.reset_index(drop=True)
    return result


def _is_rate_of_chip(key: str, text: str) -> bool:
    return key.startswith("chip.") and not (text.isdigit() and int(text) < 20)


def _numbers_of(spec: Scenario) -> dict[str, str]:
    """The numbers of a scenario and of what it runs on, by key, as texts with units."""
    text = open_library().resolved(spec.id, list(spec.changes))
    _, *parts = re.split(r"^# (\w+)\n", text, flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    return {
        prefix + key: number
        for prefix, kind in (("", "scenario"), ("system.", "system"), ("chip.", "chip"))
        for key, number in number_leaves(json.loads(_core.parse_yaml(sections[kind], kind)))
    }
