"""Deadlines, held against what an execution's log says of its times. Shares no code with the engine's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.engine.changes import ItemChanged, NodeChanged, WorkflowChanged
from flyteform_dataplane.engine.phases import ItemPhase, NodePhase, WorkflowPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_dataplane.engine.changes import Change
    from flyteform_dataplane.engine.graph import NodeRecord
    from support.oracle import Limits
    from support.simulation import Simulation

# How late a timer may be told where the world has faults, and where it has none but much is told at once; and a
# hair's breadth for sums of times.
_LATE, _TOGETHER, _HAIR = 60.0, 30.0, 1e-3
_WAITING = (NodePhase.QUEUED, NodePhase.REQUEUED, NodePhase.STARTING)
_RUNS = (NodePhase.STARTING, NodePhase.RUNNING)
_QUEUEING = (NodePhase.QUEUED, NodePhase.REQUEUED)
_WELL = (NodePhase.SUCCEEDING, NodePhase.SUCCEEDED)
_ENDING = (NodePhase.TIMING_OUT, NodePhase.TIMED_OUT)


class Punctuality:
    """Nothing is given up before its time, and nothing goes on long after it."""

    def __init__(self, simulation: Simulation, limits: Limits) -> None:
        self._simulation = simulation
        self._limits = limits
        self._late = _LATE if simulation.faults.lose else _TOGETHER
        self._running = False
        self._begun = 0.0
        self._nodes: dict[str, float] = {}
        self._queued: dict[str, float] = {}
        self._items: dict[tuple[str, int], float] = {}

    def take(self, changes: Sequence[Change]) -> None:
        """Look at the changes of one step."""
        for change in changes:
            match change:
                case WorkflowChanged():
                    self._workflow(change)
                case NodeChanged():
                    self._node(change)
                case ItemChanged():
                    self._item(change)

    def _workflow(self, change: WorkflowChanged) -> None:
        limit, due = self._limits.workflow, self._begun + self._limits.workflow
        self._running = change.after is WorkflowPhase.RUNNING
        if self._running:
            self._begun = change.at
        elif (
            change.after is WorkflowPhase.FAILING and change.failure and "the execution took" in change.failure.message
        ):
            assert limit, "an execution without a deadline was given up"
            assert change.at >= due - _HAIR, "the execution was given up too soon"

    def _node(self, change: NodeChanged) -> None:
        name, limits = change.node, self._limits
        if self._running and limits.workflow:
            assert change.at <= self._begun + limits.workflow + self._late, "the execution went on after its time"
        if change.before is NodePhase.NOT_STARTED:
            self._nodes[name] = change.at
        if change.after in _QUEUEING:
            self._queued[name] = change.at
        own, queue = self._nodes[name] + limits.node, self._queued.get(name, 0.0) + limits.queue
        if change.after in _ENDING and change.before not in _ENDING:
            whole, waiting = bool(limits.node), bool(limits.queue) and name in self._queued
            soonest = min((due for due, on in ((own, whole), (queue, waiting)) if on), default=None)
            assert soonest is not None, f"{name} was given up without a deadline"
            assert change.at >= soonest - _HAIR, f"{name} was given up too soon"
        elif change.after in _WELL and change.before not in _WELL and limits.node:
            assert change.at <= own + self._late, f"{name} went on after its time"
        elif change.before in _WAITING and change.after in _RUNS and limits.queue and self._counts(name):
            assert change.at <= queue + self._late, f"{name} ran after its time to wait"
        if change.before is NodePhase.DYNAMIC_RUNNING and change.after in (NodePhase.SUCCEEDING, NodePhase.RETRYING):
            self._made(change)

    def _made(self, change: NodeChanged) -> None:
        """Judge the end of what an attempt of a dynamic task made: it ends with the attempt's time."""
        limit, began = self._record(change.node).timeout, self._items.get((change.node, 0))
        if limit and began is not None:
            assert change.at <= began + limit + self._late, f"{change.node} waited for its parts after its time"

    def _counts(self, name: str) -> bool:
        """Whether waiting in the queue is limited for the node: gates do not queue."""
        return self._record(name).gate is None

    def _record(self, name: str) -> NodeRecord:
        return self._simulation.context.graph.nodes[name]

    def _item(self, change: ItemChanged) -> None:
        item, limit = (change.node, change.index), self._record(change.node).timeout
        if self._record(change.node).sleeps:
            return
        if change.after is ItemPhase.TIMING_OUT:
            assert limit, f"{item} was stopped without a deadline"
            assert change.at >= self._items[item] + limit - _HAIR, f"{item} was stopped too soon"
        elif change.before is ItemPhase.RUNNING and change.after in (ItemPhase.SUCCEEDED, ItemPhase.STORING) and limit:
            assert change.at <= self._items[item] + limit + self._late, f"{item} went on after its time"
        if change.after is ItemPhase.RUNNING:
            self._items[item] = change.at
        elif change.after in (ItemPhase.QUEUED, ItemPhase.NEW, ItemPhase.TIMING_OUT):
            self._items.pop(item, None)
