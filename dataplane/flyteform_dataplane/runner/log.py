"""The durable log of executions: one append for each step, a snapshot now and then, in one SQLite file.

All writes go through one thread that folds what waits into one transaction, so that many executions share one fsync.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from flyteform.errors import UnavailableError
from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS executions (
    key TEXT PRIMARY KEY,
    lease BLOB NOT NULL,
    accepted_at REAL NOT NULL,
    finished INTEGER NOT NULL DEFAULT 0,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    snapshot BLOB,
    snapshot_step INTEGER NOT NULL DEFAULT 0,
    snapshot_event INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS steps (
    key TEXT NOT NULL,
    step INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    changes BLOB NOT NULL,
    PRIMARY KEY (key, step)
) WITHOUT ROWID;
"""

_UNFINISHED = (
    "SELECT key, lease, accepted_at, acknowledged, snapshot, snapshot_step, snapshot_event "
    "FROM executions WHERE finished = 0"
)


@record
class LoggedStep:
    """One step: its number from 1, the number of the last event that follows from it, and the encoded changes."""

    number: int
    last_event: int
    changes: bytes


@record
class Snapshot:
    """A whole state after a step, and the number of the last event up to there."""

    step: int
    last_event: int
    state: bytes


@record
class Summary:
    """What people want to know of an execution at a glance; times in seconds, 0 for one that has not come."""

    phase: str
    message: str = ""
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    other: int = 0
    started_at: float = 0.0
    stopped_at: float = 0.0


@record
class LoggedExecution:
    """An execution as it was logged: the steps are all that are kept, also those before the snapshot.

    `new` is one that was accepted just now, and of whose `first` life its store has nothing that this one did not make.
    """

    key: str
    lease: bytes
    accepted_at: float
    acknowledged: int
    snapshot: Snapshot | None
    steps: Sequence[LoggedStep]
    new: bool = False
    first: bool = False


class Log(Protocol):
    """Where executions are logged. Appends are durable when they return; `UnavailableError` when it cannot be used."""

    async def open(self) -> None:
        """Begin to use it, creating what is missing."""
        ...

    async def close(self) -> None:
        """Write what waits, and end."""
        ...

    async def accept(self, key: str, lease: bytes, at: float) -> None:
        """Keep a new execution, instead of whatever there is of a former life of it."""
        ...

    async def append(
        self, key: str, step: LoggedStep, snapshot: Snapshot | None = None, summary: Summary | None = None
    ) -> None:
        """Keep a step, and with it a snapshot that replaces the one before; the summary where people look for one."""
        ...

    def acknowledge(self, key: str, event: int) -> None:
        """Note up to which event the control plane knows all; written with what is written next."""
        ...

    async def finish(self, key: str) -> None:
        """Keep of an execution only that it was here."""
        ...

    async def remove(self, key: str) -> None:
        """Keep nothing of an execution, not even that it was here."""
        ...

    async def finished(self, key: str) -> bool:
        """Say whether an execution was here and is done with."""
        ...

    async def load(self, key: str) -> LoggedExecution | None:
        """Return one execution that has to go on; None if it has not, or is not this log's any more."""
        ...

    async def unfinished(self) -> list[LoggedExecution]:
        """Return what has to go on, oldest first."""
        ...


class ExecutionLog:
    """The log in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="execution-log")
        self._database: sqlite3.Connection | None = None
        self._waiting: list[tuple[str, tuple[object, ...]]] = []
        self._written: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, creating it."""
        self._database = await self._call(self._connect)

    async def close(self) -> None:
        """Write what waits and close the file."""
        if self._writer is not None:
            await self._writer
        if self._database is not None:
            with contextlib.suppress(UnavailableError):  # only acknowledgements wait without a flush
                await self._call(partial(self._transact, self._waiting))
            await self._call(self._database.close)
            self._database = None
        self._thread.shutdown()

    async def accept(self, key: str, lease: bytes, at: float) -> None:
        """Keep a new execution, instead of whatever there is of a former life of it."""
        self._queue("DELETE FROM steps WHERE key = ?", key)
        self._queue("INSERT OR REPLACE INTO executions (key, lease, accepted_at) VALUES (?, ?, ?)", key, lease, at)
        await self._flush()

    async def append(
        self,
        key: str,
        step: LoggedStep,
        snapshot: Snapshot | None = None,
        summary: Summary | None = None,  # noqa: ARG002 - nobody reads this file
    ) -> None:
        """Keep a step, and with it a snapshot that replaces the one before."""
        self._queue(
            "INSERT INTO steps (key, step, last_event, changes) VALUES (?, ?, ?, ?)",
            key, step.number, step.last_event, step.changes,
        )  # fmt: skip
        if snapshot is not None:
            self._queue(
                "UPDATE executions SET snapshot = ?, snapshot_step = ?, snapshot_event = ? WHERE key = ?",
                snapshot.state, snapshot.step, snapshot.last_event, key,
            )  # fmt: skip
        await self._flush()

    def acknowledge(self, key: str, event: int) -> None:
        """Note up to which event the control plane knows all; steps that a snapshot holds and it knows are dropped.

        Written with what is written next: an event that is sent once more does no harm.
        """
        self._queue("UPDATE executions SET acknowledged = max(acknowledged, ?) WHERE key = ?", event, key)
        self._queue(
            "DELETE FROM steps WHERE key = ? AND last_event <= ? AND step <= "
            "(SELECT snapshot_step FROM executions WHERE executions.key = steps.key)",
            key, event,
        )  # fmt: skip

    async def finish(self, key: str) -> None:
        """Keep of an execution only that it was here."""
        self._queue("DELETE FROM steps WHERE key = ?", key)
        self._queue("UPDATE executions SET finished = 1, lease = x'', snapshot = NULL WHERE key = ?", key)
        await self._flush()

    async def remove(self, key: str) -> None:
        """Keep nothing of an execution, not even that it was here."""
        self._queue("DELETE FROM steps WHERE key = ?", key)
        self._queue("DELETE FROM executions WHERE key = ?", key)
        await self._flush()

    async def finished(self, key: str) -> bool:
        """Say whether an execution was here and is done with."""
        rows = await self._rows("SELECT finished FROM executions WHERE key = ?", key)
        return bool(rows and rows[0][0])

    async def load(self, key: str) -> LoggedExecution | None:
        """Return one execution that has to go on; None if it has not."""
        rows = await self._rows(f"{_UNFINISHED} AND key = ?", key)
        return await self._logged(rows[0]) if rows else None

    async def unfinished(self) -> list[LoggedExecution]:
        """Return what has to go on, oldest first."""
        return [await self._logged(row) for row in await self._rows(f"{_UNFINISHED} ORDER BY accepted_at, key")]

    async def _logged(self, row: tuple[Any, ...]) -> LoggedExecution:
        key, lease, accepted_at, acknowledged, state, step, event = row
        snapshot = None if state is None else Snapshot(step, event, state)
        steps = await self._rows("SELECT step, last_event, changes FROM steps WHERE key = ? ORDER BY step", key)
        return LoggedExecution(
            key, lease, accepted_at, acknowledged, snapshot, tuple(LoggedStep(*one) for one in steps)
        )

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_SCHEMA)
        return database

    def _queue(self, statement: str, *values: object) -> None:
        self._waiting.append((statement, values))

    async def _flush(self) -> None:
        """Return when all that is queued is durable."""
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
        written = self._written
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        # Shielded, as others wait for the same transaction.
        await asyncio.shield(written)

    async def _write_all(self) -> None:
        while self._waiting and self._written is not None:
            batch, written = self._waiting, self._written
            self._waiting, self._written = [], None
            try:
                await self._call(partial(self._transact, batch))
            except UnavailableError as error:
                written.set_exception(error)
                written.exception()  # looked at here too, as nobody may wait for it
            else:
                written.set_result(None)

    def _transact(self, batch: list[tuple[str, tuple[object, ...]]]) -> None:
        database = self._open_database()
        database.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in batch:
                database.execute(statement, values)
            database.execute("COMMIT")
        except sqlite3.Error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    async def _rows(self, statement: str, *values: object) -> list[Any]:
        return await self._call(lambda: self._open_database().execute(statement, values).fetchall())

    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            raise UnavailableError("the log of executions is not open")
        return self._database

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise UnavailableError(f"the log of executions {self._path} cannot be used: {error}") from error
