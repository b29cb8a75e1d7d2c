"""One execution of a workflow of one task, and the events about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
from flyteidl.admin.event_pb2 import (
    NodeExecutionEventRequest,
    TaskExecutionEventRequest,
    WorkflowExecutionEventRequest,
)
from flyteidl.admin.node_execution_pb2 import NodeExecutionListRequest
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, TaskExecutionIdentifier
from flyteidl.event.event_pb2 import NodeExecutionEvent, TaskExecutionEvent, WorkflowExecutionEvent

from flyteform.proto.flyteform.v1.events_pb2 import Event, ReportEventsRequest
from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.services.event_batch import EventService

if TYPE_CHECKING:
    from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution
    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier

    from support.admin import World

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Run:
    """One execution of a workflow, and the events about it."""

    def __init__(self, world: World, name: WorkflowExecutionIdentifier, task: Identifier) -> None:
        self.world, self.name, self.task = world, name, task

    def node_id(self, node: str = "n0") -> NodeExecutionIdentifier:
        """Name a node."""
        return NodeExecutionIdentifier(node_id=node, execution_id=self.name)

    def attempt_id(self, attempt: int = 0, node: str = "n0") -> TaskExecutionIdentifier:
        """Name an attempt."""
        return TaskExecutionIdentifier(task_id=self.task, node_execution_id=self.node_id(node), retry_attempt=attempt)

    def node(self, phase: NodeExecution.Phase, node: str = "n0", seconds: int = 0) -> NodeExecutionEvent:
        """Make an event of a node."""
        at = to_timestamp(START + timedelta(seconds=seconds))
        return NodeExecutionEvent(id=self.node_id(node), phase=phase, occurred_at=at, spec_node_id=node)

    def attempt(self, phase: TaskExecution.Phase, attempt: int = 0, seconds: int = 0) -> TaskExecutionEvent:
        """Make an event of an attempt."""
        return TaskExecutionEvent(
            task_id=self.task,
            parent_node_execution_id=self.node_id(),
            retry_attempt=attempt,
            phase=phase,
            occurred_at=to_timestamp(START + timedelta(seconds=seconds)),
        )

    def execution(self, phase: WorkflowExecution.Phase, seconds: int = 0) -> WorkflowExecutionEvent:
        """Make an event of the execution."""
        at = to_timestamp(START + timedelta(seconds=seconds))
        return WorkflowExecutionEvent(execution_id=self.name, phase=phase, occurred_at=at)

    async def send(self, *events: WorkflowExecutionEvent | NodeExecutionEvent | TaskExecutionEvent) -> None:
        """Send events one by one with the methods of their kinds."""
        admin = self.world.admin
        for event in events:
            match event:
                case WorkflowExecutionEvent():
                    await admin.CreateWorkflowEvent(WorkflowExecutionEventRequest(event=event), None)
                case NodeExecutionEvent():
                    await admin.CreateNodeEvent(NodeExecutionEventRequest(event=event), None)
                case TaskExecutionEvent():
                    await admin.CreateTaskEvent(TaskExecutionEventRequest(event=event), None)

    async def report(
        self, *events: WorkflowExecutionEvent | NodeExecutionEvent | TaskExecutionEvent
    ) -> list[grpc.StatusCode]:
        """Send events in one call and return their statuses."""
        service = EventService(self.world.admin.events)
        response = await service.ReportEvents(ReportEventsRequest(events=[wrap(event) for event in events]), None)
        by_number = {code.value[0]: code for code in grpc.StatusCode}
        return [by_number[status.code] for status in response.statuses]

    async def nodes(self, parent: str = "", filters: str = "") -> list[str]:
        """List nodes."""
        request = NodeExecutionListRequest(
            workflow_execution_id=self.name, limit=100, unique_parent_id=parent, filters=filters
        )
        page = await self.world.admin.ListNodeExecutions(request, None)
        return [one.id.node_id for one in page.node_executions]


def wrap(event: WorkflowExecutionEvent | NodeExecutionEvent | TaskExecutionEvent) -> Event:
    """Put an event into a batch's envelope."""
    match event:
        case WorkflowExecutionEvent():
            return Event(workflow=WorkflowExecutionEventRequest(event=event))
        case NodeExecutionEvent():
            return Event(node=NodeExecutionEventRequest(event=event))
        case _:
            return Event(task=TaskExecutionEventRequest(event=event))
