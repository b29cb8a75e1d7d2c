"""Blocks of lists of executions, over each database: any process finds any page, whatever is written meanwhile."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.execution_pb2 import ExecutionClosure, ExecutionSpec
from sqlalchemy import delete, select

from flyteform_controlplane.domain.filters import Query, Sort
from flyteform_controlplane.domain.records import ExecutionRecord
from flyteform_controlplane.store.counting import BlockCounting
from flyteform_controlplane.store.sql.store import SqlStore
from flyteform_controlplane.store.tables import execution_blocks, executions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_controlplane.store.database import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
ACTIVE, ARCHIVED = 0, 1
ROWS = 20
PATIENCE = 60.0
STORE = SqlStore()  # what writes remembers nothing of lists
NEWEST, OLDEST = Sort("created_at", ascending=False), Sort("created_at", ascending=True)


@pytest.fixture
async def counting(database: Database) -> BlockCounting:
    """Give what makes blocks of few rows; it does so when it is told to."""
    return BlockCounting(database, rows=ROWS)


def execution(number: int, at: float | None = None) -> ExecutionRecord:
    """Make a record, by default so many seconds after the start."""
    return ExecutionRecord(
        execution_project="p",
        execution_domain="d",
        execution_name=f"e{number}",
        phase="RUNNING",
        closure=ExecutionClosure(),
        spec=ExecutionSpec(),
        created_at=START + timedelta(seconds=number if at is None else at),
    )


async def add(database: Database, *records: ExecutionRecord) -> None:
    """Write them."""
    async with database.transaction() as tx:
        await STORE.executions.add_many(tx, records)


async def give(database: Database, name: str, state: int) -> None:
    """Give an execution a state, as archiving it does."""
    async with database.transaction() as tx:
        record = await STORE.executions.get(tx, "p", "d", name)
        if record is not None:
            await STORE.executions.save_many(tx, [replace(record, state=state)])  # type: ignore[arg-type]


async def remove(database: Database, *names: str) -> None:
    """Delete executions, with one statement."""
    async with database.transaction() as tx:
        await tx.execute(delete(executions).where(executions.c.execution_name.in_(names)))


async def page(
    database: Database, sort: Sort, offset: int, state: int = ACTIVE, store: SqlStore | None = None
) -> list[str]:
    """Return the three names from an offset on, by default in a process that has read nothing yet."""
    where = {"execution_project": "p", "execution_domain": "d", "state": state}
    async with database.reading() as tx:
        query = Query(sort=sort, limit=3, offset=offset)
        rows = await (store or SqlStore()).executions.stored(tx, ("execution_name",), query, where)
    return [row[0] for row in rows]


async def listed(database: Database, state: int = ACTIVE) -> list[str]:
    """Return all names, oldest first."""
    order = (executions.c.created_at, executions.c.id)
    rows = select(executions.c.execution_name).where(executions.c.state == state).order_by(*order)
    async with database.reading() as tx:
        return list((await tx.execute(rows)).scalars())


async def check(database: Database, state: int = ACTIVE) -> None:
    """Compare pages at many offsets with the whole list, both ways round."""
    names, store = await listed(database, state), SqlStore()
    for sort, expected in ((OLDEST, names), (NEWEST, names[::-1])):
        for offset in {*range(500, len(names), 53), len(names) - 1, len(names), len(names) + 700}:
            assert await page(database, sort, offset, state, store) == expected[offset : offset + 3], (sort, offset)


async def numbers(database: Database, state: int = ACTIVE) -> Sequence[int | None]:
    """Return how many rows each block of a list has."""
    ends = (execution_blocks.c.until_at, execution_blocks.c.until_id)
    rows = select(execution_blocks.c.number).where(execution_blocks.c.state == state).order_by(*ends)
    async with database.reading() as tx:
        return (await tx.execute(rows)).scalars().all()


async def blocks(database: Database, least: int) -> None:
    """Wait until a list has so many blocks."""
    while len(await numbers(database)) < least:  # noqa: ASYNC110 - the database tells nobody
        await asyncio.sleep(0.01)


async def test_any_process_finds_any_page(database: Database, counting: BlockCounting) -> None:
    """Before there are blocks, with them, with rows before, between and behind them, and when rows have left."""
    await add(database, *(execution(number, number // 2) for number in range(700)))
    await check(database)
    await counting.count()
    assert set(await numbers(database)) == {ROWS}
    await check(database)
    # Many at one time in the past, some before all others, some in front.
    await add(database, *(execution(number, 100.5) for number in range(700, 800)))
    await add(database, execution(800, -1), *(execution(number, 900) for number in range(801, 830)))
    await check(database)
    assert max(number or 0 for number in await numbers(database)) > 4 * ROWS
    await counting.count()
    assert set(await numbers(database)) <= {*range(ROWS + 2)}
    await check(database)
    for number in range(0, 90, 3):
        await give(database, f"e{number}", ARCHIVED)
    await remove(database, *(f"e{number}" for number in range(300, 400, 7)))
    await check(database)
    await give(database, "e3", ACTIVE)
    await give(database, "e827", ARCHIVED)
    await check(database)


async def test_a_list_of_another_state_has_blocks_of_its_own(database: Database, counting: BlockCounting) -> None:
    """What is archived leaves one list for the other, and can come back."""
    await add(database, *(replace(execution(number), state=ARCHIVED) for number in range(600)))  # type: ignore[arg-type]
    await counting.count()
    assert len(await numbers(database, ARCHIVED)) == 600 // ROWS - 1
    await give(database, "e10", ACTIVE)
    await check(database, ARCHIVED)
    assert await page(database, NEWEST, 0) == ["e10"]
    assert await page(database, NEWEST, 500) == []


async def test_a_transaction_that_began_before_the_blocks_is_counted(
    database: Database, counting: BlockCounting
) -> None:
    """It wrote rows where a block is being made, and ends when that block is there: nobody counts before that."""
    await add(database, *(execution(number) for number in range(600)))
    async with asyncio.timeout(PATIENCE):
        async with database.transaction() as tx:
            await STORE.executions.add_many(tx, [execution(601, 5), execution(602, 5)])
            counted = asyncio.create_task(counting.count())
            if not database.is_sqlite:
                await blocks(database, 1)
                assert set(await numbers(database)) == {None}
                await check(database)
        await counted
    assert None not in await numbers(database)
    await check(database)


async def test_what_is_written_while_blocks_are_made_is_counted(database: Database, counting: BlockCounting) -> None:
    """Many write at once, in the past too, archive, bring back and delete, while blocks are cut, split and counted."""
    await add(database, *(execution(number) for number in range(600)))
    new = count(1000)
    written = asyncio.Event()

    async def write(seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        for _ in range(60):
            match rng.randrange(5):
                case 0 | 1:
                    await add(
                        database, *(execution(next(new), rng.choice((rng.randrange(600), 900))) for _ in range(3))
                    )
                case 2:
                    await remove(database, f"e{rng.randrange(600)}")
                case _:
                    await give(database, f"e{rng.randrange(600)}", rng.choice((ACTIVE, ARCHIVED)))

    async def make(other: BlockCounting) -> None:
        while not written.is_set():
            await other.count()

    async with asyncio.timeout(PATIENCE):
        makers = [asyncio.create_task(make(one)) for one in (counting, BlockCounting(database, rows=ROWS // 2))]
        await asyncio.gather(*(write(seed) for seed in range(6)))
        written.set()
        await asyncio.gather(*makers)
    for state in (ACTIVE, ARCHIVED):
        await check(database, state)
        assert None not in await numbers(database, state)


async def test_it_counts_by_itself_while_it_runs(database: Database) -> None:
    """Started, it makes blocks of what is there and of what comes; stopped, it makes none."""
    await add(database, *(execution(number) for number in range(100)))
    counting = BlockCounting(database, rows=ROWS, seconds=0.01)
    await counting.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await blocks(database, 4)
            await add(database, *(execution(number) for number in range(100, 200)))
            await blocks(database, 9)
    finally:
        await counting.stop()
    assert "blocks of lists" not in {task.get_name() for task in asyncio.all_tasks()}
