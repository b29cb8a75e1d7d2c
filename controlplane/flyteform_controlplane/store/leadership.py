"""Which replica does a duty that only one may do: the one that holds its lease in the database."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

from flyteform.waiting import set_within
from flyteform_controlplane.store.sql import duties as store

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_controlplane.store.database import Database

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long a lease lives, and how often its holder extends it and others ask for it.

    A killed holder is replaced after `ttl` and at most one `interval` more.
    """

    ttl: timedelta = timedelta(seconds=5)
    interval: timedelta = timedelta(seconds=1)
    # A holder that cannot extend its lease gives up this long before others may take it.
    margin: timedelta = timedelta(seconds=1)


_TIMES: Final = LeaseTimes()


class Leadership:
    """Takes the lease of a duty when it is free and extends it while this process lives."""

    def __init__(self, database: Database, duty: str, times: LeaseTimes = _TIMES) -> None:
        self._database = database
        self._duty = duty
        self._listeners: list[Callable[[], None]] = []
        self._times = times
        self._holder = secrets.token_hex(16)
        self._until = 0.0
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def held(self) -> bool:
        """Say whether the duty is this process's now."""
        return monotonic() < self._until

    def listen(self, listener: Callable[[], None]) -> None:
        """Call the listener whenever `held` has changed."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Begin to ask for the lease."""
        self._stop.clear()
        self._task = asyncio.create_task(self._run(), name=f"lease of {self._duty}")

    async def stop(self) -> None:
        """Give the lease up, so that another replica goes on at once."""
        self._stop.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _run(self) -> None:
        while not self._stop.is_set():
            held = self.held()
            try:
                await self._ask()
            except Exception as error:  # noqa: BLE001 - a database that does not answer may answer the next time
                _log.warning("the lease of %s cannot be had: %s", self._duty, error)
            if self.held() != held:
                _log.info("this replica %s %s", "now does" if self.held() else "no longer does", self._duty)
                for listener in self._listeners:
                    listener()
            await set_within(self._stop, self._times.interval.total_seconds())
        await self._give_up()

    async def _ask(self) -> None:
        # Counted from before the question: the lease cannot end earlier than we believe.
        asked = monotonic()
        async with self._database.transaction() as tx:
            taken = await store.take(tx, self._duty, self._holder, self._times.ttl)
        self._until = asked + (self._times.ttl - self._times.margin).total_seconds() if taken else 0.0

    async def _give_up(self) -> None:
        self._until = 0.0
        try:
            async with self._database.transaction() as tx:
                await store.release(tx, self._duty, self._holder)
        except Exception as error:  # noqa: BLE001 - then it ends by itself
            _log.warning("the lease of %s is left to end by itself: %s", self._duty, error)
