"""Results that others wait for: one computes, the others take what it has put into the cache."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flyteidl.core.catalog_pb2 import CatalogCacheStatus, CatalogReservation
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution

from support.closures import Flow, integers, literals, promise
from support.world import Broken, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.ports import AttemptSpec

    MakeWorld = Callable[[Callable[[AttemptSpec], Any]], Awaitable[World]]


class Tasks:
    """Runs each attempt until the test says what becomes of it."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Future[LiteralMap | Broken]] = {}

    def __call__(self, spec: AttemptSpec) -> asyncio.Future[LiteralMap | Broken]:
        """Begin."""
        return self.running.setdefault(spec.name, asyncio.get_running_loop().create_future())

    def end(self, name: str, result: LiteralMap | Broken) -> None:
        """End the attempt."""
        self.running[name].set_result(result)


def serialized(name: str, **settings: Any) -> Lease:
    """Return an execution of one task whose results are computed by one at a time."""
    lease = Flow().task("n0", {"x": 3}, cached=True, **settings).returns(r=promise("n0", "o")).lease(name)
    for task in lease.closure.tasks:
        task.template.metadata.cache_serializable = True
    return lease


def statuses(world: World, name: str) -> list[int]:
    """Return the cache statuses that the node's events had, from the end of the node on."""
    events = [event.node.event for _, event in world.reporter.sent if event.HasField("node")]
    mine = [event for event in events if (event.id.execution_id.name, event.id.node_id) == (name, "n0")]
    return [event.task_node_metadata.cache_status for event in mine if event.phase == NodeExecution.SUCCEEDED]


def reservations(world: World, name: str) -> list[int]:
    """Return what the node's events say of its reservation."""
    events = [event.node.event for _, event in world.reporter.sent if event.HasField("node")]
    mine = [event for event in events if (event.id.execution_id.name, event.id.node_id) == (name, "n0")]
    return [event.task_node_metadata.reservation_status for event in mine]


async def two(make_world: MakeWorld) -> tuple[World, Tasks]:
    """Start two executions of one result; the first computes and the second waits."""
    tasks = Tasks()
    world = await make_world(tasks)
    await world.runner.accept(serialized("first"))
    await world.until(lambda: "p/d/first/n0/0" in tasks.running)
    await world.runner.accept(serialized("second"))
    return world, tasks


async def waited(world: World, asked: int) -> None:
    """Wait until the cache was asked that often for the right to compute."""
    await world.until(lambda: world.catalog.asked >= asked)


async def test_one_computes_and_the_other_takes_its_result(make_world: MakeWorld) -> None:
    """The second execution starts no attempt, and its node is a hit."""
    world, tasks = await two(make_world)
    await waited(world, world.catalog.asked + 3)
    tasks.end("p/d/first/n0/0", literals(o=7))
    for name in ("first", "second"):
        rows = await world.end_of(name)
        assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.executor.started == ["p/d/first/n0/0"]
    assert world.outputs(serialized("second")) == literals(r=7)
    assert statuses(world, "first") == [CatalogCacheStatus.CACHE_POPULATED]
    assert statuses(world, "second") == [CatalogCacheStatus.CACHE_HIT]
    assert world.catalog.reserved == {}
    assert reservations(world, "first")[0] == CatalogReservation.RESERVATION_ACQUIRED
    assert reservations(world, "first")[-1] == CatalogReservation.RESERVATION_RELEASED
    assert reservations(world, "second")[-1] == CatalogReservation.RESERVATION_EXISTS


async def test_a_failure_gives_the_right_to_the_next(make_world: MakeWorld) -> None:
    """When the first fails for good, the second computes at once, not only after an expiry."""
    world, tasks = await two(make_world)
    tasks.end("p/d/first/n0/0", Broken("Bad", "no", recoverable=False))
    assert (await world.end_of("first")).workflow == WorkflowExecution.FAILED
    await world.until(lambda: "p/d/second/n0/0" in tasks.running)
    tasks.end("p/d/second/n0/0", literals(o=1))
    assert (await world.end_of("second")).workflow == WorkflowExecution.SUCCEEDED


async def test_an_abort_gives_the_right_to_the_next(make_world: MakeWorld) -> None:
    """When the first is aborted, the second computes; when the waiting one is aborted, it ends."""
    world, tasks = await two(make_world)
    await world.runner.accept(serialized("third"))
    await waited(world, world.catalog.asked + 4)
    await world.runner.abort(serialized("third").id, "enough")
    assert (await world.end_of("third")).workflow == WorkflowExecution.ABORTED
    await world.runner.abort(serialized("first").id, "enough")
    assert (await world.end_of("first")).workflow == WorkflowExecution.ABORTED
    await world.until(lambda: "p/d/second/n0/0" in tasks.running)
    tasks.end("p/d/second/n0/0", literals(o=1))
    await world.end_of("second")


async def test_who_is_gone_is_replaced_after_the_expiry(make_world: MakeWorld) -> None:
    """A right that nobody extends any more is taken over."""
    tasks = Tasks()
    world = await make_world(tasks)
    await world.runner.accept(serialized("first"))
    await world.until(lambda: bool(tasks.running))
    (key,) = world.catalog.reserved
    tasks.end("p/d/first/n0/0", Broken("Bad", "no", recoverable=False))
    await world.end_of("first")
    await world.until(lambda: not world.catalog.reserved)

    loop = asyncio.get_running_loop()
    until = loop.time() + 0.3
    world.catalog.reserved[key] = "somebody who was killed", until
    await world.runner.accept(serialized("second"))
    await world.until(lambda: "p/d/second/n0/0" in tasks.running)
    assert loop.time() >= until
    tasks.end("p/d/second/n0/0", literals(o=1))
    await world.end_of("second")


async def test_the_right_is_extended_while_the_task_runs(make_world: MakeWorld) -> None:
    """Each heartbeat moves the expiry, also after a crash of the data plane."""
    tasks = Tasks()
    world = await make_world(tasks)
    await world.runner.accept(serialized("first"))
    await world.until(lambda: bool(world.catalog.reserved))
    for _ in range(2):
        ((key, (owner, until)),) = world.catalog.reserved.items()
        await world.until(lambda key=key, owner=owner, until=until: world.catalog.reserved[key] > (owner, until))
        tasks.running.clear()
        await world.crash()
    await world.until(lambda: bool(tasks.running))
    tasks.end("p/d/first/n0/0", literals(o=7))
    await world.end_of("first")
    assert world.catalog.reserved == {}


async def test_equal_items_of_a_map_are_computed_once(make_world: MakeWorld) -> None:
    """Of ten items with two different inputs two run; the others wait, however few commands run at once."""
    ran = []

    def body(spec: AttemptSpec) -> LiteralMap:
        ran.append(spec.environment["FLYTE_K8S_ARRAY_INDEX"])
        return literals(o=len(ran))

    world = await make_world(body)
    lease = Flow().map("n0", {"x": integers(4, 5, *[4] * 8)}, cached=True).lease("mapped")
    for task in lease.closure.tasks:
        task.template.metadata.cache_serializable = True
    assert (await world.execute(lease)).workflow == WorkflowExecution.SUCCEEDED
    assert len(ran) == 2


async def test_a_catalog_without_reservations_holds_nobody_up(make_world: MakeWorld) -> None:
    """When the catalog fails, the tasks run without it."""
    world = await make_world(lambda _: literals(o=1))
    world.catalog.broken = True
    assert (await world.execute(serialized("first"))).workflow == WorkflowExecution.SUCCEEDED
    assert statuses(world, "first") == [CatalogCacheStatus.CACHE_PUT_FAILURE]


async def test_who_overwrites_waits_too(make_world: MakeWorld) -> None:
    """An execution that overwrites the cache computes after the one that has the right, and is no hit."""
    world, tasks = await two(make_world)
    again = serialized("third")
    again.spec.overwrite_cache = True
    await world.runner.accept(again)
    await waited(world, world.catalog.asked + 4)
    assert "p/d/third/n0/0" not in tasks.running
    tasks.end("p/d/first/n0/0", literals(o=7))
    await world.until(lambda: "p/d/third/n0/0" in tasks.running)
    tasks.end("p/d/third/n0/0", literals(o=8))
    for name in ("first", "second", "third"):
        await world.end_of(name)
    assert statuses(world, "third") == [CatalogCacheStatus.CACHE_POPULATED]
    assert [cached.outputs for cached in world.catalog.kept.values()] == [literals(o=8)]
