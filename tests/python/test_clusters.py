"""Sweeps on a real Dask cluster and a real MPI pool, on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import xpusim as xs

from daskcluster import Cluster

SPACE = {"chip.hbm.bandwidth": [f"{2 + i / 10:.1f} TB/s" for i in range(20)], "batch": list(range(1, 31))}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    found.add_worker()
    found.add_worker()
    yield found
    found.close()


@pytest.fixture(scope="module")
def table(decode: xs.Scenario) -> pd.DataFrame:
    return xs.sweep(decode, SPACE, jobs=1)


@pytest.mark.filterwarnings("ignore")  # of distributed, about its own sockets and versions
def test_dask_gives_the_same_bits(cluster: Cluster, decode: xs.Scenario, table: pd.DataFrame) -> None:
    with xs.dask_executor(cluster.address) as executor:
        frame = xs.sweep(decode, SPACE, executor=executor)
    pd.testing.assert_frame_equal(frame, table, check_exact=True)


@pytest.mark.filterwarnings("ignore")
def test_points_of_a_dead_dask_worker_run_on_another(
    cluster: Cluster, decode: xs.Scenario, table: pd.DataFrame
) -> None:
    killed = threading.Event()

    def kill_one(done: int, every: int) -> None:
        if done > every // 4 and not killed.is_set():
            os.kill(cluster.workers[0].pid, signal.SIGKILL)
            killed.set()

    with xs.dask_executor(cluster.address) as executor:
        frame = xs.sweep(decode, SPACE, executor=executor, progress=kill_one)
    assert killed.is_set() and cluster.workers[0].wait(5) == -signal.SIGKILL
    pd.testing.assert_frame_equal(frame, table, check_exact=True)


@pytest.mark.filterwarnings("ignore")
def test_nobody_at_the_address_is_an_error() -> None:
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(OSError, match="Timed out"),
    ):
        xs.dask_executor("tcp://127.0.0.1:1")


MPI = """
import sys
import xpusim as xs
from mpi4py.futures import MPIPoolExecutor
if __name__ == "__main__":
    space = {"chip.hbm.bandwidth": [f"{2 + i / 10:.1f} TB/s" for i in range(20)], "batch": list(range(1, 31))}
    with MPIPoolExecutor() as executor:
        assert executor.num_workers == 2
        xs.sweep("llama31_70b_decode", space, executor=executor).to_pickle(sys.argv[1])
"""


def test_an_mpi_pool_gives_the_same_bits(table: pd.DataFrame, tmp_path: Path) -> None:
    mpiexec = shutil.which("mpiexec")
    assert mpiexec, "scripts/setup.sh installs Open MPI"
    (tmp_path / "mpi.py").write_text(MPI)
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    program = [sys.executable, "-m", "mpi4py.futures", "mpi.py", "table.pickle"]
    done = subprocess.run(
        [mpiexec, "--oversubscribe", "-n", "3", *program],
        cwd=tmp_path,
        env=environment,
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(pd.read_pickle(tmp_path / "table.pickle"), table, check_exact=True)
