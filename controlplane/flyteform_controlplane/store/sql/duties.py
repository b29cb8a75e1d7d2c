"""Leases on duties that one replica at a time may do; every function works within the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from flyteform_controlplane.domain.times import now
from flyteform_controlplane.store.tables_duties import duty_leases as table
from flyteform_controlplane.store.types import UtcDateTime

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection


async def take(tx: AsyncConnection, duty: str, holder: str, ttl: timedelta) -> bool:
    """Take or extend the lease; False while another holder's is alive.

    All holders go by the database's clock: their own may differ.
    """
    at = await _time(tx)
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    values = {"holder": holder, "expires_at": at + ttl, "updated_at": at}
    statement = insert(table).values(name=duty, created_at=at, **values)
    free = or_(table.c.holder == holder, table.c.expires_at <= at)
    taken = statement.on_conflict_do_update(index_elements=["name"], set_=values, where=free).returning(table.c.id)
    return (await tx.execute(taken)).first() is not None


async def release(tx: AsyncConnection, duty: str, holder: str) -> None:
    """Give the lease up, if it is the holder's."""
    at = await _time(tx)
    ours = (table.c.name == duty, table.c.holder == holder)
    await tx.execute(update(table).where(*ours).values(expires_at=at, updated_at=at))


async def _time(tx: AsyncConnection) -> datetime:
    if tx.dialect.name == "sqlite":
        return now()
    found: datetime = (await tx.execute(select(func.clock_timestamp(type_=UtcDateTime)))).scalar_one()
    return found
