"""What an execution has observed and not looked at yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteform.waiting import set_within
from flyteform_dataplane.engine.observations import AttemptRunning, AttemptWaiting

if TYPE_CHECKING:
    from flyteform_dataplane.engine.observations import Observation


class Arrivals:
    """Observations as they come, taken together.

    An object of its own, as all parts of an execution know it: did they know the execution, which knows them, nothing
    of one that is over would be freed before Python looks for cycles, and thousands may be over by then.
    """

    def __init__(self) -> None:
        self._seen: list[Observation] = []
        self._arrived = asyncio.Event()
        self._pressing = asyncio.Event()

    def observe(self, seen: Observation) -> None:
        """Take an observation; it is looked at soon, together with others."""
        self._seen.append(seen)
        self._arrived.set()
        if not isinstance(seen, AttemptRunning | AttemptWaiting):
            self._pressing.set()

    def wake(self) -> None:
        """Have whoever waits look, though nothing was observed."""
        self._arrived.set()
        self._pressing.set()

    async def taken(self, patience: float) -> list[Observation]:
        """Wait for observations and take them; those that nothing depends on wait so many seconds for others."""
        await self._arrived.wait()
        if not self._pressing.is_set():
            # Nothing depends on having seen an attempt wait or run, and short ones end within this time: one write
            # for both.
            await set_within(self._pressing, patience)
        seen, self._seen = self._seen, []
        self._arrived.clear()
        self._pressing.clear()
        return seen
