#!/usr/bin/env python3
"""Runs the commands that README.md and docs/guide.md show, and puts in what they print now.

README: the text between the markers `demo` and `whatif`. Guide: fenced blocks that begin with "$ xpusim".
Blocks that need a file of the reader's own, and shortened ones (a line "..."), stay; they are listed.

    scripts/refresh_docs.py [--xpusim PATH]
"""

from __future__ import annotations

import argparse
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OWN_FILES = re.compile(r"my_chip|bad\.yaml|gemm\.csv|build/demo|\|")


def output(xpusim: pathlib.Path, command: str) -> str:
    """stdout and stderr as a terminal shows them."""
    arguments = shlex.split(command)[1:]
    done = subprocess.run(
        [str(xpusim), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.replace(f"{ROOT}/", "").rstrip("\n")


def readme(xpusim: pathlib.Path) -> None:
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    for name in ("demo", "whatif"):
        marked = re.compile(
            rf"`(xpusim [^`]+)`:\n\n<!-- {name}:begin -->\n```text\n(.*?)\n```\n<!-- {name}:end -->", re.S
        )
        found = marked.search(text)
        if found is None:
            sys.exit(f"refresh_docs: README.md has no block {name}")
        text = text[: found.start(2)] + output(xpusim, found[1]) + text[found.end(2) :]
    path.write_text(text, encoding="utf-8")


def guide(xpusim: pathlib.Path) -> list[str]:
    path = ROOT / "docs/guide.md"
    left = []

    def fresh(block: re.Match[str]) -> str:
        commands = re.findall(r"^\$ (.*)$", block[2], re.M)
        short = re.search(r"^ *\.\.\. *$", block[2], re.M)
        if short or any(OWN_FILES.search(c) or not c.startswith("xpusim ") for c in commands):
            left.extend(commands)
            return block[0]
        runs = [f"$ {c}\n{output(xpusim, c)}" for c in commands]
        return f"```{block[1]}\n" + "\n".join(runs) + "\n```"

    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"```(\w*)\n(\$ xpusim .*?)\n```", fresh, text, flags=re.S), encoding="utf-8")
    return left


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xpusim", type=pathlib.Path, default=ROOT / "build/release/xpusim")
    xpusim = parser.parse_args().xpusim.resolve()
    readme(xpusim)
    for command in guide(xpusim):
        print(f"refresh_docs: left as it is: {command}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
