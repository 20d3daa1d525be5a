"""Tests of the installed package: run by scripts/test_python.sh in an environment that holds the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import xpusim as xs

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's files, whatever the caller's environment says."""
    if "XPUSIM_TEST_DATA" not in os.environ:
        monkeypatch.delenv("XPUSIM_DATA", raising=False)


@pytest.fixture(scope="session")
def decode() -> xs.Scenario:
    return xs.Scenario("llama31_70b_decode")


@pytest.fixture(scope="session")
def h100() -> xs.Chip:
    return xs.Chip.load("h100_sxm")


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Runs a program text in a process of its own, in an empty folder."""

    def run(text: str, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "program.py"
        program.write_text(text)
        command = [*before, sys.executable, str(program), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    return run
