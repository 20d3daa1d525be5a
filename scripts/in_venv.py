"""The interpreter that scripts/setup.sh made, for scripts that were started by another one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn


def restart() -> NoReturn:
    """Runs the script again in .venv; ends with a hint where that lacks a package, or is not there."""
    root = Path(__file__).resolve().parent.parent
    python = root / ".venv/bin/python"
    if not python.exists() or Path(sys.prefix) == root / ".venv":
        sys.exit(f"{Path(sys.argv[0]).stem}: run scripts/setup.sh first")
    os.execv(python, [str(python), *sys.argv])
