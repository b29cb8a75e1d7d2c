"""Where in a long list every so many rows end: a jump to any offset skips the rows behind the nearest of these only.

They are found by one walk along the index, which whoever reads the first page sets off behind his back, and go with the
list: rows that came in front since then are counted each time. Rows that have left the list since (archived ones) are
not: by as many a jump may be off. A jump with what was found over a minute ago sets off another walk, for the next one.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import Integer, bindparam, func, literal, select, tuple_

from flyteform_controlplane.store.connections import pooled
from flyteform_controlplane.store.direct import Direct

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

_log = logging.getLogger(__name__)
# A jump over fewer rows just skips them.
LEAST_JUMP: Final = 2_000
_STEP: Final = 500
# How long what was found is taken as it is, and how long it is better than another walk before the answer.
_FRESH_SECONDS: Final = 60.0
_SECONDS: Final = 1800.0
# How far the walk goes that nobody waits for: a quarter of a second's work for the database.
_PREPARED: Final = 250_000
_LISTS: Final = 100
# When so many rows are new that counting them takes as long as finding all anew.
_MOST_NEW: Final = 20_000
# What never changes of a row, so that rows keep their order.
_LASTING: Final = frozenset({"id", "created_at"})


@dataclass(slots=True)
class _Found:
    """The order's values of the rows numbered `_STEP`, 2 x `_STEP`, …, as they were at a time."""

    at: float
    ends: list[Sequence[Any]] = field(default_factory=list)

    @property
    def is_old(self) -> bool:
        """Whether it is time to find them anew, without anybody waiting for that."""
        return self.at + _FRESH_SECONDS < time.monotonic()


@dataclass(frozen=True, slots=True)
class Anchor:
    """A row's values of the order's columns, and how many rows to skip behind it; no values: from the start."""

    end: Sequence[Any] | None
    skip: int


Names: TypeAlias = "tuple[tuple[str, bool], ...]"


def named(where: Mapping[str, object]) -> Names:
    """Return the columns that a list is limited by, and of each whether it is to be NULL."""
    return tuple((name, value is None) for name, value in where.items())


def conditions(table: Table, where: Names) -> list[ColumnElement[bool]]:
    """Return what limits the list; values are to be given as `is_` and the column's name."""
    return [table.c[name].is_(None) if null else table.c[name] == bindparam(f"is_{name}") for name, null in where]


class Anchors:
    """The anchors of one order of a table, whose lists are told apart by the values of `where`."""

    def __init__(self, table: Table, where: Names, order: Sequence[Column[Any]], *, descending: bool) -> None:
        self._names = [f"after_{column.name}" for column in order]
        self._serves = all(column.name in _LASTING for column in order)
        self.least_jump = LEAST_JUMP if self._serves else math.inf
        scope = conditions(table, where)
        here = tuple_(*order)
        there = tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in order))
        ordered = [column.desc() if descending else column.asc() for column in order]

        def walk(*more: ColumnElement[bool]) -> Direct:
            number = func.row_number().over(order_by=ordered).label("number")
            rows = select(*order, number).where(*scope, *more).order_by(*ordered).limit(bindparam("walked")).subquery()
            ends = [rows.c[column.name] for column in order]
            return Direct(select(*ends).where(rows.c.number % literal(_STEP, Integer) == 0).order_by(rows.c.number))

        self._walk = walk()
        self._walk_on = walk(here < there if descending else here > there)
        before = here >= there if descending else here <= there
        counted = select(literal(1)).select_from(table).where(*scope, before).limit(bindparam("counted")).subquery()
        self._count = Direct(select(func.count()).select_from(counted))
        self._lists: OrderedDict[object, _Found] = OrderedDict()
        # Walks that nobody waits for, by their lists.
        self._walks: dict[object, asyncio.Task[None]] = {}

    def prepare(self, tx: AsyncConnection, where: Mapping[str, Any]) -> None:
        """Walk along the list on another connection, for jumps to come, unless that has been done lately."""
        if self._serves:
            found = self._kept(where)
            if found is None or found.is_old:
                self._set_off(tx, where)

    async def nearest(self, tx: AsyncConnection, where: Mapping[str, Any], offset: int) -> Anchor:
        """Return the nearest anchor before an offset in the list whose columns have these values."""
        scope = _values(where)
        found = self._kept(where) or self._forget(where)
        if found.is_old:
            self._set_off(tx, where)
        new = await self._new(tx, found, scope)
        if new > _MOST_NEW:
            found, new = self._forget(where), 0
        await self._find(tx, found, scope, offset - new)
        number = min((offset - new) // _STEP, len(found.ends))
        if number < 1:
            return Anchor(None, offset)
        return Anchor(found.ends[number - 1], offset - new - number * _STEP)

    def _kept(self, where: Mapping[str, Any]) -> _Found | None:
        found = self._lists.get(tuple(where.values()))
        return None if found is None or found.at + _SECONDS < time.monotonic() else found

    def _forget(self, where: Mapping[str, Any]) -> _Found:
        return self._keep(where, _Found(time.monotonic()))

    def _keep(self, where: Mapping[str, Any], found: _Found) -> _Found:
        key = tuple(where.values())
        self._lists[key] = found
        self._lists.move_to_end(key)
        if len(self._lists) > _LISTS:
            self._lists.popitem(last=False)
        return found

    def _set_off(self, tx: AsyncConnection, where: Mapping[str, Any]) -> None:
        key = tuple(where.values())
        if key not in self._walks:
            walk = self._walks[key] = pooled(tx).pool.aside(lambda connection: self._walked(connection, where))
            walk.add_done_callback(lambda _: self._ended(key))

    async def _walked(self, tx: AsyncConnection, where: Mapping[str, Any]) -> None:
        found = _Found(time.monotonic())
        await self._find(tx, found, _values(where), _PREPARED)
        self._keep(where, found)

    def _ended(self, key: object) -> None:
        walk = self._walks.pop(key)
        if not walk.cancelled() and (error := walk.exception()) is not None:
            # The next jump walks by itself, and says what is wrong.
            _log.info("positions in a list were not found: %s", error)

    async def _new(self, tx: AsyncConnection, found: _Found, scope: Mapping[str, Any]) -> int:
        """Count the rows that have come before the first anchor since it was found."""
        if not found.ends:
            return 0
        values = {**scope, **self._after(found.ends[0]), "counted": _STEP + _MOST_NEW + 1}
        ((count,),) = await self._count.fetch(tx, values, scans=True)
        return max(int(count) - _STEP, 0)

    async def _find(self, tx: AsyncConnection, found: _Found, scope: Mapping[str, Any], offset: int) -> None:
        """Walk on until there is an anchor at most a step before the offset, or the list has ended."""
        missing = offset // _STEP - len(found.ends)
        if missing < 1:
            return
        statement, values = self._walk, {**scope, "walked": missing * _STEP}
        if found.ends:
            statement, values = self._walk_on, values | self._after(found.ends[-1])
        known = len(found.ends)
        ends = await statement.fetch(tx, values, scans=True)
        # Another call may have walked the same way meanwhile.
        if len(found.ends) == known:
            found.ends += [tuple(end) for end in ends]

    def _after(self, end: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(self._names, end, strict=True))


def _values(where: Mapping[str, Any]) -> dict[str, Any]:
    return {f"is_{name}": value for name, value in where.items() if value is not None}
