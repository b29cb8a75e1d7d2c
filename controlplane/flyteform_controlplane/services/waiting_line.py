"""The safety net under concurrency policies: a look now and then at who waits, and one at the start."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from flyteform.waiting import set_within

if TYPE_CHECKING:
    from flyteform_controlplane.services.ending import Ending

_log = logging.getLogger(__name__)
POLL_INTERVAL = timedelta(seconds=10)


class WaitingLine:
    """Starts what waits and could start.

    Slots are given on within the transaction that frees them. This repairs what a crash between two transactions
    leaves (executions that are yet to be replaced), and what comes about by other means, such as a cluster's return.
    """

    def __init__(self, ending: Ending, interval: timedelta = POLL_INTERVAL) -> None:
        self._ending = ending
        self._interval = interval.total_seconds()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; returns at once."""
        self._stopping.clear()
        self._task = asyncio.create_task(self._run(), name="waiting line")

    async def stop(self) -> None:
        """End, between two transactions."""
        self._stopping.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._ending.settle_all()
            except Exception:  # noqa: BLE001 - one failed look must not be the last
                _log.exception("the executions that wait cannot be looked at, trying again")
            await set_within(self._stopping, self._interval)
