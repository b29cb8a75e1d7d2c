"""The phases of workflows, nodes and items. The numbers are written to the log: append, never renumber.

What a phase means is looked up by its number, as the engine asks for it many times in each step.
"""

from __future__ import annotations

from enum import IntEnum


class WorkflowPhase(IntEnum):
    """Where an execution stands."""

    READY = 0
    RUNNING = 1
    SUCCEEDING = 2
    SUCCEEDED = 3
    FAILING = 4
    FAILED = 5
    ABORTING = 6
    ABORTED = 7

    @property
    def terminal(self) -> bool:
        """Nothing happens to the execution any more."""
        return _ENDED[self]

    @property
    def stopping(self) -> bool:
        """What runs is being ended and nothing new starts."""
        return _STOPPING[self]


class NodePhase(IntEnum):
    """Where a node execution stands.

    PREPARING looks at the inputs before the node queues (the cache is asked, an array is measured); STARTING has its
    place among the running nodes but no attempt has been seen to run. DYNAMIC_RUNNING is a task that has made nodes,
    while these run. RECOVERING takes over what a former execution has of the node, and RECOVERED has done so.
    TIMING_OUT ends what it started, as its time is up, and TIMED_OUT has done so. RETRYING ends the rest of what an
    attempt of a dynamic task made, as a part of it has failed, and REQUEUED waits for the turn of the next attempt.
    """

    NOT_STARTED = 0
    PREPARING = 1
    QUEUED = 2
    STARTING = 3
    RUNNING = 4
    SUCCEEDING = 5
    SUCCEEDED = 6
    FAILING = 7
    FAILED = 8
    ABORTING = 9
    ABORTED = 10
    SKIPPED = 11
    DYNAMIC_RUNNING = 12
    RECOVERING = 13
    RECOVERED = 14
    TIMING_OUT = 15
    TIMED_OUT = 16
    RETRYING = 17
    REQUEUED = 18

    @property
    def terminal(self) -> bool:
        """The node is done."""
        return _TERMINAL[self]

    @property
    def good(self) -> bool:
        """The node is done and its outputs are there."""
        return _GOOD[self]

    @property
    def bad(self) -> bool:
        """The node is done and the workflow suffers by it."""
        return _BAD[self]

    @property
    def active(self) -> bool:
        """The node has started and is not done."""
        return _ACTIVE[self]

    @property
    def open(self) -> bool:
        """Nodes below the node may begin."""
        return _OPEN[self]

    @property
    def queueing(self) -> bool:
        """The node waits for its turn among those that run."""
        return _QUEUEING[self]

    @property
    def holds_slot(self) -> bool:
        """The node counts against the parallelism of its execution."""
        return _HOLDING[self]


class ItemPhase(IntEnum):
    """Where one item of a node stands; a plain task is one item, a map has one for each index.

    UNFOLDED is the item of a dynamic task that has made nodes: its outputs are those of these.
    """

    NEW = 0
    CHECKING_CACHE = 1
    QUEUED = 2
    RUNNING = 3
    STORING = 4
    STOPPING = 5
    TIMING_OUT = 6
    SUCCEEDED = 7
    FAILED = 8
    ABORTED = 9
    UNFOLDED = 10

    @property
    def attempting(self) -> bool:
        """An attempt has been commanded and has not ended."""
        return _ATTEMPTING[self]

    @property
    def being_stopped(self) -> bool:
        """An attempt is being ended."""
        return _BEING_STOPPED[self]

    @property
    def terminal(self) -> bool:
        """The item is done."""
        return _DONE[self]


def _table(*phases: IntEnum) -> tuple[bool, ...]:
    """Say of every phase of a kind, by its number, whether it is one of these."""
    return tuple(phase in phases for phase in type(phases[0]))


_ENDED = _table(WorkflowPhase.SUCCEEDED, WorkflowPhase.FAILED, WorkflowPhase.ABORTED)
_STOPPING = _table(WorkflowPhase.FAILING, WorkflowPhase.ABORTING)
_GOOD = _table(NodePhase.SUCCEEDED, NodePhase.RECOVERED)
_BAD = _table(NodePhase.FAILED, NodePhase.TIMED_OUT)
_TERMINAL = tuple(phase.good or phase.bad or phase in (NodePhase.ABORTED, NodePhase.SKIPPED) for phase in NodePhase)
_ACTIVE = tuple(phase is not NodePhase.NOT_STARTED and not phase.terminal for phase in NodePhase)
_OPEN = _table(NodePhase.RUNNING, NodePhase.DYNAMIC_RUNNING)
_QUEUEING = _table(NodePhase.QUEUED, NodePhase.REQUEUED)
_HOLDING = _table(
    *(NodePhase.STARTING, NodePhase.RUNNING),
    *(NodePhase.SUCCEEDING, NodePhase.FAILING, NodePhase.TIMING_OUT),
)
_ATTEMPTING = _table(ItemPhase.QUEUED, ItemPhase.RUNNING)
_BEING_STOPPED = _table(ItemPhase.STOPPING, ItemPhase.TIMING_OUT)
_DONE = _table(ItemPhase.SUCCEEDED, ItemPhase.FAILED, ItemPhase.ABORTED)


class Wait(IntEnum):
    """What an attempt that does not run yet waits for; Flyte's `TaskExecution.Phase`, with its numbers.

    A place among those that run, what a machine prepares for it, or room that it was refused.
    """

    QUEUED = 1
    INITIALIZING = 6
    WAITING_FOR_RESOURCES = 7


class CacheStatus(IntEnum):
    """Flyte's `CatalogCacheStatus`, with its numbers."""

    DISABLED = 0
    MISS = 1
    HIT = 2
    POPULATED = 3
    LOOKUP_FAILURE = 4
    PUT_FAILURE = 5
    SKIPPED = 6
