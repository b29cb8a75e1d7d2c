"""The blocks of lists of executions as they are made: cut, split and counted; each within the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, delete, func, insert, literal, select, tuple_, update

from flyteform_controlplane.store.sql.blocks import (
    LIST,
    OLDEST,
    behind,
    frontier,
    in_list,
    newer,
    not_newer,
    rows_of_block,
)
from flyteform_controlplane.store.sql.locks import lock_name
from flyteform_controlplane.store.tables import execution_blocks, executions
from flyteform_controlplane.store.types import UtcDateTime

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    Point = tuple[datetime, int]

# So many blocks are made in one transaction at most: SQLite's other writers wait for it.
AT_ONCE: Final = 50
# A block that is so many times too long is split.
_TOO_LONG: Final = 4

_NAMES = tuple_(*(executions.c[name] for name in LIST))
_ORDER = (executions.c.created_at, executions.c.id)


@dataclass(frozen=True, slots=True)
class Cuts:
    """What makes blocks of so many `rows`."""

    rows: int

    async def long_lists(self, tx: AsyncConnection) -> list[dict[str, Any]]:
        """Return the lists of which so many rows are in no block that some may be cut; by the values of `LIST`."""
        found: list[dict[str, Any]] = []
        last: Row[Any] | None = None
        columns = [executions.c[name] for name in LIST]
        while True:
            following = select(*columns).order_by(*columns).limit(1)
            if last is not None:
                following = following.where(tuple_(*last) < _NAMES)
            last = (await tx.execute(following)).first()
            if last is None:
                return found
            values = dict(zip(LIST, last, strict=True))
            if await self._is_long(tx, values):
                found.append(values)

    async def cut(self, tx: AsyncConnection, values: Mapping[str, Any]) -> bool:
        """Make blocks of a list's rows that are in none, but for the newest; say whether there may be more."""
        await lock_name(tx, execution_blocks.name, *map(str, values.values()))
        edge = (await tx.execute(select(frontier()), _bound(values))).first()
        start: Point = (OLDEST, 0) if edge is None else (edge.until_at, edge.until_id)
        rows = (*in_list(executions), newer(*_values(start)))
        ends = await self._ends(tx, values, rows, (AT_ONCE + 1) * self.rows)
        await _add(tx, values, [start, *ends[:-1]])
        return len(ends) > AT_ONCE

    async def too_long(self, tx: AsyncConnection) -> Sequence[int]:
        """Return the blocks that have grown: by rows that are older than others that were there."""
        most = _TOO_LONG * self.rows
        return (await tx.execute(select(execution_blocks.c.id).where(execution_blocks.c.number > most))).scalars().all()

    async def split(self, tx: AsyncConnection, block: int) -> None:
        """Make several of a block, unless it is gone."""
        found = await _locked(tx, block)
        if found is None:
            return
        values = {name: found[name] for name in LIST}
        start, end = (found["after_at"], found["after_id"]), (found["until_at"], found["until_id"])
        rows = (*in_list(executions), newer(*_values(start)), not_newer(*_values(end)))
        ends = await self._ends(tx, values, rows, found["number"])
        # New ones, so that nobody takes them for what he has waited for.
        await tx.execute(delete(execution_blocks).where(execution_blocks.c.id == block))
        await _add(tx, values, [start, *(one for one in ends if one != end), end])

    async def _is_long(self, tx: AsyncConnection, values: Mapping[str, Any]) -> bool:
        rows = select(executions.c.id).where(*in_list(executions), behind(frontier())).order_by(*_ORDER)
        return (await tx.execute(rows.limit(1).offset(2 * self.rows - 1), _bound(values))).first() is not None

    async def _ends(
        self, tx: AsyncConnection, values: Mapping[str, Any], where: Iterable[ColumnElement[bool]], most: int
    ) -> list[Point]:
        """Return every `rows`-th of the first `most` rows, oldest first."""
        number = func.row_number().over(order_by=_ORDER).label("number")
        rows = select(*_ORDER, number).where(*where).order_by(*_ORDER).limit(most).subquery()
        ends = select(rows.c.created_at, rows.c.id).where(rows.c.number % self.rows == 0).order_by(rows.c.number)
        return [(at, row_id) for at, row_id in await tx.execute(ends, _bound(values))]


async def uncounted(tx: AsyncConnection) -> frozenset[int]:
    """Return the blocks whose number is not known."""
    unknown = execution_blocks.c.number.is_(None)
    return frozenset((await tx.execute(select(execution_blocks.c.id).where(unknown))).scalars())


async def count(tx: AsyncConnection, blocks: Collection[int]) -> None:
    """Count the rows of blocks, once no transaction is open that began before they were there.

    Those that somebody is changing are left out: waiting for one while others are locked could last forever.
    """
    free = select(execution_blocks.c.id).where(execution_blocks.c.id.in_(blocks)).with_for_update(skip_locked=True)
    locked = (await tx.execute(free)).scalars().all()
    # Who changes rows of these and has not ended waits for our lock, or has been waited for: this statement sees it.
    counted = update(execution_blocks).where(execution_blocks.c.id.in_(locked)).values(number=rows_of_block())
    await tx.execute(counted)


async def _locked(tx: AsyncConnection, block: int) -> Mapping[str, Any] | None:
    """Return a block's row and lock it, unless it is gone."""
    row = select(execution_blocks).where(execution_blocks.c.id == block).with_for_update()
    found = (await tx.execute(row)).mappings().first()
    return None if found is None else dict(found)


async def _add(tx: AsyncConnection, values: Mapping[str, Any], points: Sequence[Point]) -> None:
    """Add the blocks between these points, not counted."""
    rows = [
        {**values, "after_at": after[0], "after_id": after[1], "until_at": until[0], "until_id": until[1]}
        for after, until in pairwise(points)
    ]
    if rows:
        await tx.execute(insert(execution_blocks), rows)


def _values(point: Point) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return literal(point[0], UtcDateTime), literal(point[1], BigInteger)


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"is_{name}": values[name] for name in LIST}
