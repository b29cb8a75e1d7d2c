"""The runner with launch plans: children created once, watched, ended with their parents; their results taken over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import ExecutionMetadata
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution
from flyteidl.core.identifier_pb2 import ResourceType

from support.closures import Flow, integers, literals, promise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.event.event_pb2 import NodeExecutionEvent

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import Broken, World

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def one(_: AttemptSpec) -> LiteralMap:
    """Give 1."""
    return literals(o=1)


def launching() -> Flow:
    """Return a workflow of one launch plan between its inputs and its outputs."""
    return Flow().launch("n0", {"x": promise("", "i")}).returns(r=promise("n0", "o"))


def last_of(world: World, node: str) -> NodeExecutionEvent:
    """Return the last event of a node."""
    events = [event.node.event for _, event in world.reporter.sent if event.WhichOneof("event") == "node"]
    return [event for event in events if event.id.node_id == node][-1]


async def test_a_child_gets_inputs_and_settings_and_gives_its_outputs(make_world: MakeWorld) -> None:
    """The child has Flyte's name, its parent, what the parent's settings are, and its outputs are the node's."""
    world = await make_world(one)
    world.control.body = lambda request: literals(o=request.inputs.literals["x"].scalar.primitive.integer * 2)
    lease = launching().lease(i=21)
    lease.spec.max_parallelism = 7
    lease.spec.labels.values["team"] = "blue"
    lease.spec.security_context.run_as.k8s_service_account = "robot"
    lease.spec.interruptible.value = True
    lease.spec.tags.append("not inherited")

    rows = await world.execute(lease)

    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=42)
    (request,) = world.control.created
    assert (request.project, request.domain, request.name) == ("p", "d", "e-n0-0")
    metadata = request.spec.metadata
    assert (metadata.mode, metadata.parent_node_execution.node_id) == (ExecutionMetadata.CHILD_WORKFLOW, "n0")
    assert metadata.parent_node_execution.execution_id == lease.id
    assert (request.spec.launch_plan.name, request.spec.max_parallelism, request.spec.interruptible.value) == (
        *("n0", 7),
        True,
    )
    assert request.spec.labels.values == {"team": "blue"}
    assert request.spec.security_context.run_as.k8s_service_account == "robot"
    assert not request.spec.tags
    told = last_of(world, "n0")
    assert told.workflow_node_metadata.execution_id.name == "e-n0-0"
    assert told.target_entity.name == "n0"
    assert not rows.tasks


async def test_a_failed_child_fails_its_node_with_its_error(make_world: MakeWorld) -> None:
    """The child's error is the node's and the execution's; without retries there is one child."""
    world = await make_world(one)
    world.control.body = lambda _: "no such luck"
    rows = await world.execute(launching().lease(i=1))
    assert rows.workflow == WorkflowExecution.FAILED
    error = last_of(world, "n0").error
    assert (error.code, error.message) == ("Child", "no such luck")
    assert len(world.control.created) == 1


async def test_an_unknown_launch_plan_is_an_error_of_the_user(make_world: MakeWorld) -> None:
    """A child that the control plane refuses for good fails the node at once."""
    world = await make_world(one)
    world.control.refusal = "launch plan n0 has no input 'x'"
    await world.execute(launching().lease(i=1))
    assert last_of(world, "n0").error.message == "launch plan n0 has no input 'x'"


async def test_an_aborted_parent_ends_its_child(make_world: MakeWorld) -> None:
    """The child is told to end, also when the control plane is away at first."""
    world = await make_world(one)
    world.control.body = lambda _: None
    lease = launching().lease(i=1)
    await world.runner.accept(lease)
    await world.until(lambda: bool(world.control.created))
    world.control.away = 3
    await world.runner.abort(lease.id, "enough")
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.ABORTED
    assert world.control.terminated == ["e-n0-0"]


async def test_a_child_is_created_once_whatever_crashes(make_world: MakeWorld) -> None:
    """After a crash the child is found and watched, and its end is seen."""
    world = await make_world(one)
    world.control.body = lambda _: None
    lease = launching().lease(i=1)
    await world.runner.accept(lease)
    await world.until(lambda: bool(world.control.created))
    await world.crash()
    world.control.finish("e-n0-0", literals(o=5))
    rows = await world.end_of("e")
    assert rows.nodes["n0"] == NodeExecution.SUCCEEDED
    assert len(world.control.created) == 1
    assert world.outputs(lease) == literals(r=5)


async def test_somebody_elses_execution_of_that_name_is_not_taken_over(make_world: MakeWorld) -> None:
    """A name that is taken by an execution with another parent fails the node; that execution is left alone."""
    world = await make_world(one)
    world.control.take("e-n0-0")
    await world.execute(launching().lease(i=1))
    assert "already exists" in last_of(world, "n0").error.message
    assert world.control.terminated == []


async def test_an_array_over_a_launch_plan(make_world: MakeWorld) -> None:
    """Each item has a child of its own with its inputs; a failed one gives none where enough succeed."""
    world = await make_world(one)

    def body(request: object) -> LiteralMap | str:
        number = request.inputs.literals["x"].scalar.primitive.integer  # type: ignore[attr-defined]
        return "odd" if number == 3 else literals(o=number)

    world.control.body = body
    lease = Flow().map_launch("n0", {"x": integers(1, 2, 3)}, min_ratio=0.6).returns(r=promise("n0", "o")).lease()
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    given = world.outputs(lease).literals["r"].collection.literals
    assert [one.scalar.primitive.integer for one in given[:2]] == [1, 2]
    assert given[2].scalar.HasField("none_type")
    assert sorted(request.name for request in world.control.created) == ["e-n0-n0-0", "e-n0-n1-0", "e-n0-n2-0"]
    told = [event.task.event for _, event in world.reporter.sent if event.WhichOneof("event") == "task"]
    assert {(event.task_id.resource_type, event.task_id.name) for event in told} == {(ResourceType.TASK, "n0")}
    items = {item.external_id for event in told for item in event.metadata.external_resources}
    assert items == {"e-n0-n0-0", "e-n0-n1-0", "e-n0-n2-0"}


async def test_an_array_over_a_launch_plan_without_items(make_world: MakeWorld) -> None:
    """No item, no child: the outputs are empty lists of the launch plan's names."""
    world = await make_world(one)
    lease = Flow().map_launch("n0", {"x": integers()}).returns(r=promise("n0", "o")).lease()
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease).literals["r"].collection.literals == []
    assert world.control.created == []


async def test_an_abort_while_the_child_is_created(make_world: MakeWorld) -> None:
    """A child whose creation is under way when its parent is aborted is not left running."""
    world = await make_world(one)
    world.control.body = lambda _: None
    world.control.slow = asyncio.Event()
    lease = launching().lease(i=1)
    await world.runner.accept(lease)
    await world.until(lambda: world.control.creating)
    await world.runner.abort(lease.id, "enough")
    for _ in range(20):
        await asyncio.sleep(0)  # the abort gets as far as it can
    assert not world.control.terminated
    world.control.slow.set()
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.ABORTED
    assert world.control.terminated == ["e-n0-0"]
