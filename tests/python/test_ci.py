"""docs/ci.md, step by step: a repository of one's own that has nothing but the installed package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from conftest import ROOT

EXAMPLES = ROOT / "docs/examples/ci"
REGRESSION = ROOT / "scripts/ci_regression.sh"
PROGRAM = Path(sys.executable).with_name("xpusim")
Done = subprocess.CompletedProcess[str]


def run(folder: Path, *command: str, **variables: str) -> Done:
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "GITHUB_", "CI_", "XPUSIM_"))
    }
    environment = {
        **inherited,
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        **variables,
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def check(folder: Path, *options: str) -> Done:
    return run(folder, "xpusim", "check", "perf/suite.yaml", *options)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """The team's repository, with the example's files in perf/."""
    folder = tmp_path / "team"
    shutil.copytree(EXAMPLES, folder / "perf")
    return folder


def slower_memory(team: Path) -> None:
    replace(team / "perf/my_chip.yaml", "value: 4 TB/s", "value: 3.6 TB/s")


def test_the_steps_of_the_page(team: Path) -> None:
    for kind, name in (
        ("chip", "my_chip"),
        ("system", "my_node"),
        ("scenario", "my_serving"),
        ("suite", "suite"),
    ):
        done = run(team, "xpusim", "config", "check", "--kind", kind, f"perf/{name}.yaml")
        assert done.returncode == 0, done.stderr
    assert "no baseline (write the first one" in check(team).stderr
    first = check(team, "--update", "--reason", "First predictions")
    assert first.returncode == 0 and "perf/suite.baseline: 11 cases written" in first.stdout, first.stderr
    again = check(team)
    assert again.returncode == 0 and "11 same" in again.stdout, again.stdout

    slower_memory(team)
    moved = check(
        team, "--markdown", "out/suite.md", "--junit", "out/suite.xml", "--bencher", "out/bencher.json"
    )
    assert moved.returncode == 1, moved.stderr
    for part in (
        "chip my_chip: hbm.bandwidth 4 TB/s -> 3.6 TB/s",
        "because of   its inputs",
        "by cause     hbm +",
    ):
        assert part in moved.stdout
    assert "changed decode/dgx_h100" not in moved.stdout, "a chip that did not change"
    assert "hbm.bandwidth" in (team / "out/suite.md").read_text()
    junit = ElementTree.parse(team / "out/suite.xml").getroot()
    assert (junit.get("tests"), junit.get("failures")) == ("11", "6")
    assert len(json.loads((team / "out/bencher.json").read_text())) == 11

    assert check(team, "--update", "--reason", "Memory team: 3.6 TB/s").returncode == 0
    assert check(team).returncode == 0
    replace(team / "perf/suite.yaml", "  serving_64k:\n", "  serving_long:\n")
    gone = check(team)
    assert gone.returncode == 1 and "removed serving_64k" in gone.stdout and "new serving_long" in gone.stdout


def test_it_does_not_matter_where_it_is_run_from(team: Path) -> None:
    assert check(team, "--update", "--reason", "First").returncode == 0
    kept = (team / "perf/suite.baseline").read_bytes()
    inside = run(team / "perf", "xpusim", "check", "suite.yaml")
    assert inside.returncode == 0, inside.stdout
    (team / "perf/suite.baseline").unlink()
    whole = run(
        team.parent, "xpusim", "check", str(team / "perf/suite.yaml"), "--update", "--reason", "First"
    )
    assert whole.returncode == 0 and (team / "perf/suite.baseline").read_bytes() == kept, whole.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[my_node.yaml, dgx_h100]", "[my_node.yaml, dgx_h10]", "did you mean 'dgx_h100'?"),
        ("my_chip.yaml, h100_sxm]", "my_chp.yaml, h100_sxm]", "perf/my_chp.yaml: there is no such file"),
        ("    op: gemm m=4096", "    opp: gemm m=4096", "unknown key (did you mean 'op'?)"),
        ("[time_us, tokens_per_s", "[time_ms, tokens_per_s", "did you mean 'time_us'?"),
        ("time: 42.5 us", "time: 42.5", "write a number with its unit"),
        ("scenario.context", "scenario.contex", "did you mean 'context'?"),
        ("validation: my_measured.csv", "validation: my_mesured.csv", "there is no such file"),
    ],
)
def test_a_mistake_is_told_with_its_place(team: Path, old: str, new: str, message: str) -> None:
    replace(team / "perf/suite.yaml", old, new)
    done = check(team, "--update", "--reason", "First")
    assert (done.returncode, done.stdout) == (2, ""), done.stdout
    assert re.match(r"perf/suite\.yaml:\d+:\d+: ", done.stderr) and message in done.stderr, done.stderr
    assert not (team / "perf/suite.baseline").exists()


def commands(node: Any) -> list[str]:
    """All that the jobs of a workflow run."""
    if isinstance(node, dict):
        own = [node[k] for k in ("run", "script") if k in node]
        texts = [t for entry in own for t in (entry if isinstance(entry, list) else [entry])]
        return texts + [t for value in node.values() for t in commands(value)]
    return [t for entry in node for t in commands(entry)] if isinstance(node, list) else []


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_the_workflows_call_what_there_is(team: Path, name: str) -> None:
    known = set(re.findall(r"--[a-z-]+", run(team, "xpusim", "check", "--help").stdout))
    calls = [c for c in commands(yaml.safe_load((EXAMPLES / name).read_text())) if c.startswith("xpusim ")]
    assert len(calls) == 1
    assert set(re.findall(r"--[a-z-]+", calls[0])) <= known
    assert check(team, "--update", "--reason", "First").returncode == 0
    done = run(team, "bash", "-euc", calls[0])
    assert done.returncode == 0, done.stderr
    assert "### My chip: 11 cases" in (team / "out/suite.md").read_text()


def test_the_page_shows_the_files_as_they_are() -> None:
    shown = re.findall(
        r"<!-- file: examples/ci/(\S+) -->\n```\w+\n(.*?)```\n", (ROOT / "docs/ci.md").read_text(), re.S
    )
    assert {name for name, _ in shown} == {f.name for f in EXAMPLES.iterdir()}
    for name, text in shown:
        assert text == (EXAMPLES / name).read_text(), f"{name}: run scripts/refresh_docs.py --ci"


# Base against head.


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Team", "-c", "user.email=team@example.com", "-c", "init.defaultBranch=main")
    done = run(folder, "git", *identity, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


@pytest.fixture
def repository(team: Path) -> Path:
    """main with the example, and a branch from it."""
    shutil.copy(REGRESSION, team / "ci_regression.sh")
    git(team, "init", "-q")
    commit(team, "Suite")
    git(team, "switch", "-q", "-c", "work")
    return team


def regression(folder: Path, *words: str, **variables: str) -> Done:
    temporary = folder.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    script = (
        next(f for f in (folder, *folder.parents) if (f / "ci_regression.sh").exists()) / "ci_regression.sh"
    )
    done = run(folder, str(script), *words, TMPDIR=str(temporary), **variables)
    assert not list(temporary.iterdir()), "nothing stays"
    assert len(git(folder, "worktree", "list").splitlines()) == 1
    return done


def test_base_against_head(repository: Path) -> None:
    same = regression(repository, "perf/suite.yaml", "main")
    assert same.returncode == 0 and "11 same" in same.stdout, same.stderr
    slower_memory(repository)  # not even committed
    summary = repository.parent / "summary.md"
    summary.write_text("before\n")
    words = ("perf/suite.yaml", "main", "--junit", "out/suite.xml")
    moved = regression(repository, *words, GITHUB_STEP_SUMMARY=str(summary))
    assert moved.returncode == 1 and "hbm.bandwidth 4 TB/s -> 3.6 TB/s" in moved.stdout, moved.stderr
    assert summary.read_text().startswith("before\n### My chip: 11 cases: 6 changed")
    assert (repository / "out/suite.xml").exists()
    assert not (repository / "perf/suite.baseline").exists()


def test_the_base_is_where_the_branch_left(repository: Path) -> None:
    git(repository, "switch", "-q", "main")
    slower_memory(repository)
    commit(repository, "Slower memory")
    git(repository, "switch", "-q", "work")
    assert regression(repository, "perf/suite.yaml", "main").returncode == 0
    inside = regression(repository / "perf", "suite.yaml", "main~1")
    assert inside.returncode == 0 and "11 same" in inside.stdout, inside.stderr


def test_a_suite_that_the_base_lacks_is_said(repository: Path) -> None:
    (repository / "perf/suite.yaml").rename(repository / "perf/other.yaml")
    done = regression(repository, "perf/other.yaml", "main")
    assert done.returncode == 0 and "perf/other.yaml is not in " in done.stdout, done.stderr
    assert "11 new" in done.stdout


def test_what_keeps_it_from_comparing(repository: Path) -> None:
    def refused(*words: str, **variables: str) -> str:
        done = regression(repository, *words, **variables)
        assert done.returncode == 2, done.stdout
        return done.stderr

    assert "no revision origin/main (fetch it" in refused()
    assert "no revision origin/release" in refused(GITHUB_BASE_REF="release")
    assert "no suite perf/none.yaml" in refused("perf/none.yaml", "main")
    assert "no program other" in refused("perf/suite.yaml", "main", XPUSIM_BASE="other")
    replace(repository / "perf/suite.yaml", "time: 42.5 us", "time: 42.5")
    assert "write a number with its unit" in refused("perf/suite.yaml", "main")
    commit(repository, "A mistake")
    replace(repository / "perf/suite.yaml", "time: 42.5", "time: 42.5 us")
    assert "does not run" in refused("perf/suite.yaml", "HEAD")


def test_the_base_may_have_a_program_of_its_own(repository: Path) -> None:
    other = repository / "other"
    other.write_text(f'#!/bin/sh\npwd >> {repository.parent}/calls\nexec {PROGRAM} "$@"\n')
    other.chmod(0o755)
    done = regression(repository, "perf/suite.yaml", "main", XPUSIM_BASE="./other")
    assert done.returncode == 0, done.stderr
    calls = (repository.parent / "calls").read_text().splitlines()
    assert len(calls) == 1 and not calls[0].startswith(str(repository)), "the base alone, in its worktree"
