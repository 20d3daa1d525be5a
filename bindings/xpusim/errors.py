"""What goes wrong, as exceptions. Messages say where, what with the value, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnostic:
    """One mistake in an input. Lines and columns count from 1; 0 where there is none (a `with_`)."""

    file: str
    line: int
    column: int
    key: str  #: dotted path, e.g. "chip.hbm.bandwidth"; may be empty
    message: str
    hint: str  #: what would be right; may be empty

    def __str__(self) -> str:
        where = self.file + (f":{self.line}:{self.column}" if self.line else "")
        what = f"{self.key}: {self.message}" if self.key else self.message
        return f"{where}: {what}" + (f" ({self.hint})" if self.hint else "")


class Error(Exception):
    """Base of all errors that xpusim raises itself."""


class ConfigError(Error, ValueError):
    """An input file, key or value is wrong. `diagnostics` lists every mistake that was found."""

    def __init__(self, diagnostics: Iterable[tuple[str, int, int, str, str, str]]) -> None:
        self.diagnostics = tuple(Diagnostic(*d) for d in diagnostics)
        super().__init__([(d.file, d.line, d.column, d.key, d.message, d.hint) for d in self.diagnostics])

    def __str__(self) -> str:
        return "\n".join(map(str, self.diagnostics))


class InfeasibleError(Error, RuntimeError):
    """The inputs are sound, but this workload cannot run on this chip or system."""


class ModelError(Error, RuntimeError):
    """A broken invariant of the simulator: a bug."""


class FileError(Error, OSError):
    """A file cannot be written: a full disk, a folder that may not be written."""


class CacheError(FileError):
    """Results cannot be kept in a cache or a study."""


class UnknownKeyError(ConfigError, KeyError):
    """There is no value at that key; a KeyError, too."""


class WorkerError(Error, RuntimeError):
    """A process that ran points has ended before its answer."""


def config_error(where: str, message: str, hint: str = "", key: str = "") -> ConfigError:
    """A ConfigError with one mistake that Python found."""
    return ConfigError([(where, 0, 0, key, message, hint)])


def error_of(where: str, kind: str, message: str) -> Error:
    """The error of a point's row, to be raised."""
    known = {"InfeasibleError": InfeasibleError, "ModelError": ModelError}
    return known.get(kind, WorkerError)(message) if kind != "ConfigError" else config_error(where, message)
