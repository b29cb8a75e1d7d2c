"""Heartbeats to the control plane, and whether this process has stood still for so long that it may have been given up.

Frozen, or on a machine that was suspended, a process misses its own heartbeats. What it was offered and has not read by
then may be somebody else's.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SHORTEST_STANDSTILL = 1.0  # in seconds; a busy machine makes any process wait


class Heart:
    """Calls `beat` again and again, and `give_up`, once, instead of a beat that comes too late.

    `clock` returns seconds, and goes on while the process stands still.
    """

    def __init__(self, beat: Callable[[], None], give_up: Callable[[], object], clock: Callable[[], float]) -> None:
        self._beat = beat
        self._give_up = give_up
        self._clock = clock
        self._late = math.inf
        self._task: asyncio.Task[None] | None = None

    def start(self, interval: float) -> None:
        """Beat every so many seconds."""
        # One beat may be missed: of three the control plane counts the cluster as lost.
        allowed = interval + max(interval, _SHORTEST_STANDSTILL)
        self._late = self._clock() + allowed
        self._task = asyncio.create_task(self._run(interval, allowed), name="heartbeats")

    def stop(self) -> None:
        """Beat no more."""
        if self._task is not None:
            self._task.cancel()

    @property
    def stood_still(self) -> bool:
        """Whether a beat comes too late."""
        return self._clock() > self._late

    async def _run(self, interval: float, allowed: float) -> None:
        while True:
            await asyncio.sleep(interval)
            if self.stood_still:
                self._give_up()
                return
            self._late = self._clock() + allowed
            self._beat()
