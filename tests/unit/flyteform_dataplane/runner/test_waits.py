"""What the control plane is told of attempts that wait before they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import TaskExecution

from flyteform_dataplane.ports import AttemptPhase
from support.closures import Flow, integers, literals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.event.event_pb2 import TaskExecutionEvent

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import World

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap]], Awaitable[World]]

WAITS = [
    (AttemptPhase.WAITING_FOR_RESOURCES, "the namespace is full"),
    (AttemptPhase.QUEUED, "it waits for a node"),
    (AttemptPhase.INITIALIZING, "ImagePullBackOff: no such image"),
]


def tasks(world: World) -> list[TaskExecutionEvent]:
    """Return the events of attempts, in their order."""
    return [event.task.event for _, event in world.reporter.sent if event.HasField("task")]


async def test_an_attempt_tells_what_it_waits_for(make_world: MakeWorld) -> None:
    """Flyte's phases, each with its reason, in the order in which they were seen."""
    world = await make_world(lambda _: literals(o=1))
    world.executor.waits = WAITS
    await world.execute(Flow().task("n0").lease())
    assert [(event.phase, event.reason) for event in tasks(world)] == [
        (TaskExecution.WAITING_FOR_RESOURCES, "the namespace is full"),
        (TaskExecution.QUEUED, "it waits for a node"),
        (TaskExecution.INITIALIZING, "ImagePullBackOff: no such image"),
        (TaskExecution.RUNNING, ""),
        (TaskExecution.SUCCEEDED, ""),
    ]


async def test_what_many_items_wait_for_is_said_once(make_world: MakeWorld) -> None:
    """A map names all of its items that wait, and the reason that they share a single time."""
    world = await make_world(lambda _: literals(o=1))
    world.executor.waits = WAITS[:1]
    await world.execute(Flow().map("n0", {"x": integers(*range(20))}).lease())
    reasons = [event.reason for event in tasks(world) if event.reason]
    assert reasons == ["the namespace is full"]
