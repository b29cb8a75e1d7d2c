"""The life of nodes, and what their ends mean for the execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.engine import items as item_life
from flyteform_dataplane.engine.changes import ArraySized, WorkflowChanged
from flyteform_dataplane.engine.commands import (
    EXECUTION,
    WHOLE,
    CollectOutputs,
    DecideBranch,
    EnterWorkflow,
    MeasureArray,
    SetTimer,
    TakeOver,
)
from flyteform_dataplane.engine.ends import end_expired, fail_node, fail_parent, fail_workflow, move, queue_timer
from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.graph import SINGLE, START_NODE, WORKING, NodeKind
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.engine.commands import Command, NodeCommand
    from flyteform_dataplane.engine.graph import Graph, NodeRecord
    from flyteform_dataplane.engine.observations import BranchDecided, TakenOver, TimerFired
    from flyteform_dataplane.engine.state import Items, NodeState, State
    from flyteform_dataplane.engine.step import Step

_ENDS = (NodeKind.START, NodeKind.END)
# What has to be found out before nodes of these kinds go on.
PREPARATIONS: dict[NodeKind, Callable[[str], NodeCommand]] = {
    NodeKind.ARRAY: MeasureArray,
    NodeKind.WORKFLOW: EnterWorkflow,
    NodeKind.BRANCH: DecideBranch,
}


def begin(step: Step, at: float) -> None:
    """Start the execution."""
    step.record(WorkflowChanged(WorkflowPhase.RUNNING, at))
    if step.graph.refusal is not None:
        fail_workflow(step, step.graph.refusal, at)
    else:
        step.commands.extend(timers(step.graph, step.state))
        move(step, START_NODE, NodePhase.SUCCEEDED, at)
        _reach_downstream(step, START_NODE, at)


def settle(step: Step, at: float) -> None:
    """After everything observed: let waiting nodes start, and end the execution when nothing is left to do."""
    state = step.state
    while step.touched:
        _look_at_parent(step, step.touched.popitem()[0], at)
    if state.phase is WorkflowPhase.RUNNING and state.active == 0:
        fail_workflow(step, state.failure or _stuck(), at)
    if state.phase is WorkflowPhase.FAILING and state.active == 0 and step.graph.refusal is None:
        _clean_up(step, step.graph.failure_node, at)
    if state.phase in (WorkflowPhase.RUNNING, WorkflowPhase.FAILING):
        _admit(step, at)
    if state.active == 0 and state.phase is WorkflowPhase.FAILING:
        step.record(WorkflowChanged(WorkflowPhase.FAILED, at, state.failure))
    elif state.active == 0 and state.phase is WorkflowPhase.ABORTING:
        step.record(WorkflowChanged(WorkflowPhase.ABORTED, at, state.failure))


def taken_over(step: Step, seen: TakenOver) -> None:
    """End a node with what a former execution had of it, or begin it if nothing is left of that."""
    if step.state.nodes[seen.node].phase is not NodePhase.RECOVERING:
        return
    if seen.found:
        _end_well(step, seen.node, NodePhase.RECOVERED, seen.at)
    else:
        _begin_afresh(step, seen.node, seen.at)


def measured(step: Step, node: str, size: int, at: float) -> None:
    """Queue an array whose number of items is known."""
    if step.state.nodes[node].phase is NodePhase.PREPARING:
        step.record(ArraySized(node, size))
        move(step, node, NodePhase.QUEUED, at)


def entered(step: Step, node: str, at: float) -> None:
    """Let the nodes of a sub-workflow begin, as its inputs are there."""
    if step.state.nodes[node].phase is not NodePhase.PREPARING:
        return
    move(step, node, NodePhase.QUEUED, at)
    move(step, node, NodePhase.RUNNING, at)
    _begin_workflow(step, node, at)


def unfolded(step: Step, node: str, at: float) -> None:
    """Let the nodes begin that a dynamic task has made."""
    if step.state.nodes[node].phase is NodePhase.STARTING:
        # Nothing was seen of the attempt before it ended. That it ran tells a second one's nodes from a first one's.
        move(step, node, NodePhase.RUNNING, at)
    move(step, node, NodePhase.DYNAMIC_RUNNING, at)
    _begin_workflow(step, node, at)


def outlasted(step: Step, node: str, items: Items, seen: TimerFired) -> None:
    """End what an attempt of a dynamic task made, as the attempt's time is up: it lasts as long as that does."""
    record, state = step.node(node)
    if state.phase is NodePhase.DYNAMIC_RUNNING and item_life.is_due(items, seen):
        fail_parent(step, node, item_life.expired(record), seen.at)


def decided(step: Step, seen: BranchDecided) -> None:
    """Begin the node that a branch takes and skip the others; the branch fails when it takes none."""
    node, at = seen.node, seen.at
    if step.state.nodes[node].phase is not NodePhase.PREPARING:
        return
    move(step, node, NodePhase.QUEUED, at)
    move(step, node, NodePhase.RUNNING, at)
    children = step.graph.nodes[node].children
    for number, child in enumerate(children):
        if seen.failure is not None or number != seen.taken:
            move(step, child, NodePhase.SKIPPED, at)
    if seen.failure is not None:
        fail_parent(step, node, seen.failure, at)
    else:
        _begin_node(step, children[seen.taken], at)


def collected(step: Step, node: str, at: float) -> None:
    """End an array or a workflow, whose outputs are written."""
    if step.state.nodes[node].phase is not NodePhase.SUCCEEDING:
        return
    _succeed(step, node, at)
    record = step.graph.nodes[node]
    if record.kind is NodeKind.END:
        if record.scope:
            _collected_workflow(step, record.scope, at)
        else:
            step.record(WorkflowChanged(WorkflowPhase.SUCCEEDED, at))


def look_again(step: Step, node: str, at: float, *, key: bytes = b"") -> None:
    """Draw the conclusion from an item that moved."""
    record, state = step.node(node)
    items = state.items
    if items is None or state.phase.terminal:
        return
    if state.phase is NodePhase.TIMING_OUT:
        end_expired(step, node, at)
    elif state.phase is NodePhase.ABORTING:
        if items.in_flight == 0:
            move(step, node, NodePhase.ABORTED, at, failure=state.failure)
    elif record.kind in SINGLE:
        _look_at_single(step, node, items, at, key=key)
    else:
        _look_at_array(step, record, state, items, at)


def timers(graph: Graph, state: State) -> list[Command]:
    """Return the timer of the whole execution, if its time is limited."""
    limit = graph.deadlines.workflow
    if not limit or state.phase is not WorkflowPhase.RUNNING:
        return []
    return [SetTimer(EXECUTION, WHOLE, 0, state.begun + limit)]


def node_timers(graph: Graph, node: str, state: NodeState) -> list[Command]:
    """Return the timers of a whole node and of its wait in the queue, if these are limited."""
    queue = queue_timer(graph, node, state) if graph.nodes[node].kind in WORKING else []
    return _whole_timer(graph, node, state) + queue


def _whole_timer(graph: Graph, node: str, state: NodeState) -> list[Command]:
    limit = graph.deadlines.node
    if not limit or not state.phase.active or graph.nodes[node].kind in _ENDS:
        return []
    return [SetTimer(node, WHOLE, 0, state.begun + limit)]


def looks_up(graph: Graph, record: NodeRecord) -> bool:
    """Whether the cache is asked before the node's items run."""
    if not record.cacheable:
        return False
    # Who overwrites a result that others wait for has to have the right to compute it too.
    return not graph.overwrite_cache or (record.task is not None and record.task.metadata.cache_serializable)


def _begin_workflow(step: Step, scope: str, at: float) -> None:
    start = step.graph.inside(scope, START_NODE)
    move(step, start, NodePhase.SUCCEEDED, at)
    _reach_downstream(step, start, at)


def _collected_workflow(step: Step, node: str, at: float) -> None:
    """End the node whose workflow has reached its end; what a dynamic task made is the result of its item."""
    record, state = step.node(node)
    if state.items is None:
        _succeed(step, node, at)
    else:
        move(step, node, NodePhase.SUCCEEDING, at)
        item_life.folded(step, node, state.items, at, store=record.cacheable)
        look_again(step, node, at)


def _stuck() -> Failure:
    return Failure(
        "InvalidWorkflow", "no node can start any more and the end was not reached; the compiled graph is broken"
    )


def _reach_downstream(step: Step, node: str, at: float) -> None:
    record = step.graph.nodes[node]
    if not _goes_on(step, record.scope):
        return
    for downstream in record.downstream:
        state = step.state.nodes[downstream]
        if state.remaining == 0 and state.phase is NodePhase.NOT_STARTED:
            _begin_node(step, downstream, at)


def _goes_on(step: Step, scope: str) -> bool:
    """Whether nodes of the workflow may begin."""
    if scope:
        return step.state.nodes[scope].phase.open
    return step.state.phase is WorkflowPhase.RUNNING


def _look_at_parent(step: Step, node: str, at: float) -> None:
    """End a node below which nothing is active any more, though its workflow has not reached its end."""
    state = step.state.nodes[node]
    if state.children:
        return
    if state.phase is NodePhase.ABORTING:
        move(step, node, NodePhase.ABORTED, at, failure=state.failure)
    elif state.phase is NodePhase.TIMING_OUT:
        end_expired(step, node, at)
    elif state.phase.open:
        fail_parent(step, node, state.failure or _stuck(), at)
    elif state.phase in (NodePhase.FAILING, NodePhase.RETRYING):
        if _clean_up(step, step.graph.nodes[node].failure_node, at):
            return
        if state.phase is NodePhase.FAILING or state.items is None:
            fail_node(step, node, state.failure or _stuck(), at)
        else:
            item_life.unmade(step, node, state.items, state.failure or _stuck(), at)
            move(step, node, NodePhase.REQUEUED, at)


def _clean_up(step: Step, failure_node: str, at: float) -> bool:
    """Begin the failure node of a workflow that has failed, if it has one that has not run; say so."""
    if not failure_node or step.state.node(step.graph, failure_node).phase is not NodePhase.NOT_STARTED:
        return False
    _begin_afresh(step, failure_node, at)
    step.commands.extend(_whole_timer(step.graph, failure_node, step.state.nodes[failure_node]))
    return True


def _begin_node(step: Step, node: str, at: float) -> None:
    if node in step.graph.recoverable:
        move(step, node, NodePhase.RECOVERING, at)
        step.commands.append(TakeOver(node))
    else:
        _begin_afresh(step, node, at)
    step.commands.extend(_whole_timer(step.graph, node, step.state.nodes[node]))


def _begin_afresh(step: Step, node: str, at: float) -> None:
    record = step.graph.nodes[node]
    match record.kind:
        case NodeKind.END:
            move(step, node, NodePhase.SUCCEEDING, at)
            if not record.scope:
                step.record(WorkflowChanged(WorkflowPhase.SUCCEEDING, at))
            step.commands.append(CollectOutputs(node))
        case NodeKind.ARRAY | NodeKind.WORKFLOW | NodeKind.BRANCH as kind:
            move(step, node, NodePhase.PREPARING, at)
            step.commands.append(PREPARATIONS[kind](node))
        case _:
            _begin_single(step, record, at)


def _begin_single(step: Step, record: NodeRecord, at: float) -> None:
    step.record(ArraySized(record.id, 1))
    items = step.items(record.id)
    if items is not None and looks_up(step.graph, record):
        move(step, record.id, NodePhase.PREPARING, at)
        item_life.start(step, record.id, items, at, limit=1, look_up=True)
    else:
        move(step, record.id, NodePhase.QUEUED, at)
    if items is not None and record.kind not in WORKING:
        _start_single(step, record.id, items, at)


def _start_single(step: Step, node: str, items: Items, at: float) -> None:
    move(step, node, NodePhase.STARTING, at)
    item_life.enqueue(step, node, items, 0, at)


def _admit(step: Step, at: float) -> None:
    """Let nodes that wait go on while the execution's parallelism allows it, the longest waiting first."""
    limit, state = step.graph.max_parallelism, step.state
    while state.waiting and (not limit or state.slots < limit):
        node = next(iter(state.waiting))
        record, items = step.graph.nodes[node], step.items(node)
        if items is None:
            return
        if record.kind in SINGLE:
            _start_single(step, node, items, at)
        else:
            move(step, node, NodePhase.RUNNING, at)
            _look_at_array(step, record, step.state.nodes[node], items, at)


def _look_at_single(step: Step, node: str, items: Items, at: float, *, key: bytes) -> None:
    phase = step.state.nodes[node].phase
    if items.succeeded:
        _succeed(step, node, at, key=key)
    elif items.failed:
        fail_node(step, node, items.failures[0], at)
    elif phase is NodePhase.PREPARING and items.caches[0]:
        move(step, node, NodePhase.QUEUED, at)


def _look_at_array(step: Step, record: NodeRecord, state: NodeState, items: Items, at: float) -> None:
    if state.phase is NodePhase.RUNNING and _cannot_succeed(record, items):
        failure = _array_failure(items)
        move(step, record.id, NodePhase.FAILING, at, failure=failure)
        item_life.stop_all(step, record.id, items, at, failure)
    if state.phase is NodePhase.FAILING:
        if items.in_flight == 0:
            fail_node(step, record.id, _array_failure(items), at)
        return
    look_up = looks_up(step.graph, record)
    item_life.start(step, record.id, items, at, limit=record.parallelism, look_up=look_up)
    if items.succeeded + items.failed == len(items):
        move(step, record.id, NodePhase.SUCCEEDING, at)
        step.commands.append(CollectOutputs(record.id))


def _cannot_succeed(record: NodeRecord, items: Items) -> bool:
    size = len(items)
    if size - items.failed >= record.required_successes(size):
        return False
    return not record.run_all_items or items.succeeded + items.failed == size


def _array_failure(items: Items) -> Failure:
    """Sum up the items' failures; the first failed index gives the code."""
    shown = sorted(items.failures)[:10]
    lines = [f"[{index}]: {items.failures[index].message}" for index in shown]
    if len(items.failures) > len(shown):
        lines.append(f"… and {len(items.failures) - len(shown)} more items")
    first = items.failures[shown[0]]
    return Failure(first.code, "\n".join(lines), first.kind)


def _succeed(step: Step, node: str, at: float, *, key: bytes = b"") -> None:
    _end_well(step, node, NodePhase.SUCCEEDED, at, key=key)


def _end_well(step: Step, node: str, phase: NodePhase, at: float, *, key: bytes = b"") -> None:
    move(step, node, phase, at, key=key)
    parent = step.graph.nodes[node].parent
    if parent and step.graph.nodes[parent].kind is NodeKind.BRANCH:
        move(step, parent, NodePhase.SUCCEEDING, at)
        step.commands.append(CollectOutputs(parent))
    else:
        _reach_downstream(step, node, at)
