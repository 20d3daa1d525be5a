"""Dask's executor, which also closes the connection that was opened for it. Needs the extra `dask`."""

from __future__ import annotations

from typing import Any

import distributed
from distributed.cfexecutor import ClientExecutor


class ClusterExecutor(ClientExecutor):  # type: ignore[misc]
    """Tasks go to a cluster until the executor is shut down."""

    def __init__(self, address: str, **options: Any) -> None:
        client = distributed.Client(address, set_as_default=False)
        super().__init__(client, **options)

    def shutdown(self, wait: bool = True, **_: Any) -> None:
        super().shutdown(wait)
        self._client.close()
