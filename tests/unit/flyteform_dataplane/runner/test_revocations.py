"""Executions that are taken away: what is left of them, and their next lives."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution

from flyteform_dataplane.runner import log as log_module
from support.attempts import until
from support.closures import Flow, literals, promise
from support.world import Broken, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest
    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.ports import AttemptSpec

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def one(_: AttemptSpec) -> LiteralMap:
    """Return 1."""
    return literals(o=1)


async def test_a_revoked_execution_is_forgotten(make_world: MakeWorld) -> None:
    """Its attempts are stopped and nothing more is told; leased again, it begins anew as if it had never been here."""
    runs = itertools.count()
    world = await make_world(lambda spec: literals(o=next(runs)) if "/n0/" in spec.name or next(runs) > 2 else None)
    lease = Flow().task("n0").task("n1", {"x": promise("n0", "o")}).returns(r=promise("n1", "o")).lease()
    other = Flow().task("n0").lease("e-other")
    await world.runner.accept(lease)
    await until(lambda: world.executor.running == {"p/d/e/n1/0"})
    await world.execute(other)
    sent = sum(event.HasField("node") for _, event in world.reporter.sent)
    await world.runner.revoke(lease.id)
    assert world.executor.running == set()
    assert world.runner.held() == []
    assert world.reporter.dropped == ["e"]
    await world.crash()
    assert sum(event.HasField("node") for _, event in world.reporter.sent) == sent
    assert world.executor.started == []

    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.executor.started == ["p/d/e/n0/0", "p/d/e/n1/0"]
    assert world.outputs(other) is not None


async def test_a_revocation_that_takes_long_keeps_nobody_waiting(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While pods of one execution have their grace period, others begin and are given up; its own next life waits."""
    world = await make_world(lambda _: None)
    slow, other = Flow().task("n0").lease("slow"), Flow().task("n0").lease("other")
    await world.runner.accept(slow)
    await until(lambda: world.executor.running == {"p/d/slow/n0/0"})
    going, gone = asyncio.Event(), asyncio.Event()

    async def forget(_: str) -> None:
        going.set()
        await gone.wait()

    monkeypatch.setattr(world.executor, "forget", forget)
    revoking = asyncio.create_task(world.runner.revoke(slow.id))
    await going.wait()
    again = asyncio.create_task(world.runner.accept(slow))
    async with asyncio.timeout(10):
        await world.runner.accept(other)
        await world.runner.release(other.id)
    assert not again.done()
    assert world.runner.held() == []
    gone.set()
    await asyncio.gather(revoking, again)
    assert [execution.name for execution in world.runner.held()] == ["slow"]


async def test_results_of_a_former_life_do_not_count(make_world: MakeWorld) -> None:
    """What a revoked execution had written is not taken for the results of the new one."""
    results = iter((literals(o=1), None, Broken("USER:Oops", "broken now", recoverable=False)))
    world = await make_world(lambda _: next(results))
    lease = Flow().task("n0").task("n1", after=["n0"]).lease()
    await world.runner.accept(lease)
    await until(lambda: world.executor.running == {"p/d/e/n1/0"})
    await world.runner.revoke(lease.id)
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.FAILED
    assert rows.nodes["n0"] == NodeExecution.FAILED


async def test_revoking_what_has_ended_or_was_never_here(make_world: MakeWorld) -> None:
    """Nothing happens for the latter; the former is run anew when it is leased again."""
    world = await make_world(one)
    lease = Flow().task("n0").lease()
    await world.runner.revoke(lease.id)
    await world.execute(lease)
    await world.runner.revoke(lease.id)
    world.finished.clear()
    await world.execute(lease)
    assert world.executor.started == ["p/d/e/n0/0"] * 2


async def test_crash_while_revoking(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the log has forgotten it, the execution is held again after a crash, and can be revoked again."""
    world = await make_world(lambda _: None)
    lease = Flow().task("n0").lease()
    await world.runner.accept(lease)
    await until(lambda: len(world.executor.running) == 1)
    dying = asyncio.Event()

    async def die(*_: object) -> None:
        dying.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(log_module.ExecutionLog, "remove", die)
        revoking = asyncio.create_task(world.runner.revoke(lease.id))
        await dying.wait()
        revoking.cancel()
    await world.crash()
    assert [execution.name for execution in world.runner.held()] == ["e"]
    await until(lambda: len(world.executor.running) == 1)
    await world.runner.revoke(lease.id)
    await world.crash()
    assert world.runner.held() == []
    assert world.executor.started == []
