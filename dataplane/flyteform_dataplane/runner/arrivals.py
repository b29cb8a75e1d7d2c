"""What an execution has observed and not looked at yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteform_dataplane.engine.observations import AttemptRunning, AttemptWaiting

if TYPE_CHECKING:
    from flyteform_dataplane.engine.observations import Observation

# Nothing depends on having seen an attempt wait or run, and short ones end soon: one write for both.
_PATIENT = (AttemptRunning, AttemptWaiting)


class Arrivals:
    """Observations as they come, taken together; those that nothing depends on wait `patience` seconds for others.

    An object of its own, as all parts of an execution know it: did they know the execution, which knows them, nothing
    of one that is over would be freed before Python looks for cycles, and thousands may be over by then.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: list[Observation] = []
        self._pressing = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def observe(self, seen: Observation) -> None:
        """Take an observation; it is looked at soon, together with others."""
        self._seen.append(seen)
        if not isinstance(seen, _PATIENT):
            self._pressing.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._pressing.set)

    def wake(self) -> None:
        """Have whoever waits look, though nothing was observed."""
        self._pressing.set()

    async def taken(self) -> list[Observation]:
        """Wait for observations and take them."""
        await self._pressing.wait()
        self._pressing.clear()
        self.close()
        seen, self._seen = self._seen, []
        return seen

    def close(self) -> None:
        """Wake nobody because of time any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
