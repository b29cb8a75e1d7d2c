"""The runner with dynamic tasks: what they leave is compiled, run, reported and found again after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution

from support.closures import Flow, integers, literals, promise
from support.world import Broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.event.event_pb2 import NodeExecutionEvent

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import World

    Result = LiteralMap | DynamicJobSpec | Broken | None
    MakeWorld = Callable[[Callable[[AttemptSpec], Result]], Awaitable[World]]


def made(*, failing: bool = False, deeper: bool = False) -> DynamicJobSpec:
    """Return what a dynamic task makes: a chain of two tasks, the second one's output its own."""
    name = "deep" if deeper else "made"
    flow = Flow(name=name).task("d0", {"x": 4}).task("bad" if failing else "d1", {"x": promise("d0", "o")})
    return flow.job(o=promise("bad" if failing else "d1", "o"))


def dynamic(spec: AttemptSpec) -> LiteralMap | DynamicJobSpec | Broken | None:
    """Be dynamic where the node is called n0, and a task that gives 1 elsewhere."""
    if spec.name.endswith("/n0/0"):
        return made()
    return literals(o=1) if "bad" not in spec.name else Broken("Bad", "it went bad", recoverable=False)


def events_of(world: World, node: str) -> list[NodeExecutionEvent]:
    """Return what was told of a node."""
    events = [event.node.event for _, event in world.reporter.sent if event.WhichOneof("event") == "node"]
    return [event for event in events if event.id.node_id == node]


def flow() -> Flow:
    """Return a workflow of one dynamic task and one that uses its output."""
    return Flow().task("n0").task("n1", {"x": promise("n0", "o")}).returns(r=promise("n0", "o"))


async def test_what_a_task_makes_runs_below_it(make_world: MakeWorld) -> None:
    """The nodes run below the task's, their output is its output, and people are told of the workflow they form."""
    world = await make_world(dynamic)
    lease = flow().lease()

    rows = await world.execute(lease)

    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=1)
    assert {"n0-0-d0", "n0-0-d1"} <= {node for node, parent in rows.parents.items() if parent == "n0"}
    assert rows.tasks["n0", 0][0] == TaskExecution.SUCCEEDED
    phases = [NodeExecution.QUEUED, NodeExecution.RUNNING, NodeExecution.DYNAMIC_RUNNING, NodeExecution.SUCCEEDED]
    events = events_of(world, "n0")
    assert [event.phase for event in events] == phases
    assert [(event.is_parent, event.is_dynamic) for event in events] == [(False, False)] * 2 + [(True, True)] * 2
    told = events[2].task_node_metadata.dynamic_workflow
    assert told.dynamic_job_spec_uri == f"{lease.metadata_prefix}/n0/data/0/futures.pb"
    assert {"d0", "d1", "start-node", "end-node"} == {node.id for node in told.compiled_workflow.primary.template.nodes}
    assert events[3].output_uri == f"{lease.metadata_prefix}/n0/data/0/outputs.pb"
    assert events_of(world, "n0-0-d1")[0].spec_node_id == "d1"


async def test_what_is_made_gets_the_platforms_resources(make_world: MakeWorld) -> None:
    """A task that a dynamic one made and that does not say what it needs gets the lease's defaults."""
    world = await make_world(dynamic)
    lease = flow().lease()
    lease.task_resources.defaults.memory = "300Mi"
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    made_of = events_of(world, "n0")[2].task_node_metadata.dynamic_workflow.compiled_workflow
    assert {task.template.container.resources.limits[0].value for task in made_of.tasks} == {"300Mi"}


async def test_a_failure_below_is_the_nodes(make_world: MakeWorld) -> None:
    """A task that a dynamic one made fails it, and with it the execution; what ran before it stays succeeded."""
    world = await make_world(lambda spec: made(failing=True) if spec.name.endswith("/n0/0") else dynamic(spec))
    rows = await world.execute(flow().lease())
    assert rows.workflow == WorkflowExecution.FAILED
    assert (rows.nodes["n0"], rows.nodes["n0-0-d0"]) == (NodeExecution.FAILED, NodeExecution.SUCCEEDED)
    assert events_of(world, "n0")[-1].error.message == "it went bad"
    assert rows.tasks["n0", 0][0] == TaskExecution.SUCCEEDED


async def test_what_cannot_be_compiled_is_an_error_of_the_user(make_world: MakeWorld) -> None:
    """Futures that name an output which no node has fail the node with the compiler's words."""

    def wrong(spec: AttemptSpec) -> Result:
        return Flow(name="made").task("d0").job(o=promise("d0", "nothing")) if "/n0/" in spec.name else literals(o=1)

    world = await make_world(wrong)
    rows = await world.execute(flow().lease())
    assert rows.workflow == WorkflowExecution.FAILED
    error = events_of(world, "n0")[-1].error
    assert error.code == "DynamicWorkflowBuildFailed"
    assert "nothing" in error.message


async def test_a_dynamic_task_in_a_dynamic_task(make_world: MakeWorld) -> None:
    """What a dynamic task makes may be dynamic itself."""

    def body(spec: AttemptSpec) -> Result:
        return made(deeper=True) if spec.name.endswith("/n0-0-d1/0") else dynamic(spec)

    world = await make_world(body)
    rows = await world.execute(flow().lease())
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert rows.parents["n0-0-d1-0-d1"] == "n0-0-d1"


@pytest.mark.parametrize("node", ["n0-0-d0", "n0-0-d1", "n1"])
async def test_a_crash_below_or_after_it(make_world: MakeWorld, node: str) -> None:
    """What was made is found again after a crash, and the task that made it does not run again."""
    stuck = {"now": True}

    def body(spec: AttemptSpec) -> Result:
        return None if stuck["now"] and f"/{node}/" in spec.name else dynamic(spec)

    world = await make_world(body)
    lease = flow().lease()
    await world.runner.accept(lease)
    await world.until(lambda: any(f"/{node}/" in name for name in world.executor.started))
    before = world.executor.started.count("p/d/e/n0/0")
    stuck["now"] = False
    await world.crash()
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert (before, world.executor.started.count("p/d/e/n0/0")) == (1, 0)
    assert world.outputs(lease) == literals(r=1)


async def test_the_second_attempt_may_be_the_one_that_makes_nodes(make_world: MakeWorld) -> None:
    """The ids of what is made name the attempt that made it."""

    def body(spec: AttemptSpec) -> Result:
        if spec.name.endswith("/n0/0"):
            return Broken("Boom", "not yet")
        return made() if spec.name.endswith("/n0/1") else dynamic(spec)

    world = await make_world(body)
    lease = Flow().task("n0", retries=1).returns(r=promise("n0", "o")).lease()
    rows = await world.execute(lease)
    assert rows.parents["n0-1-d0"] == "n0"
    assert world.outputs(lease) == literals(r=1)


async def test_what_fails_below_is_tried_again_by_the_task(make_world: MakeWorld) -> None:
    """A failed part ends the rest, and the dynamic task's next attempt makes all anew; the parts keep their ids."""

    def body(spec: AttemptSpec) -> Result:
        if spec.name.endswith("/n0/1"):
            return made()
        return made(failing=True) if spec.name.endswith("/n0/0") else dynamic(spec)

    world = await make_world(body)
    lease = Flow().task("n0", retries=1).returns(r=promise("n0", "o")).lease()
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=1)
    assert (rows.nodes["n0-0-bad"], rows.nodes["n0-1-d1"]) == (NodeExecution.FAILED, NodeExecution.SUCCEEDED)
    assert {attempt: phase for (node, attempt), (phase, _) in rows.tasks.items() if node == "n0"} == {
        0: TaskExecution.SUCCEEDED, 1: TaskExecution.SUCCEEDED
    }  # fmt: skip
    phases = [
        NodeExecution.QUEUED,
        *[NodeExecution.RUNNING, NodeExecution.DYNAMIC_RUNNING] * 2,
        NodeExecution.SUCCEEDED,
    ]
    events = events_of(world, "n0")
    assert [event.phase for event in events] == phases
    specs = [event.task_node_metadata.dynamic_workflow.dynamic_job_spec_uri for event in events]
    assert [uri[-len("/0/futures.pb") :] for uri in specs if uri] == ["/0/futures.pb", "/1/futures.pb"]
    assert events[-1].output_uri.endswith("/n0/data/1/outputs.pb")


async def test_the_retries_of_a_dynamic_task_end(make_world: MakeWorld) -> None:
    """When its retries are used up the node fails with Flyte's code and the words of the part that failed."""
    world = await make_world(lambda spec: made(failing=True) if "/n0/" in spec.name else dynamic(spec))
    rows = await world.execute(Flow().task("n0", retries=2).lease())
    assert rows.workflow == WorkflowExecution.FAILED
    assert [name for name in world.executor.started if "/n0/" in name] == ["p/d/e/n0/0", "p/d/e/n0/1", "p/d/e/n0/2"]
    error = events_of(world, "n0")[-1].error
    assert error.code == "RetriesExhausted|Bad"
    assert error.message == "[3/3] currentAttempt done. Last Error: USER::it went bad"


@pytest.mark.parametrize("node", ["n0-0-bad", "n0-1-d0", "n0-1-d1"])
async def test_a_crash_in_any_attempt_of_it(make_world: MakeWorld, node: str) -> None:
    """What every attempt made is found again after a crash, and no attempt is made once more."""
    stuck = {"now": True}

    def body(spec: AttemptSpec) -> Result:
        if stuck["now"] and f"/{node}/" in spec.name:
            return None
        if spec.name.endswith("/n0/1"):
            return made()
        return made(failing=True) if spec.name.endswith("/n0/0") else dynamic(spec)

    world = await make_world(body)
    lease = Flow().task("n0", retries=1).returns(r=promise("n0", "o")).lease()
    await world.runner.accept(lease)
    await world.until(lambda: any(f"/{node}/" in name for name in world.executor.started))
    before = {name for name in world.executor.started if "/n0/" in name}
    stuck["now"] = False
    await world.crash()
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=1)
    assert not before & set(world.executor.started)


async def test_a_dynamic_tasks_timeout_is_for_what_it_made_too(make_world: MakeWorld) -> None:
    """As in Flyte an attempt lasts until its parts have ended: they are stopped when its time is up."""
    world = await make_world(lambda spec: made() if "/n0/" in spec.name else None)
    rows = await world.execute(Flow().task("n0", timeout=0.5).lease())
    assert rows.workflow == WorkflowExecution.FAILED
    assert rows.nodes["n0-0-d0"] == NodeExecution.ABORTED
    assert "execution timeout" in events_of(world, "n0")[-1].error.message


async def test_a_dynamic_task_may_launch_children(make_world: MakeWorld) -> None:
    """The launch plans in what a task made are looked up, and their children are those of the made nodes."""

    def body(spec: AttemptSpec) -> Result:
        return Flow(name="made").launch("d0").job(o=promise("d0", "o")) if "/n0/" in spec.name else literals(o=1)

    world = await make_world(body)
    world.control.body = lambda _: literals(o=8)
    lease = flow().lease()
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=8)
    (request,) = world.control.created
    assert request.spec.metadata.parent_node_execution.node_id == "n0-0-d0"


async def test_a_cached_dynamic_task_is_not_run_again(make_world: MakeWorld) -> None:
    """The outputs of what was made go into the cache, and a second execution takes them from there."""
    world = await make_world(dynamic)
    for name in ("a", "b"):
        rows = await world.execute(Flow().task("n0", cached=True).returns(r=promise("n0", "o")).lease(name))
        assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert [name for name in world.executor.started if "/n0/" in name] == ["p/d/a/n0/0"]
    assert not any("-d0" in node for node in world.reporter.rows["b"].nodes)


async def test_a_map_refuses_tasks_that_make_nodes(make_world: MakeWorld) -> None:
    """A dynamic task in a map fails with a clear message."""
    world = await make_world(lambda _: made())
    rows = await world.execute(Flow().map("n0", {"x": integers(1)}).lease())
    assert rows.workflow == WorkflowExecution.FAILED
    assert "a map cannot run tasks that make nodes" in events_of(world, "n0")[-1].error.message
