"""Sub-workflow nodes in the engine: begin, outputs, failure, abort, parallelism, and what cannot run."""

from __future__ import annotations

import pytest

from flyteform_dataplane.engine import advance, pending
from flyteform_dataplane.engine.commands import CollectOutputs, EnterWorkflow, StartAttempt, StopAttempt
from flyteform_dataplane.engine.events import NodeEvent, WorkflowEvent
from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.graph import unique_id
from flyteform_dataplane.engine.observations import (
    AbortRequested,
    AttemptFailed,
    AttemptStopped,
    AttemptSucceeded,
    NodeRefused,
    OutputsCollected,
    Started,
    WorkflowEntered,
)
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from support.closures import Flow
from support.engine import Engine

FATAL = Failure("Fatal", "for good")
START, END = unique_id("s", "start-node"), unique_id("s", "end-node")


def two(*, finish_others: bool = False) -> Flow:
    """Return a workflow of two tasks beside each other and one after the first."""
    return Flow(name="inner", finish_others=finish_others).task("a").task("b").task("c", after=["a"])


def test_runs_in_place() -> None:
    """The nodes below begin when the inputs are there; their end node's outputs end the node and start the next."""
    engine = Engine(Flow().sub("s", Flow(name="inner").task("a")).task("z", after=["s"]))
    assert engine.see(Started(1)).commands == [EnterWorkflow("s")]
    assert pending(engine.graph, engine.state) == [EnterWorkflow("s")]
    step = engine.see(WorkflowEntered("s", 2))
    assert step.commands == [StartAttempt("s-0-a", 0, 0)]
    assert step.events == [
        NodeEvent("s", NodePhase.QUEUED, 2),
        NodeEvent("s", NodePhase.RUNNING, 2),
        NodeEvent(START, NodePhase.SUCCEEDED, 2),
        NodeEvent("s-0-a", NodePhase.QUEUED, 2),
    ]
    assert engine.see(WorkflowEntered("s", 2)).changes == []
    assert engine.see(AttemptSucceeded("s-0-a", 0, 0, 3)).commands == [CollectOutputs(END)]
    step = engine.see(OutputsCollected(END, 4))
    assert step.commands == [StartAttempt("z", 0, 0)]
    assert step.events[:2] == [NodeEvent(END, NodePhase.SUCCEEDED, 4), NodeEvent("s", NodePhase.SUCCEEDED, 4)]


def test_failure_ends_the_siblings_below_and_then_the_node() -> None:
    """A failure below stops what runs there; the node fails when it is gone, and with it the execution."""
    engine = Engine(Flow().sub("s", two()))
    engine.see(Started(1), WorkflowEntered("s", 2))
    assert engine.see(AttemptFailed("s-0-a", 0, 0, FATAL, 3)).commands == [StopAttempt("s-0-b", 0, 0)]
    assert engine.phase("s") is NodePhase.FAILING
    assert engine.state.phase is WorkflowPhase.RUNNING
    step = engine.see(AttemptStopped("s-0-b", 0, 0, 4))
    assert engine.phase("s") is NodePhase.FAILED
    assert step.events[-1] == WorkflowEvent(WorkflowPhase.FAILED, 4, FATAL)


def test_each_workflow_has_its_own_policy() -> None:
    """A sub-workflow that finishes what can run does so, though the workflow around it fails at once."""
    engine = Engine(Flow().sub("s", two(finish_others=True)))
    engine.see(Started(1), WorkflowEntered("s", 2))
    assert engine.see(AttemptFailed("s-0-b", 0, 0, FATAL, 3)).commands == []
    assert engine.see(AttemptSucceeded("s-0-a", 0, 0, 4)).commands == [StartAttempt("s-0-c", 0, 0)]
    engine.see(AttemptSucceeded("s-0-c", 0, 0, 5))
    assert engine.phase("s") is NodePhase.FAILED
    assert engine.state.phase is WorkflowPhase.FAILED
    assert engine.state.failure == FATAL


def test_abort_goes_down_and_ends_from_below() -> None:
    """An abort stops attempts at any depth; each node ends after those below it."""
    engine = Engine(Flow().sub("s", Flow(name="outer").sub("t", Flow(name="inner").task("a"))))
    engine.see(Started(1), WorkflowEntered("s", 2), WorkflowEntered("s-0-t", 2))
    assert engine.see(AbortRequested(3, "enough")).commands == [StopAttempt("s-0-t-0-a", 0, 0)]
    step = engine.see(AttemptStopped("s-0-t-0-a", 0, 0, 4))
    ended = [event.node for event in step.events if isinstance(event, NodeEvent)]
    assert ended == ["s-0-t-0-a", "s-0-t", "s"]
    assert engine.state.phase is WorkflowPhase.ABORTED


def test_parallelism_counts_across_workflows() -> None:
    """Nodes below count against the one limit of the execution; the node that they run below does not."""
    engine = Engine(Flow().sub("s", Flow(name="inner").task("a").task("b")).task("z"), max_parallelism=2)
    assert engine.see(Started(1)).commands == [EnterWorkflow("s"), StartAttempt("z", 0, 0)]
    assert engine.see(WorkflowEntered("s", 2)).commands == [StartAttempt("s-0-a", 0, 0)]
    assert engine.see(AttemptSucceeded("z", 0, 0, 3)).commands == [StartAttempt("s-0-b", 0, 0)]


@pytest.mark.parametrize("node", ["s", END])
def test_inputs_or_outputs_that_cannot_be_made(node: str) -> None:
    """Bindings that lead nowhere, into the node or out of its end, fail it."""
    engine = Engine(Flow().sub("s", Flow(name="inner").task("a")))
    engine.see(Started(1))
    if node == END:
        engine.see(WorkflowEntered("s", 2), AttemptSucceeded("s-0-a", 0, 0, 3))
    engine.see(NodeRefused(node, FATAL, 4))
    assert engine.phase("s") is NodePhase.FAILED
    assert engine.state.phase is WorkflowPhase.FAILED


def test_unknown_and_endless_sub_workflows_are_refused() -> None:
    """A sub-workflow that is not carried, or that runs itself, fails the execution before anything has run."""
    unknown = Flow().sub("s", Flow(name="inner").task("a"))
    del unknown.closure.sub_workflows[:]
    endless = Flow()
    inner = Flow(name="inner")
    inner.closure.primary.template.nodes.add(id="again").workflow_node.sub_workflow_ref.name = "inner"
    inner.closure.primary.template.id.ClearField("project")
    inner.closure.primary.template.id.ClearField("domain")
    inner.closure.primary.template.id.ClearField("version")
    endless.sub("s", inner)
    for flow, problem in ((unknown, "is not carried"), (endless, "runs itself")):
        engine = Engine(flow)
        assert engine.see(Started(1)).commands == []
        assert engine.state.phase is WorkflowPhase.FAILED
        assert engine.state.failure is not None
        assert problem in engine.state.failure.message


def test_nesting_has_no_limit() -> None:
    """A thousand workflows, each in the one before, are entered and aborted like one."""
    flow = Flow(name="w0").task("t")
    bottom = Flow()
    bottom.closure.tasks.extend(flow.closure.tasks)
    bottom.closure.sub_workflows.append(flow.build().primary)
    for number in range(1, 1000):
        outer = Flow(name=f"w{number}")
        outer.call("s", flow)
        bottom.closure.sub_workflows.append(outer.build().primary)
        flow = outer
    bottom.call("s", flow)
    engine = Engine(bottom)
    commands = list(engine.see(Started(1)).commands)
    entered = 0
    while isinstance(commands[0], EnterWorkflow):
        entered += 1
        commands = list(advance(engine.graph, engine.state, [WorkflowEntered(commands[0].node, 2)]).commands)
    assert entered == 1000
    (start,) = commands
    assert isinstance(start, StartAttempt)
    engine.see(AbortRequested(3, "enough"), AttemptStopped(start.node, 0, 0, 4))
    assert engine.state.phase is WorkflowPhase.ABORTED
    assert {node.phase for node in engine.state.nodes.values()} == {NodePhase.ABORTED, NodePhase.SUCCEEDED}


def test_unique_ids() -> None:
    """Ids below a node name the way to it; one that is too long is a short hash that differs from others."""
    assert unique_id("", "n0") == "n0"
    assert unique_id("n0", "n1") == "n0-0-n1"
    assert unique_id("n0-0-n1", "n2", attempt=3) == "n0-0-n1-3-n2"
    long = {unique_id("n0-0-n1-0-n2", f"a-node-{number}") for number in range(1000)}
    assert len(long) == 1000
    assert all(len(name) <= 20 and name.startswith("f") for name in long)
