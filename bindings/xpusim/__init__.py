"""XPUSim: how fast an AI accelerator, and a system of them, runs a workload, and why.

>>> import xpusim as xs
>>> chip = xs.Chip.load("h100_sxm").with_({"hbm.bandwidth": "4.8 TB/s"})
>>> xs.op(chip, "gemm", m=64, n=8192, k=8192, fidelity="bound").bound_by
'hbm'

The guide is docs/python.md; every key of the inputs is in docs/reference.md, what is computed in
docs/model.md.
"""

from xpusim import plot
from xpusim._core import version as _version
from xpusim.errors import (
    CacheError,
    ConfigError,
    Diagnostic,
    Error,
    FileError,
    InfeasibleError,
    ModelError,
    UnknownKeyError,
    WorkerError,
)
from xpusim.inputs import Chip, Model, Scenario, System
from xpusim.reports import report
from xpusim.results import Comparison, Result
from xpusim.runs import (
    CollectiveTime,
    Roofline,
    Validation,
    collective,
    compare,
    lower_bound_s,
    op,
    roofline,
    simulate,
    validate,
)
from xpusim.searches import SearchResult, search, sensitivity
from xpusim.sweeps import dask_executor, sweep
from xpusim.tables import Table

__version__ = _version()
__all__ = [
    "CacheError",
    "Chip",
    "CollectiveTime",
    "Comparison",
    "ConfigError",
    "Diagnostic",
    "Error",
    "FileError",
    "InfeasibleError",
    "Model",
    "ModelError",
    "Result",
    "Roofline",
    "Scenario",
    "SearchResult",
    "System",
    "Table",
    "UnknownKeyError",
    "Validation",
    "WorkerError",
    "collective",
    "compare",
    "dask_executor",
    "lower_bound_s",
    "op",
    "plot",
    "report",
    "roofline",
    "search",
    "sensitivity",
    "simulate",
    "sweep",
    "validate",
]
