"""Versions of tasks, workflows and launch plans, which never change once they are there: read once, kept for a while.

What does change of a launch plan, its state and the time of its last change, is not to be taken from here. Since
nothing else can, no replica has to be told of anything; and that a version is missing is never remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from flyteform_controlplane.domain.records import EntityRecord, LaunchPlanRecord, TaskRecord, WorkflowRecord
from flyteform_controlplane.store.memory import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_controlplane.store.database import Database
    from flyteform_controlplane.store.ports import Key, Rows, Store

R = TypeVar("R", bound=EntityRecord)

# An estimate: parsed messages take several times their serialized size.
_BUDGET_BYTES: Final = 32 * 2**20
_EXPANSION: Final = 4
_ROW_BYTES: Final = 2048
_NUMBER_BYTES: Final = 512


class Versions(Generic[R]):
    """The versions of one kind."""

    def __init__(self, database: Database, rows: Rows[R], kept: Kept) -> None:
        self._database = database
        self._rows = rows
        self._kept = kept

    def kept(self, *key: str) -> R | None:
        """Return the version with that key if it need not be read."""
        found: R | None = self._kept.get((self, key))
        return found

    def kept_by_id(self, row_id: int) -> R | None:
        """Return the version whose row has that number if it need not be read."""
        key = self._kept.get((self, row_id))
        return self.kept(*key) if key else None

    async def get(self, *key: str) -> R | None:
        """Return the version with that key: project, domain, name, version."""
        found = self.kept(*key)
        if found is None:
            async with self._database.reading() as tx:
                found = await self._rows.get(tx, *key)
            self._keep(found)
        return found

    async def get_many(self, keys: Iterable[Key]) -> dict[Key, R]:
        """Return those versions that exist, by key."""
        found: dict[Key, R] = {}
        missing: list[Key] = []
        for key in keys:
            kept: R | None = self._kept.get((self, key))
            if kept is None:
                missing.append(key)
            else:
                found[key] = kept
        if missing:
            async with self._database.reading() as tx:
                read = await self._rows.get_many(tx, missing)
            for record in read.values():
                self._keep(record)
            found |= read
        return found

    async def by_id(self, row_id: int) -> R | None:
        """Return the version whose row has that number."""
        found = self.kept_by_id(row_id)
        if found is None:
            async with self._database.reading() as tx:
                found = await self._rows.by_id(tx, row_id)
            self._keep(found)
        return found

    def _keep(self, record: R | None) -> None:
        if record is not None:
            size = _ROW_BYTES + _EXPANSION * _message_bytes(record)
            key = record.project, record.domain, record.name, record.version
            self._kept.put((self, key), record, size)
            self._kept.put((self, record.id), key, _NUMBER_BYTES)


class AllVersions:
    """The versions of all kinds, in one memory."""

    def __init__(self, database: Database, store: Store) -> None:
        kept = Kept(_BUDGET_BYTES)
        self.tasks: Versions[TaskRecord] = Versions(database, store.tasks, kept)
        self.workflows: Versions[WorkflowRecord] = Versions(database, store.workflows, kept)
        self.launch_plans: Versions[LaunchPlanRecord] = Versions(database, store.launch_plans, kept)


def _message_bytes(record: EntityRecord) -> int:
    match record:
        case TaskRecord():
            return record.closure.ByteSize()
        case WorkflowRecord():
            return record.typed_interface.ByteSize()
        case LaunchPlanRecord():
            return record.spec.ByteSize() + record.closure.ByteSize()
        case _:
            return 0
