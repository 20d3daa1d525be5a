"""The files and the compiled library: where they are, and values as the text that YAML has for them."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from xpusim import _core
from xpusim.arguments import check, shown
from xpusim.errors import config_error

PACKAGE = Path(__file__).resolve().parent
#: Roots of a path, by the kind of object that they may be set on: what it names may be set, too.
ROOTS = {
    "chip": ("chip",),
    "model": ("model",),
    "system": ("system", "chip"),
    "scenario": ("scenario", "model", "stack", "system", "chip"),
}


#: Keys whose values name files.
REFERENCES = ("scenario.system", "scenario.model", "scenario.training.stack", "system.chip")


def data_root() -> Path:
    """The folder that holds configs/ and workloads/: $XPUSIM_DATA, or the package's own."""
    return Path(os.environ.get("XPUSIM_DATA") or PACKAGE / "data")


def placed(name: str) -> str:
    """An id as it is, a path from the root on: a worker may be in another folder."""
    is_path = "/" in name or name.endswith((".yaml", ".yml", ".json"))
    return str(Path(name).absolute()) if is_path else name


def placed_change(text: str) -> str:
    """ "path=value" with a file's path from the root on."""
    key, equals, value = text.partition("=")
    return f"{key}{equals}{placed(value)}" if key in REFERENCES else text


def open_library() -> _core.Library:
    """The files as they are now."""
    return _core.Library(str(data_root()))


def path_of(kind: str, key: str) -> str:
    """The path of a key that is set on an object of this kind, e.g. "chip.hbm.bandwidth"."""
    root, dot, _ = key.partition(".")
    if dot and root.split("[")[0] in ROOTS[kind]:
        return key
    return "system.chip" if (kind, key) == ("scenario", "chip") else f"{kind}.{key}"


def text_of(value: Any) -> str:
    """A value as YAML has it: 3, 0.5, true, "4.8 TB/s", lists and maps of such."""
    if isinstance(value, str):
        if not value.isascii() or "\0" in value:
            check(value, str, "value")
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a NumPy scalar
        value = value.item()
    try:
        if value is None or isinstance(value, (bool, int, float, list, tuple, dict)):
            return json.dumps(value)
    except (TypeError, ValueError, RecursionError):  # of what it holds
        pass
    raise config_error(shown(value), f"a value cannot be of type {type(value).__name__}", "text or a number")


def overrides(kind: str, changes: Mapping[str, Any]) -> tuple[str, ...]:
    """{key: value} as the "path=value" texts that the library takes."""
    check(changes, Mapping[str, Any], "changes")
    return tuple(f"{path_of(kind, key)}={text_of(value)}" for key, value in changes.items())


def need(module: str, extra: str) -> ModuleType:
    """Imports what an extra brings. Raises ImportError that says which."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is missing: pip install 'xpusim[{extra}]'") from error
