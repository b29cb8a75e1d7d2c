"""The engine's events as Flyte's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flyteidl.admin.event_pb2 import (
    NodeExecutionEventRequest,
    TaskExecutionEventRequest,
    WorkflowExecutionEventRequest,
)
from flyteidl.core.catalog_pb2 import CatalogCacheStatus, CatalogMetadata, CatalogReservation
from flyteidl.core.execution_pb2 import ExecutionError, NodeExecution, TaskExecution, TaskLog, WorkflowExecution
from flyteidl.core.identifier_pb2 import Identifier, NodeExecutionIdentifier, ResourceType
from flyteidl.event.event_pb2 import (
    ExternalResourceInfo,
    NodeExecutionEvent,
    TaskExecutionEvent,
    TaskExecutionMetadata,
    TaskNodeMetadata,
    WorkflowExecutionEvent,
)
from google.protobuf.timestamp_pb2 import Timestamp

from flyteform.proto.flyteform.v1.events_pb2 import Event
from flyteform_dataplane.engine.events import ArrayEvent, NodeEvent, TaskEvent, TaskPhase, WorkflowEvent
from flyteform_dataplane.engine.graph import END_NODE, PARENTS, NodeKind
from flyteform_dataplane.engine.phases import CacheStatus, NodePhase, WorkflowPhase
from flyteform_dataplane.runner.context import Attempted, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform_dataplane.engine.events import Event as EngineEvent
    from flyteform_dataplane.engine.events import ItemProgress
    from flyteform_dataplane.engine.failures import Failure
    from flyteform_dataplane.engine.graph import NodeRecord
    from flyteform_dataplane.runner.context import ExecutionContext

# The version that today's FlyteAdmin writes into executions: node events carry their spec ids and names.
_EVENT_VERSION = 2
_REASON_LENGTH = 1000
_NANOS = 1_000_000_000

_WORKFLOW_PHASES = {
    WorkflowPhase.RUNNING: WorkflowExecution.RUNNING,
    WorkflowPhase.SUCCEEDING: WorkflowExecution.SUCCEEDING,
    WorkflowPhase.SUCCEEDED: WorkflowExecution.SUCCEEDED,
    WorkflowPhase.FAILING: WorkflowExecution.FAILING,
    WorkflowPhase.FAILED: WorkflowExecution.FAILED,
    WorkflowPhase.ABORTED: WorkflowExecution.ABORTED,
}
_NODE_PHASES = {
    NodePhase.QUEUED: NodeExecution.QUEUED,
    NodePhase.RUNNING: NodeExecution.RUNNING,
    NodePhase.DYNAMIC_RUNNING: NodeExecution.DYNAMIC_RUNNING,
    NodePhase.SUCCEEDED: NodeExecution.SUCCEEDED,
    NodePhase.FAILING: NodeExecution.FAILING,
    NodePhase.FAILED: NodeExecution.FAILED,
    NodePhase.ABORTED: NodeExecution.ABORTED,
    NodePhase.SKIPPED: NodeExecution.SKIPPED,
    NodePhase.RECOVERED: NodeExecution.RECOVERED,
    NodePhase.TIMED_OUT: NodeExecution.TIMED_OUT,
}
_LAUNCHED = (NodePhase.RUNNING, NodePhase.SUCCEEDED)
_BEFORE_UNFOLDING = (NodePhase.QUEUED, NodePhase.RUNNING)
_TASK_PHASES = {
    TaskPhase.QUEUED: TaskExecution.QUEUED,
    TaskPhase.RUNNING: TaskExecution.RUNNING,
    TaskPhase.SUCCEEDED: TaskExecution.SUCCEEDED,
    TaskPhase.ABORTED: TaskExecution.ABORTED,
    TaskPhase.FAILED: TaskExecution.FAILED,
    TaskPhase.INITIALIZING: TaskExecution.INITIALIZING,
    TaskPhase.WAITING_FOR_RESOURCES: TaskExecution.WAITING_FOR_RESOURCES,
    TaskPhase.RETRYABLE_FAILED: TaskExecution.RETRYABLE_FAILED,
}


class Renderer:
    """Writes the messages of one execution."""

    def __init__(
        self,
        context: ExecutionContext,
        cluster: str,
        reservation: Callable[[str], CatalogReservation.Status] = lambda _: CatalogReservation.RESERVATION_DISABLED,
    ) -> None:
        self._context = context
        self._cluster = cluster
        self._reservation = reservation

    def render(self, sequence: int, event: EngineEvent) -> Event:
        """Return the message; `sequence` grows from event to event and serves as the phase's version."""
        request_id = f"{key_of(self._context.id)}/{sequence}"
        match event:
            case WorkflowEvent():
                workflow = WorkflowExecutionEventRequest(request_id=request_id, event=self._workflow(event))
                return Event(workflow=workflow)
            case NodeEvent():
                return Event(node=NodeExecutionEventRequest(request_id=request_id, event=self._node(event)))
            case TaskEvent():
                task = self._task(event, sequence)
            case ArrayEvent():
                task = self._array(event, sequence)
            case _:
                assert_never(event)
        return Event(task=TaskExecutionEventRequest(request_id=request_id, event=task))

    def _workflow(self, event: WorkflowEvent) -> WorkflowExecutionEvent:
        message = WorkflowExecutionEvent(
            execution_id=self._context.id,
            producer_id=self._cluster,
            phase=_WORKFLOW_PHASES[event.phase],
            occurred_at=_timestamp(event.at),
        )
        if event.phase is WorkflowPhase.SUCCEEDED:
            message.output_uri = self._context.node_outputs_uri(END_NODE)
        elif event.failure is not None:
            message.error.CopyFrom(_error(event.failure, event.at))
        return message

    def _node(self, event: NodeEvent) -> NodeExecutionEvent:
        record = self._context.graph.nodes[event.node]
        message = NodeExecutionEvent(
            id=self._node_id(event.node),
            producer_id=self._cluster,
            phase=_NODE_PHASES[event.phase],
            occurred_at=_timestamp(event.at),
            reported_at=_timestamp(event.at),
            spec_node_id=record.spec_id,
            node_name=record.name,
            retry_group="0",
            event_version=_EVENT_VERSION,
            is_array=record.kind is NodeKind.ARRAY,
            is_parent=record.kind in PARENTS or self._is_dynamic(event),
            is_dynamic=self._is_dynamic(event),
        )
        if record.parent:
            message.parent_node_metadata.node_id = record.parent
        if record.kind is not NodeKind.START:
            message.input_uri = self._context.inputs_uri(event.node)
        if record.target is not None:
            message.target_entity.CopyFrom(record.target)
        if record.task is not None:
            message.target_entity.CopyFrom(record.task.id)
        if event.phase.good:
            message.output_uri = self._context.node_outputs_uri(event.node, event.attempt)
        elif event.failure is not None:
            message.error.CopyFrom(_error(event.failure, event.at))
        if record.work is NodeKind.TASK:
            message.task_node_metadata.CopyFrom(self._task_metadata(event))
            self._add_deck(message, event)
        elif record.kind is NodeKind.LAUNCH_PLAN and (child := self._child(event)) is not None:
            message.workflow_node_metadata.execution_id.CopyFrom(child)
        return message

    def _child(self, event: NodeEvent) -> WorkflowExecutionIdentifier | None:
        """Return the execution that did the work of a launch plan's node, where there is one for certain."""
        if event.phase is NodePhase.RECOVERED:
            return self._context.former[event.node].child if event.node in self._context.former else None
        return self._context.child(event.node, 0, event.attempt) if event.phase in _LAUNCHED else None

    def _is_dynamic(self, event: NodeEvent) -> bool:
        """Whether the node has made nodes by this event, in this attempt or in one before."""
        made = self._context.dynamics.get(event.node, {})
        return any(attempt <= event.attempt - (event.phase in _BEFORE_UNFOLDING) for attempt in made)

    def _add_deck(self, message: NodeExecutionEvent, event: NodeEvent) -> None:
        record = self._context.graph.nodes[event.node]
        wrote = record.kind is NodeKind.TASK and record.task is not None and record.task.metadata.generates_deck.value
        if wrote and event.phase is NodePhase.SUCCEEDED and event.cache is not CacheStatus.HIT:
            message.deck_uri = f"{self._context.output_prefix(event.node, 0, event.attempt)}/deck.html"

    def _task_metadata(self, event: NodeEvent) -> TaskNodeMetadata:
        metadata = TaskNodeMetadata(
            cache_status=CatalogCacheStatus.Name(event.cache), reservation_status=self._reservation(event.node)
        )
        if event.key:
            metadata.catalog_key.CopyFrom(CatalogMetadata.FromString(event.key))
        if not self._context.is_array(event.node):
            prefix = self._context.raw_output_prefix(event.node, 0, event.attempt)
            metadata.checkpoint_uri = f"{prefix}/_flytecheckpoints"
        if event.phase is NodePhase.DYNAMIC_RUNNING:
            self._add_dynamic(metadata, event)
        return metadata

    def _add_dynamic(self, metadata: TaskNodeMetadata, event: NodeEvent) -> None:
        closure = self._context.dynamics[event.node][event.attempt]
        metadata.dynamic_workflow.id.CopyFrom(closure.primary.template.id)
        metadata.dynamic_workflow.compiled_workflow.CopyFrom(closure)
        prefix = self._context.output_prefix(event.node, 0, event.attempt)
        metadata.dynamic_workflow.dynamic_job_spec_uri = f"{prefix}/futures.pb"

    def _task(self, event: TaskEvent, sequence: int) -> TaskExecutionEvent:
        message = self._task_base(event.node, event.attempt, event.phase, event.at, sequence, event.reason)
        if event.log_uri:
            message.logs.extend(_logs(event.log_uri))
        if event.phase is TaskPhase.SUCCEEDED:
            message.output_uri = f"{self._context.output_prefix(event.node, 0, event.attempt)}/outputs.pb"
        elif event.failure is not None:
            message.error.CopyFrom(_error(event.failure, event.at))
            message.reason = event.failure.message[:_REASON_LENGTH]
        return message

    def _array(self, event: ArrayEvent, sequence: int) -> TaskExecutionEvent:
        reason = next((item.reason for item in reversed(event.items) if item.reason), "")
        message = self._task_base(event.node, 0, event.phase, event.at, sequence, reason)
        message.metadata.external_resources.extend(self._resource(event.node, item) for item in event.items)
        if event.phase is TaskPhase.SUCCEEDED:
            message.output_uri = self._context.node_outputs_uri(event.node)
        elif event.failure is not None:
            message.error.CopyFrom(_error(event.failure, event.at))
        return message

    def _resource(self, node: str, item: ItemProgress) -> ExternalResourceInfo:
        return ExternalResourceInfo(
            external_id=self._external_id(node, item),
            index=item.index,
            retry_attempt=item.attempt,
            phase=_TASK_PHASES[item.phase],
            cache_status=CatalogCacheStatus.Name(item.cache),
            logs=_logs(item.log_uri),
        )

    def _external_id(self, node: str, item: ItemProgress) -> str:
        """Return where the work of an item is done: its child execution, or its attempt's name."""
        if self._context.graph.nodes[node].work is NodeKind.LAUNCH_PLAN:
            return self._context.child(node, item.index, item.attempt).name
        return self._context.generated_name(node, item.index, item.attempt)

    def _task_base(
        self, node: str, attempt: int, phase: TaskPhase, at: float, sequence: int, reason: str
    ) -> TaskExecutionEvent:
        record = self._context.graph.nodes[node]
        task_type, identifier = _task_of(record)
        return TaskExecutionEvent(
            task_id=identifier,
            parent_node_execution_id=self._node_id(node),
            retry_attempt=attempt,
            phase=_TASK_PHASES[phase],
            phase_version=sequence,
            producer_id=self._cluster,
            occurred_at=_timestamp(at),
            reported_at=_timestamp(at),
            input_uri=self._context.inputs_uri(node),
            task_type=task_type,
            event_version=_EVENT_VERSION,
            reason=reason[:_REASON_LENGTH],
            metadata=self._execution_metadata(node, attempt),
        )

    def _execution_metadata(self, node: str, attempt: int) -> TaskExecutionMetadata:
        record = self._context.graph.nodes[node]
        plugin = "k8s-array" if record.kind is NodeKind.ARRAY else "container"
        attempted = self._context.attempted.get((node, attempt), Attempted(plugin, record.interruptible))
        classes = TaskExecutionMetadata.InstanceClass
        return TaskExecutionMetadata(
            generated_name=self._context.generated_name(node, None, attempt),
            plugin_identifier=attempted.plugin,
            instance_class=classes.INTERRUPTIBLE if attempted.interruptible else classes.DEFAULT,
        )

    def _node_id(self, node: str) -> NodeExecutionIdentifier:
        return NodeExecutionIdentifier(node_id=node, execution_id=self._context.id)


def _task_of(record: NodeRecord) -> tuple[str, Identifier]:
    """Return the type and the id that a node's task executions have; those of an array over a launch plan are its."""
    if record.task is not None:
        return record.task.type, record.task.id
    identifier = Identifier()
    if record.target is not None:
        identifier.CopyFrom(record.target)
    identifier.resource_type = ResourceType.TASK
    return "launch_plan", identifier


def _logs(places: str) -> list[TaskLog]:
    """Read what an executor says of where an attempt's output is: one URI, or lines of a name, a tab and a URI."""
    logs = []
    for place in places.splitlines():
        name, _, uri = place.rpartition("\t")
        logs.append(TaskLog(uri=uri, name=name or "Logs"))
    return logs


def _error(failure: Failure, at: float) -> ExecutionError:
    return ExecutionError(
        code=failure.code,
        message=failure.message,
        kind=ExecutionError.ErrorKind.Name(failure.kind),
        timestamp=_timestamp(at),
        worker=failure.worker,
    )


def _timestamp(at: float) -> Timestamp:
    seconds, nanos = divmod(round(at * _NANOS), _NANOS)
    return Timestamp(seconds=seconds, nanos=nanos)
