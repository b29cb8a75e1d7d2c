"""One event on the rows of a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution

from flyteform_controlplane.domain.event_rules import check_cluster
from flyteform_controlplane.domain.node_events import apply_node_event, new_node
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.domain.records import ExecutionEventRecord, NodeExecutionEventRecord, NodeExecutionRecord
from flyteform_controlplane.domain.task_events import apply_task_event, new_task
from flyteform_controlplane.domain.times import to_datetime
from flyteform_controlplane.domain.workflow_events import apply_workflow_event, is_terminal
from flyteform_controlplane.errors import MissingEntityError
from flyteform_controlplane.services.event_work import Touched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.admin.event_pb2 import (
        NodeExecutionEventRequest,
        TaskExecutionEventRequest,
        WorkflowExecutionEventRequest,
    )
    from flyteidl.core.identifier_pb2 import (
        NodeExecutionIdentifier,
        TaskExecutionIdentifier,
        WorkflowExecutionIdentifier,
    )
    from flyteidl.event.event_pb2 import NodeExecutionEvent, TaskExecutionEvent

    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from flyteform_controlplane.services.event_work import EventWork
    from flyteform_controlplane.store.ports import Key


def touched_by(events: Iterable[Event]) -> Touched:
    """Return the keys of all executions, nodes and attempts that the events name."""
    touched = Touched()
    for event in events:
        match event.WhichOneof("event"):
            case "workflow":
                touched.executions.changed.add(_execution_key(event.workflow.event.execution_id))
            case "node":
                _touch_by_node(touched, event.node.event)
            case _:
                task = event.task.event
                touched.executions.read.add(_execution_key(task.parent_node_execution_id.execution_id))
                touched.nodes.read.add(_node_key(task.parent_node_execution_id))
                touched.tasks.changed.add(_task_key(task))
    for keys in (touched.executions, touched.nodes, touched.tasks):
        keys.read.difference_update(keys.changed)
    return touched


def _touch_by_node(touched: Touched, node: NodeExecutionEvent) -> None:
    touched.executions.read.add(_execution_key(node.id.execution_id))
    touched.nodes.changed.add(_node_key(node.id))
    if node.HasField("parent_node_metadata"):
        touched.nodes.read.add(_parent_key(node))
    if node.HasField("parent_task_metadata"):
        touched.tasks.read.add(_attempt_key(node.parent_task_metadata.id))


def execution_of(event: Event) -> ExecutionKey:
    """Return the name of the execution that the event is about."""
    match event.WhichOneof("event"):
        case "workflow":
            name = event.workflow.event.execution_id
        case "node":
            name = event.node.event.id.execution_id
        case _:
            name = event.task.event.parent_node_execution_id.execution_id
    return ExecutionKey(name.project, name.domain, name.name)


def apply_event(work: EventWork, event: Event, closure_uri: str) -> None:
    """Apply one event to the loaded rows; raise its refusal."""
    match event.WhichOneof("event"):
        case "workflow":
            _apply_workflow(work, event.workflow)
        case "node":
            _apply_node(work, event.node, closure_uri)
        case _:
            _apply_task(work, event.task)


def _apply_workflow(work: EventWork, request: WorkflowExecutionEventRequest) -> None:
    event = request.event
    key = _execution_key(event.execution_id)
    record = work.executions.get(key)
    if record is None:
        raise _missing_execution(key)
    record = apply_workflow_event(record, event)
    work.executions.put(key, record)
    if is_terminal(record):
        work.ended.append(record)
    work.execution_events.append(
        ExecutionEventRecord(
            execution_project=record.execution_project,
            execution_domain=record.execution_domain,
            execution_name=record.execution_name,
            request_id=request.request_id,
            occurred_at=to_datetime(event.occurred_at),
            phase=WorkflowExecution.Phase.Name(event.phase),
        )
    )


def _apply_node(work: EventWork, request: NodeExecutionEventRequest, closure_uri: str) -> None:
    event = request.event
    _check_holder(work, event.id.execution_id, event.producer_id)
    key = _node_key(event.id)
    known = work.nodes.get(key)
    record = apply_node_event(known or new_node(event), event)
    if known is None:
        record = _with_parent(work, key, record, event)
    if closure_uri:
        record = replace(record, dynamic_workflow_remote_closure_reference=closure_uri)
    work.nodes.put(key, record)
    work.node_events.append(
        NodeExecutionEventRecord(
            execution_project=record.execution_project,
            execution_domain=record.execution_domain,
            execution_name=record.execution_name,
            node_id=record.node_id,
            request_id=request.request_id,
            occurred_at=to_datetime(event.occurred_at),
            phase=NodeExecution.Phase.Name(event.phase),
        )
    )


def _with_parent(
    work: EventWork, key: Key, record: NodeExecutionRecord, event: NodeExecutionEvent
) -> NodeExecutionRecord:
    if event.HasField("parent_node_metadata"):
        parent_key = _parent_key(event)
        parent = work.nodes.get(parent_key)
        if parent is None:
            raise MissingEntityError(f"missing parent node execution {event.parent_node_metadata.node_id}")
        if not parent.id:
            work.node_parents[key] = parent_key
        return replace(record, parent_id=parent.id or None)
    if event.HasField("parent_task_metadata"):
        attempt_key = _attempt_key(event.parent_task_metadata.id)
        attempt = work.tasks.get(attempt_key)
        if attempt is None:
            raise MissingEntityError(f"missing parent task execution {event.parent_task_metadata.id.task_id.name}")
        if not attempt.id:
            work.task_parents[key] = attempt_key
        return replace(record, parent_task_execution_id=attempt.id or None)
    return record


def _apply_task(work: EventWork, request: TaskExecutionEventRequest) -> None:
    event = request.event
    node = event.parent_node_execution_id
    _check_holder(work, node.execution_id, event.producer_id)
    if work.nodes.get(_node_key(node)) is None:
        raise MissingEntityError(f"missing node execution {node.node_id} of {node.execution_id.name}")
    key = _task_key(event)
    work.tasks.put(key, apply_task_event(work.tasks.get(key) or new_task(event), event))


def _check_holder(work: EventWork, name: WorkflowExecutionIdentifier, producer_id: str) -> None:
    execution = work.executions.get(_execution_key(name))
    if execution is None:
        raise _missing_execution(_execution_key(name))
    check_cluster(execution, producer_id)


def _missing_execution(key: Key) -> MissingEntityError:
    return MissingEntityError(f"missing entity of type execution with identifier {':'.join(map(str, key))}")


def _execution_key(name: WorkflowExecutionIdentifier) -> Key:
    return name.project, name.domain, name.name


def _node_key(node: NodeExecutionIdentifier) -> Key:
    return *_execution_key(node.execution_id), node.node_id


def _parent_key(event: NodeExecutionEvent) -> Key:
    return *_execution_key(event.id.execution_id), event.parent_node_metadata.node_id


def _task_key(event: TaskExecutionEvent) -> Key:
    task = event.task_id
    attempt = (task.project, task.domain, task.name, task.version, event.retry_attempt)
    return (*_node_key(event.parent_node_execution_id), *attempt)


def _attempt_key(attempt: TaskExecutionIdentifier) -> Key:
    task = attempt.task_id
    return (
        *_node_key(attempt.node_execution_id),
        *(task.project, task.domain, task.name, task.version),
        attempt.retry_attempt,
    )
