#!/usr/bin/env python3
"""Runs the commands that README.md, docs/guide.md and docs/ci.md show, and puts in what they print now.

README: the text between the markers `demo` and `whatif`, less its notes. Guide: fenced blocks that begin
with "$ xpusim". Shortened ones (a line "...") keep their lines; those that need a file of the reader's own
stay as they are.
docs/ci.md: files behind a marker `file:`, and commands in fenced blocks, which run one after the other in a
folder that holds the files of docs/examples/ci under perf/.

    scripts/refresh_docs.py [--xpusim PATH] [--check]

exit codes: 0 done; 1 --check found a page that shows other text than its commands print
"""

from __future__ import annotations

import argparse
import difflib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
OWN_FILES = re.compile(r"my_chip|bad\.yaml|gemm\.csv|build/demo|\|")


def output(xpusim: pathlib.Path, command: str) -> str:
    """What a command prints; its notes only where it fails, for they are all that it says then."""
    arguments = shlex.split(command)[1:]
    done = subprocess.run([str(xpusim), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    text = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    return text.replace(f"{ROOT}/", "").rstrip("\n")


def readme(xpusim: pathlib.Path, text: str) -> str:
    for name in ("demo", "whatif"):
        marked = re.compile(
            rf"`(xpusim [^`]+)`:\n\n<!-- {name}:begin -->\n```text\n(.*?)\n```\n<!-- {name}:end -->", re.S
        )
        found = marked.search(text)
        if found is None:
            sys.exit(f"refresh_docs: README.md has no block {name}")
        text = text[: found.start(2)] + output(xpusim, found[1]) + text[found.end(2) :]
    return text


def shortened(shown: list[str], now: list[str]) -> list[str]:
    """What is shown of an output, as it is now. With a line "...", lines are found by their first column, or
    else by their first word."""
    if not any(line.strip() == "..." for line in shown):
        return now
    fresh, at = [], 0
    for line in shown:
        label = re.split(r"\s{2,}", line.strip())[0]
        rule = bool(re.fullmatch(r"-+", label))
        same = [
            k
            for k in range(at, len(now))
            if re.split(r"\s{2,}", now[k].strip())[0] == label or (rule and re.fullmatch(r"-+", now[k]))
        ]
        if not same and label:
            same = [k for k in range(at, len(now)) if now[k].split()[:1] == label.split()[:1]]
        if label and label != "..." and same:
            at = same[0] + 1
            line = now[same[0]]
        fresh.append(line)
    return fresh


def guide(xpusim: pathlib.Path, text: str) -> str:
    def fresh(block: re.Match[str]) -> str:
        runs = []
        for run in re.split(r"^(?=\$ )", block[2], flags=re.M):
            if not run.strip():
                continue
            command, *shown = run.rstrip("\n").split("\n")
            if OWN_FILES.search(command) or not command.startswith("$ xpusim "):
                print(f"refresh_docs: left as it is: {command[2:]}")
            else:
                now = output(xpusim, command[2:]).split("\n")
                shown = shortened(shown, now)
            runs.append("\n".join([command, *shown]))
        return f"```{block[1]}\n" + "\n".join(runs) + "\n```"

    return re.sub(r"```(\w*)\n(\$ xpusim .*?)\n```", fresh, text, flags=re.S)


def ci(xpusim: pathlib.Path, text: str) -> str:
    files = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n).*?(```\n)", re.S)
    blocks = re.compile(r"```text\n(\$ .*?)\n```", re.S)
    text = files.sub(lambda m: m[1] + (ROOT / "docs" / m[2]).read_text() + m[3], text)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "bin").mkdir()
        (pathlib.Path(folder) / "bin/xpusim").symlink_to(xpusim)
        shutil.copytree(ROOT / "docs/examples/ci", pathlib.Path(folder) / "team/perf")
        environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        environment.pop("XPUSIM_DATA", None)

        def fresh(block: re.Match[str]) -> str:
            runs = []
            for run in re.split(r"^(?=\$ )", block[1], flags=re.M)[1:]:
                command, *shown = run.rstrip("\n").split("\n")
                done = subprocess.run(
                    ["bash", "-c", command[2:]],
                    cwd=f"{folder}/team",
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    check=False,
                )
                now = done.stdout.rstrip("\n").split("\n") if done.stdout else []
                runs.append("\n".join([command, *shortened(shown, now)]))
            return "```text\n" + "\n".join(runs) + "\n```"

        return blocks.sub(fresh, text)


PAGES = {"docs/ci.md": ci, "README.md": readme, "docs/guide.md": guide}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xpusim", type=pathlib.Path, default=ROOT / "build/release/xpusim")
    parser.add_argument("--ci", action="store_true", help="docs/ci.md alone")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; name pages that are not as they would be"
    )
    arguments = parser.parse_args()
    stale = []
    for name, refresh in PAGES.items():
        if arguments.ci and name != "docs/ci.md":
            continue
        page = ROOT / name
        shown = page.read_text(encoding="utf-8")
        now = refresh(arguments.xpusim.resolve(), shown)
        if now == shown:
            continue
        stale.append(name)
        if arguments.check:
            sys.stdout.writelines(
                difflib.unified_diff(shown.splitlines(True), now.splitlines(True), name, name, n=0)
            )
        else:
            page.write_text(now, encoding="utf-8")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
