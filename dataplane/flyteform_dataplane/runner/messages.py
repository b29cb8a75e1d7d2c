"""The engine's events as Flyte's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

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

from flyteform.proto.flyteform.v1.events_pb2 import Event
from flyteform_dataplane.engine.events import ArrayEvent, NodeEvent, TaskEvent, TaskPhase, WorkflowEvent
from flyteform_dataplane.engine.failures import FailureKind
from flyteform_dataplane.engine.graph import END_NODE, PARENTS, NodeKind
from flyteform_dataplane.engine.phases import CacheStatus, NodePhase, WorkflowPhase
from flyteform_dataplane.runner.context import Attempted, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
    from google.protobuf.timestamp_pb2 import Timestamp

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
_DEFAULT = TaskExecutionMetadata.InstanceClass.DEFAULT
_INTERRUPTIBLE = TaskExecutionMetadata.InstanceClass.INTERRUPTIBLE
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
_CACHE_STATUSES = {
    CacheStatus.DISABLED: CatalogCacheStatus.CACHE_DISABLED,
    CacheStatus.MISS: CatalogCacheStatus.CACHE_MISS,
    CacheStatus.HIT: CatalogCacheStatus.CACHE_HIT,
    CacheStatus.POPULATED: CatalogCacheStatus.CACHE_POPULATED,
    CacheStatus.LOOKUP_FAILURE: CatalogCacheStatus.CACHE_LOOKUP_FAILURE,
    CacheStatus.PUT_FAILURE: CatalogCacheStatus.CACHE_PUT_FAILURE,
    CacheStatus.SKIPPED: CatalogCacheStatus.CACHE_SKIPPED,
}
_ERROR_KINDS = {
    FailureKind.UNKNOWN: ExecutionError.UNKNOWN,
    FailureKind.USER: ExecutionError.USER,
    FailureKind.SYSTEM: ExecutionError.SYSTEM,
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
        self._id = context.id
        self._key = key_of(context.id)
        self._cluster = cluster
        self._reservation = reservation

    def render(self, sequence: int, event: EngineEvent) -> Event:
        """Return the message; `sequence` grows from event to event and serves as the phase's version.

        Its parts are filled in where they are: one that is put into another message is copied there as a whole.
        """
        message = Event()
        match event:
            case NodeEvent():
                node = message.node
                node.request_id = f"{self._key}/{sequence}"
                self._node(node.event, event)
            case TaskEvent() | ArrayEvent():
                task = message.task
                task.request_id = f"{self._key}/{sequence}"
                self._task(task.event, event, sequence)
            case WorkflowEvent():
                workflow = message.workflow
                workflow.request_id = f"{self._key}/{sequence}"
                self._workflow(workflow.event, event)
            case _:
                assert_never(event)
        return message

    def _workflow(self, message: WorkflowExecutionEvent, event: WorkflowEvent) -> None:
        message.execution_id.CopyFrom(self._id)
        message.producer_id = self._cluster
        message.phase = _WORKFLOW_PHASES[event.phase]
        _write_time(message.occurred_at, event.at)
        if event.phase is WorkflowPhase.SUCCEEDED:
            message.output_uri = self._context.node_outputs_uri(END_NODE)
        elif event.failure is not None:
            _write_error(message.error, event.failure, event.at)

    def _node(self, message: NodeExecutionEvent, event: NodeEvent) -> None:
        record = self._context.graph.nodes[event.node]
        self._write_node_id(message.id, event.node)
        message.producer_id = self._cluster
        message.phase = _NODE_PHASES[event.phase]
        _write_time(message.occurred_at, event.at)
        message.reported_at.CopyFrom(message.occurred_at)
        message.spec_node_id, message.node_name = record.spec_id, record.name
        message.retry_group, message.event_version = "0", _EVENT_VERSION
        message.is_array = record.kind is NodeKind.ARRAY
        message.is_dynamic = self._is_dynamic(event)
        message.is_parent = message.is_dynamic or record.kind in PARENTS
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
            _write_error(message.error, event.failure, event.at)
        if record.work is NodeKind.TASK:
            self._write_task_metadata(message.task_node_metadata, event)
            self._add_deck(message, event)
        elif record.kind is NodeKind.LAUNCH_PLAN and (child := self._child(event)) is not None:
            message.workflow_node_metadata.execution_id.CopyFrom(child)

    def _child(self, event: NodeEvent) -> WorkflowExecutionIdentifier | None:
        """Return the execution that did the work of a launch plan's node, where there is one for certain."""
        if event.phase is NodePhase.RECOVERED:
            return self._context.former[event.node].child if event.node in self._context.former else None
        return self._context.child(event.node, 0, event.attempt) if event.phase in _LAUNCHED else None

    def _is_dynamic(self, event: NodeEvent) -> bool:
        """Whether the node has made nodes by this event, in this attempt or in one before."""
        made = self._context.dynamics.get(event.node)
        return made is not None and any(
            attempt <= event.attempt - (event.phase in _BEFORE_UNFOLDING) for attempt in made
        )

    def _add_deck(self, message: NodeExecutionEvent, event: NodeEvent) -> None:
        record = self._context.graph.nodes[event.node]
        wrote = record.kind is NodeKind.TASK and record.task is not None and record.task.metadata.generates_deck.value
        if wrote and event.phase is NodePhase.SUCCEEDED and event.cache is not CacheStatus.HIT:
            message.deck_uri = f"{self._context.output_prefix(event.node, 0, event.attempt)}/deck.html"

    def _write_task_metadata(self, metadata: TaskNodeMetadata, event: NodeEvent) -> None:
        metadata.cache_status = _CACHE_STATUSES[event.cache]
        metadata.reservation_status = self._reservation(event.node)
        if event.key:
            metadata.catalog_key.CopyFrom(CatalogMetadata.FromString(event.key))
        if not self._context.is_array(event.node):
            prefix = self._context.raw_output_prefix(event.node, 0, event.attempt)
            metadata.checkpoint_uri = f"{prefix}/_flytecheckpoints"
        if event.phase is NodePhase.DYNAMIC_RUNNING:
            self._add_dynamic(metadata, event)

    def _add_dynamic(self, metadata: TaskNodeMetadata, event: NodeEvent) -> None:
        closure = self._context.dynamics[event.node][event.attempt]
        metadata.dynamic_workflow.id.CopyFrom(closure.primary.template.id)
        metadata.dynamic_workflow.compiled_workflow.CopyFrom(closure)
        prefix = self._context.output_prefix(event.node, 0, event.attempt)
        metadata.dynamic_workflow.dynamic_job_spec_uri = f"{prefix}/futures.pb"

    def _task(self, message: TaskExecutionEvent, event: TaskEvent | ArrayEvent, sequence: int) -> None:
        record = self._context.graph.nodes[event.node]
        message.task_type, identifier = _task_of(record)
        message.task_id.CopyFrom(identifier)
        self._write_node_id(message.parent_node_execution_id, event.node)
        message.phase, message.phase_version = _TASK_PHASES[event.phase], sequence
        message.producer_id = self._cluster
        _write_time(message.occurred_at, event.at)
        message.reported_at.CopyFrom(message.occurred_at)
        message.input_uri = self._context.inputs_uri(event.node)
        message.event_version = _EVENT_VERSION
        if event.failure is not None and event.phase is not TaskPhase.SUCCEEDED:
            _write_error(message.error, event.failure, event.at)
        if isinstance(event, TaskEvent):
            self._write_attempt(message, event, record)
        else:
            self._write_array(message, event, record)

    def _write_attempt(self, message: TaskExecutionEvent, event: TaskEvent, record: NodeRecord) -> None:
        message.retry_attempt = event.attempt
        self._write_metadata(message.metadata, record, event.attempt)
        if event.log_uri:
            message.logs.extend(_logs(event.log_uri))
        if event.phase is TaskPhase.SUCCEEDED:
            message.output_uri = f"{self._context.output_prefix(event.node, 0, event.attempt)}/outputs.pb"
        elif event.failure is not None:
            message.reason = event.failure.message[:_REASON_LENGTH]
            return
        message.reason = event.reason[:_REASON_LENGTH]

    def _write_array(self, message: TaskExecutionEvent, event: ArrayEvent, record: NodeRecord) -> None:
        self._write_metadata(message.metadata, record, 0)
        message.metadata.external_resources.extend(self._resource(event.node, item) for item in event.items)
        message.reason = next((item.reason for item in reversed(event.items) if item.reason), "")[:_REASON_LENGTH]
        if event.phase is TaskPhase.SUCCEEDED:
            message.output_uri = self._context.node_outputs_uri(event.node)

    def _resource(self, node: str, item: ItemProgress) -> ExternalResourceInfo:
        return ExternalResourceInfo(
            external_id=self._external_id(node, item),
            index=item.index,
            retry_attempt=item.attempt,
            phase=_TASK_PHASES[item.phase],
            cache_status=_CACHE_STATUSES[item.cache],
            logs=_logs(item.log_uri),
        )

    def _external_id(self, node: str, item: ItemProgress) -> str:
        """Return where the work of an item is done: its child execution, or its attempt's name."""
        if self._context.graph.nodes[node].work is NodeKind.LAUNCH_PLAN:
            return self._context.child(node, item.index, item.attempt).name
        return self._context.generated_name(node, item.index, item.attempt)

    def _write_metadata(self, metadata: TaskExecutionMetadata, record: NodeRecord, attempt: int) -> None:
        plugin = "k8s-array" if record.kind is NodeKind.ARRAY else "container"
        attempted = self._context.attempted.get((record.id, attempt)) or Attempted(plugin, record.interruptible)
        metadata.generated_name = self._context.generated_name(record.id, None, attempt)
        metadata.plugin_identifier = attempted.plugin
        metadata.instance_class = _INTERRUPTIBLE if attempted.interruptible else _DEFAULT

    def _write_node_id(self, identifier: NodeExecutionIdentifier, node: str) -> None:
        identifier.node_id = node
        identifier.execution_id.CopyFrom(self._id)


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


def _write_error(error: ExecutionError, failure: Failure, at: float) -> None:
    error.code, error.message, error.worker = failure.code, failure.message, failure.worker
    error.kind = _ERROR_KINDS[failure.kind]
    _write_time(error.timestamp, at)


def _write_time(timestamp: Timestamp, at: float) -> None:
    timestamp.seconds, timestamp.nanos = divmod(round(at * _NANOS), _NANOS)
