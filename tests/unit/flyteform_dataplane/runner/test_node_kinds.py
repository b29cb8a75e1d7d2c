"""The runner with nodes that have others below them: what flows into them and out, and what people are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution
from flyteidl.core.literals_pb2 import Literal, LiteralOffloadedMetadata

from support.closures import Flow, compare, integers, literals, promise
from support.world import Broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.event.event_pb2 import NodeExecutionEvent

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import World

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def events_of(world: World, node: str) -> list[NodeExecutionEvent]:
    """Return what was told of a node."""
    events = [event.node.event for _, event in world.reporter.sent if event.WhichOneof("event") == "node"]
    return [event for event in events if event.id.node_id == node]


def nested() -> Flow:
    """Return a workflow in a workflow in a workflow."""
    inner = Flow(name="inner").task("n0", {"x": promise("", "b"), "y": 5}).returns(o=promise("n0", "o"))
    middle = Flow(name="middle").sub("n1", inner, {"b": promise("", "a")}).task("n2", {"x": promise("n1", "o")})
    middle.returns(o=promise("n2", "o"))
    flow = Flow().sub("n0", middle, {"a": promise("", "i")}).task("n3", {"x": promise("n0", "o")})
    return flow.returns(r=promise("n0", "o"), q=promise("n3", "o"))


async def test_values_flow_through_sub_workflows(make_world: MakeWorld) -> None:
    """Inputs go down through the start nodes, outputs come up through the end nodes, at any depth."""
    world = await make_world(lambda spec: literals(o=len(spec.name)))
    lease = nested().lease(i=7)

    rows = await world.execute(lease)

    assert rows.workflow == WorkflowExecution.SUCCEEDED
    prefix = lease.metadata_prefix
    assert world.store.literals(f"{prefix}/n0-0-n1-0-n0/data/inputs.pb") == literals(x=7, y=5)
    assert world.store.literals(f"{prefix}/n0-0-n1/data/inputs.pb") == literals(b=7)
    assert world.store.literals(f"{prefix}/n0-0-start-node/data/0/outputs.pb") == literals(a=7)
    inner, middle = len("p/d/e/n0-0-n1-0-n0/0"), len("p/d/e/n0-0-n2/0")
    assert world.store.literals(f"{prefix}/n0-0-n1/data/0/outputs.pb") == literals(o=inner)
    assert world.store.literals(f"{prefix}/n0-0-n2/data/inputs.pb") == literals(x=inner)
    assert world.outputs(lease) == literals(r=middle, q=len("p/d/e/n3/0"))


async def test_events_say_what_runs_below_what(make_world: MakeWorld) -> None:
    """A node's events name the node that it runs below, its id in its workflow, and the workflow that it runs."""
    world = await make_world(lambda _: literals(o=1))
    lease = nested().lease(i=7)

    rows = await world.execute(lease)

    assert {node: parent for node, parent in rows.parents.items() if "start" not in node and "end" not in node} == {
        "n0": "",
        "n3": "",
        "n0-0-n1": "n0",
        "n0-0-n2": "n0",
        "n0-0-n1-0-n0": "n0-0-n1",
        **{node: "n0-0-n1" for node in rows.parents if node.startswith("f")},
    }
    parent = events_of(world, "n0-0-n1")
    assert [event.phase for event in parent] == [NodeExecution.QUEUED, NodeExecution.RUNNING, NodeExecution.SUCCEEDED]
    assert {event.is_parent for event in parent} == {True}
    assert parent[-1].spec_node_id == "n1"
    assert parent[-1].target_entity.name == "inner"
    assert parent[-1].output_uri == f"{lease.metadata_prefix}/n0-0-n1/data/0/outputs.pb"
    assert {event.is_parent for event in events_of(world, "n0-0-n2")} == {False}


async def test_crash_inside_of_a_sub_workflow(make_world: MakeWorld) -> None:
    """After a crash the nodes below go on; what had succeeded does not run again."""
    results = iter((literals(o=1), None, literals(o=2), literals(o=3)))
    world = await make_world(lambda _: next(results))
    lease = nested().lease(i=7)
    await world.runner.accept(lease)
    await world.until(lambda: world.executor.running == {"p/d/e/n0-0-n2/0"})

    await world.crash()

    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.executor.started == ["p/d/e/n0-0-n2/0", "p/d/e/n3/0"]
    assert world.outputs(lease) == literals(r=2, q=3)


async def test_failure_and_abort_below(make_world: MakeWorld) -> None:
    """A failure below fails every node around it; an abort ends every node around what runs."""
    world = await make_world(lambda spec: Broken("Boom", "no", recoverable=False) if "/e/" in spec.name else None)
    rows = await world.execute(nested().lease(i=7))
    assert rows.workflow == WorkflowExecution.FAILED
    assert {rows.nodes[node] for node in ("n0", "n0-0-n1", "n0-0-n1-0-n0")} == {NodeExecution.FAILED}
    assert events_of(world, "n0")[-1].error.code == "Boom"

    other = nested().lease("other", i=7)
    await world.runner.accept(other)
    await world.until(lambda: world.executor.running == {"p/d/other/n0-0-n1-0-n0/0"})
    await world.runner.abort(other.id, "enough")
    rows = await world.end_of("other")
    assert rows.workflow == WorkflowExecution.ABORTED
    assert {rows.nodes[node] for node in ("n0", "n0-0-n1", "n0-0-n1-0-n0")} == {NodeExecution.ABORTED}
    assert not world.executor.running


@pytest.mark.parametrize(("given", "taken", "skipped"), [(1, "b-0-bb", "b-0-ba"), (9, "b-0-ba", "b-0-bb")])
async def test_branch_runs_the_case_that_holds(make_world: MakeWorld, given: int, taken: str, skipped: str) -> None:
    """A branch over an output of another node takes the case that holds, and gives its outputs on."""
    world = await make_world(lambda spec: literals(o=given if "/a/" in spec.name else len(spec.name)))
    flow = Flow().task("a").task("ba", {"x": promise("a", "o")}).task("bb", {"x": 4})
    flow.branch("b", {"a.o": promise("a", "o")}, [(compare("a.o", "GT", 5), "ba"), (None, "bb")])
    lease = flow.task("z", {"x": promise("b", "o")}).returns(r=promise("b", "o")).lease()

    rows = await world.execute(lease)

    assert rows.nodes[taken] == NodeExecution.SUCCEEDED
    assert rows.nodes[skipped] == NodeExecution.SKIPPED
    assert (rows.parents[taken], rows.parents[skipped]) == ("b", "b")
    assert {event.is_parent for event in events_of(world, "b")} == {True}
    value = len(f"p/d/e/{taken}/0")
    assert world.store.literals(f"{lease.metadata_prefix}/b/data/0/outputs.pb") == literals(o=value)
    assert world.store.literals(f"{lease.metadata_prefix}/z/data/inputs.pb") == literals(x=value)
    assert world.outputs(lease) == literals(r=value)


async def test_branch_inside_of_a_branch_and_its_error(make_world: MakeWorld) -> None:
    """A branch may be the case of another; when none holds, its own error ends the execution."""
    world = await make_world(lambda _: literals(o=1))
    for given, phase in ((9, WorkflowExecution.SUCCEEDED), (3, WorkflowExecution.FAILED)):
        flow = Flow().task("t", {"x": promise("", "i")})
        flow.branch("c", {"x": promise("", "i")}, [(compare("x", "GT", 5), "t")], error="too small")
        flow.branch("b", {"x": promise("", "i")}, [(compare("x", "GT", 1), "c")])
        rows = await world.execute(flow.returns(r=promise("b", "o")).lease(f"e{given}", i=given))
        assert rows.workflow == phase
    error = events_of(world, "b-0-c")[-1].error
    assert (error.code, error.message) == ("UserProvidedError", "too small")


async def test_failure_node_gets_the_inputs_and_the_error(make_world: MakeWorld) -> None:
    """The failure node runs with the workflow's inputs and its error, as an optional one; the end stays FAILED."""
    boom = Broken("Boom", "no", recoverable=False)
    world = await make_world(lambda spec: literals() if "/fn0/" in spec.name else boom)
    flow = Flow().task("a").on_failure("fn0", {"x": promise("", "i"), "err": 0}, error="err")
    lease = flow.lease(i=7)

    rows = await world.execute(lease)

    assert rows.workflow == WorkflowExecution.FAILED
    assert rows.nodes["fn0"] == NodeExecution.SUCCEEDED
    inputs = world.store.literals(f"{lease.metadata_prefix}/fn0/data/inputs.pb").literals
    assert inputs["x"].scalar.primitive.integer == 7
    union = inputs["err"].scalar.union
    assert union.type.structure.tag == "FlyteError"
    assert (union.value.scalar.error.failed_node_id, union.value.scalar.error.message) == ("fn0", "no")


def offloaded(world: World, literal: Literal) -> Literal:
    """Put a literal into an object of its own and return what stands for it."""
    uri = "mem://store/offloaded.pb"
    world.store.objects[uri] = literal.SerializeToString()
    return Literal(offloaded_metadata=LiteralOffloadedMetadata(uri=uri))


async def test_a_map_over_a_list_in_an_object_of_its_own(make_world: MakeWorld) -> None:
    """A map reads a list that was offloaded; each item gets its own value."""
    world = await make_world(lambda spec: literals(o=int(spec.name.split("/")[-2])))
    lease = Flow().map("n0", {"x": promise("", "i")}).returns(r=promise("n0", "o")).lease()
    lease.inputs.literals["i"].CopyFrom(offloaded(world, integers(5, 6)))
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease).literals["r"] == integers(0, 1)


async def test_an_attribute_of_a_value_in_an_object_of_its_own(make_world: MakeWorld) -> None:
    """One entry of an offloaded list goes into a task; another task, which wants all of it, gets it as it is."""
    world = await make_world(lambda _: literals(o=1))
    entry = promise("", "i")
    entry.promise.attr_path.add(int_value=1)
    lease = Flow().task("n0", {"x": entry}).task("n1", {"y": promise("", "i")}).lease()
    whole = offloaded(world, integers(5, 6))
    lease.inputs.literals["i"].CopyFrom(whole)
    await world.execute(lease)
    assert world.store.literals(f"{lease.metadata_prefix}/n0/data/inputs.pb") == literals(x=6)
    assert world.store.literals(f"{lease.metadata_prefix}/n1/data/inputs.pb") == literals(y=whole)


async def test_a_value_that_is_nowhere(make_world: MakeWorld) -> None:
    """An offloaded list that is gone fails the node with a message that says where it was looked for."""
    world = await make_world(lambda _: literals(o=1))
    lease = Flow().map("n0", {"x": promise("", "i")}).lease()
    lease.inputs.literals["i"].CopyFrom(offloaded(world, integers(1)))
    world.store.objects.pop("mem://store/offloaded.pb")
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.FAILED
    assert "mem://store/offloaded.pb" in events_of(world, "n0")[-1].error.message
