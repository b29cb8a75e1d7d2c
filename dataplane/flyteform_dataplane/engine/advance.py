"""The pure function at the heart of the data plane.

`advance` decides from a graph, a state and observations alone: no clock, no randomness, no I/O. It moves the state
forward in place by exactly the changes that it returns, so that the work is proportional to what changed; replaying
those changes over the state as it was gives the same state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from flyteform_dataplane.engine import ends
from flyteform_dataplane.engine import items as item_life
from flyteform_dataplane.engine import nodes as node_life
from flyteform_dataplane.engine.commands import EXECUTION, QUEUE, WHOLE
from flyteform_dataplane.engine.events import events_of
from flyteform_dataplane.engine.observations import (
    AbortRequested,
    ArrayMeasured,
    AttemptFailed,
    AttemptRunning,
    AttemptStopped,
    AttemptSucceeded,
    AttemptUnfolded,
    AttemptWaiting,
    BranchDecided,
    CacheAnswered,
    CacheStored,
    NodeRefused,
    OutputsCollected,
    Started,
    TakenOver,
    TimerFired,
    WorkflowEntered,
)
from flyteform_dataplane.engine.phases import ItemPhase, NodePhase, WorkflowPhase
from flyteform_dataplane.engine.step import Step
from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_dataplane.engine.changes import Change
    from flyteform_dataplane.engine.commands import Command
    from flyteform_dataplane.engine.events import Event
    from flyteform_dataplane.engine.graph import Graph
    from flyteform_dataplane.engine.observations import (
        AttemptObservation,
        CacheObservation,
        NodeObservation,
        Observation,
    )
    from flyteform_dataplane.engine.state import Items, State


@record
class Advance:
    """What follows from observations: deltas for the log, and commands for the drivers."""

    graph: Graph
    changes: Sequence[Change]
    commands: Sequence[Command]

    @property
    def events(self) -> Sequence[Event]:
        """What people are told of it, derived when it is asked for: drivers tell what their log has."""
        return events_of(self.graph, self.changes)


def advance(graph: Graph, state: State, observations: Sequence[Observation]) -> Advance:
    """Fold the observations, in order, into the state; what doesn't fit the state any more is ignored."""
    step = Step(graph, state)
    for seen in observations:
        if state.phase.terminal:
            break
        match seen:
            case Started():
                if state.phase is WorkflowPhase.READY:
                    node_life.begin(step, seen.at)
            case AbortRequested():
                ends.abort(step, seen.cause, seen.at)
            case (
                TakenOver() | ArrayMeasured() | WorkflowEntered() | BranchDecided() | OutputsCollected() | NodeRefused()
            ):
                _observe_node(step, seen)
            case TimerFired(index=index) if index < 0:
                _observe_time(step, seen)
            case _:
                _observe_item(step, seen)
        if state.phase is not WorkflowPhase.READY:
            node_life.settle(step, seen.at)
    return Advance(graph, step.changes, step.commands)


def _observe_time(step: Step, seen: TimerFired) -> None:
    if seen.index == WHOLE and (seen.node == EXECUTION or seen.node in step.state.nodes):
        ends.expire(step, seen.node, seen.at)
    elif seen.index == QUEUE and seen.node in step.state.nodes:
        ends.expire_in_queue(step, seen.node, seen.at)


def _observe_node(step: Step, seen: NodeObservation) -> None:
    node = step.state.nodes.get(seen.node)
    if node is None or not node.phase.active:
        return
    match seen:
        case TakenOver():
            node_life.taken_over(step, seen)
        case ArrayMeasured():
            node_life.measured(step, seen.node, seen.size, seen.at)
        case WorkflowEntered():
            node_life.entered(step, seen.node, seen.at)
        case BranchDecided():
            node_life.decided(step, seen)
        case OutputsCollected():
            node_life.collected(step, seen.node, seen.at)
        case NodeRefused():
            if node.phase in (NodePhase.RECOVERING, NodePhase.PREPARING, NodePhase.SUCCEEDING):
                ends.fail_node(step, seen.node, seen.failure, seen.at)
        case _:
            assert_never(seen)


def _observe_item(step: Step, seen: AttemptWaiting | AttemptObservation | CacheObservation) -> None:
    items = step.items(seen.node)
    if items is None or not 0 <= seen.index < len(items):
        return
    if isinstance(seen, AttemptWaiting):
        item_life.waits(step, items, seen)
        return
    if isinstance(seen, AttemptRunning) and _is_first_sight(step, items, seen):
        ends.move(step, seen.node, NodePhase.RUNNING, seen.at)
    if isinstance(seen, TimerFired) and items.phases[seen.index] == ItemPhase.UNFOLDED:
        node_life.outlasted(step, seen.node, items, seen)
        return
    if not _move_item(step, items, seen):
        return
    if items.phases[seen.index] == ItemPhase.UNFOLDED:
        node_life.unfolded(step, seen.node, seen.at)
    else:
        key = seen.key if isinstance(seen, CacheAnswered | CacheStored) else b""
        node_life.look_again(step, seen.node, seen.at, key=key)


def _is_first_sight(step: Step, items: Items, seen: AttemptRunning) -> bool:
    return step.state.nodes[seen.node].phase is NodePhase.STARTING and seen.attempt == items.attempt(seen.index)


def _move_item(step: Step, items: Items, seen: AttemptObservation | CacheObservation) -> bool:
    record, node = step.node(seen.node)
    moved: bool
    match seen:
        case AttemptRunning():
            moved = item_life.running(step, items, seen)
        case AttemptSucceeded():
            moved = item_life.succeeded(step, items, seen, store=record.cacheable)
        case AttemptUnfolded():
            moved = item_life.unfolded(step, items, seen)
        case AttemptFailed():
            moved = item_life.failed(step, items, seen, retries=record.retries)
        case AttemptStopped():
            moved = item_life.stopped(step, items, seen, retries=record.retries)
        case TimerFired():
            moved = item_life.timed_out(step, items, seen)
        case CacheAnswered():
            moved = item_life.cache_answered(step, items, seen, queue=node.phase is NodePhase.RUNNING)
        case CacheStored():
            moved = item_life.stored(step, items, seen)
        case _:
            assert_never(seen)
    return moved
