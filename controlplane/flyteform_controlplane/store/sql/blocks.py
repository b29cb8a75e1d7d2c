"""Where the n-th execution of a list is, for any n and in any process: by blocks of rows that the database counts.

A list is the executions of a state, project and domain in the order of their creation. Its blocks follow each other
from the beginning of time to the end of the newest; triggers keep their numbers in the transactions that change them.
What came after the newest block, and a block whose number is not known yet, is counted by whoever asks.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, bindparam, case, cast, func, literal, select, tuple_

from flyteform_controlplane.store.direct import Direct
from flyteform_controlplane.store.sql.anchors import Anchor
from flyteform_controlplane.store.tables import execution_blocks, executions
from flyteform_controlplane.store.types import UtcDateTime

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import CTE, Column, ColumnElement, ScalarSelect, Select, Subquery, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

LIST: Final = ("state", "execution_project", "execution_domain")
# Before and after the time of any row, and what both databases and Python can hold.
OLDEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_NEWEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
# A jump over fewer rows just skips them.
LEAST_JUMP: Final = 500

_KEY_COLUMNS = (executions.c.created_at, executions.c.id)
_KEY = tuple_(*_KEY_COLUMNS)
_BLOCK_END = (execution_blocks.c.until_at, execution_blocks.c.until_id)


def has_blocks(table: Table, names: Collection[str], order: Sequence[Column[Any]]) -> bool:
    """Say whether lists that are limited by these columns, in this order, have blocks."""
    return table is executions and set(names) == set(LIST) and [c.name for c in order] == ["created_at", "id"]


def in_list(table: Table) -> list[ColumnElement[bool]]:
    """Return what limits one of the two tables to a list; values are given as `is_` and the column's name."""
    return [table.c[name] == bindparam(f"is_{name}") for name in LIST]


class Ranks:
    """The rows of lists in one direction, by their numbers."""

    least_jump: float = LEAST_JUMP

    def __init__(self, *, descending: bool) -> None:
        self._statement = Direct(_newest_first() if descending else _oldest_first())

    async def nearest(self, tx: AsyncConnection, where: Mapping[str, Any], offset: int) -> Anchor | None:
        """Return the row before the offset, with nothing to skip behind it; None if the list has fewer rows."""
        values = {f"is_{name}": where[name] for name in LIST}
        rows = await self._statement.fetch(tx, values | {"wanted": offset}, scans=True)
        return Anchor(rows[0], 0) if rows else None

    def prepare(self, _tx: AsyncConnection, _where: Mapping[str, Any]) -> None:
        """Do nothing: the blocks are always there."""


def newer(at: ColumnElement[Any], number: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that an execution was created after that point."""
    return tuple_(at, number) < _KEY


def not_newer(at: ColumnElement[Any], number: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that it was not."""
    return tuple_(at, number) >= _KEY


def rows_of_block() -> ScalarSelect[int]:
    """Return how many rows the block of the enclosing statement has now."""
    block = execution_blocks
    same = (executions.c[name] == block.c[name] for name in LIST)
    within = (newer(block.c.after_at, block.c.after_id), not_newer(*_BLOCK_END))
    return select(func.count()).select_from(executions).where(*same, *within).correlate(block).scalar_subquery()


def frontier() -> CTE:
    """Return where the newest block of a list ends, as `until_at` and `until_id`; no row if it has none."""
    newest = select(*_BLOCK_END).where(*in_list(execution_blocks)).order_by(*(end.desc() for end in _BLOCK_END))
    return newest.limit(1).cte("frontier")


def behind(edge: CTE) -> ColumnElement[bool]:
    """Return the condition that an execution was created after the newest block's end."""
    at = func.coalesce(_one(edge, "until_at"), literal(OLDEST, UtcDateTime))
    return newer(at, func.coalesce(_one(edge, "until_id"), 0))


def _one(part: CTE, name: str) -> Any:
    return select(part.c[name]).scalar_subquery()


def _wanted() -> ColumnElement[int]:
    return bindparam("wanted", type_=BigInteger)


def _counted(*, descending: bool) -> Subquery:
    """Return the blocks of a list in one order, each with its number and with that of all up to it."""
    block = execution_blocks
    number = func.coalesce(block.c.number, rows_of_block()).label("number")
    each = select(block.c.after_at, block.c.after_id, *_BLOCK_END, number).where(*in_list(block)).subquery()
    total = func.sum(each.c.number).over(order_by=_ordered(each, descending=descending), rows=(None, 0))
    return select(each, cast(total, BigInteger).label("total")).subquery()


def _ordered(blocks: Subquery, *, descending: bool) -> list[ColumnElement[Any]]:
    ends = (blocks.c[column.name] for column in _BLOCK_END)
    return [end.desc() if descending else end.asc() for end in ends]


def _hit(number: ColumnElement[int], *, descending: bool) -> CTE:
    """Return the block with the row of that number among the rows of all blocks: no order, so none after it is read."""
    blocks = _counted(descending=descending)
    holds = (blocks.c.total >= number, blocks.c.total - blocks.c.number < number)
    return select(blocks).where(*holds).limit(1).cte("hit")


def _newest_first() -> Select[Any]:
    wanted = bindparam("wanted", type_=BigInteger)
    front = select(literal(1)).where(*in_list(executions), behind(frontier())).limit(wanted).subquery()
    before = _one(select(func.count().label("rows")).select_from(front).cte("before"), "rows")
    hit = _hit(wanted - before, descending=True)
    is_in_front = before >= wanted
    at = case((is_in_front, literal(_NEWEST, UtcDateTime)), else_=_one(hit, "until_at"))
    row_id = case((is_in_front, 0), else_=_one(hit, "until_id"))
    found = select(*_KEY_COLUMNS).where(*in_list(executions), not_newer(at, row_id))
    found = found.order_by(*(column.desc() for column in _KEY_COLUMNS)).limit(1)
    skipped = before + _one(hit, "total") - _one(hit, "number")
    return found.offset(wanted - 1 - case((is_in_front, 0), else_=func.coalesce(skipped, 0)))


def _oldest_first() -> Select[Any]:
    wanted = bindparam("wanted", type_=BigInteger)
    hit, edge = _hit(wanted, descending=False), frontier()
    at = func.coalesce(_one(hit, "after_at"), _one(edge, "until_at"), literal(OLDEST, UtcDateTime))
    row_id = func.coalesce(_one(hit, "after_id"), _one(edge, "until_id"), 0)
    found = select(*_KEY_COLUMNS).where(*in_list(executions), newer(at, row_id))
    found = found.order_by(*_KEY_COLUMNS).limit(1)
    # Behind the last block all of them are skipped.
    blocks = _counted(descending=False)
    everything = select(func.coalesce(func.max(blocks.c.total), 0)).scalar_subquery()
    return found.offset(wanted - 1 - func.coalesce(_one(hit, "total") - _one(hit, "number"), everything))
