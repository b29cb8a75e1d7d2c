"""Runners that share a log: what one gives up another one goes on with, and nothing that was asked for is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution

from flyteform.errors import UnavailableError
from flyteform_dataplane.runner.log import ExecutionLog
from support.closures import Flow, literals
from support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import Result


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Return a runner whose second task never ends."""

    def body(spec: AttemptSpec) -> Result:
        return literals(o=1) if "/n0/" in spec.name else None

    running = World(tmp_path / "log.db", body)
    await running.runner.start()
    yield running
    await running.runner.stop()
    await running.executor.kill()


FLOW = Flow().task("n0").task("n1", after=["n0"])
KEY = "p/d/e"


async def test_an_abort_right_after_the_lease_counts(world: World) -> None:
    """The execution ends as ABORTED though nobody listened yet when it was aborted."""
    lease = FLOW.lease()
    await world.runner.accept(lease)
    await world.runner.abort(lease.id, "never mind")
    assert (await world.end_of("e")).workflow == WorkflowExecution.ABORTED


async def test_what_is_released_goes_on_where_it_was(world: World) -> None:
    """Released, nothing of it is told or stopped; adopted from the log, its finished task is not run again."""
    lease = FLOW.lease()
    await world.runner.accept(lease)
    await world.until(lambda: "p/d/e/n1/0" in world.executor.running)
    assert world.runner.holds(lease.id)
    await world.runner.release(lease.id)
    assert not world.runner.holds(lease.id)
    assert world.executor.running == {"p/d/e/n1/0"}
    assert (world.executor.stopped, world.executor.released) == ([], [KEY])
    log = ExecutionLog(world.path)
    await log.open()
    logged = await log.load(KEY)
    await log.close()
    assert logged is not None
    for _ in range(2):
        await world.runner.adopt(logged)
    await world.until(lambda: world.executor.started.count("p/d/e/n1/0") == 2)
    assert world.executor.started.count("p/d/e/n0/0") == 1
    await world.runner.abort(lease.id, "enough")
    rows = await world.end_of("e")
    assert rows.nodes["n0"] == NodeExecution.SUCCEEDED
    assert world.finished == ["e"]


async def test_what_the_log_does_not_have_any_more_is_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is refused as the execution is another's ends the work here, without a word to anybody."""
    lease = FLOW.lease()
    await world.runner.accept(lease)
    await world.until(lambda: "p/d/e/n1/0" in world.executor.running)

    async def refuse(*_: object) -> None:
        raise UnavailableError("another one has it")

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(ExecutionLog, "append", refuse)
    monkeypatch.setattr(ExecutionLog, "load", nothing)
    await world.runner.abort(lease.id, "enough")
    await world.until(lambda: not world.runner.holds(lease.id))
    assert world.finished == []
    assert world.executor.running == {"p/d/e/n1/0"}
