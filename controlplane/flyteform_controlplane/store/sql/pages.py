"""Pages of a table's columns as they are stored, nothing parsed: compiled once, and continued where the last one ended.

A token is a decimal offset, and skipping costs what it skips. So the end of each page is remembered for a while: the
page after it starts there. Whoever reads on sees each row at most once while rows are added in front, which an offset
cannot promise; without a memory (another replica, a jump, a token after a long pause) the offset is skipped as it says.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import LargeBinary, bindparam, select, tuple_

from flyteform_controlplane.domain.filters import Query
from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.store.direct import Direct
from flyteform_controlplane.store.sql.anchors import Anchor, Anchors, Names, conditions, named
from flyteform_controlplane.store.sql.blocks import LEAST_JUMP, Ranks, has_blocks
from flyteform_controlplane.store.sql.filters import apply_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Column, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.filters import Sort

_REMEMBERED: Final = 10_000
_SECONDS: Final = 300.0


class Positions(Protocol):
    """Where the rows of the lists of one order are."""

    # How many rows it takes at least to make asking better than skipping.
    least_jump: float

    async def nearest(self, tx: AsyncConnection, where: Mapping[str, Any], offset: int) -> Anchor | None:
        """Return a row at or before the offset, and how many more to skip; None if the list is known to end before."""
        ...

    def prepare(self, tx: AsyncConnection, where: Mapping[str, Any]) -> None:
        """Get ready for jumps in a list, without anybody waiting for that."""
        ...


class Pages:
    """Pages of some columns of a table."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._table = table
        self._columns = [table.c[name] for name in columns]
        self._statements: dict[object, Direct] = {}
        self._positions: dict[object, Positions] = {}
        self._ends: OrderedDict[object, tuple[float, Sequence[Any]]] = OrderedDict()

    async def rows(
        self, tx: AsyncConnection, query: Query, where: Mapping[str, str | int | None]
    ) -> list[Sequence[Any]]:
        """Return a page of rows that meet the query, and in which each column of `where` has that value, or is NULL."""
        if query.filters:
            scoped = select(*self._columns).where(*(self._table.c[name] == value for name, value in where.items()))
            statement = apply_query(scoped, self._table, query)
            return [tuple(row) for row in await tx.execute(statement)]
        order = self._order(query.sort)
        scope = (query.sort, *where.items())
        names = named(where)
        anchor = await self._nearest(tx, query, where, order)
        if anchor is None:
            return []
        end, skip = anchor.end, anchor.skip
        values = {f"is_{name}": value for name, value in where.items() if value is not None}
        values |= {"page_limit": query.limit, "page_offset": skip}
        if end:
            values |= {f"after_{column.name}": value for column, value in zip(order, end, strict=True)}
        found = await self._statement(query.sort, names, order, continued=bool(end)).fetch(tx, values, scans=True)
        if not query.offset and len(found) == query.limit:
            # Who reads the first page of a long list may want one far behind next.
            self._positions_of(query.sort, names, order).prepare(tx, where)
        # Nothing is after NULL; and large values are not kept.
        if len(found) == query.limit and not any(c.nullable or isinstance(c.type, LargeBinary) for c in order):
            self._remember(scope, query.offset + len(found), found[-1][len(self._columns) :])
        return found

    async def prepare(self, tx: AsyncConnection, sort: Sort, where: Mapping[str, str | int]) -> None:
        """Read pages of an empty list, near, far and behind another one, so that the first real ones are quick."""
        for offset in (0, LEAST_JUMP):
            await self.rows(tx, Query(sort=sort, limit=1, offset=offset), where)
        order = self._order(sort)
        values: dict[str, Any] = {f"is_{name}": value for name, value in where.items()}
        values |= {f"after_{column.name}": None for column in order} | {"page_limit": 1, "page_offset": 0}
        await self._statement(sort, named(where), order, continued=True).fetch(tx, values, scans=True)

    async def _nearest(
        self, tx: AsyncConnection, query: Query, where: Mapping[str, str | int | None], order: Sequence[Column[Any]]
    ) -> Anchor | None:
        """Return where to start, and how many rows to skip from there; None if the list is known to end before."""
        end = self._end((query.sort, *where.items()), query.offset)
        if end is not None:
            return Anchor(end, 0)
        positions = self._positions_of(query.sort, named(where), order)
        if query.offset < positions.least_jump:
            return Anchor(None, query.offset)
        return await positions.nearest(tx, where, query.offset)

    def _positions_of(self, sort: Sort | None, where: Names, order: Sequence[Column[Any]]) -> Positions:
        known = self._positions.get((sort, where))
        if known is None:
            descending = sort is not None and not sort.ascending
            if has_blocks(self._table, [name for name, _ in where], order):
                known = Ranks(descending=descending)
            else:
                known = Anchors(self._table, where, order, descending=descending)
            self._positions[sort, where] = known
        return known

    def _order(self, sort: Sort | None) -> list[Column[Any]]:
        if sort is None or sort.field == "id":
            return [self._table.c.id]
        column = self._table.c.get(sort.field)
        if column is None:
            raise InvalidArgumentError(f"invalid sort key '{sort.field}'")
        return [column, self._table.c.id]

    def _statement(self, sort: Sort | None, where: Names, order: Sequence[Column[Any]], *, continued: bool) -> Direct:
        key = (sort, where, continued)
        known = self._statements.get(key)
        if known is not None:
            return known
        statement = select(*self._columns, *(column.label(f"end_{column.name}") for column in order))
        statement = statement.where(*conditions(self._table, where))
        descending = sort is not None and not sort.ascending
        if continued:
            here = tuple_(*order)
            end = tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in order))
            statement = statement.where(here < end if descending else here > end)
        statement = statement.order_by(*(column.desc() if descending else column for column in order))
        statement = statement.limit(bindparam("page_limit")).offset(bindparam("page_offset"))
        self._statements[key] = Direct(statement)
        return self._statements[key]

    def _end(self, scope: object, offset: int) -> Sequence[Any] | None:
        """Return the order's values of the row before the offset, if a page that ended there was read lately."""
        found = self._ends.get((scope, offset)) if offset else None
        return found[1] if found and found[0] > time.monotonic() else None

    def _remember(self, scope: object, offset: int, end: Sequence[Any]) -> None:
        key = (scope, offset)
        self._ends[key] = (time.monotonic() + _SECONDS, end)
        self._ends.move_to_end(key)
        if len(self._ends) > _REMEMBERED:
            self._ends.popitem(last=False)
