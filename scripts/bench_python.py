#!/usr/bin/env python3
"""Measures the Python package: build/python/venv/bin/python scripts/bench_python.py [--points N]

Import, the overhead of one call, a sweep of 10,000 points on two processes with its memory, Dask with one and
two workers, and a sweep of --points points that is killed in the middle and resumed. Prints one line each.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "python"))
SWEEP = """
import sys
import xpusim as xs
if __name__ == "__main__":
    side, cache, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    rates = [f"{2 + 4 * i / side!r} TB/s" for i in range(side)]
    space = {"chip.hbm.bandwidth": rates, "batch": list(range(1, 101))}
    table = xs.sweep("llama31_70b_decode", space, jobs=2, cache=cache if cache != "-" else None)
    assert table.error.isna().all()
    table.to_parquet(out)
"""


def import_seconds() -> float:
    text = "import time; t = time.perf_counter(); import xpusim; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", text], capture_output=True, check=True) for _ in range(9)]
    return statistics.median(float(run.stdout) for run in runs)


def call_overhead_us(bench: Path) -> tuple[float, float]:
    """Microseconds of one call in Python and in C++ (Google Benchmark), the least of several repetitions."""
    import xpusim as xs

    chip = xs.Chip.load("h100_sxm")
    best = float("inf")
    for _ in range(30):
        begin = time.perf_counter()
        for _ in range(200):
            _ = xs.op(chip, "rmsnorm", rows=4096, cols=8192, fidelity="bound").step_time_s
        best = min(best, (time.perf_counter() - begin) / 200)
    command = [str(bench), "--benchmark_filter=bound/h100_sxm/rmsnorm", "--benchmark_repetitions=15"]
    out = subprocess.run([*command, "--benchmark_format=json"], capture_output=True, check=True).stdout
    runs = [b for b in json.loads(out)["benchmarks"] if b["run_type"] == "iteration"]
    return best * 1e6, min(b["real_time"] for b in runs)


def start(folder: Path, *arguments: object) -> subprocess.Popen[bytes]:
    (folder / "sweep.py").write_text(SWEEP)
    command = [sys.executable, str(folder / "sweep.py"), *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, start_new_session=True)


def sweep_seconds(folder: Path) -> tuple[float, float]:
    """Wall seconds of 10,000 points, and the largest memory of any of the processes in MiB."""
    begin = time.perf_counter()
    child = start(folder, 100, "-", "a.parquet")
    tree, most = psutil.Process(child.pid), 0
    while child.poll() is None:
        for process in [tree, *_children(tree)]:
            try:
                most = max(most, process.memory_info().rss)
            except psutil.Error:
                continue
        time.sleep(0.02)
    assert child.returncode == 0
    return time.perf_counter() - begin, most / 2**20


def _children(tree: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = tree.children(recursive=True)
        return found
    except psutil.Error:
        return []


def dask_seconds(folder: Path, workers: int) -> float:
    """Wall seconds of 4,000 points on a cluster that is up, the least of three."""
    import distributed

    import xpusim as xs

    from daskcluster import Cluster

    place = folder / f"dask-{workers}"
    place.mkdir()
    cluster = Cluster(place)
    try:
        for _ in range(workers):
            cluster.add_worker()
        rates = [f"{2 + i / 10!r} TB/s" for i in range(40)]
        with distributed.Client(cluster.address, set_as_default=False) as client:
            client.wait_for_workers(workers)
        with xs.dask_executor(cluster.address) as executor:
            xs.sweep("llama31_70b_decode", {"batch": list(range(1, 65))}, executor=executor)  # warm
            axes = {"chip.hbm.bandwidth": rates, "batch": range(1, 101)}
            seconds = []
            for _ in range(3):
                begin = time.perf_counter()
                xs.sweep("llama31_70b_decode", axes, executor=executor)
                seconds.append(time.perf_counter() - begin)
            return min(seconds)
    finally:
        cluster.close()


def keys_of(cache: Path) -> list[str]:
    lines = (line for p in cache.glob("v-*/*.jsonl") for line in p.read_text().splitlines())
    return [line.partition("\t")[0] for line in lines]


def killed_and_resumed(folder: Path, points: int) -> str:
    """What a sweep that was killed in the middle comes to, against one that was not."""
    side = points // 100
    child = start(folder, side, folder / "cache", "never.parquet")
    segments = folder / "cache"
    while sum(1 for _ in segments.glob("v-*/*.jsonl")) * 32 < points // 2:
        assert child.poll() is None
        time.sleep(0.2)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    before = keys_of(segments)
    begin = time.perf_counter()
    assert start(folder, side, folder / "cache", "resumed.parquet").wait() == 0
    seconds = time.perf_counter() - begin
    after = keys_of(segments)
    assert start(folder, side, "-", "whole.parquet").wait() == 0
    same = (folder / "resumed.parquet").read_bytes() == (folder / "whole.parquet").read_bytes()
    lost = len(set(before) - set(after))
    return (
        f"{len(before)} of {points} points before kill -9, the rest in {seconds:.1f} s; {lost} lost, "
        f"{len(after) - len(set(after))} run twice, table {'the same bits' if same else 'DIFFERS'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=100_000, help="of the sweep that is killed")
    parser.add_argument("--bench", type=Path, default=ROOT / "build/release/tests/bench/xpusim_bench")
    a = parser.parse_args()
    say("import", f"{import_seconds():.3f} s (goal 0.3)")
    python_us, cpp_us = call_overhead_us(a.bench)
    over = python_us - cpp_us
    say("op", f"{python_us:.1f} us, C++ {cpp_us:.1f} us, overhead {over:.1f} us (goal 30)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, mib = sweep_seconds(folder)
        say("sweep_10000", f"{seconds:.1f} s (goal 20), at most {mib:.0f} MiB a process (goal 300)")
        one, two = dask_seconds(folder, 1), dask_seconds(folder, 2)
        say("dask_4000", f"1 worker {one:.1f} s, 2 workers {two:.1f} s: {one / two:.2f} times (goal 1.6)")
        say("resume", killed_and_resumed(folder, a.points))


def say(name: str, text: str) -> None:
    print(f"python/{name}: {text}", flush=True)


if __name__ == "__main__":
    main()
