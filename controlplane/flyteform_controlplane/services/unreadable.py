"""The end of executions that no data plane can be given: their closure or inputs are gone or damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flyteidl.core.execution_pb2 import ExecutionError, WorkflowExecution
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.proto.flyteform.v1.events_pb2 import Event
from flyteform_controlplane.domain.times import now, to_timestamp

if TYPE_CHECKING:
    from flyteform_controlplane.domain.ports import ExecutionKey
    from flyteform_controlplane.services.events import Events

CODE: Final = "ExecutionUnreadable"


@dataclass(frozen=True, slots=True)
class UnreadableExecutions:
    """Ends them in the way in which a data plane would: so slots become free, and clients see an error."""

    events: Events

    async def end(self, key: ExecutionKey, message: str, *, aborted: bool) -> None:
        """Report the execution FAILED, or ABORTED where that was asked for; one that has ended stays as it is."""
        event = Event()
        reported = event.workflow.event
        reported.execution_id.CopyFrom(
            WorkflowExecutionIdentifier(project=key.project, domain=key.domain, name=key.name)
        )
        reported.phase = WorkflowExecution.ABORTED if aborted else WorkflowExecution.FAILED
        reported.occurred_at.CopyFrom(to_timestamp(now()))
        reported.error.CopyFrom(ExecutionError(code=CODE, message=message, kind=ExecutionError.SYSTEM))
        await self.events.apply([event])
