"""The command `xpusim` of the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import xpusim as xs

SPEC = """\
scenario: llama31_70b_decode
space:
  chip.hbm.bandwidth: [3 TB/s, 4 TB/s]
  parallelism.tp: [1, 8]
set: {batch: 32}
out: points.csv
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("xpusim")), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.yaml").write_text(SPEC)
    return tmp_path


def test_a_sweep_writes_its_table(folder: Path) -> None:
    done = run(folder, "sweep", "s.yaml", "--jobs", "1")
    assert (done.returncode, done.stdout) == (0, "points.csv: 4 points, 2 failed\n"), done.stderr
    table = pd.read_csv(folder / "points.csv", index_col="point")
    assert table["chip.hbm.bandwidth_bytes_per_s"].tolist() == [3e12, 3e12, 4e12, 4e12]
    expected = xs.simulate(
        "llama31_70b_decode",
        fidelity="bound",
        changes={"batch": 32, "parallelism.tp": 8, "chip.hbm.bandwidth": "3 TB/s"},
    )
    assert table.step_time_s[1] == expected.step_time_s
    assert table.error_type[0] == "InfeasibleError"


def test_shards_fill_one_cache_and_a_last_run_joins_them(folder: Path) -> None:
    for shard in ("1/2", "2/2"):
        assert run(folder, "sweep", "s.yaml", "--shard", shard).returncode == 0
    assert len(pd.read_csv(folder / "points-1-of-2.csv")) == 2
    kept = sorted((folder / "s.cache").rglob("*.jsonl"))
    assert run(folder, "sweep", "s.yaml", "--resume", "--out", "all.parquet").returncode == 0
    assert sorted((folder / "s.cache").rglob("*.jsonl")) == kept, "nothing was computed again"
    assert len(pd.read_parquet(folder / "all.parquet")) == 4


def test_an_earlier_run_is_gone_on_with_only_when_asked(folder: Path) -> None:
    assert run(folder, "sweep", "s.yaml").returncode == 0
    again = run(folder, "sweep", "s.yaml")
    assert again.returncode == 2 and "holds results of an earlier run (go on with --resume" in again.stderr
    assert run(folder, "sweep", "s.yaml", "--resume").returncode == 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("scenario: llama31_70b_decode\n", "s.yaml: space: missing required key"),
        (SPEC + "colour: red\n", "s.yaml: colour: unknown key (known: scenario, space, set"),
        (SPEC + "out: x.csv\n", "s.yaml:7:1: out: duplicate key"),
        (SPEC + "fidelity: exact\n", "s.yaml: fidelity: no fidelity 'exact' (bound or tile)"),
        (SPEC.replace("bandwidth", "bandwith"), "unknown key (did you mean 'bandwidth'?)"),
        (SPEC.replace("points.csv", "points.xls"), "no table can be written there"),
        ("- 1\n", "s.yaml: expected a map of keys"),
        ("space: [\n", "s.yaml:2:1: not readable as YAML"),
    ],
)
def test_a_wrong_file_is_refused(folder: Path, spec: str, message: str) -> None:
    (folder / "s.yaml").write_text(spec)
    done = run(folder, "sweep", "s.yaml")
    assert (done.returncode, done.stdout) == (2, "") and message in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_words_are_refused(folder: Path) -> None:
    assert "'3/2' is no shard" in run(folder, "sweep", "s.yaml", "--shard", "3/2").stderr
    missing = run(folder, "sweep", "none.yaml")
    assert missing.returncode == 2 and "none.yaml: cannot read the file" in missing.stderr


def test_everything_else_is_the_program(folder: Path) -> None:
    listed = run(folder, "list", "chips")
    assert listed.returncode == 0 and "h100_sxm" in listed.stdout
    assert run(folder, "--version").stdout.strip() == xs.__version__
    assert run(folder, "run", "nothing").returncode == 2
    module = subprocess.run(
        [sys.executable, "-m", "xpusim", "list", "systems"], capture_output=True, text=True, check=True
    )
    assert "dgx_h100" in module.stdout


def test_a_full_disk_is_one_line(folder: Path) -> None:
    if os.geteuid() != 0:
        (folder / "closed").mkdir(mode=0o500)
    else:
        (folder / "closed").write_text("")
    done = run(folder, "sweep", "s.yaml", "--out", "closed/x.csv")
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stderr.startswith("xpusim: ")
