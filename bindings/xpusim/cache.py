"""Rows that were computed before, on disk: by the content of what was asked, safe against kills and
neighbours.

A folder of segments, `v-<build>/<sha256>.jsonl`, one for each finished chunk: lines of key, tab, row. A
segment is written under a temporary name and renamed to the hash of its content, so it is whole or not there,
and two sweeps that share the folder never write to one file. What another build computed is not read. The
hash finds accidents; who may write to the folder may forge it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from xpusim import _core
from xpusim.errors import CacheError

_SCHEMA = 2  # of the lines


@cache
def build() -> str:
    """The version, and a hash of the compiled code: two builds of one version may differ."""
    code = hashlib.sha256(Path(_core.__file__).read_bytes()).hexdigest()[:12]
    return f"{_core.version()}-{_SCHEMA}-{code}"


def key_of(inputs: str, accuracy: str, fidelity: str) -> str:
    """The name of a row: by all that it is computed from, whatever the files are called and wherever they
    lie.
    """
    return hashlib.sha256("\0".join((inputs, accuracy, fidelity)).encode()).hexdigest()[:32]


def flaw_of(row: str) -> str:
    """What keeps a text from being a point's row; empty: nothing."""
    try:
        values = json.loads(row, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "no JSON"
    if not isinstance(values, dict):
        return "no map"
    if "error" in values:
        good = values.keys() == {"error", "error_type"} and all(isinstance(v, str) for v in values.values())
        return "" if good else "no error"
    return _flaw(values, _pattern(), "")


@cache
def _pattern() -> dict[str, Any]:
    """A row of nothing: what every row has, and of which type."""
    pattern: dict[str, Any] = json.loads(_core.summary())
    return pattern


def _refuse(name: str) -> None:
    """NaN and Infinity are not JSON's; the library writes null."""
    raise ValueError(name)


def _flaw(values: Any, pattern: dict[str, Any], path: str) -> str:
    """The first value that is not of the pattern's type."""
    for key, like in pattern.items():
        value = values.get(key)
        if isinstance(like, dict):
            flaw = _flaw(value, like, f"{path}{key}.") if isinstance(value, dict) else f"no map {path}{key}"
        elif like is None:  # a number that need not be known
            flaw = "" if value is None or _is_number(value) else f"no number {path}{key}"
        elif isinstance(like, str):
            flaw = "" if isinstance(value, str) else f"no text {path}{key}"
        else:
            flaw = "" if _is_number(value) else f"no finite {path}{key}"
        if flaw:
            return flaw
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf


class Cache:
    """The rows of a folder by key, as JSON texts. `folder` None: nothing is kept."""

    def __init__(self, folder: str | Path | None) -> None:
        self._rows: dict[str, str] = {}
        self._folder = None if folder is None else Path(folder) / f"v-{build()}"
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(
                error.errno, f"cannot keep results: {error.strerror}", str(self._folder)
            ) from error
        others = [
            p.name for p in self._folder.parent.glob("v-*") if p != self._folder and any(p.glob("*.jsonl"))
        ]
        if others:
            warnings.warn(
                f"{self._folder.parent} holds results of another build ({', '.join(sorted(others))}); "
                "they are not used, and computed again",
                stacklevel=3,
            )
        for segment in sorted(self._folder.glob("*.jsonl")):
            self._load(segment)

    def _load(self, segment: Path) -> None:
        try:
            content = segment.read_bytes()
            if hashlib.sha256(content).hexdigest() != segment.stem:
                raise ValueError
            lines = [line.partition("\t") for line in content.decode().split("\n") if line]
        except (OSError, ValueError):  # no file, another content, not UTF-8
            warnings.warn(f"{segment} is damaged: what it held is computed again", stacklevel=4)
            return
        self._rows.update((key, row) for key, _, row in lines)

    @property
    def is_empty(self) -> bool:
        return not self._rows

    def get(self, key: str) -> str | None:
        """The row of a key. What is no row is said, and not taken."""
        row = self._rows.get(key)
        flaw = "" if row is None else flaw_of(row)
        if flaw:
            warnings.warn(f"{self._folder} is damaged: {flaw} in a row; it is computed again", stacklevel=4)
            return None
        return row

    def put(self, keys: Sequence[str], rows: Sequence[str]) -> None:
        """Keeps rows that have a key. Raises CacheError when the disk is full; what was kept before stays."""
        content = "".join(f"{key}\t{row}\n" for key, row in zip(keys, rows, strict=True) if key).encode()
        if self._folder is None or not content:
            return
        target = self._folder / f"{hashlib.sha256(content).hexdigest()}.jsonl"
        temporary = None
        try:
            handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".part-")
            with os.fdopen(handle, "wb") as out:
                out.write(content)
            Path(temporary).replace(target)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            message = (
                f"cannot keep results: {error.strerror}; what was kept before stays, free space and resume"
            )
            raise CacheError(error.errno, message, str(self._folder)) from error
