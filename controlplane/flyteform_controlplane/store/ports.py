"""What the services ask of the store; every method works within the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from flyteform_controlplane.domain.records import (
    DescriptionRecord,
    ExecutionEventRecord,
    ExecutionRecord,
    ExecutionTagRecord,
    LaunchPlanRecord,
    MatchableRecord,
    NamedEntityRecord,
    NodeExecutionEventRecord,
    NodeExecutionRecord,
    ProjectRecord,
    Record,
    SignalRecord,
    TaskExecutionRecord,
    TaskRecord,
    WorkflowRecord,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from flyteidl.core.identifier_pb2 import ResourceType
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.attributes import Scope
    from flyteform_controlplane.domain.clusters import BootstrapTokenRecord, ClusterRecord
    from flyteform_controlplane.domain.concurrency import LaunchPlanName, Live, PolicyRecord, WaitingRecord
    from flyteform_controlplane.domain.filters import Query, Sort
    from flyteform_controlplane.domain.ports import ExecutionKey
    from flyteform_controlplane.domain.schedules import CatchUpRecord
    from flyteform_controlplane.domain.states import StateDocumentRecord, StateRecord

R = TypeVar("R", bound=Record)

# The values of a table's key columns, in their order.
Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Seen(Generic[R]):
    """A row as it was read, nothing being locked; `version` tells whether it has changed since."""

    record: R
    version: object


class Rows(Protocol[R]):
    """The rows of one table, each named by the table's key: the columns that its unique constraint lists."""

    async def get(self, tx: AsyncConnection, *key: str | int) -> R | None:
        """Return the row with that key."""
        ...

    async def peek(self, tx: AsyncConnection, *key: str | int) -> R | None:
        """Return the row with that key, and lock nothing even if the transaction writes."""
        ...

    async def lock(self, tx: AsyncConnection, *key: str | int) -> None:
        """Hold this key until the transaction ends, whether there is a row or not: before "add it if it is missing"."""
        ...

    async def by_id(self, tx: AsyncConnection, row_id: int) -> R | None:
        """Return the row with that number."""
        ...

    async def get_many(self, tx: AsyncConnection, keys: Collection[Key]) -> dict[Key, R]:
        """Return those rows that exist, by key, with one statement."""
        ...

    async def peek_many(self, tx: AsyncConnection, keys: Collection[Key]) -> dict[Key, R]:
        """Return the same, and lock nothing even if the transaction writes."""
        ...

    async def see_many(self, tx: AsyncConnection, keys: Collection[Key]) -> dict[Key, Seen[R]]:
        """Return the same, nothing locked, with what `put_seen` has to know."""
        ...

    async def put_seen(self, tx: AsyncConnection, records: Sequence[R], versions: Mapping[int, object]) -> None:
        """Write new rows, and whole ones over those that were seen, by their `id`, in a block that writes all together.

        `TransactionConflictError`, at the end of the block at the latest, and nothing of it is written, if one of these
        has changed since, or there is a row with the key of a new one.
        """
        ...

    async def append_many(self, tx: AsyncConnection, records: Sequence[R]) -> None:
        """Insert all; alone, or in a block that writes all together."""
        ...

    async def add(self, tx: AsyncConnection, record: R) -> int:
        """Insert and return the row's number; `EntityExistsError` if the key is taken."""
        ...

    async def add_new(self, tx: AsyncConnection, record: R) -> int | None:
        """Insert and return the row's number; None, and the transaction goes on, if the key is taken."""
        ...

    async def append(self, tx: AsyncConnection, record: R) -> None:
        """Insert; `EntityExistsError` if the key is taken, now or at the end of a block that writes all together."""
        ...

    async def add_many(self, tx: AsyncConnection, records: Sequence[R]) -> list[int]:
        """Insert all with one statement and return their numbers in order."""
        ...

    async def save_many(self, tx: AsyncConnection, records: Sequence[R]) -> None:
        """Write all fields of rows that exist, by their `id`, with one statement."""
        ...

    async def page(
        self, tx: AsyncConnection, query: Query, where: Mapping[str, str | int | None] | None = None
    ) -> Sequence[R]:
        """Return a page of the rows that meet the query, and in which each column of `where` has that value."""
        ...

    async def stored(
        self, tx: AsyncConnection, columns: Sequence[str], query: Query, where: Mapping[str, str | int | None]
    ) -> Sequence[Sequence[Any]]:
        """Return these columns of such a page as they are stored, messages as bytes; more values may follow them."""
        ...

    async def prepare(
        self, tx: AsyncConnection, columns: Sequence[str], sort: Sort, where: Mapping[str, str | int]
    ) -> None:
        """Do what the first of such pages would have to do first; `where` is of a list that is empty."""
        ...

    async def delete(self, tx: AsyncConnection, *key: str | int) -> bool:
        """Remove the row; False if there was none."""
        ...


class Names(Protocol):
    """The names of tasks, workflows and launch plans, over all their versions."""

    async def identifiers(
        self, tx: AsyncConnection, resource_type: ResourceType, project: str, domain: str, query: Query
    ) -> Sequence[tuple[str, str, str]]:
        """Return a page of (project, domain, name), each once."""
        ...

    async def entities(
        self, tx: AsyncConnection, resource_type: ResourceType, project: str, domain: str, query: Query
    ) -> Sequence[NamedEntityRecord]:
        """Return a page of names with what is known of them; a name without metadata counts as active."""
        ...

    async def exists(
        self, tx: AsyncConnection, resource_type: ResourceType, project: str, domain: str, name: str
    ) -> bool:
        """Say whether any version has that name."""
        ...


class Slots(Protocol):
    """The executions of launch plans that have not ended."""

    async def lock(self, tx: AsyncConnection, name: LaunchPlanName) -> None:
        """Hold the launch plan's slots until the transaction ends.

        Whoever also writes rows of executions that exist does that first, or two transactions wait for each other.
        """
        ...

    async def live(self, tx: AsyncConnection, name: LaunchPlanName) -> Sequence[Live]:
        """Return them, oldest first."""
        ...

    async def limited(self, tx: AsyncConnection, launch_plan_ids: Collection[int]) -> Sequence[LaunchPlanName]:
        """Return those of the launch plans for which executions may wait, in one order everywhere."""
        ...

    async def waited_for(self, tx: AsyncConnection) -> Sequence[LaunchPlanName]:
        """Return the launch plans of which executions wait."""
        ...


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known before a launch: `taken` says that there is such an execution, `policy` None that none is set.

    `matchables` are all attributes of which the launch is in the scope, of every kind.
    """

    taken: bool
    project: ProjectRecord
    policy: PolicyRecord | None
    matchables: Sequence[MatchableRecord]


class Launches(Protocol):
    """What launches ask, across tables."""

    async def circumstances(
        self, tx: AsyncConnection, execution: ExecutionKey, launch_plan: LaunchPlanName, scope: Scope
    ) -> Circumstances | None:
        """Return what is known before the launch; None if there is no such project."""
        ...


class Store(Protocol):
    """All tables of the AdminService."""

    projects: Rows[ProjectRecord]
    tasks: Rows[TaskRecord]
    workflows: Rows[WorkflowRecord]
    launch_plans: Rows[LaunchPlanRecord]
    named_entities: Rows[NamedEntityRecord]
    descriptions: Rows[DescriptionRecord]
    matchables: Rows[MatchableRecord]
    executions: Rows[ExecutionRecord]
    execution_tags: Rows[ExecutionTagRecord]
    execution_events: Rows[ExecutionEventRecord]
    node_executions: Rows[NodeExecutionRecord]
    node_execution_events: Rows[NodeExecutionEventRecord]
    task_executions: Rows[TaskExecutionRecord]
    signals: Rows[SignalRecord]
    policies: Rows[PolicyRecord]
    catch_ups: Rows[CatchUpRecord]
    waiting: Rows[WaitingRecord]
    states: Rows[StateRecord]
    state_documents: Rows[StateDocumentRecord]
    clusters: Rows[ClusterRecord]
    bootstrap_tokens: Rows[BootstrapTokenRecord]
    names: Names
    slots: Slots
    launches: Launches

    async def tasks_with_nodes(self, tx: AsyncConnection, task_execution_ids: Sequence[int]) -> frozenset[int]:
        """Return those attempts that started nodes of their own."""
        ...
