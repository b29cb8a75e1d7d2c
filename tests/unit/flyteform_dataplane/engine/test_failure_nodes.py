"""Failure nodes in the engine: they run after the clean-up, and the workflow fails all the same."""

from __future__ import annotations

import pytest

from flyteform_dataplane.engine import pending
from flyteform_dataplane.engine.commands import EnterWorkflow, StartAttempt, StopAttempt
from flyteform_dataplane.engine.events import NodeEvent, WorkflowEvent
from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.observations import (
    AbortRequested,
    AttemptFailed,
    AttemptStopped,
    AttemptSucceeded,
    OutputsCollected,
    Started,
    WorkflowEntered,
)
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from support.closures import Flow
from support.engine import Engine

FATAL = Failure("Fatal", "for good")
OTHER = Failure("Other", "the failure node failed too")


def failing(name: str = "wf") -> Flow:
    """Return a workflow of two tasks with a failure node."""
    return Flow(name=name).task("a").task("b").on_failure("fn0")


def test_runs_when_all_else_is_gone() -> None:
    """The failure node begins after the last sibling has ended; the execution then ends with the first failure."""
    engine = Engine(failing(), max_parallelism=2)
    engine.see(Started(1))
    assert engine.see(AttemptFailed("a", 0, 0, FATAL, 2)).commands == [StopAttempt("b", 0, 0)]
    step = engine.see(AttemptStopped("b", 0, 0, 3))
    assert step.commands == [StartAttempt("fn0", 0, 0)]
    assert pending(engine.graph, engine.state) == [StartAttempt("fn0", 0, 0)]
    assert engine.state.phase is WorkflowPhase.FAILING
    step = engine.see(AttemptSucceeded("fn0", 0, 0, 4))
    assert step.events[-2:] == [
        NodeEvent("fn0", NodePhase.SUCCEEDED, 4),
        WorkflowEvent(WorkflowPhase.FAILED, 4, FATAL),
    ]


def test_its_own_failure_changes_nothing() -> None:
    """A failure node that fails leaves the first failure as the execution's."""
    engine = Engine(Flow(finish_others=True).task("a").on_failure("fn0"))
    engine.see(Started(1), AttemptFailed("a", 0, 0, FATAL, 2), AttemptFailed("fn0", 0, 0, OTHER, 3))
    assert engine.phase("fn0") is NodePhase.FAILED
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure == FATAL


def test_does_not_run_without_a_failure() -> None:
    """An execution that succeeds, or that is aborted, never reaches its failure node."""
    engine = Engine(failing())
    engine.see(Started(1), AttemptSucceeded("a", 0, 0, 2), AttemptSucceeded("b", 0, 0, 2))
    engine.see(OutputsCollected("end-node", 3))
    assert engine.state.phase is WorkflowPhase.SUCCEEDED
    aborted = Engine(failing())
    aborted.see(Started(1), AbortRequested(2, "enough"), AttemptStopped("a", 0, 0, 3), AttemptStopped("b", 0, 0, 3))
    assert aborted.state.phase is WorkflowPhase.ABORTED
    assert {one.phase("fn0") for one in (engine, aborted)} == {NodePhase.NOT_STARTED}


def test_abort_while_it_runs() -> None:
    """An abort ends the failure node too."""
    engine = Engine(Flow().task("a").on_failure("fn0"))
    engine.see(Started(1), AttemptFailed("a", 0, 0, FATAL, 2))
    assert engine.see(AbortRequested(3, "enough")).commands == [StopAttempt("fn0", 0, 0)]
    engine.see(AttemptStopped("fn0", 0, 0, 4))
    assert engine.state.phase is WorkflowPhase.ABORTED


@pytest.mark.parametrize("end", [AttemptSucceeded("s-0-fn0", 0, 0, 4), AttemptFailed("s-0-fn0", 0, 0, OTHER, 4)])
def test_a_sub_workflow_has_its_own(end: AttemptSucceeded | AttemptFailed) -> None:
    """The failure node of a sub-workflow runs below its node, before that fails; then comes the outer one."""
    engine = Engine(Flow().sub("s", Flow(name="inner").task("a").on_failure("fn0")).on_failure("fn1"))
    engine.see(Started(1), WorkflowEntered("s", 2))
    assert engine.see(AttemptFailed("s-0-a", 0, 0, FATAL, 3)).commands == [StartAttempt("s-0-fn0", 0, 0)]
    assert engine.phase("s") is NodePhase.FAILING
    assert engine.see(end).commands == [StartAttempt("fn1", 0, 0)]
    assert engine.phase("s") is NodePhase.FAILED
    engine.see(AttemptSucceeded("fn1", 0, 0, 5))
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure == FATAL


def test_a_sub_workflow_as_failure_node() -> None:
    """A failure node may be a sub-workflow, whose nodes run though the execution is failing."""
    flow = Flow().task("a").sub("fn0", Flow(name="inner").task("t")).on_failure("fn0")
    engine = Engine(flow)
    engine.see(Started(1))
    assert engine.see(AttemptFailed("a", 0, 0, FATAL, 2)).commands == [EnterWorkflow("fn0")]
    assert engine.see(WorkflowEntered("fn0", 3)).commands == [StartAttempt("fn0-0-t", 0, 0)]
