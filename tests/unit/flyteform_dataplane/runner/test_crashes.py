"""The runner killed and started again: what it goes on with, and what it tells again."""

from __future__ import annotations

import asyncio
import itertools
import re
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.execution_pb2 import WorkflowExecution

from flyteform.errors import UnavailableError
from flyteform_dataplane.runner import log as log_module
from support.attempts import until
from support.closures import Flow, integers, literals, promise
from support.world import Broken, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.ports import AttemptSpec

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def one(_: AttemptSpec) -> LiteralMap:
    """Return 1."""
    return literals(o=1)


@pytest.mark.parametrize("moment", range(1, 16))
@pytest.mark.parametrize("after", [False, True], ids=["before-commit", "after-commit"])
async def test_crash_at_each_write(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, moment: int, *, after: bool
) -> None:
    """Killed before or after any write and started again: the same end, legal events, no finished task run twice."""
    finished: list[str] = []

    def body(spec: AttemptSpec) -> LiteralMap | Broken:
        if re.search(r"/n1/0$", spec.name):
            return Broken("USER:Oops", "first")
        finished.append(spec.name)
        return literals(o=2)

    world = await make_world(body)
    flow = Flow().task("n0").task("n1", {"x": promise("n0", "o")}, retries=1, cached=True)
    flow.map("n2", {"x": integers(1, 2, 3), "y": promise("n1", "o")}, parallelism=2)
    lease = flow.returns(r=promise("n2", "o")).lease()
    frozen, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    write = log_module.ExecutionLog._transact  # noqa: SLF001 - the one place through which all writes go
    writes = itertools.count(1)

    def freezing(self: log_module.ExecutionLog, batch: list[tuple[str, tuple[object, ...]]]) -> None:
        dies = next(writes) == moment
        if after or not dies:
            write(self, batch)
        if dies:
            loop.call_soon_threadsafe(frozen.set)
            release.wait(10)
            raise sqlite3.OperationalError("killed")

    monkeypatch.setattr(log_module.ExecutionLog, "_transact", freezing)
    accepting = asyncio.create_task(world.runner.accept(lease))
    ended = asyncio.create_task(world.end_of("e"))
    died = asyncio.create_task(frozen.wait())
    await asyncio.wait({ended, died}, return_when=asyncio.FIRST_COMPLETED)
    if frozen.is_set():
        # Nothing of this life sees another moment: its tasks are cancelled before the loop runs them again.
        release.set()
        accepting.cancel()
        await world.crash()
        await world.runner.accept(lease)
    died.cancel()
    rows = await ended
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease).literals["r"] == integers(2, 2, 2)
    assert len(finished) == len(set(finished)) == 5


async def test_events_are_sent_again_until_acknowledged(make_world: MakeWorld) -> None:
    """What was not acknowledged before a crash is sent again with the same numbers and phases, also after the end."""
    world = await make_world(one)
    world.reporter.silent = True
    lease = Flow().task("n0").lease()
    await world.runner.accept(lease)
    await until(
        lambda: any(event.workflow.event.phase == WorkflowExecution.SUCCEEDED for _, event in world.reporter.sent)
    )
    before = list(world.reporter.sent)
    assert [execution.name for execution in world.runner.held()] == ["e"]
    world.reporter.sent.clear()
    world.reporter.silent = False
    await world.crash()
    await world.end_of("e")
    assert world.reporter.sent == before


async def test_events_of_a_former_life_are_marked(make_world: MakeWorld) -> None:
    """What is sent again after a crash says so, and nothing else does: it is no surprise if it had arrived."""
    world = await make_world(one)
    world.reporter.silent = True
    await world.runner.accept(Flow().task("n0").lease())
    await until(
        lambda: any(event.workflow.event.phase == WorkflowExecution.SUCCEEDED for _, event in world.reporter.sent)
    )
    assert world.reporter.repeated == 0
    before = len(world.reporter.sent)
    world.reporter.silent = False
    await world.crash()
    await world.end_of("e")
    assert world.reporter.repeated == before


async def test_inputs_lost_in_a_crash_are_made_again(make_world: MakeWorld) -> None:
    """Inputs are not stored durably, so after a power cut an attempt that starts again finds them anew."""
    results = iter((literals(o=1), None, literals(o=2)))
    world = await make_world(lambda _: next(results))
    lease = Flow().task("n0").task("n1", {"x": promise("n0", "o")}).returns(r=promise("n1", "o")).lease()
    uri = f"{lease.metadata_prefix}/n1/data/inputs.pb"
    await world.runner.accept(lease)
    await until(lambda: world.executor.running == {"p/d/e/n1/0"})
    no_inputs = f"{lease.metadata_prefix}/start-node/data/0/outputs.pb"
    assert world.store.volatile == {f"{lease.metadata_prefix}/n0/data/inputs.pb", uri, no_inputs}
    await world.crash()
    await world.end_of("e")
    assert world.outputs(lease) == literals(r=2)
    assert world.store.literals(uri) == literals(x=1)


async def test_a_map_misses_no_outputs_that_were_never_declared(make_world: MakeWorld) -> None:
    """That items of a task without outputs have none is not stored durably, and not asked for after a power cut."""
    done = Broken(exit_code=0)
    waits = {"p/d/e/m/2/0"}
    world = await make_world(lambda spec: None if spec.name in waits else done)
    lease = Flow().map("m", {"x": integers(1, 2, 3)}, outputs=()).lease()
    await world.runner.accept(lease)
    first = f"{lease.metadata_prefix}/m/data/0/0/outputs.pb"
    await until(lambda: world.executor.running == waits and first in world.store.volatile)
    waits.clear()
    await world.crash()
    assert first not in world.store.objects
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.executor.started == ["p/d/e/m/2/0"]


async def test_a_log_that_cannot_forget(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a revocation could not be written, the next lease still begins anew, now and after another crash."""
    results = iter((None, literals(o=1), None, literals(o=1)))
    world = await make_world(lambda _: next(results))
    lease = Flow().task("n0").task("n1", after=["n0"]).lease()
    await world.runner.accept(lease)
    await until(lambda: len(world.executor.running) == 1)

    async def fail(*_: object) -> None:
        raise UnavailableError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(log_module.ExecutionLog, "remove", fail)
        with pytest.raises(UnavailableError):
            await world.runner.revoke(lease.id)
    await world.runner.accept(lease)
    await until(lambda: world.executor.running == {"p/d/e/n1/0"})
    await world.crash()
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.executor.started == ["p/d/e/n1/0"]


async def test_snapshots_keep_the_log_short(make_world: MakeWorld) -> None:
    """With small snapshots a long chain still resumes after a crash and ends as it should."""
    world = await make_world(one)
    flow = Flow().task("n0")
    for number in range(1, 40):
        flow.task(f"n{number}", {"x": promise(f"n{number - 1}", "o")})
    lease = flow.lease()
    world.config = type(world.config)(snapshot_bytes=500)
    await world.crash()
    await world.runner.accept(lease)
    await until(lambda: len(world.executor.started) > 20)
    await world.crash()
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
