"""Branch nodes in the engine: the node taken runs, the others are skipped, and the branch ends as it does."""

from __future__ import annotations

from flyteform_dataplane.engine import pending
from flyteform_dataplane.engine.commands import CollectOutputs, DecideBranch, EnterWorkflow, StartAttempt, StopAttempt
from flyteform_dataplane.engine.events import NodeEvent
from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.observations import (
    AbortRequested,
    AttemptFailed,
    AttemptStopped,
    AttemptSucceeded,
    BranchDecided,
    OutputsCollected,
    Started,
    WorkflowEntered,
)
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from support.closures import Flow, compare, promise
from support.engine import Engine

FATAL = Failure("Fatal", "for good")


def branched() -> Flow:
    """Return a branch between a task and a sub-workflow, and a task after it."""
    flow = Flow().task("ba").sub("bb", Flow(name="inner").task("t"))
    return flow.branch("b", {"x": 1}, [(compare("x", "GT", 0), "ba"), (None, "bb")]).task("z", after=["b"])


def test_the_node_taken_runs_and_the_others_are_skipped() -> None:
    """One node begins, the other is SKIPPED below the branch; its end has the outputs collected, then the next goes."""
    engine = Engine(branched())
    assert engine.see(Started(1)).commands == [DecideBranch("b")]
    assert pending(engine.graph, engine.state) == [DecideBranch("b")]
    step = engine.see(BranchDecided("b", 0, 2))
    assert step.commands == [StartAttempt("b-0-ba", 0, 0)]
    assert step.events == [
        NodeEvent("b", NodePhase.QUEUED, 2),
        NodeEvent("b", NodePhase.RUNNING, 2),
        NodeEvent("b-0-bb", NodePhase.SKIPPED, 2),
        NodeEvent("b-0-ba", NodePhase.QUEUED, 2),
    ]
    assert engine.see(BranchDecided("b", 1, 2)).changes == []
    assert engine.see(AttemptSucceeded("b-0-ba", 0, 0, 3)).commands == [CollectOutputs("b")]
    assert pending(engine.graph, engine.state) == [CollectOutputs("b")]
    assert engine.see(OutputsCollected("b", 4)).commands == [StartAttempt("z", 0, 0)]


def test_a_sub_workflow_as_a_case() -> None:
    """A branch may take a sub-workflow, whose nodes run below the node taken; its failure is the branch's."""
    engine = Engine(branched())
    engine.see(Started(1))
    assert engine.see(BranchDecided("b", 1, 2)).commands == [EnterWorkflow("b-0-bb")]
    assert engine.see(WorkflowEntered("b-0-bb", 3)).commands == [StartAttempt("b-0-bb-0-t", 0, 0)]
    engine.see(AttemptFailed("b-0-bb-0-t", 0, 0, FATAL, 4))
    assert {engine.phase(node) for node in ("b-0-bb-0-t", "b-0-bb", "b")} == {NodePhase.FAILED}
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure == FATAL


def test_no_case_is_met() -> None:
    """A branch that takes none skips all its nodes and fails."""
    engine = Engine(branched())
    engine.see(Started(1), BranchDecided("b", -1, 2, FATAL))
    assert {engine.phase(node) for node in ("b-0-ba", "b-0-bb")} == {NodePhase.SKIPPED}
    assert engine.phase("b") is NodePhase.FAILED
    assert engine.state.failure == FATAL


def test_abort_while_the_node_taken_runs() -> None:
    """An abort ends the node taken, then the branch; a skipped node stays so."""
    engine = Engine(branched())
    engine.see(Started(1), BranchDecided("b", 0, 2))
    assert engine.see(AbortRequested(3, "enough")).commands == [StopAttempt("b-0-ba", 0, 0)]
    engine.see(AttemptStopped("b-0-ba", 0, 0, 4))
    assert {engine.phase(node) for node in ("b-0-ba", "b")} == {NodePhase.ABORTED}
    assert engine.phase("b-0-bb") is NodePhase.SKIPPED
    assert engine.state.phase is WorkflowPhase.ABORTED


def test_a_branch_waits_for_what_its_nodes_need() -> None:
    """The inputs of a node inside are there before the branch chooses, though only that node names them."""
    flow = Flow().task("a").task("ba", {"x": promise("a", "o")})
    engine = Engine(flow.branch("b", {"x": 1}, [(compare("x", "GT", 0), "ba")]))
    assert engine.see(Started(1)).commands == [StartAttempt("a", 0, 0)]
    assert engine.see(AttemptSucceeded("a", 0, 0, 2)).commands == [DecideBranch("b")]
