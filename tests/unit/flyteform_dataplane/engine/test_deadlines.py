"""Deadlines of attempts, nodes and executions, and attempts that may be interrupted."""

from __future__ import annotations

import pytest

from flyteform_dataplane.engine import pending
from flyteform_dataplane.engine.commands import EXECUTION, QUEUE, WHOLE, SetTimer, StartAttempt, StopAttempt
from flyteform_dataplane.engine.events import ArrayEvent, NodeEvent, TaskEvent, TaskPhase
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.engine.graph import Deadlines
from flyteform_dataplane.engine.observations import (
    ArrayMeasured,
    AttemptFailed,
    AttemptRunning,
    AttemptStopped,
    AttemptSucceeded,
    Started,
    TimerFired,
    WorkflowEntered,
)
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from support.closures import Flow, integers
from support.engine import Engine

GONE = Failure("Gone", "the machine went away", FailureKind.SYSTEM, recoverable=True)
BOOM = Failure("Boom", "it broke", recoverable=True)


def test_a_node_that_takes_too_long_is_timed_out() -> None:
    """Its attempt is stopped first; then the node is TIMED_OUT and the execution has failed with Flyte's code."""
    engine = Engine(Flow().task("a", retries=5).task("b", after=["a"]), deadlines=Deadlines(node=60))
    step = engine.see(Started(1))
    assert SetTimer("a", WHOLE, 0, 61) in step.commands
    engine.see(AttemptRunning("a", 0, 0, 2))
    engine.see(AttemptFailed("a", 0, 0, BOOM, 50), AttemptRunning("a", 0, 1, 51))
    assert engine.see(TimerFired("a", WHOLE, 0, 60)).changes == []
    step = engine.see(TimerFired("a", WHOLE, 0, 61))
    assert step.commands == [StopAttempt("a", 0, 1)]
    assert not [event for event in step.events if isinstance(event, NodeEvent)]
    step = engine.see(AttemptStopped("a", 0, 1, 62))
    tasks = [event.phase for event in step.events if isinstance(event, TaskEvent)]
    assert tasks == [TaskPhase.ABORTED]
    assert [event.phase for event in step.events if isinstance(event, NodeEvent)] == [NodePhase.TIMED_OUT]
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure is not None
    assert engine.state.failure.code == "TimeoutExpired"


def test_a_node_that_ends_in_time_is_left_alone() -> None:
    """The timer of a node that has ended changes nothing."""
    engine = Engine(Flow().task("a").task("b", after=["a"]), deadlines=Deadlines(node=60))
    engine.see(Started(1), AttemptSucceeded("a", 0, 0, 30))
    assert engine.see(TimerFired("a", WHOLE, 0, 61)).changes == []
    assert engine.phase("b") is NodePhase.STARTING


def test_a_queue_counts_too() -> None:
    """A node that waits for its turn longer than it may never runs."""
    engine = Engine(Flow().task("a").task("b"), max_parallelism=1, deadlines=Deadlines(node=60))
    engine.see(Started(1), AttemptRunning("a", 0, 0, 2))
    waiting = "b" if engine.phase("b") is NodePhase.QUEUED else "a"
    engine.see(TimerFired(waiting, WHOLE, 0, 61))
    assert engine.phase(waiting) is NodePhase.TIMED_OUT


def test_waiting_alone_has_a_deadline_too() -> None:
    """Who queues longer than it may ends, whether it waits for its turn or for a machine; what runs is left alone."""
    engine = Engine(Flow().task("a").task("b"), max_parallelism=1, deadlines=Deadlines(queue=60))
    step = engine.see(Started(1))
    assert {SetTimer("a", QUEUE, 0, 61), SetTimer("b", QUEUE, 0, 61)} <= set(step.commands)
    waiting, starting = ("b", "a") if engine.phase("b") is NodePhase.QUEUED else ("a", "b")
    assert engine.see(TimerFired(starting, QUEUE, 0, 60)).changes == []
    engine.see(AttemptRunning(starting, 0, 0, 60))
    assert SetTimer(waiting, QUEUE, 0, 61) in pending(engine.graph, engine.state)
    assert engine.see(TimerFired(starting, QUEUE, 0, 61)).changes == []
    step = engine.see(TimerFired(waiting, QUEUE, 0, 61))
    assert engine.phase(waiting) is NodePhase.TIMED_OUT
    failures = [event.failure for event in step.events if isinstance(event, NodeEvent) and event.failure]
    assert "queued longer than it may [60s]" in failures[0].message


def test_a_machine_that_never_comes() -> None:
    """An attempt that is never seen to run is stopped when its node has queued long enough."""
    engine = Engine(Flow().task("a", retries=3), deadlines=Deadlines(queue=60))
    engine.see(Started(1))
    assert engine.see(TimerFired("a", QUEUE, 0, 61)).commands == [StopAttempt("a", 0, 0)]
    engine.see(AttemptStopped("a", 0, 0, 62))
    assert (engine.phase("a"), engine.state.phase) == (NodePhase.TIMED_OUT, WorkflowPhase.FAILED)


def test_an_array_that_never_ran_has_no_task_to_end() -> None:
    """The end of a map whose time is up before it began is told of its node alone."""
    engine = Engine(Flow().map("a", {"x": integers()}), deadlines=Deadlines(node=60))
    engine.see(Started(1))
    step = engine.see(TimerFired("a", WHOLE, 0, 61))
    assert [event.phase for event in step.events if isinstance(event, NodeEvent)] == [NodePhase.TIMED_OUT]
    assert not [event for event in step.events if isinstance(event, TaskEvent | ArrayEvent)]


def test_a_failure_node_has_a_deadline() -> None:
    """A failure node that never ends does not keep the execution from its end."""
    engine = Engine(Flow().task("a").on_failure("f"), deadlines=Deadlines(node=60))
    engine.see(Started(1))
    step = engine.see(AttemptFailed("a", 0, 0, Failure("Fatal", "for good"), 10))
    assert SetTimer("f", WHOLE, 0, 70) in step.commands
    engine.see(TimerFired("f", WHOLE, 0, 70), AttemptStopped("f", 0, 0, 71))
    assert engine.state.phase is WorkflowPhase.FAILED


def test_an_array_that_takes_too_long() -> None:
    """All that is in flight of an array is stopped, and no other item begins."""
    engine = Engine(Flow().map("a", {"x": integers()}, parallelism=2), deadlines=Deadlines(node=60))
    engine.see(Started(1), ArrayMeasured("a", 5, 2), AttemptSucceeded("a", 0, 0, 3))
    step = engine.see(TimerFired("a", WHOLE, 0, 61))
    assert set(step.commands) == {StopAttempt("a", 1, 0), StopAttempt("a", 2, 0)}
    engine.see(AttemptStopped("a", 1, 0, 62))
    engine.see(AttemptStopped("a", 2, 0, 63))
    assert engine.phase("a") is NodePhase.TIMED_OUT
    assert engine.state.phase is WorkflowPhase.FAILED


def test_a_sub_workflow_that_takes_too_long() -> None:
    """What runs below the node ends first; the deadline holds for the nodes below too."""
    flow = Flow().sub("s", Flow(name="inner").task("a"))
    engine = Engine(flow, deadlines=Deadlines(node=60))
    engine.see(Started(1), WorkflowEntered("s", 20))
    step = engine.see(TimerFired("s", WHOLE, 0, 61))
    assert step.commands == [StopAttempt("s-0-a", 0, 0)]
    engine.see(AttemptStopped("s-0-a", 0, 0, 62))
    assert (engine.phase("s-0-a"), engine.phase("s")) == (NodePhase.ABORTED, NodePhase.TIMED_OUT)


def test_an_execution_that_takes_too_long() -> None:
    """The execution fails, and what runs is stopped; before its time the timer changes nothing."""
    engine = Engine(Flow().task("a"), deadlines=Deadlines(workflow=100))
    step = engine.see(Started(1))
    assert SetTimer(EXECUTION, WHOLE, 0, 101) in step.commands
    assert engine.see(TimerFired(EXECUTION, WHOLE, 0, 100)).changes == []
    step = engine.see(TimerFired(EXECUTION, WHOLE, 0, 101))
    assert step.commands == [StopAttempt("a", 0, 0)]
    engine.see(AttemptStopped("a", 0, 0, 102))
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure is not None
    assert engine.state.failure.code == "TimeoutExpired"


def test_timers_are_set_again_after_a_crash() -> None:
    """The times that were set are derived from the state: they do not begin anew."""
    engine = Engine(Flow().task("a"), deadlines=Deadlines(attempt=10, node=60, workflow=100))
    engine.see(Started(1), AttemptRunning("a", 0, 0, 5))
    timers = {command for command in pending(engine.graph, engine.state) if isinstance(command, SetTimer)}
    assert timers == {SetTimer(EXECUTION, WHOLE, 0, 101), SetTimer("a", WHOLE, 0, 61), SetTimer("a", 0, 0, 15)}


def test_a_tasks_own_timeout_counts_before_the_platforms() -> None:
    """The deadline of attempts is for tasks that have none of their own."""
    engine = Engine(Flow().task("a", timeout=3).task("b"), deadlines=Deadlines(attempt=10))
    assert (engine.graph.nodes["a"].timeout, engine.graph.nodes["b"].timeout) == (3, 10)


@pytest.mark.parametrize(("execution", "task", "node", "expected"), [
    (None, None, None, False), (True, None, None, True), (True, False, None, False), (None, True, None, True),
    (True, True, False, False), (False, False, True, True),
])  # fmt: skip
def test_who_says_whether_attempts_may_be_interrupted(
    execution: bool | None, task: bool | None, node: bool | None, expected: bool
) -> None:
    """The node counts before the task, and the task before the execution."""
    flow = Flow().task("a")
    if task is not None:
        flow.closure.tasks[0].template.metadata.interruptible = task
    if node is not None:
        flow.closure.primary.template.nodes[-1].metadata.interruptible = node
    assert Engine(flow, interruptible=execution).graph.nodes["a"].interruptible is expected


def test_the_last_attempt_cannot_be_interrupted() -> None:
    """After two failures of the platform the next attempt is on stable machines; failures of the user do not count."""
    engine = Engine(Flow().task("a", retries=3), interruptible=True)
    seen = [engine.see(Started(1)).commands]
    for attempt, failure in enumerate((GONE, BOOM, GONE)):
        seen.append(engine.see(AttemptFailed("a", 0, attempt, failure, 2 + attempt)).commands)
    starts = [command for commands in seen for command in commands if isinstance(command, StartAttempt)]
    assert [start.interruptible for start in starts] == [True, True, True, False]
