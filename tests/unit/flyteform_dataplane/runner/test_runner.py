"""The runner among fake ports: outputs, events, failures, aborts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.event.event_pb2 import TaskExecutionMetadata

from support.attempts import until
from support.closures import Flow, literals, promise
from support.world import Broken, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteform_dataplane.ports import AttemptSpec

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def one(_: AttemptSpec) -> LiteralMap:
    """Return 1."""
    return literals(o=1)


async def test_chain_runs_to_its_outputs(make_world: MakeWorld) -> None:
    """Inputs reach the tasks by their bindings, outputs come out at the end node, events are legal."""
    world = await make_world(one)
    flow = Flow().task("n0", {"x": promise("", "a")}).task("n1", {"x": promise("n0", "o"), "y": 5})
    lease = flow.returns(r=promise("n1", "o")).lease(a=7)

    rows = await world.execute(lease)

    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=1)
    assert world.store.literals(f"{lease.metadata_prefix}/n0/data/inputs.pb") == literals(x=7)
    assert world.store.literals(f"{lease.metadata_prefix}/n1/data/inputs.pb") == literals(x=1, y=5)
    assert world.store.literals(f"{lease.metadata_prefix}/start-node/data/0/outputs.pb") == literals(a=7)
    assert set(rows.nodes) == {"start-node", "n0", "n1", "end-node"}
    assert world.runner.held() == []


async def test_node_event_fields(make_world: MakeWorld) -> None:
    """A node's and a task's last events carry what clients read: spec id, URIs, type, log."""
    world = await make_world(one)
    lease = Flow().task("n0").lease()
    await world.execute(lease)

    node = [event.node.event for _, event in world.reporter.sent if event.node.event.id.node_id == "n0"][-1]
    task = [event.task.event for _, event in world.reporter.sent if event.HasField("task")][-1]
    prefix = f"{lease.metadata_prefix}/n0/data"
    assert (node.spec_node_id, node.input_uri, node.output_uri) == (
        "n0",
        f"{prefix}/inputs.pb",
        f"{prefix}/0/outputs.pb",
    )
    assert (task.phase, task.output_uri) == (TaskExecution.SUCCEEDED, f"{prefix}/0/outputs.pb")
    assert (task.task_type, task.task_id.name, task.logs[0].uri) == ("python-task", "n0", "log:p/d/e/n0/0")


async def test_recoverable_error_is_retried(make_world: MakeWorld) -> None:
    """An error that the task calls recoverable uses up retries, and the outputs are the last attempt's."""

    def body(spec: AttemptSpec) -> LiteralMap | Broken:
        return literals(o=9) if spec.environment["FLYTE_ATTEMPT_NUMBER"] == "2" else Broken("USER:Oops", "no")

    world = await make_world(body)
    lease = Flow().task("n0", retries=2).returns(r=promise("n0", "o")).lease()
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=9)
    assert {key: phase for key, (phase, _) in rows.tasks.items()} == {
        ("n0", 0): TaskExecution.RETRYABLE_FAILED,
        ("n0", 1): TaskExecution.RETRYABLE_FAILED,
        ("n0", 2): TaskExecution.SUCCEEDED,
    }


@pytest.mark.parametrize(
    ("broken", "code", "message", "attempts"),
    [
        (Broken("USER:Oops", "no"), "RetriesExhausted|USER:Oops", "[2/2] currentAttempt done. Last Error: USER::no", 2),
        (Broken("USER:Oops", "no", recoverable=False), "USER:Oops", "no", 1),
        (Broken(exit_code=-9), "RetriesExhausted|Interrupted", "[3/3] currentAttempt done. Last Error: SYSTEM::", 3),
        (Broken(exit_code=0), "RetriesExhausted|ErrorFileNotFound", "[2/2] currentAttempt done. Last Error: USER::", 2),
        (Broken(exit_code=3), "RetriesExhausted|Error", "[2/2] currentAttempt done. Last Error: USER::terminated", 2),
    ],
)
async def test_failure_texts(make_world: MakeWorld, broken: Broken, code: str, message: str, attempts: int) -> None:
    """A task that always fails ends the execution with Flyte's code and text, after as many attempts as its budget."""
    world = await make_world(lambda _: broken)
    rows = await world.execute(Flow().task("n0", retries=1).lease())
    error = world.reporter.sent[-1][1].workflow.event.error
    assert rows.workflow == WorkflowExecution.FAILED
    assert error.code == code
    assert error.message.startswith(message)
    assert len(world.executor.started) == attempts


async def test_abort_stops_what_runs(make_world: MakeWorld) -> None:
    """An abort ends the running attempt and everything is told as ABORTED with the cause."""
    world = await make_world(lambda _: None)
    lease = Flow().task("n0").task("n1", after=["n0"]).lease()
    await world.runner.accept(lease)
    await until(lambda: len(world.executor.running) == 1)
    await world.runner.abort(lease.id, "not needed")
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.ABORTED
    assert rows.nodes["n0"] == NodeExecution.ABORTED
    assert "n1" not in rows.nodes
    assert world.executor.running == set()
    assert world.reporter.sent[-1][1].workflow.event.error.message == "not needed"


async def test_timeout_stops_the_attempt(make_world: MakeWorld) -> None:
    """An attempt over its time is stopped and counts as a recoverable user error."""
    world = await make_world(lambda _: None)
    await world.execute(Flow().task("n0", timeout=0.2, retries=1).lease())
    error = world.reporter.sent[-1][1].workflow.event.error
    assert error.code == "RetriesExhausted|TimeoutExpired"
    assert world.executor.stopped == ["p/d/e/n0/0", "p/d/e/n0/1"]


async def test_unknown_task_type(make_world: MakeWorld) -> None:
    """A task that brings no container, of a type that nothing runs, fails the execution with one clear error."""
    world = await make_world(one)
    lease = Flow().task("n0", task_type="fortran").lease()
    lease.closure.tasks[0].template.ClearField("container")
    await world.execute(lease)
    error = world.reporter.sent[-1][1].workflow.event.error
    assert "'fortran'" in error.message
    assert "python-task" in error.message


async def test_echo_needs_no_process(make_world: MakeWorld) -> None:
    """An echo task gives its inputs back without an attempt in the executor."""
    world = await make_world(one)
    flow = Flow().task("n0", {"o": 4}, task_type="echo").returns(r=promise("n0", "o"))
    lease = flow.lease()
    await world.execute(lease)
    assert world.outputs(lease) == literals(r=4)
    assert world.executor.started == []


async def test_events_name_plugin_and_machine(make_world: MakeWorld) -> None:
    """Task executions say which plugin ran them, and whether on a machine that could be taken away."""
    world = await make_world(one)
    flow = Flow().task("n0", {"o": 4}, task_type="echo").task("n1", {}).returns(r=promise("n0", "o"))
    lease = flow.lease()
    lease.spec.interruptible.value = True
    await world.execute(lease)
    told = [event.task.event for _, event in world.reporter.sent if event.HasField("task")]
    assert {(one.parent_node_execution_id.node_id, one.metadata.plugin_identifier) for one in told} == {
        ("n0", "echo"),
        ("n1", "container"),
    }
    assert {one.metadata.instance_class for one in told} == {TaskExecutionMetadata.InstanceClass.INTERRUPTIBLE}


async def test_missing_output_is_a_clear_error(make_world: MakeWorld) -> None:
    """A task that did not write the output that another needs fails that other one with a sentence that says so."""
    world = await make_world(lambda _: LiteralMap())
    await world.execute(Flow().task("n0").task("n1", {"x": promise("n0", "o")}).lease())
    error = world.reporter.sent[-1][1].workflow.event.error
    assert error.message == "input 'x' cannot be made: node n0 has no output 'o'"


async def test_accepting_twice_runs_once(make_world: MakeWorld) -> None:
    """A lease that is offered again, during and after its run, starts nothing; its end is told again."""
    world = await make_world(one)
    lease = Flow().task("n0").lease()
    await world.runner.accept(lease)
    await world.runner.accept(lease)
    await world.end_of("e")
    await world.runner.accept(lease)
    assert world.executor.started == ["p/d/e/n0/0"]
    assert world.finished == ["e", "e"]
