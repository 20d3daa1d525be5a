#!/usr/bin/env python3
"""Runs a command with its standard output discarded; prints its wall time and peak resident memory."""

import resource
import shlex
import subprocess
import sys
import time


def main() -> int:
    command = sys.argv[1:]
    if not command:
        print("usage: time_command.py COMMAND [ARGUMENT ...]", file=sys.stderr)
        return 2
    start = time.perf_counter()
    code = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    wall_s = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # Linux counts in KiB
    print(f"$ {shlex.join(command)}")
    print(f"wall {wall_s:.2f} s, peak RSS {peak_mib:.0f} MiB, exit {code}")
    return 0 if code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
