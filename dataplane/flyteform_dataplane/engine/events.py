"""What people and the control plane are told, derived from the changes alone, so that the log gives it again."""

from __future__ import annotations

from dataclasses import field
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias, assert_never

from flyteform_dataplane.engine.changes import (
    ArraySized,
    ItemChanged,
    ItemsStarted,
    ItemWaited,
    NodeChanged,
    WorkflowChanged,
)
from flyteform_dataplane.engine.graph import NodeKind
from flyteform_dataplane.engine.phases import CacheStatus, ItemPhase, NodePhase, WorkflowPhase
from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_dataplane.engine.changes import Change
    from flyteform_dataplane.engine.failures import Failure
    from flyteform_dataplane.engine.graph import Graph


class TaskPhase(IntEnum):
    """Flyte's `TaskExecution.Phase`, with its numbers."""

    QUEUED = 1
    RUNNING = 2
    SUCCEEDED = 3
    ABORTED = 4
    FAILED = 5
    INITIALIZING = 6
    WAITING_FOR_RESOURCES = 7
    RETRYABLE_FAILED = 8


@record
class WorkflowEvent:
    """The execution entered a phase."""

    phase: WorkflowPhase
    at: float
    failure: Failure | None = None


@record
class NodeEvent:
    """A node entered a phase; `attempt` is the one whose outputs are the node's."""

    node: str
    phase: NodePhase
    at: float
    attempt: int = 0
    failure: Failure | None = None
    cache: CacheStatus = CacheStatus.DISABLED
    key: bytes = b""


@record
class TaskEvent:
    """An attempt of a task entered a phase; `reason` says why it waits in one."""

    node: str
    attempt: int
    phase: TaskPhase
    at: float
    failure: Failure | None = None
    log_uri: str = ""
    reason: str = ""


@record
class ItemProgress:
    """Where an attempt of an array's item stands; `reason` says why it waits there, if no other item has said so."""

    index: int
    attempt: int
    phase: TaskPhase
    cache: CacheStatus = CacheStatus.DISABLED
    log_uri: str = ""
    reason: str = ""


@record
class ArrayEvent:
    """An array's one task execution is in a phase; `items` are those that moved since the event before."""

    node: str
    phase: TaskPhase
    at: float
    items: tuple[ItemProgress, ...] = field(default=())
    failure: Failure | None = None


Event: TypeAlias = WorkflowEvent | NodeEvent | TaskEvent | ArrayEvent

_REPORTED_WORKFLOW_PHASES = frozenset(WorkflowPhase) - {WorkflowPhase.READY, WorkflowPhase.ABORTING}
_REPORTED_NODE_PHASES = frozenset(
    {
        NodePhase.QUEUED,
        NodePhase.RUNNING,
        NodePhase.DYNAMIC_RUNNING,
        NodePhase.SUCCEEDED,
        NodePhase.FAILING,
        NodePhase.FAILED,
        NodePhase.ABORTED,
        NodePhase.SKIPPED,
        NodePhase.RECOVERED,
        NodePhase.TIMED_OUT,
    }
)
_TASK_PHASES = {
    NodePhase.RUNNING: TaskPhase.RUNNING,
    NodePhase.SUCCEEDED: TaskPhase.SUCCEEDED,
    NodePhase.FAILED: TaskPhase.FAILED,
    NodePhase.TIMED_OUT: TaskPhase.FAILED,
    NodePhase.ABORTED: TaskPhase.ABORTED,
}
_BEFORE_ANY_ATTEMPT = (NodePhase.NOT_STARTED, NodePhase.RECOVERING, NodePhase.PREPARING, NodePhase.QUEUED)


def events_of(graph: Graph, changes: Iterable[Change]) -> list[Event]:
    """Derive the events of one step, in their legal order; the items of one array become one event."""
    events: list[Event] = []
    moved: dict[str, tuple[float, list[ItemProgress]]] = {}
    for change in changes:
        match change:
            case ItemChanged() | ItemWaited() if graph.nodes[change.node].kind is NodeKind.ARRAY:
                if (progress := _progress(change)) is not None:
                    moved.setdefault(change.node, (change.at, []))[1].append(progress)
            case ItemChanged() | ItemWaited():
                events.extend(_task_events(graph, change))
            case NodeChanged():
                _flush(events, moved, change.node)
                events.extend(_node_events(graph, change))
            case WorkflowChanged():
                if change.after in _REPORTED_WORKFLOW_PHASES:
                    events.append(WorkflowEvent(change.after, change.at, change.failure))
            case ItemsStarted() | ArraySized():
                pass  # items show up when something is known of them
            case _:
                assert_never(change)
    for node in list(moved):
        _flush(events, moved, node)
    return events


def _flush(events: list[Event], moved: dict[str, tuple[float, list[ItemProgress]]], node: str) -> None:
    if node in moved:
        at, items = moved.pop(node)
        events.append(ArrayEvent(node, TaskPhase.RUNNING, at, tuple(items)))


def _node_events(graph: Graph, change: NodeChanged) -> list[Event]:
    if change.after not in _REPORTED_NODE_PHASES:
        return []
    node = NodeEvent(change.node, change.after, change.at, change.attempt, change.failure, change.cache, change.key)
    if graph.nodes[change.node].kind is not NodeKind.ARRAY or change.after not in _TASK_PHASES:
        return [node]
    task = ArrayEvent(change.node, _TASK_PHASES[change.after], change.at, failure=change.failure)
    if change.after is NodePhase.RUNNING:
        return [node, task]
    return [node] if change.before in _BEFORE_ANY_ATTEMPT else [task, node]


def _task_events(graph: Graph, change: ItemChanged | ItemWaited) -> list[Event]:
    if graph.nodes[change.node].work is not NodeKind.TASK:
        return []
    if isinstance(change, ItemWaited):
        phase = TaskPhase(change.wait)
        return [TaskEvent(change.node, change.attempt, phase, change.at, reason=change.reason)]
    reached, attempt = _task_phase(change)
    if reached is None:
        return []
    return [TaskEvent(change.node, attempt, reached, change.at, change.failure, change.log_uri)]


def _progress(change: ItemChanged | ItemWaited) -> ItemProgress | None:
    if isinstance(change, ItemWaited):
        return ItemProgress(change.index, change.attempt, TaskPhase(change.wait), reason=change.reason)
    phase, attempt = _task_phase(change)
    if phase is None and change.before in (ItemPhase.STORING, ItemPhase.CHECKING_CACHE) and change.cache:
        phase = TaskPhase.SUCCEEDED if change.after is ItemPhase.SUCCEEDED else None
    if phase is None:
        return None
    return ItemProgress(change.index, attempt, phase, change.cache, change.log_uri)


_TASK_ENDS = {
    ItemPhase.STORING: TaskPhase.SUCCEEDED,
    ItemPhase.UNFOLDED: TaskPhase.SUCCEEDED,
    ItemPhase.SUCCEEDED: TaskPhase.SUCCEEDED,
    ItemPhase.FAILED: TaskPhase.FAILED,
    ItemPhase.ABORTED: TaskPhase.ABORTED,
}


def _task_phase(change: ItemChanged) -> tuple[TaskPhase | None, int]:
    """Return what an attempt's task execution is told, and which attempt it was."""
    if change.after is ItemPhase.RUNNING:
        return TaskPhase.RUNNING, change.attempt
    if change.after is ItemPhase.QUEUED and change.failure is not None:
        return TaskPhase.RETRYABLE_FAILED, change.attempt - 1
    attempted = change.before.attempting or change.before.being_stopped
    return _TASK_ENDS.get(change.after) if attempted else None, change.attempt
