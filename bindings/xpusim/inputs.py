"""Chips, systems, models and scenarios: names of files with changed values on top, never changed in place."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from xpusim import _core
from xpusim._library import open_library, overrides
from xpusim.arguments import check, shown
from xpusim.errors import UnknownKeyError, config_error


@dataclass(frozen=True, repr=False)
class Spec:
    """A file by id or path, and values that replace some of its own.

    The object holds the name and the changes; the file is read when it is used, so an edited file counts from
    the next call on. Equal and hashable by name and changes; can be pickled.
    """

    kind: ClassVar[str]
    id: str  #: id (the file's name without .yaml) or path
    changes: tuple[str, ...] = field(default=())  #: "path=value", later ones win

    def __post_init__(self) -> None:
        check(self.id, str, "id")
        if not isinstance(self.changes, tuple):
            raise config_error("changes", f"{shown(self.changes)} is no tuple of texts", "use with_")
        for change in self.changes:
            check(change, str, "changes")

    @classmethod
    def load(cls, id_or_path: str | Path) -> Self:
        """Reads and checks a file. Raises ConfigError with every mistake, or with the ids that there are."""
        check(id_or_path, str | Path, "id_or_path")
        spec = cls(str(id_or_path))
        _ = spec._document
        return spec

    @classmethod
    def available(cls) -> list[str]:
        """The ids that there are."""
        return open_library().ids(cls.kind)

    def with_(self, changes: Mapping[str, Any]) -> Self:
        """A copy with values replaced, checked.

        changes: {dotted key: value}; a value with a dimension is text with its unit ("4.8 TB/s"), list
        elements have an index ("levels[0].bandwidth"). Raises ConfigError for unknown keys, wrong units and
        values out of range.
        """
        spec = type(self)(self.id, self.changes + overrides(self.kind, changes))
        _ = spec._document
        return spec

    @cached_property
    def _document(self) -> tuple[str, str, str]:
        return open_library().document(self.kind, self.id, list(self.changes))

    @property
    def data(self) -> dict[str, Any]:
        """Every value, numbers in SI base units (bytes, seconds, hertz, watts, bytes per second)."""
        data: dict[str, Any] = json.loads(self._document[0])
        return data

    @property
    def file(self) -> str:
        """The path of the file."""
        return self._document[2]

    def to_yaml(self) -> str:
        """Every value written out as the files have it, with units."""
        return self._document[1]

    def __getitem__(self, key: str) -> Any:
        """The value at a dotted key in SI base units. Raises a ConfigError that is a KeyError, too."""
        check(key, str, "key")
        value: Any = self.data
        for part in key.replace("]", "").replace("[", ".").split("."):
            try:
                value = value[int(part)] if isinstance(value, list) else value[part]
            except (LookupError, TypeError, ValueError):
                known = ", ".join(value) if isinstance(value, dict) else "an index"
                raise UnknownKeyError([(self.id, 0, 0, key, "no such key", known)]) from None
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, self.changes)

    def __repr__(self) -> str:
        with_ = f" with {', '.join(self.changes)}" if self.changes else ""
        return f"<xpusim {self.kind} {self.id}{with_}>"

    def _repr_html_(self) -> str:
        return f"<b>{html.escape(repr(self)[1:-1])}</b><pre>{html.escape(self.to_yaml())}</pre>"


class Chip(Spec):
    """An accelerator: cores, engines, buffers, L2, HBM. Keys: docs/reference.md, "chip"."""

    kind = "chip"

    @cached_property
    def _handle(self) -> _core.Chip:
        return open_library().chip(self.id, list(self.changes))


class System(Spec):
    """Chips and the network between them. Keys: docs/reference.md, "system"; "chip.*" changes its chip."""

    kind = "system"


class Model(Spec):
    """A transformer's shape. Keys: docs/reference.md, "model"."""

    kind = "model"


class Scenario(Spec):
    """What is computed, and how it is spread over a system.

    Keys: docs/reference.md, "scenario"; "chip.*", "system.*", "stack.*" and "model.*" change what it names;
    "system", "model" and "chip" alone name another.
    """

    kind = "scenario"
