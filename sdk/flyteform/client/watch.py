"""Follow an execution: snapshots of its phase and of every node, as long as something changes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyteidl.core import catalog_pb2, execution_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence

    from flyteidl.admin import node_execution_pb2, task_execution_pb2
    from flyteidl.core import workflow_pb2
    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    from flyteform.client.admin import AdminClient

_FASTEST, _SLOWEST, _GROWTH = 0.1, 1.0, 1.5  # seconds between two looks; grows while nothing changes
_FOLLOWED = 32  # running nodes whose attempts are looked at each time: bounds the calls of a wide workflow
_IMPLICIT_NODES = frozenset({"start-node", "end-node"})
_ENDED = frozenset({"SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"})
_ATTEMPT_ENDED = frozenset(
    (
        execution_pb2.TaskExecution.SUCCEEDED,
        execution_pb2.TaskExecution.FAILED,
        execution_pb2.TaskExecution.ABORTED,
        execution_pb2.TaskExecution.RETRYABLE_FAILED,
    )
)
_PENDING = frozenset(
    (
        execution_pb2.TaskExecution.QUEUED,
        execution_pb2.TaskExecution.INITIALIZING,
        execution_pb2.TaskExecution.WAITING_FOR_RESOURCES,
    )
)
_NODE_ENDED = _ENDED | {"SKIPPED", "RECOVERED"}


@dataclass(frozen=True, slots=True)
class Items:
    """How far a node that maps over a list has got."""

    done: int
    failed: int
    total: int


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node. `cache` is "hit", "populated", "miss" and so on, "" where nothing is cached.

    `waits` says why its attempt, or one of its items, does not run yet, where the data plane says so.
    """

    id: str
    name: str
    phase: str
    started_at: datetime | None = None
    duration: float | None = None
    cache: str = ""
    attempts: int = 0
    items: Items | None = None
    error: str | None = None
    waits: str = ""

    @property
    def ended(self) -> bool:
        """Whether the phase is final."""
        return self.phase in _NODE_ENDED

    def seconds(self, now: datetime) -> float | None:
        """Return how long it ran, or has run so far; None if it has not started."""
        return _seconds(self.started_at, self.duration, now, ended=self.ended)


@dataclass(frozen=True, slots=True)
class ExecutionState:
    """One look at an execution; nodes are in the order in which they were created."""

    name: str
    phase: str
    nodes: tuple[NodeState, ...] = ()
    started_at: datetime | None = None
    duration: float | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the phase is final."""
        return self.phase in _ENDED

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.phase == "SUCCEEDED"

    def seconds(self, now: datetime) -> float | None:
        """Return how long it ran, or has run so far; None if it has not started."""
        return _seconds(self.started_at, self.duration, now, ended=self.ended)


async def watch(
    client: AdminClient,
    execution: WorkflowExecutionIdentifier,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[ExecutionState]:
    """Yield a snapshot at once and after every change, the last one in a final phase.

    What changes is looked at ten times a second, what does not once a second. Half of the time at most goes into
    looking, however wide the workflow is and however slow the server.
    """
    watcher = _Watcher(client, execution)
    last: ExecutionState | None = None
    pause = _FASTEST
    while True:
        began = monotonic()
        now = await watcher.look()
        took = monotonic() - began
        if now != last:
            yield now
            last, pause = now, _FASTEST
        if now.ended:
            return
        await sleep(max(pause, took))
        pause = min(pause * _GROWTH, _SLOWEST)


class _Watcher:
    """What is known between two looks: names from the graph, and the attempts of nodes that have ended."""

    def __init__(self, client: AdminClient, execution: WorkflowExecutionIdentifier) -> None:
        self._client = client
        self._execution = execution
        self._names: Mapping[str, str] | None = None
        self._attempts: dict[str, Sequence[task_execution_pb2.TaskExecution]] = {}
        self._complete: set[str] = set()
        self._errors: dict[str, str] = {}

    async def look(self) -> ExecutionState:
        """Read the execution, then its nodes, so that a final phase comes with final nodes."""
        execution = await self._client.get_execution(self._execution)
        closure = execution.closure
        if self._names is None and closure.workflow_id.name:
            workflow = await self._client.get_workflow(closure.workflow_id)
            self._names = _node_names(workflow.closure.compiled_workflow.primary.template)
        nodes = [node async for node in self._client.list_node_executions(self._execution)]
        nodes = sorted(
            (node for node in nodes if node.id.node_id not in _IMPLICIT_NODES),
            key=lambda node: (node.closure.created_at.ToNanoseconds(), node.id.node_id),
        )
        await asyncio.gather(self._read_attempts(nodes), self._read_errors(nodes))
        return ExecutionState(
            name=self._execution.name,
            phase=execution_pb2.WorkflowExecution.Phase.Name(closure.phase),
            nodes=tuple(self._node_state(node) for node in nodes),
            started_at=_time(closure.started_at),
            duration=_duration(closure.duration),
            error=closure.error.message if closure.HasField("error") else None,
        )

    async def _read_attempts(self, nodes: Iterable[node_execution_pb2.NodeExecution]) -> None:
        """Read attempts of the nodes that run, and once more of each node that has ended."""
        ended = [node for node in nodes if _node_phase(node) in _NODE_ENDED and node.id.node_id not in self._complete]
        running = [node for node in nodes if _node_phase(node) not in _NODE_ENDED][:_FOLLOWED]

        async def read(node: node_execution_pb2.NodeExecution) -> list[task_execution_pb2.TaskExecution]:
            return [attempt async for attempt in self._client.list_task_executions(node.id)]

        looked = [*ended, *running]
        found = await asyncio.gather(*(read(node) for node in looked))
        for node, attempts in zip(looked, found, strict=True):
            self._attempts[node.id.node_id] = attempts
            # A node's end may be known before that of its last attempt, whose event brings the final count of items.
            if all(attempt.closure.phase in _ATTEMPT_ENDED for attempt in attempts):
                self._complete.add(node.id.node_id)

    async def _read_errors(self, nodes: Iterable[node_execution_pb2.NodeExecution]) -> None:
        """Read the error of each failed node once: lists cut the text short."""
        failed = [node for node in nodes if _has_error(node) and node.id.node_id not in self._errors]
        found = await asyncio.gather(*(self._client.get_node_execution(node.id) for node in failed[:_FOLLOWED]))
        self._errors |= {node.id.node_id: node.closure.error.message for node in found}

    def _node_state(self, node: node_execution_pb2.NodeExecution) -> NodeState:
        node_id, closure = node.id.node_id, node.closure
        attempts = self._attempts.get(node_id, ())
        return NodeState(
            id=node_id,
            name=(self._names or {}).get(node.metadata.spec_node_id or node_id, node_id),
            phase=_node_phase(node),
            started_at=_time(closure.started_at),
            duration=_duration(closure.duration),
            cache=_cache(closure.task_node_metadata.cache_status),
            attempts=max((attempt.id.retry_attempt + 1 for attempt in attempts), default=0),
            items=_items(attempts) if node.metadata.is_array else None,
            error=self._errors.get(node_id, closure.error.message) if _has_error(node) else None,
            waits="" if _node_phase(node) in _NODE_ENDED else _waits(attempts),
        )


def _has_error(node: node_execution_pb2.NodeExecution) -> bool:
    return node.closure.HasField("error")


def _node_names(template: workflow_pb2.WorkflowTemplate) -> dict[str, str]:
    """Return what people call the nodes: the name that the author gave, else that of what the node runs."""
    return {node.id: node.metadata.name or node.task_node.reference_id.name or node.id for node in template.nodes}


def _node_phase(node: node_execution_pb2.NodeExecution) -> str:
    return execution_pb2.NodeExecution.Phase.Name(node.closure.phase)


def _cache(status: catalog_pb2.CatalogCacheStatus) -> str:
    name = catalog_pb2.CatalogCacheStatus.Name(status)
    return "" if name == "CACHE_DISABLED" else name.removeprefix("CACHE_").lower().replace("_", " ")


def _items(attempts: Sequence[task_execution_pb2.TaskExecution]) -> Items | None:
    """Count the items of the newest attempt by their newest state."""
    newest = max(attempts, key=lambda attempt: attempt.id.retry_attempt, default=None)
    if newest is None:
        return None
    phases: dict[int, tuple[int, int]] = {}
    for resource in newest.closure.metadata.external_resources:
        known = phases.get(resource.index, (-1, 0))
        phases[resource.index] = max(known, (resource.retry_attempt, resource.phase))
    ended = [phase for _, phase in phases.values()]
    return Items(
        done=ended.count(execution_pb2.TaskExecution.SUCCEEDED),
        failed=ended.count(execution_pb2.TaskExecution.FAILED),
        total=len(phases),
    )


def _waits(attempts: Sequence[task_execution_pb2.TaskExecution]) -> str:
    """Return what the newest attempt, or an item of it, waits for."""
    newest = max(attempts, key=lambda attempt: attempt.id.retry_attempt, default=None)
    if newest is None:
        return ""
    closure = newest.closure
    pending = closure.phase in _PENDING or any(
        resource.phase in _PENDING for resource in closure.metadata.external_resources
    )
    return closure.reason if pending else ""


def _time(timestamp: Timestamp) -> datetime | None:
    return timestamp.ToDatetime(tzinfo=UTC) if timestamp.seconds else None


def _duration(duration: Duration) -> float | None:
    total = duration.seconds + duration.nanos / 1e9
    return total or None


def _seconds(started_at: datetime | None, duration: float | None, now: datetime, *, ended: bool) -> float | None:
    if ended and duration is not None:
        return duration
    return None if started_at is None or ended else max((now - started_at).total_seconds(), 0.0)
