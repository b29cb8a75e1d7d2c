"""Where an execution stands. The state changes only by `apply`, in place; a replay of the log gives it again."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING, assert_never

from flyteform_dataplane.engine.changes import (
    ArraySized,
    ItemChanged,
    ItemsStarted,
    ItemWaited,
    NodeChanged,
    WorkflowChanged,
)
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.graph import WORKING
from flyteform_dataplane.engine.phases import ItemPhase, NodePhase, WorkflowPhase

if TYPE_CHECKING:
    from flyteform_dataplane.engine.changes import Change
    from flyteform_dataplane.engine.graph import Graph

_ACTIVE = frozenset(phase for phase in NodePhase if phase.active)
_SLOTS = frozenset(phase for phase in NodePhase if phase.holds_slot)
_BAD = frozenset(phase for phase in NodePhase if phase.bad)
_GOOD = frozenset(phase for phase in NodePhase if phase.good)
_DONE = frozenset(phase for phase in ItemPhase if phase.terminal)
_QUEUEING = frozenset(phase for phase in NodePhase if phase.queueing)
# Where an item goes whose attempt has failed and that will have another one.
_AGAIN = frozenset({ItemPhase.QUEUED, ItemPhase.NEW})


class Items:
    """The items of one node: a byte for each item's phase and cache status, two for each count of failures."""

    __slots__ = (
        "aborted",
        "caches",
        "deadlines",
        "failed",
        "failures",
        "next",
        "phases",
        "succeeded",
        "systems",
        "users",
    )

    def __init__(self, size: int) -> None:
        self.phases = bytearray(size)
        self.caches = bytearray(size)
        self.users = array("H", bytes(2 * size))
        self.systems = array("H", bytes(2 * size))
        self.failures: dict[int, Failure] = {}
        self.deadlines: dict[int, float] = {}
        self.next = 0
        self.succeeded = 0
        self.failed = 0
        self.aborted = 0

    def __len__(self) -> int:
        return len(self.phases)

    @property
    def in_flight(self) -> int:
        """How many items have started and are not done."""
        return self.next - self.succeeded - self.failed - self.aborted

    def attempt(self, index: int) -> int:
        """Return the number of the item's current attempt, from 0."""
        return self.users[index] + self.systems[index]


class NodeState:
    """Where one node execution stands.

    `begun` is when it left NOT_STARTED, `queued` when it queued last, `remaining` counts the upstream nodes that are
    not done, `children` the nodes below it that are active.
    """

    __slots__ = ("begun", "children", "failure", "items", "phase", "queued", "remaining")

    def __init__(self, remaining: int) -> None:
        self.phase = NodePhase.NOT_STARTED
        self.remaining = remaining
        self.begun = 0.0
        self.queued = 0.0
        self.children = 0
        self.items: Items | None = None
        self.failure: Failure | None = None


class State:
    """Where an execution stands, its nodes by unique execution id. Nodes that nothing has reached have no entry."""

    __slots__ = ("active", "begun", "failure", "nodes", "phase", "slots", "unfolded", "waiting")

    def __init__(self) -> None:
        self.phase = WorkflowPhase.READY
        self.begun = 0.0
        self.failure: Failure | None = None
        self.nodes: dict[str, NodeState] = {}
        self.active = 0
        self.slots = 0
        # The dynamic nodes that have made nodes, in that order, and the attempts which did.
        self.unfolded: dict[str, list[int]] = {}
        # Who waits longest comes first, and anybody can leave, at no cost: a plain dict finds its first entry by
        # looking at all that have left before it.
        self.waiting: OrderedDict[str, None] = OrderedDict()

    def node(self, graph: Graph, node: str) -> NodeState:
        """Return the node's state, creating it."""
        state = self.nodes.get(node)
        if state is None:
            state = self.nodes[node] = NodeState(graph.nodes[node].upstream)
        return state


def apply(graph: Graph, state: State, change: Change) -> None:
    """Move the state by one change. The cost does not depend on the size of the state."""
    match change:
        case ItemChanged():
            _apply_item(graph, state, change)
        case NodeChanged():
            _apply_node(graph, state, change)
        case ItemsStarted():
            _apply_started(state, change)
        case ItemWaited():
            pass
        case ArraySized():
            state.node(graph, change.node).items = Items(change.size)
        case WorkflowChanged():
            if state.phase is WorkflowPhase.READY:
                state.begun = change.at
            state.phase = change.after
            if state.failure is None:
                state.failure = change.failure
        case _:
            assert_never(change)


def _apply_node(graph: Graph, state: State, change: NodeChanged) -> None:
    node, record = state.node(graph, change.node), graph.nodes[change.node]
    before, after = node.phase, change.after
    node.phase = after
    if before is NodePhase.NOT_STARTED:
        node.begun = change.at
    node.failure = change.failure or node.failure
    activated = (after in _ACTIVE) - (before in _ACTIVE)
    state.active += activated
    if record.kind in WORKING:
        # What a dynamic task made has slots of its own; the task would otherwise keep them from these.
        made = bool(state.unfolded) and _has_made(state, change.node, node)
        held = before in _SLOTS and (not made or after is NodePhase.DYNAMIC_RUNNING)
        state.slots += (after in _SLOTS and not made) - held
    if after in _QUEUEING:
        _queue(state, node, change)
    elif before in _QUEUEING:
        del state.waiting[change.node]
    above = state.nodes[record.parent] if record.parent else None
    if above is not None:
        above.children += activated
    if after in _BAD:
        if above is None:
            state.failure = state.failure or change.failure
        else:
            above.failure = above.failure or change.failure
    if after in _GOOD:
        for downstream in record.downstream:
            state.node(graph, downstream).remaining -= 1


def _queue(state: State, node: NodeState, change: NodeChanged) -> None:
    state.waiting[change.node] = None
    node.queued = change.at
    if change.after is NodePhase.REQUEUED:
        node.failure = None  # that of the attempt before


def _has_made(state: State, name: str, node: NodeState) -> bool:
    """Whether the current attempt of the node has made nodes."""
    attempts = state.unfolded.get(name)
    return attempts is not None and node.items is not None and attempts[-1] == node.items.attempt(0)


def _apply_started(state: State, change: ItemsStarted) -> None:
    items = state.nodes[change.node].items
    if items is not None:
        end = change.first + change.count
        items.phases[change.first : end] = bytes((change.after,)) * change.count
        items.next = end


def _apply_item(graph: Graph, state: State, change: ItemChanged) -> None:
    items = state.nodes[change.node].items
    if items is None:
        return
    index, after = change.index, change.after
    items.phases[index] = after
    if after is ItemPhase.UNFOLDED:
        state.unfolded.setdefault(change.node, []).append(change.attempt)
    if change.cache:
        items.caches[index] = change.cache
    if after is ItemPhase.RUNNING and (timeout := graph.nodes[change.node].timeout):
        items.deadlines[index] = change.at + timeout
    elif items.deadlines and after is not ItemPhase.UNFOLDED:
        items.deadlines.pop(index, None)
    if change.failure is not None:
        _count_failure(items, change, change.failure)
    if after in _DONE:
        items.succeeded += after is ItemPhase.SUCCEEDED
        items.failed += after is ItemPhase.FAILED
        items.aborted += after is ItemPhase.ABORTED


def _count_failure(items: Items, change: ItemChanged, failure: Failure) -> None:
    if change.after is ItemPhase.FAILED:
        items.failures[change.index] = failure
    elif change.after in _AGAIN:
        counts = items.systems if failure.kind is FailureKind.SYSTEM else items.users
        counts[change.index] += 1
