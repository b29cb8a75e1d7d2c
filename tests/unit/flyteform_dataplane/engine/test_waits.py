"""What is told of attempts that wait before they run."""

from __future__ import annotations

from flyteform_dataplane.engine.commands import StopAttempt
from flyteform_dataplane.engine.events import ArrayEvent, ItemProgress, NodeEvent, TaskEvent, TaskPhase
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.observations import (
    AbortRequested,
    ArrayMeasured,
    AttemptFailed,
    AttemptRunning,
    AttemptStopped,
    AttemptWaiting,
    Started,
)
from flyteform_dataplane.engine.phases import NodePhase, Wait
from support.closures import Flow, integers
from support.engine import Engine

GONE = Failure("Gone", "away", FailureKind.SYSTEM, recoverable=True)
ENOUGH = Failure("ExecutionAborted", "enough")
NO_ROOM, QUEUED = Wait.WAITING_FOR_RESOURCES, Wait.QUEUED


def test_a_wait_is_told_and_moves_nothing() -> None:
    """Each with its reason and Flyte's phase, also of a later attempt; the attempt goes on as it would have."""
    engine = Engine(Flow().task("a"))
    engine.see(Started(1))
    step = engine.see(AttemptWaiting("a", 0, 0, NO_ROOM, "full", 2))
    assert step.commands == []
    assert step.events == [TaskEvent("a", 0, TaskPhase.WAITING_FOR_RESOURCES, 2, reason="full")]
    assert engine.phase("a") is NodePhase.STARTING
    assert engine.see(AttemptWaiting("a", 0, 0, Wait.INITIALIZING, "no image", 3)).events == [
        TaskEvent("a", 0, TaskPhase.INITIALIZING, 3, reason="no image")
    ]
    assert engine.see(AttemptRunning("a", 0, 0, 4)).events == [
        NodeEvent("a", NodePhase.RUNNING, 4),
        TaskEvent("a", 0, TaskPhase.RUNNING, 4),
    ]
    engine.see(AttemptFailed("a", 0, 0, GONE, 5))
    assert engine.see(AttemptWaiting("a", 0, 1, QUEUED, "no node", 6)).events == [
        TaskEvent("a", 1, TaskPhase.QUEUED, 6, reason="no node")
    ]


def test_a_wait_that_comes_late_is_not_told() -> None:
    """Nothing goes back to waiting: neither what runs, nor what is being stopped, nor an attempt that is over."""
    engine = Engine(Flow().task("a"))
    late = AttemptWaiting("a", 0, 0, NO_ROOM, "full", 9)
    engine.see(Started(1), AttemptRunning("a", 0, 0, 2))
    assert engine.see(late).changes == []
    engine.see(AttemptFailed("a", 0, 0, GONE, 3))
    assert engine.see(late).changes == []
    assert engine.see(AbortRequested(4, "enough")).commands == [StopAttempt("a", 0, 1)]
    assert engine.see(AttemptWaiting("a", 0, 1, NO_ROOM, "full", 9)).changes == []
    assert engine.see(AttemptStopped("a", 0, 1, 10)).events[0] == TaskEvent("a", 1, TaskPhase.ABORTED, 10, ENOUGH)


def test_items_that_wait_are_one_event() -> None:
    """The event of an array names those that wait, and why, as far as no other item has said so."""
    engine = Engine(Flow().map("a", {"x": integers(1, 2, 3)}))
    engine.see(Started(1), ArrayMeasured("a", 3, 2))
    step = engine.see(
        AttemptWaiting("a", 0, 0, NO_ROOM, "full", 3),
        AttemptWaiting("a", 2, 0, NO_ROOM, "", 4),
    )
    waiting = TaskPhase.WAITING_FOR_RESOURCES
    items = (ItemProgress(0, 0, waiting, reason="full"), ItemProgress(2, 0, waiting))
    assert step.events == [ArrayEvent("a", TaskPhase.RUNNING, 3, items)]
