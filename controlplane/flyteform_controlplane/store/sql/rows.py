"""One adapter for all tables: records to rows and back, by the names of their fields."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import Column, UniqueConstraint, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from flyteform_controlplane.domain.records import Record
from flyteform_controlplane.errors import EntityExistsError, TransactionConflictError
from flyteform_controlplane.store.connections import pooled
from flyteform_controlplane.store.database import locks_rows
from flyteform_controlplane.store.direct import Direct, runs_at_once
from flyteform_controlplane.store.ports import Seen
from flyteform_controlplane.store.sql.filters import apply_query
from flyteform_controlplane.store.sql.locks import lock_name
from flyteform_controlplane.store.sql.many import ManyRows
from flyteform_controlplane.store.sql.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from google.protobuf.message import Message
    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.filters import Query, Sort
    from flyteform_controlplane.store.ports import Key

R = TypeVar("R", bound=Record)


class SqlRows(Generic[R]):
    """The rows of `table` as `record_type`; `messages` parse the columns that hold serialized messages.

    What a writing transaction reads by key it may write back whole: so it locks that, where it is not alone.
    """

    def __init__(self, table: Table, record_type: type[R], **messages: type[Message]) -> None:
        names = [field.name for field in fields(record_type)]
        self._table = table
        self._record_type = record_type
        self.columns: list[Column[Any]] = [table.c[name] for name in names]
        self._fields = names
        self._names = [name for name in names if name != "id"]
        self._messages = messages
        self._parsers: list[Callable[[bytes], Message] | None] = [
            messages[name].FromString if name in messages else None for name in names
        ]
        self._key = _unique_columns(table)
        self._key_names = [column.name for column in self._key]
        self._select = select(*self.columns)
        by_key = self._select.where(*(column == bindparam(column.name) for column in self._key))
        self._get = Direct(by_key)
        self._get_locked = Direct(by_key.with_for_update(key_share=True))
        self._get_by_id = Direct(self._select.where(table.c.id == bindparam("id")))
        self._insert = Direct(insert(table).returning(table.c.id), self._names)
        self._append = Direct(insert(table), self._names)
        self._insert_new = {
            kind: Direct(
                dialect.insert(table).on_conflict_do_nothing(index_elements=self._key).returning(table.c.id),
                self._names,
            )
            for kind, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
        }
        changed: dict[str, Any] = {name: bindparam(name) for name in self._names}
        self._save = Direct(update(table).where(table.c.id == bindparam("row_id")).values(changed))
        self._many = ManyRows(table, self.columns, self._key)
        self._pages: dict[tuple[str, ...], Pages] = {}

    async def get(self, tx: AsyncConnection, *key: str | int) -> R | None:
        """Return the row with that key."""
        return await self._find(self._get_locked if locks_rows(tx) else self._get, tx, key)

    async def peek(self, tx: AsyncConnection, *key: str | int) -> R | None:
        """Return the row with that key, never locked."""
        return await self._find(self._get, tx, key)

    async def lock(self, tx: AsyncConnection, *key: str | int) -> None:
        """Hold this key until the transaction ends, whether there is a row or not."""
        await lock_name(tx, self._table.name, *map(str, key))

    async def by_id(self, tx: AsyncConnection, row_id: int) -> R | None:
        """Return the row with that number."""
        rows = await self._get_by_id.fetch(tx, {"id": row_id})
        return self.record(rows[0]) if rows else None

    async def get_many(self, tx: AsyncConnection, keys: Collection[Key]) -> dict[Key, R]:
        """Return those rows that exist, by key."""
        if not keys:
            return {}
        if len(keys) == 1 or runs_at_once(tx):
            records = {key: await self.get(tx, *key) for key in keys}
            return {key: record for key, record in records.items() if record is not None}
        # Always in one order: two transactions that lock the same rows cannot wait for each other.
        rows = await self._many.select(tx, sorted(keys), lock=locks_rows(tx))
        found = [self.record(row) for row in rows]
        return {self._key_of(record): record for record in found}

    async def peek_many(self, tx: AsyncConnection, keys: Collection[Key]) -> dict[Key, R]:
        """Return those rows that exist, by key, never locked."""
        if len(keys) == 1 or runs_at_once(tx):
            records = {key: await self.peek(tx, *key) for key in keys}
            return {key: record for key, record in records.items() if record is not None}
        found = [self.record(row) for row in await self._many.select(tx, list(keys), lock=False)] if keys else []
        return {self._key_of(record): record for record in found}

    async def see_many(self, tx: AsyncConnection, keys: Collection[Key]) -> dict[Key, Seen[R]]:
        """Return those rows that exist, by key, with what tells whether they have changed since."""
        if runs_at_once(tx):
            rows = [(row, row) for key in keys for row in await self._get.fetch(tx, self._of_key(key))]
        else:
            found = await self._many.see(tx, list(keys)) if keys else []
            rows = [(row[:-1], row[-1]) for row in found]
        seen = [Seen(self.record(row), version) for row, version in rows]
        return {self._key_of(one.record): one for one in seen}

    async def put_seen(self, tx: AsyncConnection, records: Sequence[R], versions: Mapping[int, object]) -> None:
        """Write new rows, and whole ones over those that were seen."""
        collected = pooled(tx).collected
        if collected is not None:
            if records:
                rows = [list(self._values(record).values()) for record in records]
                collected.append(self._many.put(tx, rows, versions))
            return
        for record in records:
            found = await self._get.fetch(tx, self._of_key(self._key_of(record)))
            if found != ([versions[record.id]] if record.id else []):
                raise TransactionConflictError("a row has been changed meanwhile", remedy="try again")
            await (self.save_many(tx, [record]) if record.id else self.append(tx, record))

    async def append_many(self, tx: AsyncConnection, records: Sequence[R]) -> None:
        """Insert all, alone or together with more."""
        collected = pooled(tx).collected
        if collected is None:
            await self.add_many(tx, records)
        elif records:
            collected.append(self._many.append(tx, [list(self._values(record).values()) for record in records]))

    async def add(self, tx: AsyncConnection, record: R) -> int:
        """Insert and return the row's number; `EntityExistsError` if the key is taken."""
        return (await self.add_many(tx, [record]))[0]

    async def add_new(self, tx: AsyncConnection, record: R) -> int | None:
        """Insert and return the row's number; None if the key is taken."""
        rows = await self._insert_new[pooled(tx).kind].fetch(tx, self._values(record))
        return rows[0][0] if rows else None

    async def append(self, tx: AsyncConnection, record: R) -> None:
        """Insert, alone or together with more."""
        try:
            await self._append.send(tx, self._values(record))
        except IntegrityError as error:
            raise self._taken(record) from error

    async def add_many(self, tx: AsyncConnection, records: Sequence[R]) -> list[int]:
        """Insert all and return their numbers in order."""
        if not records:
            return []
        try:
            if len(records) == 1 or runs_at_once(tx):
                return [(await self._insert.fetch(tx, self._values(record)))[0][0] for record in records]
            return await self._many.insert(tx, [list(self._values(record).values()) for record in records])
        except IntegrityError as error:
            raise self._taken(records[0]) from error

    async def save_many(self, tx: AsyncConnection, records: Sequence[R]) -> None:
        """Write all fields of rows that exist."""
        if len(records) == 1 or runs_at_once(tx):
            for record in records:
                await self._save.fetch(tx, self._values(record) | {"row_id": record.id})
        elif records:
            values = [list(self._values(record).values()) for record in records]
            await self._many.update(tx, values, [record.id for record in records])

    async def page(
        self, tx: AsyncConnection, query: Query, where: Mapping[str, str | int | None] | None = None
    ) -> Sequence[R]:
        """Return a page of the rows that meet the query and `where`."""
        statement = self._select.where(*self._equal(where or {}))
        rows = await tx.execute(apply_query(statement, self._table, query))
        return [self.record(row) for row in rows]

    async def stored(
        self, tx: AsyncConnection, columns: Sequence[str], query: Query, where: Mapping[str, str | int | None]
    ) -> Sequence[Sequence[Any]]:
        """Return these columns of a page as they are stored."""
        return await self._pages_of(columns).rows(tx, query, where)

    async def prepare(
        self, tx: AsyncConnection, columns: Sequence[str], sort: Sort, where: Mapping[str, str | int]
    ) -> None:
        """Do what the first of such pages would have to do first; `where` is of a list that is empty."""
        await self._pages_of(columns).prepare(tx, sort, where)

    async def delete(self, tx: AsyncConnection, *key: str | int) -> bool:
        """Remove the row; False if there was none."""
        conditions = (column == value for column, value in zip(self._key, key, strict=True))
        return (await tx.execute(delete(self._table).where(*conditions))).rowcount > 0

    def _pages_of(self, columns: Sequence[str]) -> Pages:
        pages = self._pages.get(tuple(columns))
        if pages is None:
            pages = self._pages[tuple(columns)] = Pages(self._table, columns)
        return pages

    def _taken(self, record: R) -> EntityExistsError:
        key = ", ".join(str(getattr(record, name)) for name in self._key_names)
        return EntityExistsError(f"value with matching <{key}> already exists")

    async def _find(self, statement: Direct, tx: AsyncConnection, key: Key) -> R | None:
        rows = await statement.fetch(tx, self._of_key(key))
        return self.record(rows[0]) if rows else None

    def _of_key(self, key: Key) -> dict[str, str | int]:
        return dict(zip(self._key_names, key, strict=True))

    def _key_of(self, record: R) -> Key:
        return tuple(getattr(record, name) for name in self._key_names)

    def _equal(self, where: Mapping[str, str | int | None]) -> list[ColumnElement[bool]]:
        return [
            self._table.c[name].is_(None) if value is None else self._table.c[name] == value
            for name, value in where.items()
        ]

    def _values(self, record: R) -> dict[str, Any]:
        values = {name: getattr(record, name) for name in self._names}
        for name in self._messages:
            if values[name] is not None:
                values[name] = values[name].SerializeToString()
        return values

    def record(self, row: Sequence[Any]) -> R:
        """Return the record of a row of `columns`."""
        values: dict[str, Any] = {
            name: value if parse is None or value is None else parse(value)
            for name, parse, value in zip(self._fields, self._parsers, row, strict=True)
        }
        return self._record_type(**values)


def _unique_columns(table: Table) -> list[Column[Any]]:
    """Return the columns of the table's unique constraint: of its number, where it has no other key."""
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            return list(constraint.columns)
    return [table.c.id]
