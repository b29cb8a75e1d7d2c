"""The end of executions of which no data plane will report one: their parts are gone, or their cluster is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flyteidl.core.execution_pb2 import ExecutionError, WorkflowExecution
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.proto.flyteform.v1.events_pb2 import Event
from flyteform_controlplane.domain.times import now, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_controlplane.domain.dispatches import DispatchRecord
    from flyteform_controlplane.services.events import Events

UNREADABLE: Final = "ExecutionUnreadable"
ABANDONED: Final = "ClusterAbandoned"


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Ends executions in the way in which a data plane would: so slots become free, and clients see an error."""

    events: Events

    async def end_unreadable(self, record: DispatchRecord, message: str) -> None:
        """End one whose closure or inputs cannot be had."""
        await self.end([record], UNREADABLE, message)

    async def end(self, records: Iterable[DispatchRecord], code: str, message: str) -> None:
        """Report them FAILED, or ABORTED where that was asked for; what has ended stays as it is."""
        await self.events.apply([_event(record, code, message) for record in records])


def _event(record: DispatchRecord, code: str, message: str) -> Event:
    key, aborted = record.execution, record.abort_cause is not None
    event = Event()
    reported = event.workflow.event
    reported.execution_id.CopyFrom(WorkflowExecutionIdentifier(project=key.project, domain=key.domain, name=key.name))
    reported.phase = WorkflowExecution.ABORTED if aborted else WorkflowExecution.FAILED
    reported.occurred_at.CopyFrom(to_timestamp(now()))
    reported.error.CopyFrom(ExecutionError(code=code, message=message, kind=ExecutionError.SYSTEM))
    return event
