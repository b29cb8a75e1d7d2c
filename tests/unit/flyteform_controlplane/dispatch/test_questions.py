"""Answers of data planes that come faster than they are read: memory and the database keep their limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.dispatch.connection import Connection
from flyteform_controlplane.dispatch.questions import Questions
from flyteform_controlplane.store.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LINES = ["x" * 1_000_000]
FOLLOW = link_pb2.ToDataPlane(tail_logs=link_pb2.TailLogs(follow=True))


@pytest.fixture
def connection() -> Connection:
    """Give the sending half of a cluster's stream."""
    return Connection("east", 1)


@pytest.fixture
async def questions(connection: Connection, tmp_path: Path) -> AsyncIterator[Questions]:
    """Ask the cluster by its stream."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    yield Questions(database, lambda _: connection, lambda: ["east"])
    await database.close()


async def asked(connection: Connection) -> link_pb2.TailLogs:
    """Return the question as the data plane gets it."""
    message = await connection.receive()
    assert message is not None
    return message.tail_logs


async def test_lines_that_nobody_reads_end_the_question(connection: Connection, questions: Questions) -> None:
    """The data plane is told to stop, what waits stays bounded, and the reader is told what to ask for."""
    answers = questions.all("east", FOLLOW)
    first = asyncio.ensure_future(anext(answers))
    number = (await asked(connection)).id
    message = link_pb2.FromDataPlane(log_lines=link_pb2.LogLines(id=number, lines=LINES))
    for _ in range(100):
        connection.answered(number, message)
    stop = await connection.receive()
    assert stop is not None
    assert stop.stop_tail.id == number
    assert (await first).log_lines.lines == LINES
    left = [answer.log_lines async for answer in answers]
    assert 25 < len(left) < 35
    assert left[-1].end
    assert "last ones only" in left[-1].message


async def test_what_is_read_in_time_has_no_end(connection: Connection, questions: Questions) -> None:
    """However much it is in all, lines that are read as they come are all read; one large answer is no flood."""
    answers = questions.all("east", FOLLOW)
    first = asyncio.ensure_future(anext(answers))
    number = (await asked(connection)).id
    message = link_pb2.FromDataPlane(log_lines=link_pb2.LogLines(id=number, lines=LINES))
    connection.answered(number, message)
    await first
    for _ in range(100):
        connection.answered(number, message)
        assert (await anext(answers)).log_lines.lines == LINES
    huge = link_pb2.FromDataPlane(log_lines=link_pb2.LogLines(id=number, lines=LINES * 40))
    connection.answered(number, huge)
    assert (await anext(answers)) == huge
    await answers.aclose()
