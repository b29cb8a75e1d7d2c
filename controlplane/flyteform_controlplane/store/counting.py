"""Cuts long lists of executions into blocks, so that any of their pages is found as soon as the first one.

A block is there before it is counted, and is counted when every transaction has ended that may not have seen it: from
then on each one that changes its rows changes its number too. Every replica does this, as any may be the only one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, text

from flyteform_controlplane.errors import UnavailableError
from flyteform_controlplane.store.sql import cuts
from flyteform_controlplane.store.tables import executions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.store.database import Database

_log = logging.getLogger(__name__)
# A list's newest rows that are in no block are so many at least, and twice as many for a moment.
ROWS: Final = 500
# How often to ask whether there are enough new rows, and how often to look at lists although there are none.
_LOOK_SECONDS: Final = 5.0
_AT_LEAST_SECONDS: Final = 60.0
# How often to ask whether the transactions have ended that a count waits for.
_ASK_SECONDS: Final = 0.2

_BEGUN: Final = text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
_OLDEST: Final = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")


class BlockCounting:
    """Keeps the blocks of all lists while this process lives; `rows` is how many a block is begun with."""

    def __init__(
        self,
        database: Database,
        *,
        rows: int = ROWS,
        seconds: float = _LOOK_SECONDS,
        prepare: Callable[[AsyncConnection], Awaitable[None]] | None = None,
    ) -> None:
        """`prepare` does what would make the first page in a process slow; a start waits for it."""
        self._database = database
        self._prepare = prepare
        self._cuts = cuts.Cuts(rows)
        self._rows = rows
        self._seconds = seconds
        self._newest = 0
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look at the lists."""
        if self._prepare is not None:
            try:
                async with self._database.reading() as tx:
                    await self._prepare(tx)
            except UnavailableError as error:
                # The first page will do it.
                _log.info("lists of executions are not prepared: %s", error)
        self._due = 0.0
        self._task = asyncio.create_task(self._run(), name="blocks of lists")

    async def stop(self) -> None:
        """End; what is not done is done by the next one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def count(self) -> None:
        """Cut and count whatever is to be; waits for transactions that write executions now."""
        async with self._database.reading() as tx:
            lists = await self._cuts.long_lists(tx)
            too_long = await self._cuts.too_long(tx)
        for values in lists:
            while await self._cut(values):
                pass
        for block in too_long:
            async with self._database.transaction() as tx:
                await self._cuts.split(tx, block)
        new = await self._uncounted()
        if new:
            await self._others_end()
        while new:
            async with self._database.transaction() as tx:
                await cuts.count(tx, sorted(new)[: cuts.AT_ONCE])
            left = new & await self._uncounted()
            if left == new:
                # Somebody is changing them.
                await asyncio.sleep(_ASK_SECONDS)
            new = left

    async def _uncounted(self) -> frozenset[int]:
        async with self._database.reading() as tx:
            return await cuts.uncounted(tx)

    async def _cut(self, values: Mapping[str, Any]) -> bool:
        async with self._database.transaction() as tx:
            return await self._cuts.cut(tx, values)

    async def _others_end(self) -> None:
        """Wait until every transaction has ended that wrote before now; SQLite has one at a time."""
        if self._database.is_sqlite:
            return
        async with self._database.reading() as tx:
            begun = (await tx.execute(_BEGUN)).scalar_one()
        while True:
            async with self._database.reading() as tx:
                if (await tx.execute(_OLDEST)).scalar_one() >= begun:
                    return
            await asyncio.sleep(_ASK_SECONDS)

    async def _run(self) -> None:
        while True:
            try:
                if await self._is_due():
                    await self.count()
            except Exception as error:  # noqa: BLE001 - a database that does not answer may answer the next time
                _log.warning("lists of executions cannot be counted: %s", error)
            await asyncio.sleep(self._seconds)

    async def _is_due(self) -> bool:
        """Say whether so many executions are new that a list may be long, or it is long ago that one was looked at."""
        async with self._database.reading() as tx:
            newest = (await tx.execute(select(func.max(executions.c.id)))).scalar() or 0
        if newest - self._newest < self._rows and time.monotonic() < self._due:
            return False
        self._newest, self._due = newest, time.monotonic() + _AT_LEAST_SECONDS
        return True
