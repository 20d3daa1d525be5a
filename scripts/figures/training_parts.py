#!/usr/bin/env python3
"""Where the time of a training step goes: two dense models on H100, two mixtures of experts on H800 and 910B.

Runs `xpusim run` of four scenarios (event kernel) and draws the parts of their steps, as shares, one stacked
bar a scenario, into docs/figures/training_parts.png.
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
SCENARIOS = (
    "train_gpt3_175b_1024_h100",
    "train_llama31_405b_16384_h100",
    "train_deepseek_v3_2048_h800",
    "train_pangu_ultra_moe",
)
#: What is drawn in one colour: its name, colour, and the parts of the step that it sums.
GROUPS = (
    ("matrix products", "#0072b2", ("matrix products",)),
    ("attention", "#56b4e9", ("attention",)),
    ("other kernels", "#b7dcf0", ("other kernels",)),
    ("wait for tensor ranks", "#d55e00", ("wait for tensor ranks",)),
    ("wait for expert ranks", "#e69f00", ("wait for expert ranks",)),
    ("pipeline transfers and bubble", "#cc5f94", ("pipeline transfers", "pipeline bubble")),
    ("replicas: gradients, weights", "#009e73", ("gradients between replicas", "weights between replicas")),
    ("optimizer, host, slower ranks", "#8c8c8c", ("optimizer", "host", "slower ranks")),
)
REST = ("wait for context ranks", "wait for sharded weights")


def run(xpusim: Path, scenario: str) -> Any:
    command = [str(xpusim), "run", scenario, "--json", "-"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["results"][0]


def shares(result: Any) -> list[float]:
    """Percent of the step by group; they add up to 100."""
    parts = {name.removesuffix("_s"): seconds for name, seconds in result["training"]["parts"].items()}
    known = {p for _, _, names in GROUPS for p in names} | set(REST)
    if parts.keys() - known or any(parts[p] > 0 for p in REST):
        sys.exit(f"training_parts: {result['workload']}: a part that is not drawn")
    return [100 * sum(parts[p] for p in names) / result["step_time_s"] for _, _, names in GROUPS]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/release/xpusim")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/figures/training_parts.png")
    options = parser.parse_args()
    results = [run(options.xpusim.resolve(), s) for s in SCENARIOS]
    figure, axis = plt.subplots(figsize=(10, 3.9), constrained_layout=True)
    names = [
        f"{r['workload']}\n{r['step_time_s']:.2f} s, MFU {100 * r['training']['mfu']:.0f} %" for r in results
    ]
    left = [0.0] * len(results)
    columns = zip(*(shares(r) for r in results), strict=True)
    for (label, colour, _), widths in zip(GROUPS, columns, strict=True):
        axis.barh(names, widths, left=left, color=colour, label=label, height=0.62)
        for row, width in enumerate(widths):
            if width >= 4:
                axis.text(left[row] + width / 2, row, f"{width:.0f}", ha="center", va="center", fontsize=8)
        left = [x + width for x, width in zip(left, widths, strict=True)]
        print(f"{label:<30} " + " ".join(f"{w:6.1f}" for w in widths))
    axis.invert_yaxis()
    axis.set(xlim=(0, 100), xlabel="share of the step [%]")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=130)


if __name__ == "__main__":
    main()
