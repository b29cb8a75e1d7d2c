"""Questions that replicas pass on to data planes of each other, over every kind of database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flyteform_controlplane.store.sql import questions as store
from flyteform_controlplane.store.sql.questions import QuestionRecord

if TYPE_CHECKING:
    from flyteform_controlplane.store.database import Database

START = datetime(2024, 5, 1, tzinfo=UTC)
LIFE = timedelta(seconds=30)


async def ask(database: Database, *numbers: int, cluster: str = "east") -> None:
    """Write questions down."""
    async with database.transaction() as tx:
        for number in numbers:
            await store.ask(tx, QuestionRecord(number, cluster, b"q"), START, START + LIFE)


async def test_each_question_is_taken_by_one_replica(database: Database) -> None:
    """Of five that look at once one gets each, and only those of clusters that it has."""
    await ask(database, *range(1, 21))
    await ask(database, 100, cluster="west")

    async def take() -> list[int]:
        async with database.transaction() as tx:
            return [question.number for question in await store.take(tx, ["east"], START)]

    taken = await asyncio.gather(*(take() for _ in range(5)))
    assert sorted(number for numbers in taken for number in numbers) == list(range(1, 21))
    async with database.transaction() as tx:
        assert [one.number for one in await store.take(tx, ["west"], START + LIFE)] == []
        assert [one.message for one in await store.take(tx, ["west"], START)] == [b"q"]


async def test_answers_come_in_order_and_go_with_their_question(database: Database) -> None:
    """They are read from a position on; nothing of a question that is forgotten is left."""
    await ask(database, 1, 2)
    async with database.transaction() as tx:
        await store.answer(tx, 1, 0, [b"a", b"b"], START)
        await store.answer(tx, 1, 2, [b"c"], START)
        await store.answer(tx, 2, 0, [b"x"], START)
    async with database.reading() as tx:
        assert await store.answers(tx, 1, 0) == [b"a", b"b", b"c"]
        assert await store.answers(tx, 1, 2) == [b"c"]
        assert await store.is_wanted(tx, 1, START)
    async with database.transaction() as tx:
        await store.forget(tx, 1)
    async with database.reading() as tx:
        assert await store.answers(tx, 1, 0) == []
        assert not await store.is_wanted(tx, 1, START)
        assert await store.answers(tx, 2, 0) == [b"x"]


async def test_who_still_waits_says_so_and_who_has_died_is_cleaned_up_after(database: Database) -> None:
    """An extended question lives; one whose asker is gone is removed with what came for it."""
    await ask(database, 1, 2)
    later = START + 2 * LIFE
    async with database.transaction() as tx:
        await store.answer(tx, 1, 0, [b"a"], START)
        await store.answer(tx, 2, 0, [b"b"], START)
        await store.extend(tx, 1, later + LIFE)
        assert await store.is_wanted(tx, 1, later)
        assert not await store.is_wanted(tx, 2, later)
        await store.forget_old(tx, later)
    async with database.reading() as tx:
        assert await store.answers(tx, 1, 0) == [b"a"]
        assert await store.answers(tx, 2, 0) == []
