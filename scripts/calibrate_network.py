#!/usr/bin/env python3
"""Fit the few constants of a system's collective libraries to measured sets, and print or write them.

The search runs `xpusim validate --fidelity bound`, minimises the mean absolute error of a stage's rows, is
deterministic and does not start at the shipped constants. No constant depends on a message size, a number
of ranks or an operator. Stages run in order: each keeps what the ones before it found.

    scripts/calibrate_network.py --system dgx_h100 [--stages nccl deepep] [--measured DIR] [--write]
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

try:
    import yaml
    from scipy.optimize import differential_evolution  # type: ignore[import-untyped]
except ImportError:
    import in_venv

    in_venv.restart()

ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Stage:
    library: str
    files: tuple[str, ...]  # below the folder of measured sets
    rows: str  # pattern of the labels that count
    constants: Mapping[str, tuple[str, float, float]]  # [protocol.]key: (unit, low, high)
    same: dict[str, str] = field(default_factory=dict)  # constant: another that has its value


NCCL = {
    "launch": ("us", 2, 12),
    "ll.step": ("us", 0.0, 1),
    "ll.bandwidth_fraction": ("", 0.02, 0.5),
    "ll128.startup": ("us", 0, 12),
    "ll128.bandwidth_fraction": ("", 0.1, 0.94),
    "simple.startup": ("us", 0, 30),
    "simple.step": ("us", 0, 6),
    "simple.chunk": ("kB", 0, 10000),
    "copy_bandwidth": ("GB/s", 100, 3000),
}
OLDER = {
    "ll.step": ("us", 0.0, 4),
    "ll.bandwidth_fraction": ("", 0.02, 0.5),
    "ll128.startup": ("us", 0, 60),
    "ll128.bandwidth_fraction": ("", 0.1, 0.94),
    "simple.startup": ("us", 0, 120),
    "simple.step": ("us", 0, 12),
    "simple.chunk": ("kB", 0, 40000),
}
STEPS = {"ll128.step": "ll.step"}
IN_SWITCH = r"^all_reduce 8 ranks \d+ B( nccl_tests eager)?$"
P2P = {"p2p.startup": ("us", 0, 20), "message": ("us", 0, 1)}
LL = {
    "ll128.step": "ll.step",
    "p2p_ll.step": "ll.step",
    "p2p_ll.bandwidth_fraction": "ll.bandwidth_fraction",
    "p2p.chunk": "simple.chunk",
}
RINGS = r"^(all_reduce|all_gather|reduce_scatter) \d+ ranks \d+ B$"
ENGINE = {
    "launch": ("us", 0.5, 8),
    "message": ("us", 0, 1),
    "peer_memory.step": ("us", 0, 4),
    "peer_memory.bandwidth_fraction": ("", 0.3, 1),
}
LOW = {
    "low_latency.startup": ("us", 1, 40),
    "low_latency.bandwidth_fraction": ("", 0.4, 1),
    "low_latency.rate": ("GB/s", 100, 450),
    "message": ("us", 0, 1),
    "proxy": ("us", 0, 20),
}
NORMAL = {
    "dispatch.startup": ("us", 1, 60),
    "dispatch.bandwidth_fraction": ("", 0.4, 1),
    "dispatch.rate": ("GB/s", 100, 450),
    "dispatch.chunk": ("kB", 0, 8000),
    "combine.startup": ("us", 1, 60),
    "combine.rate": ("GB/s", 100, 450),
    "combine.chunk": ("kB", 0, 8000),
    "message": ("us", 0, 10),
}
ONE_FRACTION = {"combine.bandwidth_fraction": "dispatch.bandwidth_fraction"}
XLA = {"launch": ("us", 0, 40), "exchange_launch": ("us", 0, 60)}


def gpu(system: str, switch: bool, moe: tuple[str, ...]) -> dict[str, Stage]:
    nccl = (f"comm/{system}/nccl.csv",)
    custom = f"comm/{system}/custom_allreduce.csv"
    others = f"comm/{system}/collectives.csv"
    stages = {
        "nccl": Stage("nccl", nccl, RINGS, NCCL, LL),
        "exchange": Stage("nccl", nccl, r"^all_to_all", P2P),
        "vllm": Stage("vllm_custom", (custom,), r"vllm_custom$", ENGINE),
        "sglang": Stage("sglang_custom", (custom,), r"sglang_custom$", ENGINE),
    }
    if switch:
        in_switch = {"in_switch_startup": ("us", 5, 60)}
        stages["in_switch"] = Stage("nccl", (*nccl, others), IN_SWITCH, in_switch)
        stages["xla"] = Stage("xla", (others,), " xla eager$", XLA)
    else:
        stages["older"] = Stage("nccl_2_18", (others,), " (torch|nccl_tests) eager$", OLDER, STEPS)
    if moe:
        stages["low_latency"] = Stage("deepep_low_latency", moe, "deepep_low_latency", LOW)
        stages["normal"] = Stage("deepep_normal", moe, "deepep_normal", NORMAL, ONE_FRACTION)
    return stages


MOE = tuple(
    f"comm/{s}/collectives.csv" for s in ("dgx_h100", "dgx_h100_multinode", "h800_node", "h800_multinode")
)
A2 = ("comm/atlas_800_a2/collectives.csv",)
A3 = ("comm/atlas_800_a3/collectives.csv",)
HCCL = {
    "launch": ("us", 1, 12),
    "aiv.startup": ("us", 0, 20),
    "aiv.step": ("us", 0, 6),
    "aiv.bandwidth_fraction": ("", 0.05, 1),
    "dma.startup": ("us", 0, 150),
    "dma.chunk": ("kB", 0, 10000),
}
COPY = {"copy.startup": ("us", 1, 300), "copy.bandwidth_fraction": ("", 0.5, 1)}
STAGES: dict[str, dict[str, Stage]] = {
    "dgx_a100": gpu("dgx_a100", False, ()),
    "dgx_h100": gpu("dgx_h100", True, MOE),
    "atlas_800_a2": {
        "hccl": Stage("hccl", A2, r"ranks \d+ B$", {"dma.startup": ("us", 0.0, 150.0)}),
        "copy": Stage("memfabric", A2, "memfabric", COPY),
    },
    "cloudmatrix384": {
        "hccl": Stage("hccl", A3, r"ranks \d+ B$", HCCL),
        "copy": Stage("memfabric", A3, "memfabric", COPY),
        "low_latency": Stage(
            "deepep_low_latency",
            ("comm/cloudmatrix384/collectives.csv",),
            "deepep_low_latency",
            {"low_latency.startup": ("us", 1, 150), "low_latency.bandwidth_fraction": ("", 0.2, 1)},
        ),
    },
}


def libraries(system: str) -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / f"configs/systems/{system}.yaml").read_text(encoding="utf-8"))["libraries"]


def path_of(system: str, library: str, constant: str) -> str:
    """--set's path of a constant."""
    listed = libraries(system)
    place = [x["name"] for x in listed].index(library)
    protocol, _, key = constant.rpartition(".")
    inside = ""
    if protocol:
        inside = f".protocols[{[x['name'] for x in listed[place]['protocols']].index(protocol)}]"
    return f"system.libraries[{place}]{inside}.{key}"


def text(value: float, unit: str) -> str:
    return f"{float(f'{value:.4g}'):g} {unit}".strip()  # without an exponent


class Fit:
    def __init__(self, system: str, stage: Stage, xpusim: pathlib.Path, measured: pathlib.Path) -> None:
        self.stage, self.measured, self.xpusim = stage, measured, xpusim
        self.paths = {k: path_of(system, stage.library, k) for k in (*stage.constants, *stage.same)}
        self.rows = re.compile(stage.rows)

    def settings(self, values: dict[str, str]) -> dict[str, str]:
        known = {k: v for k, v in self.stage.same.items() if v in values}
        return values | {k: values[v] for k, v in known.items()}

    def error(self, values: dict[str, str], others: list[str]) -> float:
        """Mean absolute error of the stage's rows, %."""
        command = [str(self.xpusim), "--data", str(ROOT), "validate", "--fidelity", "bound", "--json", "-"]
        command += ["--worst", "1000000"]
        for k, v in self.settings(values).items():
            command += ["--set", f"{self.paths[k]}={v}"]
        for setting in others:
            command += ["--set", setting]
        command += [str(self.measured / f) for f in self.stage.files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"calibrate_network: {done.stderr.strip()}")
        errors = [
            abs(row["error_pct"])
            for found in json.loads(done.stdout)["sets"]
            for row in found["worst"]
            if self.rows.search(row["label"])
        ]
        return sum(errors) / len(errors)

    def search(self, others: list[str], generations: int) -> tuple[dict[str, str], float]:
        names = list(self.stage.constants)
        limits = [self.stage.constants[k] for k in names]

        def values(x: list[float]) -> dict[str, str]:
            return {k: text(v, unit) for k, v, (unit, _, _) in zip(names, x, limits, strict=True)}

        found = differential_evolution(
            lambda x: self.error(values(x), others),
            [(low, high) for _, low, high in limits],
            seed=1,
            popsize=8,
            maxiter=generations,
            tol=1e-4,
            polish=False,
        )
        best = self.settings(values(list(found.x)))
        return best, float(found.fun)


LEAF = re.compile(r'(\s+)(\w+): \{value: [^,}]+, basis: (\w+), source: "[^"]*"(.*)\}(.*)')


def write(system: str, library: str, values: dict[str, str]) -> None:
    """Sets leaves in the file, by their place below library and protocol; they are `fitted` from then on."""
    path = ROOT / f"configs/systems/{system}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("libraries:"))
    current, protocol = "", ""
    missing = set(values)
    for i in range(start, len(lines)):
        if name := re.fullmatch(r"  - name: (\S+)(?:\s+#.*)?", lines[i]):
            current, protocol = name[1], ""
        elif name := re.fullmatch(r"      - name: (\S+)", lines[i]):
            protocol = name[1] + "."
        leaf = LEAF.fullmatch(lines[i])
        if leaf is None or current != library or protocol + leaf[2] not in values:
            continue
        missing.remove(protocol + leaf[2])
        more = re.sub(r", range: \[[^]]*\]", "", leaf[4])  # of a value that was judged
        value = f'value: {values[protocol + leaf[2]]}, basis: fitted, source: "scripts/calibrate_network.py"'
        lines[i] = f"{leaf[1]}{leaf[2]}: {{{value}{more}}}{leaf[5]}"
    if missing:
        sys.exit(f"calibrate_network: no such leaves in {path.name}, library {library}: {sorted(missing)}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--system", required=True, choices=STAGES)
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help="default: all")
    parser.add_argument("--measured", type=pathlib.Path, default=ROOT / "tests/measured", metavar="DIR")
    parser.add_argument("--xpusim", type=pathlib.Path, default=ROOT / "build/release/xpusim")
    parser.add_argument("--generations", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="write the constants to the system's file")
    options = parser.parse_args()
    stages = STAGES[options.system]
    others: list[str] = []
    for name in options.stages or stages:
        stage = stages[name]
        fit = Fit(options.system, stage, options.xpusim, options.measured)
        values, error = fit.search(others, options.generations)
        others += [f"{fit.paths[k]}={v}" for k, v in values.items()]
        print(f"{options.system} {name}: {error:.2f} %  {values}", flush=True)
        if options.write:
            write(options.system, stage.library, values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
