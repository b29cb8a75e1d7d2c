"""Cached outputs by key in SQL; every function works within the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.cacheservice.cacheservice_pb2 import CachedOutput
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.errors import EntityExistsError
from flyteform_controlplane.store.sql.locks import lock_name
from flyteform_controlplane.store.tables_duties import cached_outputs as table

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection


async def get(tx: AsyncConnection, key: str) -> CachedOutput | None:
    """Return what is cached under the key, with the times at which it was put there."""
    row = (await tx.execute(select(table).where(table.c.key == key))).first()
    if row is None:
        return None
    output = CachedOutput.FromString(row.output)
    output.metadata.created_at.CopyFrom(to_timestamp(row.created_at))
    output.metadata.last_updated_at.CopyFrom(to_timestamp(row.updated_at))
    return output


async def put(tx: AsyncConnection, key: str, output: CachedOutput, at: datetime, *, overwrite: bool) -> None:
    """Cache the output; without `overwrite` raise `EntityExistsError` if the key has one."""
    value = output.SerializeToString()
    if overwrite:
        await lock_name(tx, table.name, key)
        done = await tx.execute(update(table).where(table.c.key == key).values(output=value, updated_at=at))
        if done.rowcount:
            return
    try:
        await tx.execute(insert(table).values(key=key, output=value, created_at=at, updated_at=at))
    except IntegrityError as error:
        raise EntityExistsError(f"an output is cached under {key!r} already") from error


async def remove(tx: AsyncConnection, key: str) -> bool:
    """Remove what is cached under the key; False if there is nothing."""
    return (await tx.execute(delete(table).where(table.c.key == key))).rowcount > 0
