"""The command `xpusim` of the wheel: `sweep` in Python, everything else by the program that it brings."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from xpusim import _core
from xpusim._library import PACKAGE, data_root
from xpusim.errors import ConfigError, Error, config_error
from xpusim.inputs import Scenario
from xpusim.sweeps import sweep

KEYS = {"scenario": True, "space": True, "set": False, "fidelity": False, "cache": False, "out": False}
DESCRIPTION = """\
Runs a scenario at every point of a space. SPEC.yaml:

    scenario: llama31_70b_decode        # id or file
    space:                              # all combinations
      chip.hbm.bandwidth: [3 TB/s, 4 TB/s]
      parallelism.tp: [4, 8]
    set: {batch: 32}                    # of all points; may be left out, as the rest
    fidelity: bound                     # or tile
    out: points.parquet                 # or .csv; default: SPEC.csv
    cache: points.cache                 # default: SPEC.cache, kept for --resume

Shards (for job arrays) write OUT with the shard's number and share the cache; a run without --shard, with
--resume, puts them together.
"""


def read_spec(path: Path) -> dict[str, Any]:
    """The checked content of a sweep's file. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise config_error(str(path), f"cannot read the file: {error.strerror}") from error
    spec = json.loads(_core.parse_yaml(text, str(path)))
    if not isinstance(spec, dict):
        raise config_error(str(path), "expected a map of keys", "see xpusim sweep --help")
    for key in spec:
        if key not in KEYS:
            raise config_error(str(path), "unknown key", "known: " + ", ".join(KEYS), key)
    for key, required in KEYS.items():
        if required and not spec.get(key):
            raise config_error(str(path), "missing required key", "see xpusim sweep --help", key)
    if spec.get("fidelity", "bound") not in ("bound", "tile"):
        raise config_error(str(path), f"no fidelity '{spec['fidelity']}'", "bound or tile", "fidelity")
    return spec


def shard_of(text: str) -> tuple[int, int]:
    """ "2/8" as (2, 8)."""
    first, slash, of = text.partition("/")
    if not (slash and first.isdigit() and of.isdigit() and 1 <= int(first) <= int(of)):
        raise argparse.ArgumentTypeError(f"'{text}' is no shard; e.g. 2/8, from 1/8 to 8/8")
    return int(first), int(of)


def sweep_command(arguments: list[str]) -> None:
    """`xpusim sweep`."""
    parser = argparse.ArgumentParser(
        prog="xpusim sweep", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", type=Path, help="the sweep's file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    parser.add_argument(
        "--shard", type=shard_of, default=(1, 1), metavar="I/N", help="every N-th point from the I-th on"
    )
    parser.add_argument("--resume", action="store_true", help="use the rows that the cache holds already")
    parser.add_argument("--out", type=Path, help="table to write: .csv or .parquet")
    a = parser.parse_args(arguments)
    spec = read_spec(a.spec)
    folder = a.spec.parent
    cache = folder / spec["cache"] if "cache" in spec else a.spec.with_suffix(".cache")
    out = a.out or (folder / spec["out"] if "out" in spec else a.spec.with_suffix(".csv"))
    if a.shard[1] > 1:
        out = out.with_name(f"{out.stem}-{a.shard[0]}-of-{a.shard[1]}{out.suffix}")
    if out.suffix not in (".csv", ".parquet"):
        raise config_error(str(out), "no table can be written there", "a name that ends in .csv or .parquet")
    if not a.resume and a.shard[1] == 1 and cache.exists():
        raise config_error(str(cache), "holds results of an earlier run", "go on with --resume, or remove it")
    scenario = Scenario.load(spec["scenario"]).with_(spec.get("set") or {})
    space = {key: values if isinstance(values, list) else [values] for key, values in spec["space"].items()}
    frame = sweep(
        scenario,
        space,
        fidelity=spec.get("fidelity", "bound"),
        jobs=a.jobs,
        cache=cache,
        shard=a.shard,
        progress=_bar(),
    )
    write_table(frame, out)
    failed = int(frame["error"].notna().sum())
    print(f"{out}: {len(frame)} points, {failed} failed")


def write_table(frame: Any, out: Path) -> None:
    """Writes a table under a temporary name and renames it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if out.suffix == ".parquet":
            frame.to_parquet(part)
        else:
            frame.to_csv(part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _bar() -> bool:
    """Is there a terminal for a progress bar, and what draws it?"""
    return sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None


def _complain(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def run_program(arguments: list[str]) -> NoReturn:
    """Becomes the compiled program, on the package's files."""
    os.environ.setdefault("XPUSIM_DATA", str(data_root()))
    program = PACKAGE / "bin" / "xpusim"
    os.execv(program, [str(program), *arguments])


def main() -> None:
    """Exit codes as of the program: 0 ok, 2 inputs, 3 infeasible, 130 interrupted."""
    arguments = sys.argv[1:]
    if arguments[:1] != ["sweep"]:
        run_program(arguments)
    try:
        sweep_command(arguments[1:])
    except ConfigError as error:
        sys.exit(_complain(str(error), 2))
    except (Error, OSError, ImportError) as error:
        sys.exit(_complain(f"xpusim: {error}", 2))
    except KeyboardInterrupt:
        sys.exit(_complain("xpusim: interrupted; go on with --resume", 130))


if __name__ == "__main__":
    main()
