#!/usr/bin/env python3
"""Training throughput of a chip over the number of chips: GPT-3 175B on H100 and on Ascend 910B2.

Runs `xpusim scale` (event kernel) with a batch that grows with the chips (weak) and with one that stays
(strong), each system with its own software, and draws tokens/s per chip and efficiency into
docs/figures/training_scaling.png.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
try:
    import matplotlib
    import matplotlib.pyplot as plt
except ImportError:
    sys.path.append(str(ROOT / "scripts"))
    import in_venv

    in_venv.restart()
matplotlib.use("Agg")
SCENARIO = "train_gpt3_175b_1024_h100"
CHIPS = "256,512,1024,2048,4096,8192"
SYSTEMS = (
    ("meta_h100_24k", "H100 (Meta's cluster), Megatron-Core", "#0072b2"),
    ("atlas_900_a2,scenario.training.stack=mindspeed", "Ascend 910B2 (Atlas 900 A2), MindSpeed", "#cc5f94"),
)
SCALINGS = (("weak", "-"), ("strong", "--"))


def scale(xpusim: Path, scaling: str) -> list[Any]:
    """The points of each system's curve."""
    command = [str(xpusim), "scale", SCENARIO, "--chips", CHIPS, f"--{scaling}", "--json", "-"]
    for system, _, _ in SYSTEMS:
        command += ["--on", system]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [curve["points"] for curve in json.loads(done.stdout)["curves"]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/release/xpusim")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/figures/training_scaling.png")
    options = parser.parse_args()
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), constrained_layout=True)
    for scaling, style in SCALINGS:
        curves = scale(options.xpusim.resolve(), scaling)
        for (_, label, colour), all_points in zip(SYSTEMS, curves, strict=True):
            points = [p for p in all_points if not p["refused"]]
            chips = [p["chips"] for p in points]
            rates = [p["tokens_per_s_per_chip"] for p in points]
            efficiency = [100 * p["efficiency"] for p in points]
            for axis, values in zip(axes, (rates, efficiency), strict=True):
                name = f"{label}, {scaling}"
                axis.plot(chips, values, style, marker="o", markersize=4, color=colour, label=name)
            shown = " ".join(f"{n}:{r:.0f}" for n, r in zip(chips, rates, strict=True))
            print(f"{label}, {scaling}: tokens/s per chip {shown}; at last {efficiency[-1]:.1f} %")
    ticks = [int(n) for n in CHIPS.split(",")]
    for axis, title in zip(axes, ("tokens/s per chip", "efficiency [%]"), strict=True):
        axis.set(xscale="log", xlabel="chips", title=title, ylim=(0, None))
        axis.set_xticks(ticks, [str(n) for n in ticks])
        axis.minorticks_off()
        axis.grid(color="#e4e4e4")
    axes[1].legend(frameon=False, fontsize=8, loc="lower left")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=130)


if __name__ == "__main__":
    main()
