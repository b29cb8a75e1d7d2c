"""The runner recovering an execution: what succeeded is taken over, what did not runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.node_execution_pb2 import NodeExecution as Node
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution

from support.closures import Flow, literals, promise
from support.world import Broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.event.event_pb2 import NodeExecutionEvent

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.ports import AttemptSpec
    from support.world import Result, World

    MakeWorld = Callable[[Callable[[AttemptSpec], Result]], Awaitable[World]]


class Body:
    """Tasks that give 1, but for one that fails until it is mended."""

    def __init__(self, failing: str) -> None:
        self.failing = failing

    def __call__(self, spec: AttemptSpec) -> Result:
        """Run an attempt."""
        if self.failing and f"/{self.failing}/" in spec.name:
            return Broken("Boom", "it broke", recoverable=False)
        if "/dyn/" in spec.name:
            return Flow(name="made").task("d0").task("d1", {"x": promise("d0", "o")}).job(o=promise("d1", "o"))
        return literals(o=1)


def remember(world: World, name: str) -> None:
    """Let the control plane know of an execution what it was told, as ListNodeExecutions gives it."""
    nodes: dict[str, Node] = {}
    for event in _events(world, name):
        node = nodes.setdefault(event.id.node_id, Node(id=event.id))
        node.closure.phase = event.phase
        node.closure.output_uri = event.output_uri
        node.metadata.is_parent_node |= event.is_parent
        node.metadata.spec_node_id = event.spec_node_id
        if event.task_node_metadata.checkpoint_uri:
            node.closure.task_node_metadata.checkpoint_uri = event.task_node_metadata.checkpoint_uri
        if event.task_node_metadata.dynamic_workflow.dynamic_job_spec_uri:
            node.closure.dynamic_job_spec_uri = event.task_node_metadata.dynamic_workflow.dynamic_job_spec_uri
        if event.workflow_node_metadata.HasField("execution_id"):
            node.closure.workflow_node_metadata.executionId.CopyFrom(event.workflow_node_metadata.execution_id)
    parents = world.reporter.rows[name].parents
    for node_id, node in nodes.items():
        world.control.former.setdefault((name, parents[node_id]), []).append(node)


def recovering(flow: Flow, **inputs: int) -> Lease:
    """Return the execution "again" that recovers "first"."""
    lease = flow.lease("again", **inputs)
    lease.recover_from.project, lease.recover_from.domain, lease.recover_from.name = "p", "d", "first"
    return lease


def started(world: World, execution: str) -> set[str]:
    """Return the nodes of an execution whose tasks were started."""
    return {name.split("/")[3] for name in world.executor.started if name.startswith(f"p/d/{execution}/")}


def _events(world: World, execution: str) -> list[NodeExecutionEvent]:
    events = [event.node.event for _, event in world.reporter.sent if event.WhichOneof("event") == "node"]
    return [event for event in events if event.id.execution_id.name == execution]


def chain() -> Flow:
    """Return a task, a sub-workflow of two, and a task after these."""
    inner = Flow(name="inner").task("i0").task("i1", {"x": promise("i0", "o")}).returns(o=promise("i1", "o"))
    flow = Flow().task("n0").sub("n1", inner, after=["n0"]).task("n2", {"x": promise("n1", "o")})
    return flow.returns(r=promise("n2", "o"), q=promise("n0", "o"))


@pytest.mark.parametrize(
    ("failing", "again"), [("n1-0-i1", {"n1-0-i1", "n2"}), ("n2", {"n2"}), ("n0", {"n0", "n1-0-i0", "n1-0-i1", "n2"})]
)
async def test_only_what_did_not_succeed_runs_again(make_world: MakeWorld, failing: str, again: set[str]) -> None:
    """Nodes at any depth that succeeded are told as recovered, with their outputs; the rest runs."""
    body = Body(failing)
    world = await make_world(body)
    await world.execute(chain().lease("first"))
    remember(world, "first")
    body.failing = ""
    lease = recovering(chain())

    rows = await world.execute(lease)

    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert started(world, "again") == again
    assert world.outputs(lease) == literals(r=1, q=1)
    recovered = {node for node, phase in rows.nodes.items() if phase == NodeExecution.RECOVERED}
    assert recovered | again >= {"n0", "n2"}
    for event in _events(world, "again"):
        if event.phase == NodeExecution.RECOVERED:
            assert world.store.literals(event.output_uri) == literals(o=1)


async def test_a_crash_while_recovering(make_world: MakeWorld) -> None:
    """After a crash it goes on, with what was taken over."""
    body = Body("n2")
    world = await make_world(body)
    await world.execute(chain().lease("first"))
    remember(world, "first")
    stuck = True
    body.failing = ""
    world.executor._body = lambda spec: None if stuck and "/n2/" in spec.name else body(spec)  # noqa: SLF001 - of this fake
    lease = recovering(chain())
    await world.runner.accept(lease)
    await world.until(lambda: "n2" in started(world, "again"))
    await world.crash()
    rows = await world.end_of("again")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert rows.nodes["n0"] == NodeExecution.RECOVERED


async def test_what_is_gone_runs_again(make_world: MakeWorld) -> None:
    """A node whose outputs were deleted meanwhile is run as if it never had been."""
    body = Body("n2")
    world = await make_world(body)
    first = chain().lease("first")
    await world.execute(first)
    remember(world, "first")
    body.failing = ""
    await world.store.delete(f"{first.metadata_prefix}/n0/data/0/outputs.pb")
    await world.crash()  # so that nothing is left in memory
    rows = await world.execute(recovering(chain()))
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert started(world, "again") == {"n0", "n2"}


async def test_a_child_is_recovered_by_a_child(make_world: MakeWorld) -> None:
    """A launch plan's node that had not succeeded recovers its former child, and begins anew if that cannot be."""
    world = await make_world(Body(""))
    world.control.body = lambda _: "not now"
    flow = Flow().launch("n0").returns(r=promise("n0", "o"))
    await world.execute(flow.lease("first"))
    remember(world, "first")
    world.control.body = lambda _: literals(o=3)
    lease = recovering(Flow().launch("n0").returns(r=promise("n0", "o")))
    await world.execute(lease)
    assert world.outputs(lease) == literals(r=3)
    (request,) = world.control.recovered
    assert (request.id.name, request.name) == ("first-n0-0", "again-n0-0")
    assert request.metadata.parent_node_execution.execution_id.name == "again"


async def test_what_a_dynamic_task_made_is_taken_over(make_world: MakeWorld) -> None:
    """The dynamic task does not run again; of what it made, only what did not succeed does."""
    body = Body("dyn-0-d1")
    world = await make_world(body)
    await world.execute(Flow().task("dyn").returns(r=promise("dyn", "o")).lease("first"))
    remember(world, "first")
    body.failing = ""
    lease = recovering(Flow().task("dyn").returns(r=promise("dyn", "o")))
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert started(world, "again") == {"dyn-0-d1"}
    assert rows.nodes["dyn-0-d0"] == NodeExecution.RECOVERED
    assert world.outputs(lease) == literals(r=1)


async def test_the_former_checkpoint_is_at_hand(make_world: MakeWorld) -> None:
    """A task that runs again is told where the attempt of the recovered execution left its checkpoint."""
    body = Body("n2")
    world = await make_world(body)
    first = chain().lease("first")
    await world.execute(first)
    remember(world, "first")
    body.failing = ""
    again = recovering(chain())
    again.closure.tasks[-1].template.container.args.insert(0, "{{.prevCheckpointPrefix}}")
    await world.execute(again)
    command = world.executor.specs["p/d/again/n2/0"].command
    assert command[0].startswith(first.raw_output_prefix)
    assert command[0].endswith("first-n2-0/_flytecheckpoints")


async def test_an_execution_that_is_gone_leaves_nothing(make_world: MakeWorld) -> None:
    """When the control plane knows nothing of the former execution any more, all runs."""
    world = await make_world(Body(""))
    world.control.away = 2
    rows = await world.execute(recovering(chain()))
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert started(world, "again") == {"n0", "n1-0-i0", "n1-0-i1", "n2"}
