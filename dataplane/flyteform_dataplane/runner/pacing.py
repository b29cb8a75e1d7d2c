"""Who may wait writes in turn: so many executions that each write a little would leave no room for those in a hurry."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING

from flyteform_dataplane.runner.waits import give_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.ports import Clock

_RESTS = 10


class Turn:
    """A place in the queue. When its time has come it is `given`, and lasts until whoever asked for it ends it."""

    __slots__ = ("_over", "_turns", "begin", "due", "given")

    def __init__(self, turns: Turns, begin: Callable[[], None], due: float) -> None:
        self._turns = turns
        self._over = asyncio.Event()
        self.begin = begin
        self.due = due  # in seconds since the epoch
        self.given = False

    def end(self) -> None:
        """Let the next one have its turn, or leave the queue."""
        self._turns.leave(self)
        self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether it was ended, given or not."""
        return self._over.is_set()

    async def take(self) -> None:
        """Begin, and return when it is over."""
        self.given = True
        self.begin()
        await self._over.wait()


class Turns:
    """One turn at a time, first come first served, and after each a rest that is several times as long as it took.

    So what waits for turns takes a small share of one writer's time, however slow the log is. Everybody waits for so
    many `seconds` at least, in which more to write may come. There is one task for all who wait.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        # Anybody can leave at no cost, as most do.
        self._waiting: OrderedDict[Turn, None] = OrderedDict()
        self._giving: asyncio.Task[None] | None = None

    def ask(self, begin: Callable[[], None]) -> Turn:
        """Wait for a turn; `begin` is called when it has come."""
        turn = Turn(self, begin, self._clock.now().timestamp() + self._seconds)
        self._waiting[turn] = None
        if self._giving is None or self._giving.done():
            self._giving = asyncio.create_task(self._give(), name="turns to write")
        return turn

    def leave(self, turn: Turn) -> None:
        """Wait no more."""
        self._waiting.pop(turn, None)

    async def close(self) -> None:
        """Give nobody a turn any more."""
        self._waiting.clear()
        if self._giving is not None:
            await give_up([self._giving])

    async def _give(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            turn = next(iter(self._waiting))
            remaining = turn.due - self._clock.now().timestamp()
            if remaining > 0:  # no longer than it would be had nobody turned back the clock
                await self._clock.sleep(timedelta(seconds=min(remaining, self._seconds)))
            if turn.is_over:
                continue
            self.leave(turn)
            began = loop.time()
            await turn.take()
            await asyncio.sleep(_RESTS * (loop.time() - began))
