#!/usr/bin/env python3
"""All-reduce and all-to-all bandwidth against group size: DGX SuperPOD H100 against CloudMatrix384.

Runs `xpusim collective` (1 GiB per rank, event kernel) for groups of neighbours, and draws bus bandwidth per
device over the number of devices into docs/figures/bandwidth_against_group.png.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
try:
    import matplotlib
    import matplotlib.pyplot as plt
except ImportError:
    sys.path.append(str(ROOT / "scripts"))
    import in_venv

    in_venv.restart()
matplotlib.use("Agg")
SYSTEMS = (
    (
        "superpod_h100",
        "DGX SuperPOD H100 (a device is a GPU)",
        "#0072b2",
        (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    ),
    (
        "cloudmatrix384",
        "CloudMatrix384 (a device is a die, two a package)",
        "#cc5f94",
        (2, 4, 8, 16, 32, 64, 128, 256, 384, 768),
    ),
)
OPERATIONS = (("all_reduce", "all-reduce"), ("all_to_all", "all-to-all"))
SIZE = "1GiB"


def bus_bandwidth(xpusim: Path, system: str, operation: str, ranks: int) -> float:
    """GB/s of one device."""
    command = [str(xpusim), "collective", "--system", system, operation, f"ranks={ranks}", f"size={SIZE}"]
    done = subprocess.run([*command, "--json", "-"], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["results"][0]["bus_bandwidth_gb_s"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--xpusim", type=Path, default=ROOT / "build/release/xpusim")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/figures/bandwidth_against_group.png")
    options = parser.parse_args()
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, constrained_layout=True)
    for axis, (operation, title) in zip(axes, OPERATIONS, strict=True):
        for system, label, colour, groups in SYSTEMS:
            values = [bus_bandwidth(options.xpusim.resolve(), system, operation, n) for n in groups]
            axis.plot(groups, values, marker="o", markersize=4, color=colour, label=label)
            print(
                f"{operation:<12} {system:<16} "
                + " ".join(f"{n}:{v:.0f}" for n, v in zip(groups, values, strict=True))
            )
        axis.set(xscale="log", yscale="log", xlabel="devices", title=f"{title}, {SIZE} a rank")
        axis.set_xticks([2, 8, 32, 128, 512], ["2", "8", "32", "128", "512"])
        axis.set_yticks([20, 50, 100, 200, 500], ["20", "50", "100", "200", "500"])
        axis.minorticks_off()
        axis.grid(color="#e4e4e4")
    axes[0].set_ylabel("bus bandwidth of a device [GB/s]")
    axes[0].legend(frameon=False, fontsize=8, loc="lower left")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=130)


if __name__ == "__main__":
    main()
