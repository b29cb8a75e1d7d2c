"""Maps among fake ports: their items, their lists and their events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import TaskExecution, WorkflowExecution

from support.closures import Flow, integer, integers, literals, promise
from support.world import Broken, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.ports import AttemptSpec

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def one(_: AttemptSpec) -> LiteralMap:
    """Return 1."""
    return literals(o=1)


def index_of(spec: AttemptSpec) -> int:
    """Return which item of a map the attempt is for."""
    return int(spec.environment["FLYTE_K8S_ARRAY_INDEX"])


async def test_map_collects_in_order(make_world: MakeWorld) -> None:
    """A map's outputs are a list in the order of its inputs; a failed item that may fail gives none."""

    def body(spec: AttemptSpec) -> LiteralMap | Broken:
        index = index_of(spec)
        return Broken("USER:Odd", "odd") if index == 1 else literals(o=index * 10)

    world = await make_world(body)
    flow = Flow().map("n0", {"x": integers(1, 2, 3)}, min_successes=2).returns(r=promise("n0", "o"))
    lease = flow.lease()
    rows = await world.execute(lease)
    found = world.outputs(lease).literals["r"].collection.literals
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert [found[0], found[2]] == [integer(0), integer(20)]
    assert found[1].scalar.HasField("none_type")
    assert {index: phase for (_, index), (_, phase) in rows.items.items()} == {
        0: TaskExecution.SUCCEEDED,
        1: TaskExecution.FAILED,
        2: TaskExecution.SUCCEEDED,
    }


async def test_empty_map(make_world: MakeWorld) -> None:
    """A map over nothing succeeds with an empty list and starts nothing."""
    world = await make_world(one)
    lease = Flow().map("n0", {"x": integers()}).returns(r=promise("n0", "o")).lease()
    await world.execute(lease)
    assert world.outputs(lease).literals["r"] == integers()
    assert world.outputs(lease).literals["r"].HasField("collection")
    assert world.executor.started == []


async def test_unequal_lists(make_world: MakeWorld) -> None:
    """Lists of different lengths fail the map with Flyte's code and name the lengths."""
    world = await make_world(one)
    await world.execute(Flow().map("n0", {"x": integers(1, 2), "y": integers(1)}).lease())
    error = world.reporter.sent[-1][1].workflow.event.error
    assert error.code == "InvalidArrayLength"
    assert "x has 2, y has 1" in error.message


async def test_large_map_is_told_in_few_events(make_world: MakeWorld) -> None:
    """A map of 1,000 items ends soon and is told in few events that name every item."""
    world = await make_world(one)
    flow = Flow().map("n0", {"x": integers(*range(1000))}).returns(r=promise("n0", "o"))
    rows = await world.execute(flow.lease())
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert len(rows.items) == 1000
    assert len(world.reporter.sent) < 60
