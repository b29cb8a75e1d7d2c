"""Pages of stored columns, over each database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure, NodeExecutionMetaData
from flyteidl.admin.task_pb2 import TaskClosure

from flyteform_controlplane.domain.filters import Entity, Query, Sort, parse_filters
from flyteform_controlplane.domain.records import NodeExecutionRecord, TaskRecord
from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.sql.store import SqlStore

START = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE = {"project": "p", "domain": "d"}
NEWEST = Sort("created_at", ascending=False)


def task(number: int, project: str = "p", kind: str = "t") -> TaskRecord:
    """Make a record; two share each second."""
    return TaskRecord(
        project=project,
        domain="d",
        name=f"t{number}",
        version="v",
        digest=b"",
        closure=TaskClosure(),
        type=kind,
        created_at=START + timedelta(seconds=number // 2),
    )


def node(name: str, at: datetime, parent: int | None = None) -> NodeExecutionRecord:
    """Make a record."""
    return NodeExecutionRecord(
        execution_project="p",
        execution_domain="d",
        execution_name="e",
        node_id=name,
        phase="RUNNING",
        closure=NodeExecutionClosure(),
        node_execution_metadata=NodeExecutionMetaData(),
        parent_id=parent,
        created_at=at,
    )


async def add(database: Database, store: SqlStore, *records: TaskRecord) -> None:
    """Write them."""
    async with database.transaction() as tx:
        await store.tasks.add_many(tx, records)


async def names(database: Database, store: SqlStore, query: Query) -> list[str]:
    """Return the names on a page."""
    async with database.reading() as tx:
        return [row[0] for row in await store.tasks.stored(tx, ("name", "closure"), query, SCOPE)]


async def test_reading_on_repeats_and_leaves_out_nothing_while_rows_are_added(database: Database) -> None:
    """The second page starts behind the first one's end, although its offset is another row's by now."""
    store = SqlStore()
    await add(database, store, *(task(number) for number in range(5)), task(9, project="other"))
    assert await names(database, store, Query(sort=NEWEST, limit=2)) == ["t4", "t3"]
    await add(database, store, task(10), task(11))
    assert await names(database, store, Query(sort=NEWEST, limit=2, offset=2)) == ["t2", "t1"]
    assert await names(database, store, Query(sort=NEWEST, limit=2, offset=4)) == ["t0"]


async def test_an_offset_that_nobody_read_up_to_is_skipped_as_it_says(database: Database) -> None:
    """Another replica, which remembers nothing, gives the same pages."""
    await add(database, SqlStore(), *(task(number) for number in range(5)))
    for sort, expected in (
        (NEWEST, ["t2", "t1"]),
        (Sort("created_at", ascending=True), ["t2", "t3"]),
        (Sort("id", ascending=False), ["t2", "t1"]),
        (None, ["t2", "t3"]),
    ):
        query = Query(sort=sort, limit=2, offset=2)
        assert await names(database, SqlStore(), query) == expected
        assert await names(database, SqlStore(), Query(sort=sort, limit=9, offset=9)) == []


async def test_orders_with_nothing_in_them_have_whole_pages(database: Database) -> None:
    """Rows without a value in the sorted column are not lost between pages."""
    store = SqlStore()
    await add(database, store, *(task(number) for number in range(5)))
    sort = Sort("deleted_at", ascending=True)
    pages = [await names(database, store, Query(sort=sort, limit=2, offset=offset)) for offset in (0, 2, 4)]
    assert sorted(name for page in pages for name in page) == ["t0", "t1", "t2", "t3", "t4"]


async def test_filters_limit_and_unknown_orders_are_refused(database: Database) -> None:
    """The general way for the rest; no sort key reaches the database as text."""
    store = SqlStore()
    await add(database, store, task(0), task(1, kind="u"), task(2, kind="u"))
    filters = parse_filters("eq(type,u)", Entity.TASK)
    assert await names(database, store, Query(filters=filters, sort=NEWEST)) == ["t2", "t1"]
    with pytest.raises(InvalidArgumentError, match="invalid sort key 'id; DROP TABLE tasks'"):
        await names(database, store, Query(sort=Sort("id; DROP TABLE tasks", ascending=True)))


async def test_transactions_that_share_a_commit_fail_alone(database: Database) -> None:
    """Of thirty at once those that raise leave nothing, and all others are there when they return."""
    store = SqlStore()

    async def one(number: int) -> None:
        async with database.transaction() as tx:
            await store.tasks.add(tx, task(number))
            await asyncio.sleep(0)
            if number % 3 == 0:
                raise ValueError(number)
        assert f"t{number}" in await names(database, store, Query(limit=100))

    results = await asyncio.gather(*(one(number) for number in range(30)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, type(None), type(None)] * 10
    expected = {f"t{number}" for number in range(30) if number % 3}
    assert set(await names(database, store, Query(limit=100))) == expected


async def test_a_transaction_that_is_given_up_leaves_nothing(database: Database) -> None:
    """Cancelled in its middle, it is undone, and the next one works."""
    store = SqlStore()
    inside = asyncio.Event()

    async def never_ends() -> None:
        async with database.transaction() as tx:
            await store.tasks.add(tx, task(0))
            inside.set()
            await asyncio.Event().wait()

    given_up = asyncio.create_task(never_ends())
    await inside.wait()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    await add(database, store, task(1))
    assert await names(database, store, Query()) == ["t1"]


async def test_a_jump_lands_where_its_offset_says(database: Database) -> None:
    """Far offsets that nobody read up to: first found, then known, with new rows in front, and beyond the end."""
    store, count = SqlStore(), 6_000
    await add(database, store, *(task(number) for number in range(count)))

    async def check(rows: int) -> None:
        for offset in (2_000, 5_499, 5_500, 2_345, rows - 1, rows, rows + 5_000):
            for sort, first, step in ((NEWEST, rows - 1, -1), (Sort("created_at", ascending=True), 0, 1)):
                expected = [f"t{first + step * number}" for number in range(offset, min(offset + 3, rows))]
                assert await names(database, store, Query(sort=sort, limit=3, offset=offset)) == expected

    await check(count)
    # Some of them older than the newest that was there.
    await add(database, store, *(task(number) for number in range(count, count + 700)))
    await check(count + 700)


async def test_lists_are_told_apart_by_what_has_no_value(database: Database) -> None:
    """A column that is to have no value and one that is to have some make two lists of the same order."""
    store = SqlStore()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    async with database.transaction() as tx:
        parents = await store.node_executions.add_many(tx, [node(f"n{number}", at) for number in range(3)])
        await store.node_executions.add_many(tx, [node(f"c{number}", at, parents[0]) for number in range(3)])

    async def listed(parent: int | None, offset: int) -> list[str]:
        query = Query(sort=NEWEST, limit=2, offset=offset)
        async with database.reading() as tx:
            rows = await store.node_executions.stored(tx, ("node_id",), query, {"parent_id": parent})
        return [row[0] for row in rows]

    for _ in range(2):
        assert [await listed(None, offset) for offset in (0, 2)] == [["n2", "n1"], ["n0"]]
        assert [await listed(parents[0], offset) for offset in (0, 2)] == [["c2", "c1"], ["c0"]]
        assert await listed(parents[1], 0) == []


async def test_a_jump_after_the_first_page_lands_where_its_offset_says(database: Database) -> None:
    """Whether the walk that the first page set off is under way, over, or older than rows that came in front."""
    store, count = SqlStore(), 4_000
    await add(database, store, *(task(number) for number in range(count)))
    for new in range(3):
        assert await names(database, store, Query(sort=NEWEST, limit=1)) == [f"t{count + new - 1}"]
        for offset in (3_500, 2_000, 3_999):
            assert await names(database, store, Query(sort=NEWEST, limit=1, offset=offset)) == [
                f"t{count + new - 1 - offset}"
            ]
        await add(database, store, task(count + new))


async def test_a_database_ends_with_the_walks_along_its_lists(url: str) -> None:
    """What a first page sets off neither outlives the connections nor keeps them from closing."""
    database, store = Database(url), SqlStore()
    await add(database, store, *(task(number) for number in range(3_000)))
    await names(database, store, Query(sort=NEWEST, limit=1))
    async with asyncio.timeout(60):
        await database.close()
    assert [one.get_name() for one in asyncio.all_tasks() - {asyncio.current_task()}] == []
