"""The connection to the database: transactions, and what makes SQLite and PostgreSQL durable and concurrent."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, AsyncAdaptedQueuePool, event, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from flyteform.errors import InvalidInputError
from flyteform_controlplane.store.direct import run
from flyteform_controlplane.store.failures import connecting, translated
from flyteform_controlplane.store.sqlite import Connection, Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

BUSY_TIMEOUT_MS: Final = 10_000
SQLITE: Final = "sqlite+flyteform"
POSTGRESQL: Final = "postgresql+asyncpg"
_DRIVERS: Final = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "postgres": POSTGRESQL}
# Marks the connections of transactions that write, see `locks_rows`.
_WRITES: Final = "flyteform_writes"


registry.register("sqlite.flyteform", "flyteform_controlplane.store.sqlite", "Dialect")


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections to PostgreSQL one process keeps and opens at most, and how many seconds it waits."""

    kept: int = 10
    more: int = 10
    wait: float = 10.0
    connect: float = 5.0


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL: what was acknowledged survives a power cut; one fsync of the write-ahead log per commit.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    # As PostgreSQL's LIKE, so that a filter finds the same on both.
    connection.execute("PRAGMA case_sensitive_like=ON")
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Take a connection that the server has closed out of the pool: the driver knows without asking."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


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
    return parsed.set(drivername=driver, query=query)


_EXAMPLE: Final = "give postgresql://user:password@host:5432/database or sqlite:////absolute/path"


class Database:
    """One database, by URL: `sqlite:///path` or `postgresql://user@host/name`.

    SQLite has one writing transaction at a time. PostgreSQL has many, READ COMMITTED, each locking the rows that it
    is about to change. Both raise `UnavailableError` while they cannot be reached, and go on by themselves after.
    """

    def __init__(self, url: str, limits: PoolLimits | None = None) -> None:
        self.url = parse_url(url)
        self.is_sqlite = self.url.drivername == SQLITE
        options = _sqlite_options() if self.is_sqlite else _postgresql_options(limits or PoolLimits())
        self.engine: AsyncEngine = create_async_engine(self.url, **options)
        self._writing = self.engine.execution_options(**{_WRITES: True})
        # SQLite has one writer at a time: queueing here is fair, its own busy handler is not.
        self._writer = Writer(lambda: _started(self._writing)) if self.is_sqlite else None
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _configure_sqlite)
        else:
            event.listen(self.engine.sync_engine, "checkout", _refuse_closed)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Write: all or nothing; committed when the block ends, rolled back when it raises."""
        if self._writer is not None:
            with translated():
                async with self._writer.transaction() as connection:
                    yield connection
            return
        async with self._connection(self._writing) as connection:
            try:
                await run(connection, "BEGIN", ())
                yield connection
                await run(connection, "COMMIT", ())
            except BaseException:
                # Also when the call was cancelled between BEGIN and its answer.
                await _roll_back(connection)
                raise

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Read: each statement sees all that is committed before it; nothing is written or locked."""
        async with self._connection(self.engine) as connection:
            yield connection

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connection = await _started(engine)
        try:
            with translated():
                yield connection
        finally:
            await connection.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._writer is not None:
            await self._writer.close()
        await self.engine.dispose()


async def _started(engine: AsyncEngine) -> AsyncConnection:
    connection = engine.connect()
    with connecting():
        return await connection.start()


async def _roll_back(connection: AsyncConnection) -> None:
    # A connection that is lost, or in the middle of a statement that was cut off, ends the transaction by its end.
    try:
        await run(connection, "ROLLBACK", ())
    except DBAPIError:
        await connection.invalidate()


def locks_rows(tx: AsyncConnection) -> bool:
    """Say whether rows that are read here have to be locked, because others write at the same time."""
    return tx.dialect.name == "postgresql" and bool(tx.sync_connection and _writes(tx.sync_connection))


def _writes(connection: Any) -> bool:
    return bool(connection.get_execution_options().get(_WRITES))


def _sqlite_options() -> Mapping[str, Any]:
    return {
        "poolclass": AsyncAdaptedQueuePool,
        "connect_args": {"factory": Connection, "isolation_level": None, "check_same_thread": False},
    }


def _postgresql_options(limits: PoolLimits) -> Mapping[str, Any]:
    return {
        # Transactions are begun and ended by us, so that reads need none.
        "isolation_level": "AUTOCOMMIT",
        "pool_size": limits.kept,
        "max_overflow": limits.more,
        "pool_timeout": limits.wait,
        "pool_use_lifo": True,
        "connect_args": {
            "timeout": limits.connect,
            # Compiling a short statement takes longer than running it.
            "server_settings": {"application_name": "flyteform", "jit": "off"},
        },
    }
