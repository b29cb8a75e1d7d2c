"""The connection to the database: transactions, and what makes SQLite and PostgreSQL durable and concurrent."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, NullPool, event, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from flyteform.errors import InvalidInputError
from flyteform_controlplane.errors import EntityExistsError, UnavailableError
from flyteform_controlplane.store.conflicts import note_commit
from flyteform_controlplane.store.connections import Connections, PooledConnection, PoolLimits, connect
from flyteform_controlplane.store.direct import run, run_together
from flyteform_controlplane.store.failures import is_lost, raise_translated, translated
from flyteform_controlplane.store.sqlite import Connection, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BUSY_TIMEOUT_MS: Final = 10_000
SQLITE: Final = "sqlite+flyteform"
POSTGRESQL: Final = "postgresql+asyncpg"
# A parameter of URLs of PostgreSQL: the file that holds the password, read for every connection.
PASSWORD_FILE: Final = "passwordfile"  # noqa: S105 - a parameter's name
_DRIVERS: Final = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "postgres": POSTGRESQL}


registry.register("sqlite.flyteform", "flyteform_controlplane.store.sqlite", "Dialect")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL: what was acknowledged survives a power cut; one fsync of the write-ahead log per commit.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    # As PostgreSQL's LIKE, so that a filter finds the same on both.
    connection.execute("PRAGMA case_sensitive_like=ON")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def parse_url(url: str) -> URL:
    """Read the URL of a database; `InvalidInputError` if it is none that can be used."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInputError("the database's URL cannot be read", remedy=_EXAMPLE) from error
    driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
    if driver not in (SQLITE, POSTGRESQL):
        raise InvalidInputError(f"{parsed.drivername} is no database that can be used", remedy=_EXAMPLE)
    query = dict(parsed.query)
    if driver == POSTGRESQL and "sslmode" in query:
        # libpq's name of the parameter, which people and clouds give.
        query["ssl"] = query.pop("sslmode")
    if PASSWORD_FILE in query and (driver == SQLITE or not isinstance(query[PASSWORD_FILE], str) or parsed.password):
        raise InvalidInputError(
            f"the database's URL has a {PASSWORD_FILE} that cannot be used",
            remedy=f"name one file, for PostgreSQL, and no password: {_EXAMPLE}",
        )
    return parsed.set(drivername=driver, query=query)


_EXAMPLE: Final = "give postgresql://user:password@host:5432/database or sqlite:////absolute/path"


class Database:
    """One database, by URL: `sqlite:///path` or `postgresql://user@host/name`.

    `?passwordfile=/path` names the file that holds the password: it is read for every new connection, so whoever
    replaces it (a mounted secret, a sidecar that fetches tokens) rotates the password without a restart.

    SQLite has one writing transaction at a time. PostgreSQL has many, READ COMMITTED, each locking the rows that it
    is about to change. Both raise `UnavailableError` while they cannot be reached, and go on by themselves after.
    """

    def __init__(self, url: str, limits: PoolLimits | None = None) -> None:
        self.url = parse_url(url)
        password_file = self.url.query.get(PASSWORD_FILE)
        self.url = self.url.difference_update_query([PASSWORD_FILE])
        self.is_sqlite = self.url.drivername == SQLITE
        limits = limits or PoolLimits()
        options = _sqlite_options() if self.is_sqlite else _postgresql_options(limits, password_file)
        self.engine: AsyncEngine = create_async_engine(self.url, poolclass=NullPool, **options)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _configure_sqlite)
        self._connections = Connections(self.engine, limits)
        # SQLite has one writer at a time: queueing here is fair, its own busy handler is not.
        self._writer = Writer(lambda: connect(self.engine)) if self.is_sqlite else None

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Write: all or nothing; committed when the block ends, rolled back when it raises."""
        return _Transaction(self._connections) if self._writer is None else self._write(self._writer)

    def statement(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Write with one statement, which is a transaction by itself and saves the round trips of another."""
        return _Statement(self._connections) if self._writer is None else self._write(self._writer)

    def together(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Write all or nothing, in one round trip at the end of the block: what is read in it does not see it.

        `EntityExistsError` if a key of any of it is taken.
        """
        return _Together(self._connections) if self._writer is None else self._write(self._writer)

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Read: each statement sees all that is committed before it; nothing is written or locked."""
        return _Reading(self._connections)

    async def close(self) -> None:
        """Close every connection."""
        if self._writer is not None:
            await self._writer.close()
        await self._connections.close()

    @asynccontextmanager
    async def _write(self, writer: Writer) -> AsyncIterator[AsyncConnection]:
        with translated():
            async with writer.transaction() as connection:
                yield connection


class _Reading:
    """A connection for the time of a block, in which each statement stands alone."""

    __slots__ = ("_connection", "_connections")

    _connection: PooledConnection

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def __aenter__(self) -> AsyncConnection:
        self._connection = connection = await self._connections.take()
        connection.writes = False
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if is_lost(error):
            await self._connection.invalidate()
        await self._connections.give(self._connection)
        if error is not None:
            raise_translated(error)


class _Statement(_Reading):
    """PostgreSQL's connection for one statement that writes."""

    __slots__ = ()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            note_commit()
        await super().__aexit__(kind, error, trace)


class _Together(_Reading):
    """PostgreSQL's connection that collects what is written in a block."""

    __slots__ = ()

    async def __aenter__(self) -> AsyncConnection:
        connection = await super().__aenter__()
        self._connection.collected = []
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        collected, self._connection.collected = self._connection.collected or [], None
        if error is not None:
            await super().__aexit__(kind, error, trace)
            return
        try:
            await run_together(self._connection, collected)
        except BaseException as failure:
            await super().__aexit__(type(failure), failure, trace)
            if isinstance(failure, IntegrityError):
                raise EntityExistsError("one of the values exists already") from failure
            raise
        note_commit()
        await super().__aexit__(None, None, None)


class _Transaction(_Reading):
    """PostgreSQL's transaction for the time of a block."""

    __slots__ = ()

    async def __aenter__(self) -> AsyncConnection:
        connection = await super().__aenter__()
        self._connection.writes = True
        try:
            await run(connection, "BEGIN", ())
        except BaseException as error:
            await self._end(error)
            raise
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                await run(self._connection, "COMMIT", ())
            except BaseException as failure:
                await self._end(failure)
                raise
            note_commit()
            await self._connections.give(self._connection)
            return
        await self._end(error)

    async def _end(self, error: BaseException) -> None:
        """Roll back, also when the call was cancelled between BEGIN and its answer."""
        try:
            await _roll_back(self._connection)
        finally:
            await self._connections.give(self._connection)
        raise_translated(error)


async def _roll_back(connection: AsyncConnection) -> None:
    # A connection that is lost, or in the middle of a statement that was cut off, ends the transaction by its end.
    try:
        await run(connection, "ROLLBACK", ())
    except DBAPIError:
        await connection.invalidate()


def locks_rows(tx: AsyncConnection) -> bool:
    """Say whether rows that are read here have to be locked, because others write at the same time."""
    return isinstance(tx, PooledConnection) and tx.writes and tx.kind == "postgresql"


def _password(file: Path) -> str:
    """Return the password as it is now, for a connection that is being opened."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UnavailableError(f"the password of the database cannot be read from {file}: {error.strerror}") from error


def _sqlite_options() -> Mapping[str, Any]:
    return {"connect_args": {"factory": Connection, "isolation_level": None, "check_same_thread": False}}


def _postgresql_options(limits: PoolLimits, password_file: str | tuple[str, ...] | None) -> Mapping[str, Any]:
    return {
        # Transactions are begun and ended by us, so that reads need none.
        "isolation_level": "AUTOCOMMIT",
        "connect_args": {
            "timeout": limits.connect,
            **({} if password_file is None else {"password": partial(_password, Path(str(password_file)))}),
            "server_settings": {
                "application_name": "flyteform",
                # Compiling a short statement takes longer than running it.
                "jit": "off",
                "idle_in_transaction_session_timeout": f"{limits.stalled * 1000:.0f}",
            },
        },
    }
