"""The connections of one process to its database: kept open, a few more when many are needed, handed on at once.

SQLAlchemy's own pool sets a connection up anew for each use, which takes longer than a look-up by key.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

from flyteform_controlplane.store.failures import connecting, translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections one process keeps and opens at most, and how many seconds it waits.

    `more` than the kept ones are closed when they were not needed for `rest` seconds: opening one costs both sides what
    many calls do. `wait` is for one of them to be free, `connect` for the server's answer to a new one.

    A transaction in which nothing comes for `stalled` seconds is undone by the server, and others go on with what it
    had locked: its process stands still, or its machine is gone. Ours do nothing in between but compute.
    """

    kept: int = 10
    more: int = 10
    rest: float = 10.0
    wait: float = 10.0
    connect: float = 5.0
    stalled: float = 20.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a statement that writes several things; `rows` is how many rows it has to return, None for any."""

    text: str
    values: list[Any]
    rows: int | None = None


class PooledConnection(AsyncConnection):
    """SQLAlchemy's connection with the driver's one at hand.

    `raw` is the driver's; `kind` is "postgresql" or "sqlite"; `writes` says that a transaction which writes has it;
    `collected` is what is to be written as one statement, None where all is written at once; `pool` has others, for
    work that may take longer than what this one is used for.
    """

    __slots__ = ("collected", "kind", "pool", "raw", "writes")

    raw: Any
    kind: str
    writes: bool
    collected: list[Part] | None
    pool: Connections

    @property
    def is_usable(self) -> bool:
        """Whether it still stands, as far as the driver knows without asking the server."""
        return not self.invalidated and (self.kind == "sqlite" or not self.raw.is_closed())


def pooled(connection: AsyncConnection) -> PooledConnection:
    """Return the connection as what every connection of a `Database` is."""
    if not isinstance(connection, PooledConnection):
        raise TypeError(f"{type(connection).__name__} is no connection of a database of ours")
    return connection


async def connect(engine: AsyncEngine) -> PooledConnection:
    """Open a connection; `UnavailableError` if the database cannot be reached."""
    connection = PooledConnection(engine)
    with connecting():
        await connection.start()
        connection.raw = (await connection.get_raw_connection()).driver_connection
    connection.kind = connection.dialect.name
    connection.writes = False
    connection.collected = None
    return connection


class Connections:
    """Hands connections out, the one used last first; each goes to one user at a time."""

    def __init__(self, engine: AsyncEngine, limits: PoolLimits) -> None:
        """`engine` has no pool of its own."""
        self._engine = engine
        self._limits = limits
        self._free = asyncio.Semaphore(limits.kept + limits.more)
        # Each with the time since which it is idle; the longest first.
        self._idle: list[tuple[PooledConnection, float]] = []
        self._aside: set[asyncio.Task[None]] = set()

    def aside(self, work: Callable[[PooledConnection], Awaitable[None]]) -> asyncio.Task[None]:
        """Do the work on a connection of its own; it ends with the connections, if not before."""

        async def run() -> None:
            connection = await self.take()
            try:
                await work(connection)
            finally:
                await self.give(connection)

        task = asyncio.create_task(run())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
        return task

    async def take(self) -> PooledConnection:
        """Return a connection: an idle one or a new one, as soon as there may be one more in use."""
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        try:
            while self._idle:
                connection, _ = self._idle.pop()
                if connection.is_usable:
                    return connection
                await _close(connection)
            connection = await connect(self._engine)
            connection.pool = self
        except BaseException:
            self._free.release()
            raise
        return connection

    async def give(self, connection: PooledConnection) -> None:
        """Take a connection back, whatever has happened to it."""
        try:
            if not connection.is_usable:
                await _close(connection)
                return
            if connection.in_transaction():
                # SQLAlchemy believes to be in one of its transactions; ours has ended.
                await connection.rollback()
            now = time.monotonic()
            self._idle.append((connection, now))
            if len(self._idle) > self._limits.kept and self._idle[0][1] + self._limits.rest <= now:
                await _close(self._idle.pop(0)[0])
        finally:
            self._free.release()

    async def close(self) -> None:
        """Close those that are idle, after the end of what is done aside."""
        for task in self._aside:
            task.cancel()
        if self._aside:
            await asyncio.wait(self._aside)
        while self._idle:
            await _close(self._idle.pop()[0])
        await self._engine.dispose()

    async def _wait(self) -> None:
        with translated():
            try:
                async with asyncio.timeout(self._limits.wait):
                    await self._free.acquire()
            except TimeoutError as error:
                raise PoolTimeoutError from error


async def _close(connection: PooledConnection) -> None:
    if not connection.is_usable:
        await connection.invalidate()
    await connection.close()
