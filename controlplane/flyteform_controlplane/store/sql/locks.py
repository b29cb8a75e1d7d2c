"""Locks on names, for decisions that rest on rows which may not exist yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from flyteform_controlplane.store.database import locks_rows

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


async def lock_name(tx: AsyncConnection, *parts: str) -> None:
    """Wait until no other transaction has this name locked, and hold it until this one ends.

    SQLite has one writing transaction at a time and needs none.
    """
    if locks_rows(tx):
        await tx.execute(_LOCK, {"name": "\x1f".join(parts)})
