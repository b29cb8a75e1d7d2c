"""Who may wait writes in turn: so many executions that each write a little would leave no room for those in a hurry."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_RESTS = 10


class Turns:
    """One turn at a time, first come first served, and after each a rest that is several times as long as it took.

    So what waits for turns takes a small share of one writer's time, however slow the log is.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and have it."""
        async with self._lock:
            clock = asyncio.get_running_loop().time
            began = clock()
            yield
            await asyncio.sleep(_RESTS * (clock() - began))
