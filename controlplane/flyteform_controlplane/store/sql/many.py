"""Many rows of a table in one round trip to PostgreSQL: one array per column, so that any number is one statement.

Each key is looked up by itself, in the order in which it is given: whatever PostgreSQL believes of the table's size
when it plans the statement, it reads an index and no table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.sql.schema import ScalarElementColumnDefault

from flyteform_controlplane.store.connections import Part, pooled
from flyteform_controlplane.store.direct import run, run_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Column, Table
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection


class ManyRows:
    """The statements for `columns` of a table whose rows `key` names; rows are sequences in the order of these."""

    def __init__(self, table: Table, columns: Sequence[Column[Any]], key: Sequence[Column[Any]]) -> None:
        self._table = table
        self._columns = columns
        self._key = key
        # What an INSERT leaves to the columns' defaults, NULL apart.
        named = {column.name for column in columns}
        self._defaults: dict[Column[Any], Any] = {
            column: column.default.arg
            for column in table.columns
            if column.name not in named and isinstance(column.default, ScalarElementColumnDefault)
        }
        self._statements: _Statements | None = None

    async def select(self, tx: AsyncConnection, keys: Sequence[Sequence[Any]], *, lock: bool) -> list[Sequence[Any]]:
        """Return the rows that exist, locked in the order of the keys if that is asked for."""
        statements = self._on(tx)
        arrays = [list(column) for column in zip(*keys, strict=True)]
        return await run(tx, statements.select_locked if lock else statements.select, arrays)

    async def see(self, tx: AsyncConnection, keys: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return the rows that exist, each with its version behind it: what `put` has to find unchanged."""
        arrays = [list(column) for column in zip(*keys, strict=True)]
        return await run(tx, self._on(tx).see, arrays)

    def put(self, tx: AsyncConnection, rows: Sequence[Sequence[Any]], versions: Mapping[int, object]) -> Part:
        """Return the part that writes new rows, and whole ones over those with these numbers and versions."""
        statements = self._on(tx)
        arrays = statements.arrays(rows)
        arrays += [[value] * len(rows) for value in self._defaults.values()]
        return Part(statements.put, [*arrays, list(versions), list(versions.values())], len(rows))

    def append(self, tx: AsyncConnection, rows: Sequence[Sequence[Any]]) -> Part:
        """Return the part that inserts all; the rows are without their `id`."""
        statements = self._on(tx)
        arrays = statements.arrays(rows)
        return Part(statements.insert, arrays + [[value] * len(rows) for value in self._defaults.values()])

    async def insert(self, tx: AsyncConnection, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert all, and return their numbers in order; the rows are without their `id`."""
        statements = self._on(tx)
        arrays = statements.arrays(rows)
        arrays += [[value] * len(rows) for value in self._defaults.values()]
        # Numbers are drawn in the order of the rows; returned they are in any.
        return sorted(number for (number,) in await run(tx, statements.insert, arrays))

    async def update(self, tx: AsyncConnection, rows: Sequence[Sequence[Any]], ids: Sequence[int]) -> None:
        """Write whole rows, without their `id`, over those with these numbers."""
        statements = self._on(tx)
        values = zip(*statements.arrays(rows), ids, strict=True)
        await run_each(tx, statements.update, list(values))

    def _on(self, tx: AsyncConnection) -> _Statements:
        if self._statements is None:
            self._statements = _Statements(
                pooled(tx).dialect, self._table, self._columns, self._key, list(self._defaults)
            )
        return self._statements


class _Statements:
    def __init__(
        self,
        dialect: Dialect,
        table: Table,
        columns: Sequence[Column[Any]],
        key: Sequence[Column[Any]],
        defaults: Sequence[Column[Any]],
    ) -> None:
        name = dialect.identifier_preparer.format_table(table)
        quoted = {column: dialect.identifier_preparer.format_column(column) for column in table.columns}
        values = [column for column in columns if column.name != "id"]

        def unnest(of: Sequence[Column[Any]]) -> str:
            arrays = (f"${n}::{column.type.compile(dialect)}[]" for n, column in enumerate(of, 1))
            return f"unnest({', '.join(arrays)}) WITH ORDINALITY"

        def listed(of: Sequence[Column[Any]]) -> str:
            return ", ".join(quoted[column] for column in of)

        matches = " AND ".join(f"{name}.{quoted[column]} = k.{quoted[column]}" for column in key)
        found = f"SELECT {listed(columns)} FROM {name} WHERE {matches} LIMIT 1"  # noqa: S608 - names from our tables
        keys = f"{unnest(key)} AS k({listed(key)}, n)"
        self.select = f"SELECT r.* FROM {keys} CROSS JOIN LATERAL ({found}) AS r"  # noqa: S608 - as above
        self.select_locked = f"SELECT r.* FROM {keys} CROSS JOIN LATERAL ({found} FOR NO KEY UPDATE) AS r"  # noqa: S608 - as above
        inserted = [*values, *defaults]
        self.insert = (
            f"INSERT INTO {name} ({listed(inserted)}) SELECT {listed(inserted)} "  # noqa: S608 - as above
            f"FROM {unnest(inserted)} AS v({listed(inserted)}, n) ORDER BY n RETURNING id"
        )
        seen = f"SELECT {listed(columns)}, xmin::text AS row_version FROM {name} WHERE {matches} LIMIT 1"  # noqa: S608 - as above
        self.see = f"SELECT r.* FROM {keys} CROSS JOIN LATERAL ({seen}) AS r"  # noqa: S608 - as above
        # By the key's index, whatever the planner believes of the table's size.
        last = len(inserted)
        known = f"(${last + 2}::text[])[array_position(${last + 1}::bigint[], {name}.id)]"
        excluded = ", ".join(f"{quoted[column]} = excluded.{quoted[column]}" for column in values)
        self.put = (
            f"INSERT INTO {name} ({listed(inserted)}) SELECT {listed(inserted)} "  # noqa: S608 - as above
            f"FROM {unnest(inserted)} AS v({listed(inserted)}, n) ORDER BY n "
            f"ON CONFLICT ({listed(key)}) DO UPDATE SET {excluded} WHERE {name}.xmin::text = {known} RETURNING 1"
        )
        changes = ", ".join(f"{quoted[column]} = ${n}" for n, column in enumerate(values, 1))
        self.update = f"UPDATE {name} SET {changes} WHERE id = ${len(values) + 1}"  # noqa: S608 - as above
        self._processors: list[Callable[[Any], Any] | None] = [
            column.type.dialect_impl(dialect).bind_processor(dialect) for column in values
        ]

    def arrays(self, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Return the values by column, as the driver wants them."""
        return [
            list(values) if process is None else [process(value) for value in values]
            for values, process in zip(zip(*rows, strict=True), self._processors, strict=True)
        ]
