"""What one part of the control plane asks of another, so that none imports the other's inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionMetadata
    from flyteidl.admin.schedule_pb2 import Schedule
    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class ExecutionKey:
    """The name of an execution: unique within its project and domain."""

    project: str
    domain: str
    name: str


@dataclass(frozen=True, slots=True)
class EntityKey:
    """The name and version of a task, workflow or launch plan."""

    project: str
    domain: str
    name: str
    version: str


class Dispatch(Protocol):
    """Takes executions over for running, within the transaction that creates or aborts them."""

    async def check_label(self, tx: AsyncConnection, cluster_label: str) -> None:
        """Raise `FailedPreconditionError` if no data plane has the label; "" is any."""
        ...

    async def enqueue(
        self, tx: AsyncConnection, execution: ExecutionKey, *, cluster_label: str, near: str = ""
    ) -> None:
        """Queue the execution for any ready data plane with that label ("" for any), rather the one `near`."""
        ...

    async def abort(self, tx: AsyncConnection, execution: ExecutionKey, cause: str) -> bool:
        """Ask the data plane that holds it to abort it, or take it off the queue.

        False if no data plane has it: then nobody else will report its end, and the caller ends it as ABORTED.
        """
        ...

    def wake(self) -> None:
        """Look at the queue now: called after the transaction has committed."""
        ...


class Schedules(Protocol):
    """Keeps the schedules of active launch plans, within the transaction that (de)activates these."""

    async def activate(self, tx: AsyncConnection, launch_plan: EntityKey, schedule: Schedule, at: datetime) -> None:
        """Fire this schedule from `at` (UTC) on; replaces nothing: deactivate the former version first."""
        ...

    async def deactivate(self, tx: AsyncConnection, launch_plan: EntityKey) -> None:
        """Fire this launch plan's schedule no longer; nothing to do if it has none."""
        ...

    def wake(self) -> None:
        """Look at the schedules now: called after the transaction has committed."""
        ...


class Launcher(Protocol):
    """Creates executions, as the CreateExecution method does."""

    async def launch(
        self,
        request: ExecutionCreateRequest,
        *,
        mode: ExecutionMetadata.ExecutionMode,
        scheduled_at: datetime | None = None,
    ) -> WorkflowExecutionIdentifier:
        """Validate, resolve, write; raise `EntityExistsError` if the name is taken."""
        ...
