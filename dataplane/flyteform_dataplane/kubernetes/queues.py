"""A queue of names to look after: each is in it once, with one worker at a time, and comes back if that fails."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError
from flyteform_dataplane.kubernetes.api import ThrottledError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 60.0
_DOUBLINGS = 20
_WORKERS = 16


class WorkQueue:
    """Calls `handle` for names: what is added while it is worked on is looked at once more afterwards.

    A name whose handling fails waits, twice as long each time, and the others do not wait for it.
    """

    def __init__(
        self,
        handle: Callable[[str], Awaitable[None]],
        *,
        workers: int = _WORKERS,
        source: random.Random | None = None,
    ) -> None:
        self._handle = handle
        self._limit = workers
        self._random = source or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._hired = 0  # counted by the workers: a task that has ended is known as such only a little later
        self._closed = False

    def add(self, name: str) -> None:
        """Have a name looked after soon; nothing changes if it waits already."""
        if self._closed:
            return
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if name in self._working:
            self._again.add(name)
        elif name not in self._queued:
            self._queued.add(name)
            self._waiting.append(name)
            if self._hired < self._limit:
                self._hired += 1
                worker = asyncio.create_task(self._work())
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)

    async def close(self) -> None:
        """Drop what waits and stop what is worked on."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._take(self._waiting.popleft())
        finally:
            self._hired -= 1

    async def _take(self, name: str) -> None:
        self._queued.discard(name)
        self._working.add(name)
        try:
            await self._look_after(name)
        finally:
            self._working.discard(name)
            if name in self._again:
                self._again.discard(name)
                self.add(name)

    async def _look_after(self, name: str) -> None:
        try:
            await self._handle(name)
        except FlyteformError as error:
            pause = self._pause(name, error)
            logger.warning("%s is looked after again in %.1f s: %s", name, pause, error.message)
            self._add_later(name, pause)
        except Exception:
            # A defect of ours must not end the worker: the others need it.
            pause = self._pause(name, None)
            logger.exception("%s could not be looked after, again in %.1f s", name, pause)
            self._add_later(name, pause)
        else:
            self._failures.pop(name, None)

    def _pause(self, name: str, error: FlyteformError | None) -> float:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        longest = min(_FIRST_PAUSE * 2.0 ** (min(failures, _DOUBLINGS) - 1), _LONGEST_PAUSE)
        pause = longest * self._random.uniform(0.5, 1)
        return max(pause, error.after) if isinstance(error, ThrottledError) else pause

    def _add_later(self, name: str, seconds: float) -> None:
        if name not in self._again and not self._closed:
            self._timers[name] = asyncio.get_running_loop().call_later(seconds, self._come_back, name)

    def _come_back(self, name: str) -> None:
        self._timers.pop(name, None)
        self.add(name)
