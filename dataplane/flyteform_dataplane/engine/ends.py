"""How nodes and the execution end: by failure, by the policy for it, or as somebody wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.engine import items as item_life
from flyteform_dataplane.engine.changes import NodeChanged, WorkflowChanged
from flyteform_dataplane.engine.commands import EXECUTION, QUEUE, SetTimer
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.graph import SINGLE, WORKING, NodeKind
from flyteform_dataplane.engine.phases import CacheStatus, NodePhase, WorkflowPhase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteform_dataplane.engine.commands import Command
    from flyteform_dataplane.engine.graph import Graph
    from flyteform_dataplane.engine.state import NodeState
    from flyteform_dataplane.engine.step import Step

_ABORT_CODE = "ExecutionAborted"
_EXPIRED = "TimeoutExpired"
# Where a node can be stopped because its time is up: it is not ending already.
_EXPIRING = frozenset(
    {
        *(NodePhase.RECOVERING, NodePhase.PREPARING, NodePhase.QUEUED, NodePhase.STARTING),
        *(NodePhase.RUNNING, NodePhase.DYNAMIC_RUNNING, NodePhase.RETRYING, NodePhase.REQUEUED),
    }
)
# Where nothing of a node has been seen to run.
_WAITING = frozenset({NodePhase.QUEUED, NodePhase.REQUEUED, NodePhase.STARTING})


def abort(step: Step, cause: str, at: float) -> None:
    """End the execution because somebody wants it to end."""
    if step.state.phase is WorkflowPhase.ABORTING:
        return
    failure = Failure(_ABORT_CODE, cause or "the execution was terminated", FailureKind.USER)
    step.record(WorkflowChanged(WorkflowPhase.ABORTING, at, failure))
    _abort_top(step, at, failure)


def fail_workflow(step: Step, failure: Failure, at: float) -> None:
    """End what runs, as the execution cannot succeed any more."""
    step.record(WorkflowChanged(WorkflowPhase.FAILING, at, failure))
    _abort_top(step, at, Failure(_ABORT_CODE, f"the execution failed: {failure.message}", failure.kind))


def expire(step: Step, node: str, at: float) -> None:
    """End a node, or the execution, that has taken longer than it may; what it started ends first."""
    if node == EXECUTION:
        limit = step.graph.deadlines.workflow
        if step.state.phase is WorkflowPhase.RUNNING and limit and at >= step.state.begun + limit:
            fail_workflow(step, Failure(_EXPIRED, f"the execution took longer than it may [{limit:g}s]"), at)
        return
    limit, state = step.graph.deadlines.node, step.state.nodes[node]
    if state.phase not in _EXPIRING or not limit or at < state.begun + limit:
        return
    _time_out(
        step, node, at, Failure(_EXPIRED, f"node {node} took longer than it may [{limit:g}s], with all its attempts")
    )


def expire_in_queue(step: Step, node: str, at: float) -> None:
    """End a node that has waited longer than it may until anything of it ran."""
    limit, state = step.graph.deadlines.queue, step.state.nodes[node]
    if state.phase in _WAITING and limit and at >= state.queued + limit:
        _time_out(step, node, at, Failure(_EXPIRED, f"node {node} queued longer than it may [{limit:g}s]"))


def _time_out(step: Step, node: str, at: float, failure: Failure) -> None:
    state = step.state.nodes[node]
    waiting = state.items is not None and item_life.stop_all(step, node, state.items, at, failure)
    if not waiting and not state.children:
        fail_node(step, node, failure, at, phase=NodePhase.TIMED_OUT)
        return
    move(step, node, NodePhase.TIMING_OUT, at, failure=failure)
    _abort_nodes(step, step.graph.nodes[node].children, at, failure)
    end_expired(step, node, at)


def end_expired(step: Step, node: str, at: float) -> None:
    """End a node whose time is up if nothing of it is left."""
    state = step.state.nodes[node]
    if state.children == 0 and (state.items is None or state.items.in_flight == 0):
        failure = state.failure or Failure(_EXPIRED, f"node {node} took longer than it may")
        fail_node(step, node, failure, at, phase=NodePhase.TIMED_OUT)


def fail_node(step: Step, node: str, failure: Failure, at: float, *, phase: NodePhase = NodePhase.FAILED) -> None:
    """End a node as failed, and with it what it is a part of where the policy says so."""
    move(step, node, phase, at, failure=failure)
    record = step.graph.nodes[node]
    end = record.kind is NodeKind.END
    if record.parent:
        parent = step.graph.nodes[record.parent]
        if (parent.fail_immediately or end) and step.state.nodes[parent.id].phase.open:
            fail_parent(step, parent.id, failure, at)
    elif step.state.phase in (WorkflowPhase.RUNNING, WorkflowPhase.SUCCEEDING) and (step.graph.fail_immediately or end):
        fail_workflow(step, failure, at)


def fail_parent(step: Step, node: str, failure: Failure, at: float) -> None:
    """End what runs below a node, as it cannot succeed any more; the node ends, or tries again, when all of it has."""
    record, state = step.node(node)
    after = NodePhase.FAILING
    if state.phase is NodePhase.DYNAMIC_RUNNING and state.items is not None:
        failure, retry = item_life.judge_made(state.items, failure, record.retries)
        after = NodePhase.RETRYING if retry else after
    move(step, node, after, at, failure=failure)
    reason = Failure(_ABORT_CODE, f"node {node} failed: {failure.message}", failure.kind)
    _abort_nodes(step, step.graph.nodes[node].children, at, reason)
    step.touched[node] = None


def move(
    step: Step,
    node: str,
    after: NodePhase,
    at: float,
    *,
    failure: Failure | None = None,
    key: bytes = b"",
) -> None:
    """Record that a node entered a phase."""
    record, state = step.node(node)
    attempt, cache = 0, CacheStatus.DISABLED
    if record.kind in SINGLE and state.items is not None:
        attempt = state.items.attempt(0)
        cache = CacheStatus(state.items.caches[0])
        if record.cacheable and not cache and step.graph.overwrite_cache:
            cache = CacheStatus.SKIPPED
    step.record(NodeChanged(node, state.phase, after, at, attempt, failure, cache, key))
    if after.queueing and record.kind in WORKING:
        step.commands.extend(queue_timer(step.graph, node, state))


def queue_timer(graph: Graph, node: str, state: NodeState) -> list[Command]:
    """Return the timer of a node's wait in the queue, if that is limited."""
    limit = graph.deadlines.queue
    return [SetTimer(node, QUEUE, 0, state.queued + limit)] if limit and state.phase in _WAITING else []


def _abort_top(step: Step, at: float, failure: Failure) -> None:
    _abort_nodes(step, [name for name in step.state.nodes if not step.graph.nodes[name].parent], at, failure)


def _abort_nodes(step: Step, names: Iterable[str], at: float, failure: Failure) -> None:
    """End nodes and all below them, the lower ones first. Level by level: nothing limits how deep they nest."""
    levels = [_active(step, names)]
    while levels[-1]:
        levels.append(_active(step, (child for name in levels[-1] for child in step.graph.nodes[name].children)))
    for level in reversed(levels):
        for name in level:
            _abort_node(step, name, at, failure)


def _active(step: Step, names: Iterable[str]) -> list[str]:
    nodes = step.state.nodes
    return [name for name in names if name in nodes and nodes[name].phase.active]


def _abort_node(step: Step, name: str, at: float, failure: Failure) -> None:
    node = step.state.nodes[name]
    waiting = node.items is not None and item_life.stop_all(step, name, node.items, at, failure)
    if waiting or node.children:
        if node.phase is not NodePhase.ABORTING:
            move(step, name, NodePhase.ABORTING, at, failure=failure)
    else:
        move(step, name, NodePhase.ABORTED, at, failure=failure)
