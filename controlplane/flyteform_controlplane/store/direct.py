"""Statements that are compiled once and run on the driver itself: a tenth of SQLAlchemy's time per statement."""

from __future__ import annotations

import re
import sqlite3
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError, IntegrityError

from flyteform_controlplane.errors import TransactionConflictError
from flyteform_controlplane.store.connections import Part, pooled
from flyteform_controlplane.store.sqlite import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Executable
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection

_INTEGRITY = "23"  # the class of SQLSTATE
_DIVISION_BY_ZERO = "22012"


class Direct:
    """A statement with named values and columns to return; its rows are tuples in the order of the columns.

    Raises what SQLAlchemy would raise: `IntegrityError`, and `DBAPIError` with the driver's error for all else.
    """

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None) -> None:
        """`columns` are those that an INSERT gives values to."""
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    async def fetch(
        self, tx: AsyncConnection, values: Mapping[str, Any], *, scans: bool = False
    ) -> list[Sequence[Any]]:
        """Run it in the transaction and return all rows; `scans` says that it may read many more than it returns."""
        compiled = self._on(tx)
        return await run(tx, compiled.text, compiled.arguments(values), compiled.results, scans=scans)

    async def send(self, tx: AsyncConnection, values: Mapping[str, Any]) -> None:
        """Run it, or leave it to be run with others where `tx` collects them: whoever needs no rows of it."""
        compiled = self._on(tx)
        collected = pooled(tx).collected
        if collected is None:
            await run(tx, compiled.text, compiled.arguments(values))
        else:
            collected.append(Part(compiled.text, compiled.arguments(values)))

    def _on(self, tx: AsyncConnection) -> _Compiled:
        kind = pooled(tx).kind
        compiled = self._compiled.get(kind)
        if compiled is None:
            compiled = self._compiled[kind] = _Compiled(self._statement, self._columns, tx.dialect)
        return compiled


def runs_at_once(tx: AsyncConnection) -> bool:
    """Say whether statements cost no round trip here, so that many small ones are better than a large one."""
    return pooled(tx).kind == "sqlite"


class _Compiled:
    def __init__(self, statement: Any, columns: Sequence[str] | None, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        self.text = str(compiled)
        binds = compiled.binds
        self._order = [
            (name, binds[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in compiled.positiontup
        ]
        self._defaults = {name: bind.value for name, bind in binds.items() if not bind.required}
        self._defaults |= {column.key: column.default.arg for column in compiled.insert_prefetch}
        returned = statement.exported_columns if statement.is_select or statement.is_dml else ()
        processors = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in returned]
        self.results = tuple((at, process) for at, process in enumerate(processors) if process is not None)
        if dialect.name == "postgresql":
            # Its driver gives UTC and bytes by itself.
            self.results = ()

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        return [
            values.get(name, self._defaults.get(name))
            if process is None
            else process(values.get(name, self._defaults.get(name)))
            for name, process in self._order
        ]


async def run(
    tx: AsyncConnection,
    text: str,
    arguments: Sequence[Any],
    results: Sequence[tuple[int, Callable[[Any], Any]]] = (),
    *,
    scans: bool = False,
) -> list[Sequence[Any]]:
    """Run the driver's text of a statement; `results` are functions to apply to the columns of these numbers."""
    raw = pooled(tx).raw
    try:
        if scans and isinstance(raw, sqlite3.Connection):
            rows = await in_thread(lambda: raw.execute(text, arguments).fetchall())
        elif isinstance(raw, sqlite3.Connection):
            rows = raw.execute(text, arguments).fetchall()
        else:
            rows = await raw.fetch(text, *arguments)
    except Exception as error:
        _raise_wrapped(text, error)
        raise
    return [_processed(row, results) for row in rows] if results else rows


async def run_each(tx: AsyncConnection, text: str, arguments: Sequence[Sequence[Any]]) -> None:
    """Run a statement of PostgreSQL once for each of these arguments, in one round trip."""
    try:
        await pooled(tx).raw.executemany(text, arguments)
    except Exception as error:
        _raise_wrapped(text, error)
        raise


async def run_together(tx: AsyncConnection, parts: Sequence[Part]) -> None:
    """Run statements of PostgreSQL that write, none of which sees what another one writes, as a single one.

    `TransactionConflictError`, and nothing is written, if a part does not write as many rows as it has to.
    """
    if not parts:
        return
    guards = tuple(part.rows is not None for part in parts)
    text = _together(tuple(part.text for part in parts), guards)
    values = [value for part in parts for value in part.values]
    try:
        await run(tx, text, values + [part.rows for part in parts if part.rows is not None])
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _DIVISION_BY_ZERO:
            raise TransactionConflictError("a row has been changed meanwhile", remedy="try again") from error
        raise


@lru_cache(maxsize=256)
def _together(texts: tuple[str, ...], guards: tuple[bool, ...]) -> str:
    before = list(accumulate((len(set(_PARAMETER.findall(text))) for text in texts), initial=0))
    numbered = (
        f"part_{number} AS ({_PARAMETER.sub(lambda found, add=first: f'${int(found[1]) + add}', text)})"  # type: ignore[misc]
        for number, (text, first) in enumerate(zip(texts, before, strict=False))
    )
    guarded = (number for number, has_guard in enumerate(guards) if has_guard)
    wanted = enumerate(guarded, before[-1] + 1)
    # An error is what makes PostgreSQL undo a statement that has written already.
    checks = [f"((SELECT count(*) FROM part_{number}) = ${at}::bigint)::int" for at, number in wanted]  # noqa: S608 - numbers alone
    return f"WITH {', '.join(numbered)} SELECT 1 / ({' * '.join(checks) or 1})"


_PARAMETER = re.compile(r"\$(\d+)")


def _processed(row: Sequence[Any], results: Sequence[tuple[int, Callable[[Any], Any]]]) -> Sequence[Any]:
    values = list(row)
    for at, process in results:
        values[at] = process(values[at])
    return values


def _raise_wrapped(text: str, error: Exception) -> None:
    """Raise a driver's error as SQLAlchemy's; return if it is none."""
    # PostgreSQL's own refusals are known by type to their driver only.
    if isinstance(error, (sqlite3.Error, OSError)) or type(error).__module__.startswith("asyncpg"):
        raise _wrapped(text, error) from error


def _wrapped(text: str, error: Exception) -> DBAPIError:
    state = str(getattr(error, "sqlstate", None) or "")
    if isinstance(error, ValueError) and not state:
        # The driver itself found that a value does not fit: told apart by its cause, as SQLAlchemy leaves it.
        original = ValueError(str(error))
        original.__cause__ = error
        return DBAPIError(text, None, original)
    refused = isinstance(error, sqlite3.IntegrityError) or state.startswith(_INTEGRITY)
    return (IntegrityError if refused else DBAPIError)(text, None, error)
