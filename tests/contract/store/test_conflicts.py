"""Transactions that are in each other's way on PostgreSQL: both are done in the end, each once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.common_pb2 import Labels
from sqlalchemy import text

from flyteform_controlplane.domain.records import ProjectRecord
from flyteform_controlplane.errors import TransactionConflictError
from flyteform_controlplane.store.conflicts import ATTEMPTS, again_after_conflict, note_commit
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.sql.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

UPDATE = text("UPDATE projects SET description = description || :by WHERE identifier = :name")


@pytest.fixture
async def shared(postgres_url: str) -> AsyncIterator[Database]:
    """Give a PostgreSQL with two rows."""
    database = Database(postgres_url)
    records = [ProjectRecord(identifier=name, name=name, description="", labels=Labels()) for name in ("a", "b")]
    async with database.transaction() as tx:
        await SqlStore().projects.add_many(tx, records)
    yield database
    await database.close()


def crossing(database: Database, first: str, second: str, met: asyncio.Barrier) -> Callable[[], Awaitable[None]]:
    """Return work that locks two rows, and at its first run waits in between until the other has locked one too."""
    runs = iter((met.wait,))

    async def work() -> None:
        async with database.transaction() as tx:
            await tx.execute(UPDATE, {"name": first, "by": first})
            if (wait := next(runs, None)) is not None:
                await wait()
            await tx.execute(UPDATE, {"name": second, "by": first})

    return work


async def test_a_deadlock_costs_nobody_the_work(shared: Database) -> None:
    """Of two transactions that lock the same rows in opposite order one is undone, done again, and both are there."""
    met = asyncio.Barrier(2)
    await asyncio.gather(
        again_after_conflict(crossing(shared, "a", "b", met)), again_after_conflict(crossing(shared, "b", "a", met))
    )
    async with shared.reading() as tx:
        rows = await tx.execute(text("SELECT identifier, description FROM projects ORDER BY identifier"))
        assert {name: sorted(by) for name, by in rows} == {"a": ["a", "b"], "b": ["a", "b"]}


async def test_a_deadlock_without_another_try_says_that_nothing_is_written(shared: Database) -> None:
    """The database's refusal is a conflict of its own kind, which may be tried again."""
    met = asyncio.Barrier(2)
    done = await asyncio.gather(
        crossing(shared, "a", "b", met)(), crossing(shared, "b", "a", met)(), return_exceptions=True
    )
    (error,) = [one for one in done if one is not None]
    assert isinstance(error, TransactionConflictError)
    assert error.retryable


@pytest.mark.parametrize(("committed", "expected"), [(False, ATTEMPTS), (True, 1)])
async def test_tries_are_bounded_and_never_repeat_what_is_committed(committed: bool, expected: int) -> None:
    """What fails every time fails for good; work of which a part is written is not done again."""
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if committed:
            note_commit()
        raise TransactionConflictError("busy")

    with pytest.raises(TransactionConflictError):
        await again_after_conflict(work)
    assert tries == expected


async def test_commits_of_the_database_count(shared: Database) -> None:
    """A second transaction's conflict does not repeat the first one."""
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        async with shared.transaction() as tx:
            await tx.execute(UPDATE, {"name": "a", "by": "x"})
        raise TransactionConflictError("busy")

    with pytest.raises(TransactionConflictError):
        await again_after_conflict(work)
    assert tries == 1
