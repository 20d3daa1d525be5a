#!/usr/bin/env python3
"""Checks the YAML files against their JSON schemas, and what `xpusim` generates against the files in git.

The generated files are configs/schema/*.json (`xpusim config schema KIND`) and docs/reference.md
(`xpusim config docs`); --update rewrites them.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
try:
    import jsonschema
    import yaml
except ImportError:
    import in_venv

    in_venv.restart()

FOLDERS = {
    "chip": "configs/chips",
    "system": "configs/systems",
    "stack": "configs/stacks",
    "model": "workloads/models",
    "scenario": "workloads/scenarios",
    "trace": "workloads/traces",
    "suite": "tests/golden",
}


class Loader(yaml.SafeLoader):
    """YAML 1.2 core schema: `on` is text, 1e9 is a number; and a duplicate key is an error."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {key.value!r}", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for tag, pattern, first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), list(first))


def files_of(kind: str) -> list[Path]:
    return sorted((ROOT / FOLDERS[kind]).rglob("*.yaml"))


def validate(kind: str) -> list[str]:
    """One line for each place where a file of this kind breaks the schema."""
    schema = json.loads((ROOT / f"configs/schema/{kind}.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    findings = []
    for path in files_of(kind):
        name = path.relative_to(ROOT)
        try:
            document = yaml.load(path.read_text(encoding="utf-8"), Loader)  # a SafeLoader
        except yaml.YAMLError as broken:
            findings.append(f"{name}: {broken}")
            continue
        for error in sorted(validator(schema).iter_errors(document), key=lambda e: e.json_path):
            findings.append(f"{name}: {error.json_path}: {error.message:.300}")
    return findings


def run(xpusim: Path, *arguments: str) -> str:
    command = [str(xpusim), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shown = " ".join(["xpusim", *arguments[:3]])
        raise RuntimeError(f"{shown}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def compare(name: str, generated: str, update: bool) -> list[str]:
    """How the checked-in file differs from what xpusim generates; with update, rewrites it."""
    path = ROOT / name
    current = path.read_text(encoding="utf-8") if path.exists() else ""
    if current == generated:
        return []
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generated, encoding="utf-8")
        print(f"check_configs: wrote {name}")
        return []
    diff = difflib.unified_diff(
        current.splitlines(), generated.splitlines(), name, "generated", lineterm="", n=1
    )
    lines = list(diff)[:40]
    return [f"{name} is not what xpusim generates; run scripts/check_configs.py --update", *lines]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/ci/xpusim", help="default: %(default)s")
    parser.add_argument("--update", action="store_true", help="rewrite the generated files")
    options = parser.parse_args()
    xpusim = options.xpusim.resolve()
    if not xpusim.exists():
        print(f"check_configs: no {options.xpusim}; build it with scripts/test.sh", file=sys.stderr)
        return 2

    findings = []
    kinds = [kind for kind in FOLDERS if files_of(kind)]
    try:
        for kind in kinds:
            name = f"configs/schema/{kind}.schema.json"
            findings += compare(name, run(xpusim, "config", "schema", kind), options.update)
            findings += validate(kind)
        findings += compare("docs/reference.md", run(xpusim, "config", "docs"), options.update)
        files = [str(path.relative_to(ROOT)) for kind in kinds for path in files_of(kind)]
        if files:
            run(xpusim, "config", "check", *files)
    except (RuntimeError, OSError, jsonschema.SchemaError) as error:
        findings.append(str(error))
    for finding in findings:
        print(finding)
    total = sum(len(files_of(kind)) for kind in kinds)
    print(f"check_configs: {total} files of {len(kinds)} kinds, " + ("FAILED" if findings else "ok"))
    return 1 if findings or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
