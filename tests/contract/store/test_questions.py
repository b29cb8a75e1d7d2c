"""Questions that replicas pass on to data planes of each other, over every kind of database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.dispatch import questions
from flyteform_controlplane.dispatch.connection import Connection
from flyteform_controlplane.domain.times import now
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.sql import questions as store
from flyteform_controlplane.store.sql.clusters import Registration, register_cluster
from flyteform_controlplane.store.sql.questions import QuestionRecord

if TYPE_CHECKING:
    import pytest

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
    """An extended question lives, without what was read of it; one whose asker is gone is removed with its answers."""
    await ask(database, 1, 2)
    later = START + 2 * LIFE
    async with database.transaction() as tx:
        await store.answer(tx, 1, 0, [b"a", b"next"], START)
        await store.answer(tx, 2, 0, [b"b"], START)
        assert await store.unread(tx, 1) == 2
        await store.extend(tx, 1, later + LIFE, 1)
        assert await store.unread(tx, 1) == 1
        assert await store.is_wanted(tx, 1, later)
        assert not await store.is_wanted(tx, 2, later)
        await store.forget_old(tx, later)
    async with database.reading() as tx:
        assert await store.answers(tx, 1, 0) == [b"next"]
        assert await store.answers(tx, 2, 0) == []


async def test_what_is_not_read_elsewhere_does_not_fill_the_database(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One replica passes on no more than the other one's reader takes, loses nothing, and what was read is removed."""
    monkeypatch.setattr(questions, "_MOST_UNREAD", 20)
    monkeypatch.setattr(questions, "_MAX_BATCH", 5)
    database, connection = Database(postgres_url), Connection("east", 1)
    async with database.transaction() as tx:
        await register_cluster(tx, "east", Registration(labels=(), version="1"), now())
    here = questions.Questions(database, lambda _: connection, lambda: ["east"], tell=lambda: elsewhere.look())  # noqa: PLW0108 - it is made below
    elsewhere = questions.Questions(database, lambda _: None, list, tell=here.look)
    await here.start()
    tail = link_pb2.ToDataPlane(tail_logs=link_pb2.TailLogs(follow=True))
    answers = elsewhere.all("east", tail, patience=timedelta(seconds=60))
    first = asyncio.ensure_future(anext(answers))
    asked = await connection.receive()
    assert asked is not None
    number = asked.tail_logs.id
    for line in range(100):
        lines = link_pb2.LogLines(id=number, lines=[str(line)], end=line == 99)
        connection.answered(number, link_pb2.FromDataPlane(log_lines=lines))
    read = [(await first).log_lines.lines[0]]

    async def unread() -> int:
        async with database.reading() as tx:
            return await store.unread(tx, number)

    async with asyncio.timeout(60):
        while await unread() < 20:  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.01)
    most = 0
    async for answer in answers:
        most = max(most, await unread())
        read.append(answer.log_lines.lines[0])
    assert read == [str(line) for line in range(100)]
    assert 20 <= most <= 25
    assert await unread() == 0
    await here.stop()
    await database.close()
