"""Rows that were computed before, on disk: by the content of what was asked, safe against kills and
neighbours.

A folder of segments, `v-<build>/<sha256>.jsonl`, one for each finished chunk: lines of key, tab, row. A
segment is written under a temporary name and renamed to the hash of its content, so it is whole or not there,
and two sweeps that share the folder never write to one file. What another build computed is not read.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from xpusim import _core
from xpusim._library import data_root
from xpusim.errors import CacheError

_SCHEMA = 1  # of the lines


@cache
def build() -> str:
    """The version, and a hash of the compiled code: two builds of one version may differ."""
    code = hashlib.sha256(Path(_core.__file__).read_bytes()).hexdigest()[:12]
    return f"{_core.version()}-{_SCHEMA}-{code}"


def inputs_digest(names: Iterable[str]) -> str:
    """A hash of all input files: the library's, and those in the folders of `names` that are paths (for
    `base:`).
    """
    root = data_root()
    files = {p for part in ("configs", "workloads") for p in (root / part).rglob("*.yaml")}
    for name in names:
        if ("/" in name or name.endswith(".yaml")) and Path(name).is_file():
            files |= set(Path(name).resolve().parent.glob("*.yaml"))
    digest = hashlib.sha256()
    for path in sorted(files):
        place = path.relative_to(root) if path.is_relative_to(root) else path
        content = path.read_bytes()
        digest.update(f"{place}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def key_of(digest: str, scenario: str, fidelity: str, changes: Sequence[str]) -> str:
    """The name of a point: equal where all that decides its row is equal."""
    text = json.dumps([digest, scenario, fidelity, list(changes)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Cache:
    """The rows of a folder by key, as JSON text. `folder` None: nothing is kept."""

    def __init__(self, folder: str | Path | None) -> None:
        self.rows: dict[str, str] = {}
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
        content = segment.read_bytes()
        if hashlib.sha256(content).hexdigest() != segment.stem:
            warnings.warn(f"{segment} is damaged: what it held is computed again", stacklevel=4)
            return
        for line in content.decode().splitlines():
            key, _, row = line.partition("\t")
            self.rows[key] = row

    def put(self, keys: Sequence[str], rows: Sequence[str]) -> None:
        """Keeps rows. Raises CacheError when the disk is full; what was kept before stays."""
        if self._folder is None or not keys:
            return
        content = "".join(f"{key}\t{row}\n" for key, row in zip(keys, rows, strict=True)).encode()
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
