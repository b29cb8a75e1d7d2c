"""Commands are carried out beside each other, and none is forgotten when its worker is just leaving."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from flyteidl.core.execution_pb2 import WorkflowExecution

from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.ports import AttemptPhase, AttemptUpdate
from flyteform_dataplane.runner.dispatch import Dispatcher
from support.closures import Flow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import World

    MakeWorld = Callable[[Callable[[AttemptSpec], None]], Awaitable[World]]


@pytest.fixture
async def dispatcher() -> AsyncIterator[Dispatcher]:
    """Return one that does two things at once."""
    nothing = cast("Any", None)
    made = Dispatcher(nothing, nothing, data=nothing, caching=nothing, clock=nothing, observe=nothing, limit=2)
    yield made
    await made.close()


async def test_an_attempt_that_fails_at_once_is_heard(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end comes while the worker that has started it is just leaving: the execution ends all the same."""
    world = await make_world(lambda _: None)

    async def start(attempt: AttemptSpec, observe: Callable[[AttemptUpdate], None]) -> None:
        failure = Failure("Refused", "nobody runs it")
        update = AttemptUpdate(attempt.name, AttemptPhase.EXITED, datetime.now(UTC), "", failure=failure)
        asyncio.get_running_loop().call_soon(observe, update)

    monkeypatch.setattr(world.executor, "start", start)
    rows = await world.execute(Flow().task("n0").lease())
    assert rows.workflow == WorkflowExecution.FAILED


async def test_what_takes_long_keeps_nothing_else_waiting(dispatcher: Dispatcher) -> None:
    """While one waits (for a pod to go, say), what comes later is done."""
    begun, done = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        await done.wait()

    async def finish() -> None:
        done.set()

    dispatcher.soon(wait)
    async with asyncio.timeout(60):
        await begun.wait()
        dispatcher.soon(finish)
        await done.wait()


async def test_no_more_is_done_at_once_than_it_may(dispatcher: Dispatcher) -> None:
    """However it comes, one by one or all together; and all of it is done."""
    at_once = most = 0
    left = 50
    over = asyncio.Event()

    async def work() -> None:
        nonlocal at_once, most, left
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        left -= 1
        if not left:
            over.set()

    for number in range(50):
        dispatcher.soon(work)
        if number % 3:
            await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await over.wait()
    assert most == 2
