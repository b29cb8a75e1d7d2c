"""SQLite without a thread per connection: what is short runs at once, what may take long in a thread.

A look-up by key or a write into the page cache is over sooner than a thread could start with it. So the hot paths run
those on the driver's connection itself; statements by way of SQLAlchemy, which may scan a table, and commits, which
wait for the disk, run in a thread.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import await_only

from flyteform_controlplane.store.connections import pooled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Self, TypeVar

    from sqlalchemy.ext.asyncio import AsyncConnection

    T = TypeVar("T")

# How long another process's transaction is waited for, and how often it is asked.
_BUSY_SECONDS: Final = 10.0
_ASK_SECONDS: Final = 0.005


class Dialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's SQLite for its asynchronous engine, on `Connection`."""

    driver = "flyteform"
    is_async = True
    supports_statement_cache = True


class Cursor(sqlite3.Cursor):
    """Executes and fetches all in a thread; for use by SQLAlchemy."""

    server_side = False
    _rows: list[Any]

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        """Run one statement."""
        self._rows = await_only(_to_the_end(lambda: self._run(super(Cursor, self).execute, sql, parameters)))
        return self

    def executemany(self, sql: str, parameters: Any, /) -> Self:
        """Run one statement with many parameters."""
        self._rows = await_only(_to_the_end(lambda: self._run(super(Cursor, self).executemany, sql, parameters)))
        return self

    def fetchone(self) -> Any:
        """Return the next row, None after the last."""
        return self._rows.pop() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return so many rows."""
        return [self._rows.pop() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        rows, self._rows = self._rows[::-1], []
        return rows

    async def _async_soft_close(self) -> None:
        """Do nothing: all rows are here."""

    def _run(self, execute: Callable[[str, Any], object], sql: str, parameters: Any) -> list[Any]:
        execute(sql, parameters)
        rows = super().fetchall()
        rows.reverse()
        return rows


class Connection(sqlite3.Connection):
    """A connection whose `cursor` is for SQLAlchemy, and whose `execute` runs at once."""

    def cursor(self, factory: Any = Cursor) -> Any:
        """Return a cursor that works in a thread."""
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement here and now."""
        return super().cursor(sqlite3.Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """Run one statement with many parameters here and now."""
        return super().cursor(sqlite3.Cursor).executemany(sql, parameters)


async def in_thread(work: Callable[[], T]) -> T:
    """Run in a thread, to its end even if the caller is cancelled: a connection serves one at a time."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def _to_the_end(work: Callable[[], T]) -> T:
    """Run in a thread, and let a caller that is cancelled meanwhile hear of it at what it waits for next.

    SQLAlchemy closes a connection whose statement was cancelled. This one is as good as before, and the one that writes
    is everybody's.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()  # the same cancellation, not a second one
            task.cancel()
        return running.result()


class Writer:
    """The one connection that writes: transactions one after the other, several made durable by one commit.

    Each is a savepoint in the open transaction of the database. The commit queues like the others, so it comes after
    all that waited when the first of them was through; nobody is answered before it.
    """

    def __init__(self, connect: Callable[[], Awaitable[AsyncConnection]]) -> None:
        self._connect = connect
        self._lock = asyncio.Lock()
        self._connection: AsyncConnection | None = None
        self._uncommitted: list[asyncio.Future[None]] = []
        self._committing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """All or nothing; durable when the block has been left.

        A block that raises may do so for what it found of transactions that wait for their commit: they are durable
        too when the error comes out, so that who is told that something exists finds it.
        """
        refused: Exception | None = None
        async with self._lock:
            connection = await self._opened()
            raw = driver(connection)
            await _begin(raw)
            raw.execute("SAVEPOINT one")
            try:
                yield connection
                raw.execute("RELEASE one")
            except BaseException as error:
                self._undo(raw, error)
                if not isinstance(error, Exception):
                    raise
                refused = error
            else:
                self._uncommitted.append(asyncio.get_running_loop().create_future())
                if self._committing is None:
                    self._committing = asyncio.create_task(self._commit(raw))
            durable = self._uncommitted[-1] if self._uncommitted else None
        if durable is not None:
            # Shielded, as more than one may wait for it.
            await asyncio.shield(durable)
        if refused is not None:
            raise refused

    async def close(self) -> None:
        """Close the connection, after what is under way."""
        if self._committing is not None:
            await self._committing
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _opened(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = await self._connect()
            # Who waits for another process does so without holding up the event loop, see `_begin`.
            driver(self._connection).execute("PRAGMA busy_timeout=0")
        return self._connection

    def _undo(self, raw: Connection, error: BaseException) -> None:
        # A full disk makes SQLite undo everything by itself, the transactions that wait for the commit too.
        if not raw.in_transaction:
            self._fail(error)
            return
        raw.execute("ROLLBACK TO one")
        raw.execute("RELEASE one")
        if not self._uncommitted:
            raw.rollback()

    async def _commit(self, raw: Connection) -> None:
        async with self._lock:
            self._committing = None
            if not self._uncommitted:
                return
            try:
                await in_thread(raw.commit)
            except BaseException as error:
                if raw.in_transaction:
                    raw.rollback()
                self._fail(OperationalError("COMMIT", None, error) if isinstance(error, sqlite3.Error) else error)
                if not isinstance(error, sqlite3.Error):
                    raise
                return
            waiting, self._uncommitted = self._uncommitted, []
            for durable in waiting:
                if not durable.done():
                    durable.set_result(None)

    def _fail(self, error: BaseException) -> None:
        waiting, self._uncommitted = self._uncommitted, []
        for durable in waiting:
            if not durable.done():
                durable.set_exception(error)


async def _begin(raw: Connection) -> None:
    """Open the database's transaction, unless one is open."""
    until = time.monotonic() + _BUSY_SECONDS
    while not raw.in_transaction:
        try:
            raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise OperationalError("BEGIN IMMEDIATE", None, error) from error
            await asyncio.sleep(_ASK_SECONDS)


def driver(connection: AsyncConnection) -> Connection:
    """Return the driver's own connection."""
    raw: Connection = pooled(connection).raw
    return raw
