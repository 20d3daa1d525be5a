"""Sweeps: tables, failed points, caches, executors, kills."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xpusim as xs
from xpusim import _core, sweeps
from xpusim import cache as caches
from xpusim._library import data_root

from conftest import Run

SPACE = {"chip.hbm.bandwidth": ["3 TB/s", "4 TB/s", "5 TB/s"], "parallelism.tp": [1, 4, 8], "batch": [16, 32]}


@pytest.fixture(scope="module")
def table(decode: xs.Scenario) -> pd.DataFrame:
    return xs.sweep(decode, SPACE, jobs=1)


def test_a_row_a_point_in_order_with_units_in_the_names(table: pd.DataFrame) -> None:
    assert len(table) == 18 and table.index.tolist() == list(range(18))
    assert table.columns[:3].tolist() == ["chip.hbm.bandwidth_bytes_per_s", "parallelism.tp", "batch"]
    assert table["chip.hbm.bandwidth_bytes_per_s"].tolist() == [3e12] * 6 + [4e12] * 6 + [5e12] * 6
    assert table["batch"].tolist() == [16, 32] * 9
    units = {"step_time_s": "s", "tokens_per_s": "1/s", "tokens_per_s_per_chip": "1/s", "chips": ""}
    units |= {
        "flops_per_s_per_device": "FLOP/s",
        "memory_total_bytes": "B",
        "error_band_pct": "%",
        "batch": "",
    }
    assert {column: table.attrs["units"][column] for column in units} == units
    assert table.attrs["units"]["chip.hbm.bandwidth_bytes_per_s"] == "B/s"


def test_a_row_is_what_simulate_gives(decode: xs.Scenario, table: pd.DataFrame) -> None:
    row = table.iloc[5]
    changes = {"chip.hbm.bandwidth": "3 TB/s", "parallelism.tp": 8, "batch": 32}
    result = xs.simulate(decode, changes=changes, fidelity="bound")
    assert row.step_time_s == result.step_time_s and row.tokens_per_s == result.tokens_per_s
    assert (
        row.breakdown_hbm_s == result.breakdown["hbm"] and row.error_band_pct == result.data["error_band_pct"]
    )


def test_points_that_cannot_run_are_rows_with_their_error(table: pd.DataFrame) -> None:
    failed = table[table["parallelism.tp"] == 1]
    assert (failed.error_type == "InfeasibleError").all()
    assert failed.error.str.contains("does not fit h100_sxm").all() and failed.step_time_s.isna().all()
    assert table[table["parallelism.tp"] > 1].error.isna().all()


def test_a_table_of_failures_only_is_a_table(decode: xs.Scenario) -> None:
    frame = xs.sweep(decode, {"parallelism.tp": [1, 3]}, jobs=1)
    assert frame.error_type.tolist() == ["InfeasibleError"] * 2
    contradiction = xs.sweep(decode, {"phase": ["prefill", "decode"]}, jobs=1)
    assert contradiction.error_type.tolist()[
        0
    ] == "ConfigError" and contradiction.step_time_s.notna().tolist() == [
        False,
        True,
    ]


def test_any_iterable_of_numbers_is_an_axis(decode: xs.Scenario) -> None:
    frame = xs.sweep(decode, {"batch": (b for b in (8, 16)), "context": np.array([1024, 2048])}, jobs=1)
    assert frame.batch.tolist() == [8, 8, 16, 16] and frame.context.tolist() == [1024, 2048] * 2
    assert frame.error.isna().all()


def test_parquet_keeps_the_table(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), table, check_dtype=False)


def test_a_list_of_points_and_names_of_files_are_spaces(decode: xs.Scenario) -> None:
    frame = xs.sweep(
        decode, [{"system": "dgx_h100", "batch": 8}, {"system": "dgx_a100", "batch": 16}], jobs=1
    )
    assert frame["chip"].tolist() == ["h100_sxm", "a100_sxm"]
    chips = xs.sweep(decode, {"chip": ["h100_sxm", "h800"]}, jobs=1)
    assert chips["chip"].tolist() == ["h100_sxm", "h800"] and chips.step_time_s.notna().all()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "no axes"),
        ([], "no points"),
        ({"batch": []}, "batch: no values"),
        ({"batch": 3}, "3 is not a list of values"),
        ({"batch": "16"}, "'16' is not a list of values"),
        ({"chip.hbm.bandwith": ["3 TB/s"]}, "unknown key (did you mean 'bandwidth'?)"),
        ({"chip.hbm.bandwidth": ["3 TB/s", "4"]}, "cannot read '4' as bandwidth"),
        ({"clock": [1]}, "scenario.clock: unknown key"),
        ({"batch": [1], "scenario.batch": [2]}, "two axes are the same value"),
        ([{"batch": 1}, {"context": 2}], "points have different keys"),
    ],
)
def test_what_no_point_could_put_right_is_refused(decode: xs.Scenario, space: object, message: str) -> None:
    with pytest.raises(xs.ConfigError) as caught:
        xs.sweep(decode, space, jobs=1)  # type: ignore[arg-type]
    assert message in str(caught.value)


@given(st.permutations(range(18)), st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_order_and_chunks_do_not_matter(order: list[int], size: int) -> None:
    points = sweeps.points_of(SPACE)
    task = [sweeps.overrides("scenario", points[i]) for i in order]
    rows: dict[int, str] = {}
    for at in range(0, 18, size):
        part = sweeps.Task(
            "llama31_70b_decode", tuple(task[at : at + size]), "bound", root(), "", caches.build()
        )
        rows |= dict(zip(order[at : at + size], sweeps.evaluate(part), strict=True))
    whole = sweeps.Task(
        "llama31_70b_decode",
        tuple(sweeps.overrides("scenario", p) for p in points),
        "bound",
        root(),
        "",
        caches.build(),
    )
    assert [rows[i] for i in range(18)] == sweeps.evaluate(whole)


def root() -> str:
    return os.environ.get("XPUSIM_DATA", "")


@pytest.mark.parametrize(
    "make", [lambda: ThreadPoolExecutor(2), lambda: ProcessPoolExecutor(2), lambda: None]
)
def test_every_executor_gives_the_same_bits(decode: xs.Scenario, table: pd.DataFrame, make: object) -> None:
    executor = make()  # type: ignore[operator]
    try:
        pd.testing.assert_frame_equal(
            xs.sweep(decode, SPACE, executor=executor, jobs=2), table, check_exact=True
        )
    finally:
        if executor:
            executor.shutdown()


def test_shards_make_up_the_whole(decode: xs.Scenario, table: pd.DataFrame) -> None:
    parts = [xs.sweep(decode, SPACE, jobs=1, shard=(i, 4)) for i in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [5, 5, 4, 4]
    pd.testing.assert_frame_equal(pd.concat(parts).sort_index(), table, check_dtype=False)
    with pytest.raises(xs.ConfigError, match="no such shard"):
        xs.sweep(decode, SPACE, shard=(5, 4))


def test_progress_counts_points(decode: xs.Scenario, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    xs.sweep(decode, SPACE, jobs=1, cache=tmp_path, progress=lambda done, every: told.append((done, every)))
    assert told[-1] == (18, 18) and told == sorted(told)


# ---- the cache


def test_what_is_kept_is_not_computed_again(
    decode: xs.Scenario, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xs.sweep(decode, SPACE, jobs=1, cache=tmp_path)
    monkeypatch.setattr(sweeps, "evaluate", lambda task: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(xs.sweep(decode, SPACE, jobs=1, cache=tmp_path), table, check_exact=True)


def test_another_fidelity_or_file_is_another_point(decode: xs.Scenario, tmp_path: Path) -> None:
    one = xs.sweep(decode, {"batch": [8]}, cache=tmp_path)
    other = xs.sweep(decode, {"batch": [8]}, cache=tmp_path, fidelity="tile")
    assert one.step_time_s[0] != other.step_time_s[0]
    assert xs.sweep(decode, {"batch": [8]}, cache=tmp_path).step_time_s[0] == one.step_time_s[0]


def test_a_cache_of_another_build_is_said_and_not_used(
    decode: xs.Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setattr(caches, "build", lambda: "0.0.1-old")
        kept = caches.Cache(tmp_path)
        point = sweeps.overrides("scenario", {"batch": 8})
        library = _core.Library(str(data_root()))
        key = caches.key_of(library.inputs(decode.id, list(point)), library.accuracy(), "bound")
        kept.put([key], ['{"step_time_s": 42.0}'])
    with pytest.warns(UserWarning, match=r"another build \(v-0\.0\.1-old\); .* computed again"):
        frame = xs.sweep(decode, {"batch": [8]}, cache=tmp_path)
    assert frame.step_time_s[0] != 42


def test_a_damaged_segment_is_said_and_computed_again(
    decode: xs.Scenario, table: pd.DataFrame, tmp_path: Path
) -> None:
    xs.sweep(decode, SPACE, jobs=1, cache=tmp_path)
    segment = next(tmp_path.glob("v-*/*.jsonl"))
    segment.write_bytes(segment.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="is damaged: what it held is computed again"):
        again = xs.sweep(decode, SPACE, jobs=1, cache=tmp_path)
    pd.testing.assert_frame_equal(again, table, check_exact=True)


@pytest.mark.parametrize(
    "row",
    [
        b"hello", b"{", b"", b"[1]", b'"x"', b"3", b"null", b"{}", b'__import__("os").system("id")',
        b"\xff\xfe", b"[" * 10**6,
        b'{"step_time_s": NaN}', b'{"step_time_s": 42.0}', b'{"step_time_s": "<script>"}',
        b'{"error": 3, "error_type": "ModelError"}', b'{"error": "x"}', b'{"error": null, "step_time_s": 1}',
    ],
)  # fmt: skip
def test_what_is_no_row_is_said_and_computed_again(decode: xs.Scenario, tmp_path: Path, row: bytes) -> None:
    good = xs.sweep(decode, {"batch": [8]}, jobs=1, cache=tmp_path)
    replace_rows(tmp_path, row)
    with pytest.warns(UserWarning, match="is damaged: .* computed again"):
        again = xs.sweep(decode, {"batch": [8]}, jobs=1, cache=tmp_path)
    pd.testing.assert_frame_equal(again, good, check_exact=True)


def replace_rows(cache: Path, row: bytes) -> None:
    """Puts a row in the place of each, in segments whose hash is right."""
    for segment in list(cache.glob("v-*/*.jsonl")):
        keys = [line.partition("\t")[0].encode() for line in segment.read_text().splitlines()]
        content = b"".join(key + b"\t" + row + b"\n" for key in keys)
        segment.unlink()
        segment.with_name(f"{hashlib.sha256(content).hexdigest()}.jsonl").write_bytes(content)


def test_no_member_of_a_row_may_be_of_another_type(decode: xs.Scenario) -> None:
    row = json.loads(sweeps.evaluate(task_of(decode))[0][1])
    assert caches.flaw_of(json.dumps(row)) == ""
    for member, like in json.loads(_core.summary()).items():
        wrong: list[object] = [[], True, -math.inf, 3 if isinstance(like, str) else "<script>"]
        if like is not None:
            wrong.append(None)
            assert caches.flaw_of(json.dumps({k: v for k, v in row.items() if k != member}))
        for value in [*wrong, math.nan]:
            assert caches.flaw_of(json.dumps(row | {member: value})), (member, value)


@pytest.mark.parametrize("name", xs.Scenario.available())
def test_a_row_of_every_scenario_is_a_row(name: str) -> None:
    [(key, row)] = sweeps.evaluate(replace(task_of(xs.Scenario(name)), keyed=True))
    assert len(key) == 32 and "error" not in json.loads(row), row


def test_what_is_no_segment_is_said(decode: xs.Scenario, tmp_path: Path) -> None:
    good = xs.sweep(decode, {"batch": [8]}, jobs=1, cache=tmp_path)
    folder = next(tmp_path.glob("v-*"))
    (folder / "x.jsonl").mkdir()
    (folder / "nowhere.jsonl").symlink_to(folder / "nothing")
    with pytest.warns(UserWarning, match="jsonl is damaged: what it held is computed again") as said:
        again = xs.sweep(decode, {"batch": [8]}, jobs=1, cache=tmp_path)
    assert len(said) == 2
    pd.testing.assert_frame_equal(again, good, check_exact=True)


def test_a_full_disk_is_an_error_and_what_was_kept_stays(
    decode: xs.Scenario, table: pd.DataFrame, tmp_path: Path, python: Run
) -> None:
    """RLIMIT_FSIZE stands in for the full disk: writes fail after some bytes, as they do there."""
    done = python(
        "import resource, signal, sys\nimport xpusim as xs\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"xs.sweep('llama31_70b_decode', {{'batch': [8]}}, jobs=1, cache={str(tmp_path / 'c')!r})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        f"xs.sweep('llama31_70b_decode', {SPACE!r}, jobs=1, cache={str(tmp_path / 'c')!r})\n"
    )
    assert done.returncode == 1 and "CacheError" in done.stderr and "free space and resume" in done.stderr
    files = [p.name for p in (tmp_path / "c").glob("v-*/*")]
    assert len(files) == 1 and not files[0].startswith(".part-")
    again = xs.sweep(decode, SPACE, jobs=1, cache=tmp_path / "c")
    pd.testing.assert_frame_equal(again, table, check_exact=True)


def test_a_folder_that_cannot_be_made_is_an_error(decode: xs.Scenario, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(xs.CacheError) as caught:
        xs.sweep(decode, SPACE, jobs=1, cache=tmp_path / "file" / "c")
    assert caught.value.errno == errno.ENOTDIR and isinstance(caught.value, OSError)


KILLED = """
import sys
import xpusim as xs
rates = [f"{2 + i / 100:.2f} TB/s" for i in range(100)]
space = {"chip.hbm.bandwidth": rates, "batch": list(range(1, 31))}
table = xs.sweep("llama31_70b_decode", space, jobs=2, cache=sys.argv[1])
table.to_parquet(sys.argv[2])
"""  # without a guard: workers do not run the script again


def computed(folder: Path) -> list[str]:
    """The keys of all lines that a cache holds."""
    lines = (line for p in folder.glob("v-*/*.jsonl") for line in p.read_text().splitlines())
    return [line.partition("\t")[0] for line in lines]


def start(tmp_path: Path, *arguments: object) -> subprocess.Popen[bytes]:
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    return subprocess.Popen(
        [sys.executable, str(program), *map(str, arguments)], cwd=tmp_path, start_new_session=True
    )


def test_a_killed_sweep_goes_on_and_gives_the_same_bits(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    child = start(tmp_path, cache, "never.parquet")
    while len(computed(cache)) < 300 and child.poll() is None:
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    before = computed(cache)
    assert 300 <= len(before) < 3000, "it was killed in the middle"
    assert start(tmp_path, cache, "resumed.parquet").wait() == 0
    after = computed(cache)
    assert set(before) <= set(after) and len(after) == len(set(after)) == 3000, (
        "no point lost, none run twice"
    )
    assert start(tmp_path, tmp_path / "fresh", "whole.parquet").wait() == 0
    assert (tmp_path / "resumed.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_two_sweeps_share_one_cache_at_once(tmp_path: Path) -> None:
    children = [start(tmp_path, tmp_path / "cache", f"{i}.parquet") for i in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "1.parquet").read_bytes()
    assert len(set(computed(tmp_path / "cache"))) == 3000


def test_an_interrupt_ends_a_sweep_and_keeps_what_is_done(tmp_path: Path) -> None:
    child = start(tmp_path, tmp_path / "cache", "never.parquet")
    while len(computed(tmp_path / "cache")) < 100 and child.poll() is None:
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(timeout=20) != 0
    assert 100 <= len(computed(tmp_path / "cache")) < 3000


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *below(child)]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("begun", [False, True])
def test_workers_end_with_the_process_that_started_them(
    tmp_path: Path, sign: signal.Signals, begun: bool
) -> None:
    """The signal goes to that process alone, while workers start or compute."""
    child = start(tmp_path, tmp_path / "cache", "never.parquet")
    workers: list[int] = []
    while child.poll() is None and (len(workers) < 2 or (begun and not computed(tmp_path / "cache"))):
        workers = below(child.pid)
        time.sleep(0.005)
    child.send_signal(sign)
    assert child.wait(timeout=20) != 0 and len(workers) == 2
    end = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(map(alive, workers))


def test_a_worker_that_dies_fails_its_points_and_is_replaced(
    decode: xs.Scenario, table: pd.DataFrame, tmp_path: Path
) -> None:
    dead: list[int] = []

    def kill_one(done: int, every: int) -> None:
        if not dead:
            dead.append(below(os.getpid())[0])
            os.kill(dead[0], signal.SIGKILL)

    space = SPACE | {"batch": list(range(1, 201))}
    frame = xs.sweep(decode, space, jobs=2, cache=tmp_path, progress=kill_one)
    lost = frame[frame.error_type == "WorkerError"]
    assert len(frame) == 1800 and len(lost) <= 64
    assert lost.error.str.contains("has ended (SIGKILL)", regex=False).all()
    again = xs.sweep(decode, space, jobs=1, cache=tmp_path)
    assert not (again.error_type == "WorkerError").any()


# ---- workers that fail


class Unlucky(Executor):
    """Fails the first chunk as a worker that was lost for good."""

    def __init__(self) -> None:
        self.calls = 0

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[object] = Future()
        self.calls += 1
        if self.calls == 1:
            future.set_exception(RuntimeError("the worker is gone"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_points_of_a_lost_worker_are_rows_and_run_again_next_time(
    decode: xs.Scenario, table: pd.DataFrame, tmp_path: Path
) -> None:
    frame = xs.sweep(decode, SPACE, executor=Unlucky(), jobs=1, cache=tmp_path)
    lost = frame[frame.error_type == "RuntimeError"]
    assert 0 < len(lost) < 18 and (lost.error == "the worker is gone").all()
    again = xs.sweep(decode, SPACE, jobs=1, cache=tmp_path)
    pd.testing.assert_frame_equal(again, table, check_exact=True)


def test_a_worker_of_another_build_is_refused() -> None:
    with pytest.raises(xs.ConfigError, match="install the same wheel"):
        sweeps.evaluate(sweeps.Task("llama31_70b_decode", (), "bound", "", "", "0.0.1"))


def test_a_broken_executor_is_an_error(decode: xs.Scenario) -> None:
    with ProcessPoolExecutor(1) as pool:
        with pytest.raises(BrokenProcessPool):
            pool.submit(os._exit, 1).result()
        with pytest.raises(xs.WorkerError, match="the executor is broken"):
            xs.sweep(decode, SPACE, executor=pool)


def test_a_figure_that_is_none_is_a_row_with_an_error(
    decode: xs.Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = json.loads(sweeps.evaluate(task_of(decode))[0][1])
    for wrong in (None, math.nan, math.inf, "fast"):
        bad = json.dumps(row | {"step_time_s": wrong})
        monkeypatch.setattr(sweeps, "_library_of", lambda *_, bad=bad: Answers(bad))
        frame = xs.sweep(decode, {"batch": [8]}, jobs=1)
        assert frame.error[0] in ("no result: no finite step_time_s", "no result: no JSON")
        assert frame.error_type.tolist() == ["ModelError"] and "step_time_s" not in frame


class Answers:
    """A library that has one answer."""

    def __init__(self, row: str) -> None:
        self.row = row

    def evaluate(self, _: str, points: list[list[str]], *__: object) -> list[tuple[str, str]]:
        return [("", self.row)] * len(points)

    def accuracy(self) -> str:
        return ""


def task_of(scenario: xs.Scenario) -> sweeps.Task:
    return sweeps.Task(scenario.id, ((),), "bound", root(), "one", caches.build())


def test_a_table_says_its_fidelity(decode: xs.Scenario, table: pd.DataFrame) -> None:
    assert table.attrs["fidelity"] == "bound" and (table.fidelity == "bound").all()
    failed = xs.sweep(decode, {"parallelism.tp": [1]}, jobs=1, fidelity="tile")
    assert failed.fidelity.tolist() == ["tile"] and failed.error.notna().all()


@pytest.mark.parametrize("jobs", [0, -3])
def test_no_processes_are_refused(decode: xs.Scenario, jobs: int) -> None:
    with pytest.raises(xs.ConfigError, match=f"jobs: {jobs} processes .1 or more"):
        xs.sweep(decode, SPACE, jobs=jobs)


def test_rows_are_json_and_small(decode: xs.Scenario, tmp_path: Path) -> None:
    """10^5 rows must fit the memory of a laptop: below 2 KB each."""
    xs.sweep(decode, {"batch": [1]}, cache=tmp_path)
    line = next(tmp_path.glob("v-*/*.jsonl")).read_text()
    assert len(line) < 2000 and json.loads(line.partition("\t")[2])["step_time_s"] > 0


def test_no_warning_for_a_cache_of_this_build(decode: xs.Scenario, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            xs.sweep(decode, {"batch": [1, 2]}, cache=tmp_path)
