"""What replicas ask data planes that are connected to others of them; every function is within a transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from flyteform_controlplane.store.tables_duties import link_answers, link_requests

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

_ASKED, _TAKEN = "ASKED", "TAKEN"


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """A question to the data plane of a cluster; `message` is a serialized ToDataPlane."""

    number: int
    cluster: str
    message: bytes


async def ask(tx: AsyncConnection, question: QuestionRecord, at: datetime, until: datetime) -> None:
    """Write a question down for whichever replica has the cluster's link."""
    times = {"created_at": at, "updated_at": at, "expires_at": until}
    values = {"number": question.number, "cluster": question.cluster, "message": question.message, "state": _ASKED}
    await tx.execute(insert(link_requests).values(**values, **times))


async def take(tx: AsyncConnection, clusters: Collection[str], at: datetime) -> list[QuestionRecord]:
    """Return the questions to these clusters that nobody has taken yet; they are the caller's now."""
    free = select(link_requests.c.id).where(
        link_requests.c.cluster.in_(clusters), link_requests.c.state == _ASKED, link_requests.c.expires_at > at
    )
    columns = (link_requests.c.number, link_requests.c.cluster, link_requests.c.message)
    statement = (
        update(link_requests)
        .where(link_requests.c.id.in_(free.with_for_update(skip_locked=True)))
        .values(state=_TAKEN)
        .returning(*columns)
    )
    return [QuestionRecord(row.number, row.cluster, row.message) for row in await tx.execute(statement)]


async def answer(tx: AsyncConnection, number: int, position: int, messages: Sequence[bytes], at: datetime) -> None:
    """Write answers down, each a serialized FromDataPlane, from this position on."""
    times = {"created_at": at, "updated_at": at, "number": number}
    rows = [{"position": position + index, "message": message, **times} for index, message in enumerate(messages)]
    await tx.execute(insert(link_answers), rows)


async def answers(tx: AsyncConnection, number: int, position: int) -> list[bytes]:
    """Return the answers from this position on."""
    ours = (link_answers.c.number == number, link_answers.c.position >= position)
    statement = select(link_answers.c.message).where(*ours).order_by(link_answers.c.position)
    return list((await tx.execute(statement)).scalars())


async def extend(tx: AsyncConnection, number: int, until: datetime, position: int) -> None:
    """Write that the asker still waits, and has read the answers before this position: they are removed."""
    await tx.execute(update(link_requests).where(link_requests.c.number == number).values(expires_at=until))
    read = (link_answers.c.number == number, link_answers.c.position < position)
    await tx.execute(delete(link_answers).where(*read))


async def unread(tx: AsyncConnection, number: int) -> int:
    """Return how many answers are there that the asker has not said to have read."""
    counted = select(func.count()).select_from(link_answers).where(link_answers.c.number == number)
    count: int = (await tx.execute(counted)).scalar_one()
    return count


async def is_wanted(tx: AsyncConnection, number: int, at: datetime) -> bool:
    """Say whether the asker still waits."""
    found = select(link_requests.c.id).where(link_requests.c.number == number, link_requests.c.expires_at > at)
    return (await tx.execute(found)).first() is not None


async def forget(tx: AsyncConnection, number: int) -> None:
    """Remove a question with its answers."""
    await tx.execute(delete(link_answers).where(link_answers.c.number == number))
    await tx.execute(delete(link_requests).where(link_requests.c.number == number))


async def forget_old(tx: AsyncConnection, before: datetime) -> None:
    """Remove what replicas that have died asked, and what came for them."""
    await tx.execute(delete(link_requests).where(link_requests.c.expires_at < before))
    left = select(link_requests.c.number)
    await tx.execute(delete(link_answers).where(link_answers.c.created_at < before, link_answers.c.number.not_in(left)))
