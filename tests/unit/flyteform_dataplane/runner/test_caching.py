"""Cached results among fake ports: hits, a broken cache, and results that are overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.catalog_pb2 import CatalogCacheStatus
from flyteidl.core.execution_pb2 import WorkflowExecution

from support.closures import Flow, literals, promise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import Broken, World

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def one(_: AttemptSpec) -> LiteralMap:
    """Return 1."""
    return literals(o=1)


async def test_cache_hit_skips_the_attempt(make_world: MakeWorld) -> None:
    """The second execution finds the outputs of the first, says HIT with its source, and starts nothing."""
    world = await make_world(one)
    flow = Flow().task("n0", {"x": 3}, cached=True).returns(r=promise("n0", "o"))
    flow.build()
    first, second = flow.lease("first"), flow.lease("second")
    await world.execute(first)
    await world.execute(second)
    last = [event.node.event for _, event in world.reporter.sent if event.node.event.id.node_id == "n0"][-1]
    assert world.executor.started == ["p/d/first/n0/0"]
    assert world.outputs(second) == literals(r=1)
    assert last.task_node_metadata.cache_status == CatalogCacheStatus.CACHE_HIT
    source = last.task_node_metadata.catalog_key.source_task_execution
    assert source.node_execution_id.execution_id.name == "first"


async def test_broken_cache_fails_nothing(make_world: MakeWorld) -> None:
    """With the cache away the task runs, and the node says what happened to the cache."""
    world = await make_world(one)
    world.catalog.broken = True
    rows = await world.execute(Flow().task("n0", cached=True).lease())
    statuses = [
        event.node.event.task_node_metadata.cache_status
        for _, event in world.reporter.sent
        if event.node.event.id.node_id == "n0"
    ]
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert statuses[0] == CatalogCacheStatus.CACHE_LOOKUP_FAILURE
    assert statuses[-1] == CatalogCacheStatus.CACHE_PUT_FAILURE


async def test_overwritten_cache(make_world: MakeWorld) -> None:
    """With overwrite_cache the task runs although the cache has its outputs, and they are replaced."""
    values = iter((1, 2))
    world = await make_world(lambda _: literals(o=next(values)))
    flow = Flow().task("n0", cached=True)
    flow.build()
    await world.execute(flow.lease("first"))
    again = flow.lease("second")
    again.spec.overwrite_cache = True
    await world.execute(again)
    assert [cached.outputs for cached in world.catalog.kept.values()] == [literals(o=2)]
