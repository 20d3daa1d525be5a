#!/usr/bin/env python3
"""Runs the notebooks of bindings/notebooks and writes their outputs into them.

Run by the interpreter of scripts/test_python.sh: build/python/venv/bin/python scripts/notebooks.py [NAME ...]
Of outputs in several forms those stay that every reader shows: pictures, tables, text.
"""

from __future__ import annotations

import argparse
import os
import pathlib

import nbformat
from nbclient import NotebookClient

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "bindings" / "notebooks"
KEPT = ("text/plain", "text/html", "image/png")


def run(path: pathlib.Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "data" in output:
                forms = {form: output.data[form] for form in KEPT if form in output.data}
                if "image/png" in forms:
                    forms.pop("text/html", None)
                output.data = nbformat.from_dict(forms)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of notebooks, without .ipynb (default: all)")
    names = parser.parse_args().names or [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    for name in names:
        run(FOLDER / f"{name}.ipynb")
        print(name)


if __name__ == "__main__":
    main()
