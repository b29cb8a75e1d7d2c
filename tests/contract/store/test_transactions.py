"""What transactions promise when many run at once, and when the database goes away, over each kind of database."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.common_pb2 import Labels
from sqlalchemy import make_url, text

from flyteform.errors import InvalidInputError
from flyteform_controlplane.domain.dispatches import DispatchState
from flyteform_controlplane.domain.filters import Query
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.domain.records import ProjectRecord
from flyteform_controlplane.domain.times import now
from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError, UnavailableError
from flyteform_controlplane.store.connections import PoolLimits
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.sql import dispatch, duties
from flyteform_controlplane.store.sql.locks import lock_name
from flyteform_controlplane.store.sql.store import SqlStore
from support.cuts import Cutter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    from support.postgres import Postgres

STORE = SqlStore()
TTL = timedelta(seconds=60)


def project(name: str, description: str = "0") -> ProjectRecord:
    """Make a record."""
    return ProjectRecord(identifier=name, name=name, description=description, labels=Labels())


async def add(database: Database, *names: str) -> None:
    """Create projects."""
    async with database.transaction() as tx:
        await STORE.projects.add_many(tx, [project(name) for name in names])


@asynccontextmanager
async def opened(url: str, limits: PoolLimits | None = None) -> AsyncIterator[Database]:
    """Use a database, and leave nothing of it whatever happens."""
    database = Database(url, limits)
    try:
        yield database
    finally:
        await database.close()


async def count_up(database: Database, *names: str) -> None:
    """Read rows and write them back changed."""
    async with database.transaction() as tx:
        found = await STORE.projects.get_many(tx, [(name,) for name in names])
        await asyncio.sleep(0)
        changed = [replace(row, description=str(int(row.description) + 1)) for row in found.values()]
        await STORE.projects.save_many(tx, changed)


async def test_no_change_of_a_row_is_lost_however_many_transactions_make_one(database: Database) -> None:
    """What a transaction read and writes back was changed by nobody in between, in whatever order it names the rows."""
    await add(database, "p", "q")
    await asyncio.gather(*(count_up(database, *names) for names in (("p", "q"), ("q", "p"), ("p",)) for _ in range(8)))
    async with database.reading() as tx:
        found = await STORE.projects.get_many(tx, [("p",), ("q",)])
    assert {row.identifier: row.description for row in found.values()} == {"p": "24", "q": "16"}


async def test_locked_name_has_one_holder_at_a_time(database: Database) -> None:
    """Of many that look for a row under a lock and add it if it is missing, one adds it and nobody fails."""

    async def ensure() -> int:
        async with database.transaction() as tx:
            await lock_name(tx, "project", "p")
            if await STORE.projects.get(tx, "p") is not None:
                return 0
            return await STORE.projects.add(tx, project("p"))

    assert sum(number > 0 for number in await asyncio.gather(*(ensure() for _ in range(10)))) == 1


async def test_same_row_added_at_once_is_added_once(database: Database) -> None:
    """All but one are told that it exists."""
    outcomes = await asyncio.gather(*(add(database, "p") for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(outcome, EntityExistsError) for outcome in outcomes) == 9


async def test_who_is_told_that_something_exists_finds_it(database: Database) -> None:
    """Of many that add the same row at once, each one that is refused sees the winner's row right after."""

    async def add_or_find() -> str:
        try:
            await add(database, "p")
        except EntityExistsError:
            async with database.reading() as tx:
                return "found" if await STORE.projects.get(tx, "p") is not None else "nowhere"
        return "added"

    told = await asyncio.gather(*(add_or_find() for _ in range(16)))
    assert sorted(told) == ["added", *["found"] * 15]


async def test_what_is_written_together_is_all_there_or_nothing(database: Database) -> None:
    """Rows of several tables go in one block; a taken key, or an error in the block, leaves none of them."""
    execution = ExecutionKey("p", "d", "e")

    async def write(*names: str, fail: bool = False) -> None:
        async with database.together() as tx:
            for name in names:
                await STORE.projects.append(tx, project(name))
            await dispatch.add(tx, execution, "", now())
            if fail:
                raise ValueError("given up")

    async def written() -> tuple[set[str], int]:
        async with database.reading() as tx:
            names = {row.identifier for row in await STORE.projects.page(tx, Query(limit=10))}
            return names, len(await dispatch.get_many(tx, [execution]))

    await add(database, "taken")
    with pytest.raises(EntityExistsError):
        await write("a", "taken")
    with pytest.raises(ValueError, match="given up"):
        await write("a", fail=True)
    assert await written() == ({"taken"}, 0)
    await write("a", "b")
    assert await written() == ({"taken", "a", "b"}, 1)


async def test_queued_execution_is_leased_to_one_cluster(database: Database) -> None:
    """Claims that meet share what is queued: each row goes to one of them, and to somebody."""
    async with database.transaction() as tx:
        for number in range(20):
            await dispatch.add(tx, ExecutionKey("p", "d", f"e{number}"), "", now())
        ids = [record.id for record, _ in await dispatch.queued(tx, now(), after_id=0, limit=100)]

    async def claim(cluster: str) -> list[int]:
        async with database.transaction() as tx:
            return list(await dispatch.lease(tx, ids, cluster, now() + TTL, now()))

    claimed = await asyncio.gather(*(claim(f"c{number}") for number in range(5)))
    assert sorted(row for rows in claimed for row in rows) == sorted(ids)
    async with database.transaction() as tx:
        record = await dispatch.get(tx, ExecutionKey("p", "d", "e0"))
        counts = await dispatch.offered(tx, [f"c{number}" for number in range(5)])
    assert record is not None
    assert (record.state, record.epoch) == (DispatchState.LEASED, 1)
    assert sum(counts.values()) == 20


async def test_duty_has_one_holder_until_its_lease_ends(database: Database) -> None:
    """Others get the lease when it has ended or was given up, not before; the holder extends it."""

    async def take(holder: str, ttl: timedelta = TTL) -> bool:
        async with database.transaction() as tx:
            return await duties.take(tx, "schedules", holder, ttl)

    assert sorted(await asyncio.gather(*(take(f"r{number}") for number in range(6)))) == [False] * 5 + [True]
    async with database.transaction() as tx:
        await tx.execute(text("DELETE FROM duty_leases"))
    assert await take("a")
    assert await take("a", timedelta(0))
    assert await take("b")
    assert not await take("a")
    async with database.transaction() as tx:
        await duties.release(tx, "schedules", "a")
        await duties.release(tx, "schedules", "b")
    assert await take("a")


async def test_call_that_is_cancelled_anywhere_leaves_all_or_nothing(url: str) -> None:
    """Whatever a transaction was waiting for when its call was cancelled, it is whole or gone, and so is its lock."""
    database = Database(url, PoolLimits(kept=2, more=0))

    async def add_pair(number: int) -> None:
        async with database.transaction() as tx:
            await STORE.projects.add(tx, project(f"a{number}"))
            await STORE.projects.add(tx, project(f"b{number}"))

    for turns in range(40):
        task = asyncio.create_task(add_pair(turns))
        # A little longer each time, so that every step is met.
        await asyncio.wait([task], timeout=turns * 0.0001)
        task.cancel()
        await asyncio.wait([task])
    # Both connections, if there are two, are free for the next ones.
    await asyncio.gather(add_pair(100), add_pair(101))
    async with database.reading() as tx:
        names = {row.identifier for row in await STORE.projects.page(tx, Query(limit=1000))}
        for number in range(102):
            assert (f"a{number}" in names) == (f"b{number}" in names)
        assert {"a100", "a101"} <= names
        if not database.is_sqlite:
            idle = text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
            assert (await tx.execute(idle)).scalar_one() == 0
    await database.close()


async def test_call_that_is_cancelled_in_a_statement_leaves_the_one_writer_to_others(tmp_path: Path) -> None:
    """A statement that takes its time is cancelled in the midst: its transaction is gone, the next ones go on."""
    database = Database(f"sqlite:///{tmp_path}/store.db")
    await migrate(database)
    numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000) SELECT count(*) FROM c"

    async def work() -> None:
        async with database.transaction() as tx:
            await STORE.projects.add(tx, project("cancelled"))
            await tx.execute(text(numbers))
            await asyncio.sleep(60)

    for turns in range(5):
        task = asyncio.create_task(work())
        await asyncio.wait([task], timeout=0.001 + turns * 0.02)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await add(database, f"p{turns}")
    async with database.reading() as tx:
        found = {row.identifier for row in await STORE.projects.page(tx, Query())}
    assert found == {f"p{turns}" for turns in range(5)}
    await database.close()


async def test_value_that_cannot_be_stored_is_the_callers_mistake(postgres_url: str) -> None:
    """PostgreSQL keeps no NUL in texts, and no text longer than its column; neither is an internal error."""
    async with opened(postgres_url) as database:
        for record in (project("p\x00"), project("p" * 300)):
            with pytest.raises(InvalidArgumentError):
                async with database.transaction() as tx:
                    await STORE.projects.add(tx, record)


async def test_more_transactions_than_connections_wait_and_then_give_up(postgres_url: str) -> None:
    """The pool is a limit, not an error; only who waits too long is told to try again."""
    async with opened(postgres_url, PoolLimits(kept=1, more=0)) as patient:
        await asyncio.gather(*(add(patient, f"p{number}") for number in range(5)))
    async with opened(postgres_url, PoolLimits(kept=1, more=0, wait=0.2)) as database:
        async with database.reading():
            with pytest.raises(UnavailableError, match="in use"):
                await add(database, "late")
        await add(database, "late")


async def test_who_stands_still_in_a_transaction_does_not_hold_up_the_others(postgres_url: str) -> None:
    """A replica that is frozen, or whose machine is gone, loses its transaction and locks; it is told when it wakes."""

    async def describe(tx: AsyncConnection, text: str) -> None:
        record = await STORE.projects.get(tx, "kept")
        assert record is not None
        await STORE.projects.save_many(tx, [replace(record, description=text)])

    async def stand_still(frozen: Database, other: Database) -> None:
        async with frozen.transaction() as tx:
            await describe(tx, "frozen")
            async with asyncio.timeout(60), other.transaction() as second:
                await describe(second, "other")
            await describe(tx, "awake")

    # Longer than a busy machine takes from one statement to the next.
    async with opened(postgres_url, PoolLimits(stalled=3)) as frozen, opened(postgres_url) as other:
        await add(other, "kept")
        with pytest.raises(UnavailableError):
            await stand_still(frozen, other)
        async with frozen.reading() as tx:
            assert [row.description for row in await STORE.projects.page(tx, Query())] == ["other"]


@pytest.mark.parametrize("block", [Database.transaction, Database.reading])
async def test_connection_that_is_about_to_end_is_lost(
    postgres: Postgres, postgres_url: str, block: Callable[[Database], AbstractAsyncContextManager[AsyncConnection]]
) -> None:
    """Its server says so before it does: who asks in between is told to try again, and gets another one."""
    end = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> :own"
    )

    async def pid(tx: AsyncConnection) -> int:
        return int((await tx.execute(text("SELECT pg_backend_pid()"))).scalar_one())

    async def ask_too_late(database: Database, other: Database, proxy: Cutter) -> None:
        async with block(database) as tx:
            await pid(tx)
            async with other.reading() as second:
                await second.execute(end, {"own": await pid(second)})
                await proxy.ended()
                # While this goes to the server and back, what was said before comes to the first one.
                await pid(second)
            await STORE.projects.get(tx, "kept")

    async with Cutter(postgres.port).listening() as proxy:
        proxy.hold_ends()
        url = make_url(postgres_url).set(port=proxy.port).render_as_string(hide_password=False)
        async with opened(url) as database, opened(postgres_url) as other, asyncio.timeout(60):
            with pytest.raises(UnavailableError, match="lost"):
                await ask_too_late(database, other, proxy)
            proxy.flow()
            await add(database, "kept")


async def test_lost_database_is_unavailable_until_it_is_back(postgres: Postgres, postgres_url: str) -> None:
    """The end of the server ends what runs with UNAVAILABLE, and the same database goes on once it is up again."""
    database = Database(postgres_url)
    await add(database, "kept")

    async def cut_off() -> None:
        async with database.transaction() as tx:
            await STORE.projects.add(tx, project("cut off"))
            await asyncio.to_thread(postgres.stop)
            await STORE.projects.add(tx, project("too late"))

    with pytest.raises(UnavailableError, match=r"lost|cannot do this now"):
        await cut_off()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await add(database, "nowhere")
    await asyncio.to_thread(postgres.start)
    async with database.reading() as tx:
        assert [row.identifier for row in await STORE.projects.page(tx, Query())] == ["kept"]
    await asyncio.gather(*(add(database, f"p{number}") for number in range(5)))
    await database.close()


async def test_full_disk_is_unavailable_and_nothing_is_half_written(tmp_path: Path) -> None:
    """SQLite says that it is full; the transaction is undone, and writing goes on when there is room."""
    database = Database(f"sqlite:///{tmp_path}/full.db")
    await migrate(database)
    async with database.transaction() as tx:
        used = (await tx.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await tx.exec_driver_sql(f"PRAGMA max_page_count={used}")
    with pytest.raises(UnavailableError, match="full") as refusal:
        await add(database, *(f"project-{number:0200}" for number in range(200)))
    assert isinstance(refusal.value.__cause__.__cause__, sqlite3.OperationalError)  # type: ignore[union-attr]
    async with database.transaction() as tx:
        assert (await tx.execute(text("SELECT count(*) FROM projects"))).scalar_one() == 0
        await tx.exec_driver_sql(f"PRAGMA max_page_count={used * 10}")
    await add(database, "p")
    await database.close()


@pytest.mark.parametrize("url", ["mysql://h/x", "no url", "postgresql+psycopg2://h/x", ""])
def test_url_of_no_known_database_is_refused(url: str) -> None:
    """The refusal shows what a URL looks like."""
    with pytest.raises(InvalidInputError) as refusal:
        Database(url)
    assert "postgresql://" in (refusal.value.remedy or "")


async def test_connections_beyond_the_kept_ones_are_closed_after_their_rest(postgres_url: str) -> None:
    """What many calls at once needed is there for the next ones, and is closed when it has rested."""

    async def together(database: Database, calls: int) -> None:
        met = asyncio.Barrier(calls)

        async def call() -> None:
            async with database.reading() as tx:
                await tx.execute(text("SELECT 1"))
                await met.wait()

        await asyncio.gather(*(call() for _ in range(calls)))

    async def count(database: Database) -> int:
        async with database.reading() as tx:
            own = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            return int((await tx.execute(own)).scalar_one())

    async with opened(postgres_url, PoolLimits(kept=1, more=3, rest=60)) as patient:
        for _ in range(2):
            await together(patient, 4)
            assert await count(patient) == 4
    async with opened(postgres_url, PoolLimits(kept=1, more=3, rest=0)) as hasty:
        await together(hasty, 4)
        async with asyncio.timeout(60):
            # Each question closes one, and the server takes a moment to see its end.
            while await count(hasty) > 1:
                pass
