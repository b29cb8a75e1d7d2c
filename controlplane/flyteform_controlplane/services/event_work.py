"""One batch of events against the store: load the rows once, apply all events to them, write what changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from flyteform_controlplane.domain.records import (
    ExecutionEventRecord,
    ExecutionRecord,
    NodeExecutionEventRecord,
    NodeExecutionRecord,
    Record,
    TaskExecutionRecord,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.store.ports import Key, Rows, Store

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Keys:
    """The rows of a table that a batch may change, and those that it reads only."""

    changed: set[Key] = field(default_factory=set)
    read: set[Key] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Touched:
    """All rows that the events of a batch name."""

    executions: Keys = field(default_factory=Keys)
    nodes: Keys = field(default_factory=Keys)
    tasks: Keys = field(default_factory=Keys)


class Working(Generic[R]):
    """Rows of one table that a batch reads and changes."""

    def __init__(self, rows: Rows[R]) -> None:
        self._rows = rows
        self._records: dict[Key, R] = {}
        self._changed: dict[Key, R] = {}
        self._versions: dict[int, object] = {}

    async def load(self, tx: AsyncConnection, keys: Keys) -> None:
        """Read the rows with these keys, and lock those that change; what does not exist stays unknown."""
        self._records.update(await self._rows.peek_many(tx, keys.read))
        self._records.update(await self._rows.get_many(tx, keys.changed))

    async def see(self, tx: AsyncConnection, keys: Keys) -> None:
        """Read the same, nothing locked: `send` finds out whether it is still so."""
        self._records.update(await self._rows.peek_many(tx, keys.read))
        for key, seen in (await self._rows.see_many(tx, keys.changed)).items():
            self._records[key] = seen.record
            self._versions[seen.record.id] = seen.version

    async def send(self, tx: AsyncConnection) -> None:
        """Write all that has changed, together with more."""
        versions = {record.id: self._versions[record.id] for record in self._changed.values() if record.id}
        await self._rows.put_seen(tx, list(self._changed.values()), versions)

    def get(self, key: Key) -> R | None:
        """Return the row as the events so far have left it."""
        return self._records.get(key)

    def put(self, key: Key, record: R) -> None:
        """Change a row, or add one."""
        self._records[key] = self._changed[key] = record

    def is_new(self, key: Key) -> bool:
        """Say whether the row exists in this batch only."""
        return key in self._changed and self._changed[key].id == 0

    async def insert(self, tx: AsyncConnection, keys: Collection[Key]) -> None:
        """Write new rows; from then on they have their numbers."""
        records = [self._changed.pop(key) for key in keys]
        for key, record, number in zip(keys, records, await self._rows.add_many(tx, records), strict=True):
            self._records[key] = replace(record, id=number)

    async def flush(self, tx: AsyncConnection) -> None:
        """Write everything that changed and is not yet written."""
        await self.insert(tx, self.new_keys())
        await self._rows.save_many(tx, list(self._changed.values()))
        self._changed.clear()

    def new_keys(self) -> list[Key]:
        """Return the keys of rows that were not inserted yet, in the order in which they came."""
        return [key for key, record in self._changed.items() if record.id == 0]


class EventWork:
    """All rows that a batch touches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.executions: Working[ExecutionRecord] = Working(store.executions)
        self.nodes: Working[NodeExecutionRecord] = Working(store.node_executions)
        self.tasks: Working[TaskExecutionRecord] = Working(store.task_executions)
        self.execution_events: list[ExecutionEventRecord] = []
        # Executions that have ended in this batch.
        self.ended: list[ExecutionRecord] = []
        self.node_events: list[NodeExecutionEventRecord] = []
        # New nodes whose parent is new too: they can be written only once that has its number.
        self.node_parents: dict[Key, Key] = {}
        self.task_parents: dict[Key, Key] = {}

    @property
    def is_flat(self) -> bool:
        """Whether no new row needs the number of another new one."""
        return not self.node_parents and not self.task_parents

    async def load(self, tx: AsyncConnection, touched: Touched) -> None:
        """Read what is touched, and lock what may change."""
        await self.executions.load(tx, touched.executions)
        await self.nodes.load(tx, touched.nodes)
        await self.tasks.load(tx, touched.tasks)

    async def see(self, tx: AsyncConnection, touched: Touched) -> None:
        """Read what is touched, nothing locked."""
        await self.executions.see(tx, touched.executions)
        await self.nodes.see(tx, touched.nodes)
        await self.tasks.see(tx, touched.tasks)

    async def send(self, tx: AsyncConnection) -> None:
        """Write all, of flat work on nodes and attempts, unless it has been changed since it was seen."""
        await self.nodes.send(tx)
        await self.tasks.send(tx)
        await self._store.node_execution_events.append_many(tx, self.node_events)

    async def flush(self, tx: AsyncConnection) -> None:
        """Write everything; parents before their children."""
        await self.executions.flush(tx)
        await self._insert_nodes(tx)
        await self.nodes.flush(tx)
        await self.tasks.flush(tx)
        await self._store.execution_events.add_many(tx, self.execution_events)
        await self._store.node_execution_events.add_many(tx, self.node_events)

    async def _insert_nodes(self, tx: AsyncConnection) -> None:
        while self.node_parents or self.task_parents:
            waiting = self.node_parents.keys() | self.task_parents.keys()
            await self.nodes.insert(tx, [key for key in self.nodes.new_keys() if key not in waiting])
            await self.tasks.insert(tx, [key for key in self.tasks.new_keys() if self._is_written(key[:4])])
            self._number_children()

    def _is_written(self, node: Key) -> bool:
        return not self.nodes.is_new(node)

    def _number_children(self) -> None:
        for child, parent in list(self.node_parents.items()):
            record, above = self.nodes.get(child), self.nodes.get(parent)
            if record is not None and above is not None and above.id:
                self.nodes.put(child, replace(record, parent_id=above.id))
                del self.node_parents[child]
        for child, parent in list(self.task_parents.items()):
            record, attempt = self.nodes.get(child), self.tasks.get(parent)
            if record is not None and attempt is not None and attempt.id:
                self.nodes.put(child, replace(record, parent_task_execution_id=attempt.id))
                del self.task_parents[child]
