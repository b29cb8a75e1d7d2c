"""Reports executions to FlyteAdmin as a data plane does, node by node, so that tests decide what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteidl.admin.event_pb2 import NodeExecutionEventRequest, TaskExecutionEventRequest, WorkflowExecutionEventRequest
from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
from flyteidl.event.event_pb2 import (
    NodeExecutionEvent,
    ParentNodeExecutionMetadata,
    TaskExecutionEvent,
    WorkflowExecutionEvent,
)

if TYPE_CHECKING:
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier


def integers(**values: int) -> LiteralMap:
    """Return literals of integers."""
    return LiteralMap(
        literals={name: Literal(scalar=Scalar(primitive=Primitive(integer=value))) for name, value in values.items()}
    )


class Propeller:
    """Reports what happens to one execution; `stub` is AdminService's, `objects` the folder of all objects."""

    def __init__(self, stub: Any, objects: Path, execution: WorkflowExecutionIdentifier) -> None:
        self._stub, self._execution = stub, execution
        self._folder = objects / "metadata" / "propeller" / execution.name

    def workflow(self, phase: int, outputs: LiteralMap | None = None) -> None:
        """Report the execution's phase."""
        event = WorkflowExecutionEvent(execution_id=self._execution, producer_id="propeller", phase=phase)
        event.occurred_at.GetCurrentTime()
        if outputs is not None:
            event.output_uri = self._written("end-node", "outputs", outputs)
        self._stub.CreateWorkflowEvent(WorkflowExecutionEventRequest(event=event))

    def node(self, node: str, *phases: int, parent: str = "", outputs: LiteralMap | None = None, **more: Any) -> None:
        """Report a node's phases in their order; with the last one its outputs; `more` are fields of the event."""
        for phase in phases:
            event = NodeExecutionEvent(
                id=self._node(node),
                producer_id="propeller",
                phase=phase,
                event_version=1,
                **{"spec_node_id": node} | more,
            )
            event.occurred_at.GetCurrentTime()
            event.input_uri = self._written(node, "inputs", integers(n=3))
            if parent:
                event.parent_node_metadata.CopyFrom(ParentNodeExecutionMetadata(node_id=parent))
            if outputs is not None and phase == NodeExecution.SUCCEEDED:
                event.output_uri = self._written(node, "outputs", outputs)
            self._stub.CreateNodeEvent(NodeExecutionEventRequest(event=event))

    def task(self, node: str, task: Identifier, outputs: LiteralMap, **more: Any) -> None:
        """Report an attempt of the node's task that runs and succeeds."""
        for phase in (TaskExecution.QUEUED, TaskExecution.RUNNING, TaskExecution.SUCCEEDED):
            event = TaskExecutionEvent(
                task_id=task, parent_node_execution_id=self._node(node), phase=phase, producer_id="propeller", **more
            )
            event.occurred_at.GetCurrentTime()
            event.input_uri = self._written(node, "inputs", integers(n=3))
            if phase == TaskExecution.SUCCEEDED:
                event.output_uri = self._written(node, "outputs", outputs)
            self._stub.CreateTaskEvent(TaskExecutionEventRequest(event=event))

    def ran(self, node: str, task: Identifier, value: int, **more: Any) -> None:
        """Report a node whose task ran and gave this value."""
        self.node(node, NodeExecution.QUEUED, NodeExecution.RUNNING, **more)
        self.task(node, task, integers(o0=value))
        self.node(node, NodeExecution.SUCCEEDED, outputs=integers(o0=value), **more)

    def finished(self, outputs: LiteralMap) -> None:
        """Report the success of the whole."""
        self.workflow(WorkflowExecution.SUCCEEDED, outputs)

    def _node(self, node: str) -> NodeExecutionIdentifier:
        return NodeExecutionIdentifier(node_id=node, execution_id=self._execution)

    def _written(self, node: str, name: str, literals: LiteralMap) -> str:
        path = self._folder / node / "data" / f"{name}.pb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(literals.SerializeToString())
        return path.as_uri()
