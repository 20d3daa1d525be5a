"""Arguments of public functions are of the types that these are annotated with, or it is an xs.Error."""

from __future__ import annotations

import functools
import inspect
import itertools
import numbers
import reprlib
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union

from xpusim.errors import config_error

P = ParamSpec("P")
R = TypeVar("R")
#: What people call types.
_NAMES: dict[Any, str] = {
    str: "text", int: "a whole number", float: "a number", bool: "True or False", type(None): "None",
    dict: "a dict", Callable: "a function", Sequence: "a list", Mapping: "a dict", Iterable: "a list",
}  # fmt: skip


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Refuses arguments of other types than the annotated ones with a ConfigError, before anything else."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        tests = _tests_of(function, "pandas" in sys.modules)
        for name, value in itertools.chain(zip(names, args, strict=False), kwargs.items()):
            if name in tests and not tests[name][0](value):
                check(value, tests[name][1], name)
        return function(*args, **kwargs)

    return call


def check(value: Any, hint: Any, name: str) -> None:
    """Raises ConfigError unless the value is of a type."""
    if fits(value, hint):
        return
    if typing.get_origin(hint) is Literal and isinstance(value, str):
        raise config_error(name, f"no {name} {value!r}", _text_of(hint))
    raise config_error(name, f"{shown(value)} is of the wrong type", _text_of(hint))


def shown(value: Any) -> str:
    """A value for a message: short, whatever its repr does."""
    try:
        text = reprlib.repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()


def fits(value: Any, hint: Any) -> bool:
    """Is the value of that type, with its elements as far as they can be seen without using them up?"""
    return _test_of(hint)(value)


@functools.cache
def _test_of(hint: Any) -> Callable[[Any], bool]:
    """What `fits` asks of a value: types are taken apart once, as an operator takes microseconds."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return lambda value: True
    if origin in (Union, types.UnionType):
        tests = [_test_of(part) for part in parts]
        return lambda value: any(test(value) for test in tests)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in parts
    if origin is Callable:
        return callable
    if origin is tuple:
        tests = [_test_of(part) for part in parts]
        return lambda value: (
            isinstance(value, tuple)
            and len(value) == len(tests)
            and all(test(item) for test, item in zip(tests, value, strict=True))
        )
    if origin is Sequence:
        test = _test_of(parts[0])
        return lambda value: _is_list(value, "__len__", "__getitem__") and all(map(test, value))
    if origin is Iterable:  # may be walked once only: its elements are seen where they are used
        return lambda value: _is_list(value, "__iter__")
    if origin in (Mapping, dict):
        test = _test_of(parts[0])
        return lambda value: isinstance(value, Mapping) and all(map(test, value))
    if hint in (int, float):
        kind = numbers.Integral if hint is int else numbers.Real  # NumPy's among them
        return lambda value: isinstance(value, kind) and not isinstance(value, bool)
    if hint is str:
        return lambda value: isinstance(value, str) and _is_plain(value)
    if hint is Path:
        return lambda value: isinstance(value, Path) and "\0" not in str(value)
    return lambda value: isinstance(value, hint)


def _is_list(value: Any, *abilities: str) -> bool:
    """NumPy's arrays and the columns of pandas are lists, too; texts and maps are none."""
    return all(hasattr(value, a) for a in abilities) and not isinstance(value, (str, bytes, Mapping))


def _is_plain(text: str) -> bool:
    """Unicode without NUL: what the library and the system take."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


@functools.cache
def _tests_of(
    function: Callable[..., Any], pandas_is_there: bool
) -> dict[str, tuple[Callable[[Any], bool], Any]]:
    """A test of each argument, and its type. Where nobody has imported pandas, no value is of its types."""
    pandas = sys.modules["pandas"] if pandas_is_there else types.SimpleNamespace(DataFrame=types.NoneType)
    hints = typing.get_type_hints(function, localns={"pandas": pandas})
    fixed = (p for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD)
    return {p.name: (_test_of(hints[p.name]), hints[p.name]) for p in fixed if p.name in hints}


def _text_of(hint: Any) -> str:
    """A type for people."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_text_of, parts)))
    if origin is Literal:
        return " or ".join(parts)
    if origin is tuple:
        return "a tuple of " + ", ".join(map(_text_of, parts))
    if origin in (Sequence, Iterable) and parts[0] is not Any:
        return f"a list of {_text_of(parts[0])}"
    named = origin or hint
    return _NAMES.get(named) or str(getattr(named, "__name__", named))
