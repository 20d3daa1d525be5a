"""The package itself: stubs, docstrings, documents."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xpusim as xs

from conftest import ROOT


def test_the_checked_in_stubs_are_those_of_the_compiled_part(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pybind11_stubgen", "xpusim._core", "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    generated = (tmp_path / "xpusim" / "_core.pyi").read_text()
    assert (ROOT / "bindings/xpusim/_core.pyi").read_text() == generated, "copy the generated file"


def test_the_wheel_brings_types_files_and_the_program() -> None:
    package = Path(xs.__file__).parent
    for name in ("py.typed", "_core.pyi", "data/configs/accuracy.yaml", "bin/xpusim"):
        assert (package / name).is_file()
    assert "site-packages" in package.parts, "these tests are for the installed package"


@pytest.mark.parametrize("name", [n for n in xs.__all__ if n not in ("plot", "Error")])
def test_everything_public_says_what_it_is(name: str) -> None:
    assert len(inspect.getdoc(getattr(xs, name)) or "") > 30


def test_the_examples_of_docstrings_hold() -> None:
    assert doctest.testmod(xs).failed == 0


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_the_examples_of_documents_hold(
    document: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / document).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    source = "\n".join(block for block in blocks if ">>>" in block)
    test = doctest.DocTestParser().get_doctest(source, {}, document, document, 0)
    assert test.examples, f"{document} has no examples"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.DocTestRunner(optionflags=flags).run(test).failed == 0
