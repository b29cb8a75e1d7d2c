"""A runner that begins what follows from an attempt's success before the log has that: nothing is lost by it."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution

from flyteform.errors import UnavailableError
from flyteform_dataplane.runner import RunnerConfig
from flyteform_dataplane.runner.log import ExecutionLog, LoggedExecution
from flyteform_dataplane.runner.pacing import Turns
from support.closures import Flow, integers, literals, promise
from support.world import Broken, SystemClock, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.ports import AttemptSpec
    from flyteform_dataplane.runner.log import LoggedStep
    from support.world import Result

    Body = Callable[[AttemptSpec], Any]

    class MakeWorld(Protocol):
        """Starts a world of these tasks; what may wait is written after so many seconds."""

        def __call__(self, body: Body, seconds: float = ...) -> Awaitable[World]:
            """Start it."""
            ...


_NEVER = 100_000.0  # seconds until what may wait is written: only what may not wait is


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """Return what starts a world whose runner goes ahead, and writes nothing that may wait."""
    worlds: list[World] = []

    async def make(body: Body, seconds: float = _NEVER) -> World:
        config = RunnerConfig(ahead=True, fold_seconds=seconds)
        world = World(tmp_path / "dataplane.db", body, config)
        worlds.append(world)
        await world.runner.start()
        return world

    yield make
    for world in worlds:
        await world.runner.stop()
        await world.executor.kill()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of the steps that are written, as they are."""
    steps: list[int] = []
    append = ExecutionLog.append

    async def counting(self: ExecutionLog, key: str, step: LoggedStep, *rest: object) -> None:
        await append(self, key, step, *rest)  # type: ignore[arg-type]
        steps.append(step.number)

    monkeypatch.setattr(ExecutionLog, "append", counting)
    return steps


async def crash(world: World) -> None:
    """Let the runner vanish; what it has started goes on, as pods do."""
    await world.runner.stop()
    world.runner = world._runner()  # noqa: SLF001 - the same world, seen by another runner
    await world.runner.start()


def chain(length: int) -> Lease:
    """Return tasks each of which takes what the one before gives."""
    flow = Flow().task("n0")
    for number in range(1, length):
        flow.task(f"n{number}", {"x": promise(f"n{number - 1}", "o")})
    return flow.returns(r=promise(f"n{length - 1}", "o")).lease()


def held_up_by(gate: asyncio.Event) -> Body:
    """Return what tasks do: the second one waits for the gate."""

    async def run(spec: AttemptSpec) -> Result:
        if "/n1/" in spec.name:
            await gate.wait()
        return literals(o=1)

    return lambda spec: asyncio.ensure_future(run(spec))


async def test_a_chain_is_one_write(make_world: MakeWorld, written: list[int]) -> None:
    """Of a chain that succeeds nothing has to be written but its end, and all is told in legal order."""
    world = await make_world(lambda _: literals(o=1))
    rows = await world.execute(chain(20))
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert written == [1]
    ended = {event.node.event.id.node_id for _, event in world.reporter.sent if _succeeded(event)}
    assert {f"n{number}" for number in range(20)} <= ended


async def test_what_may_wait_is_written_before_long(make_world: MakeWorld, written: list[int]) -> None:
    """While a task runs on, what was before it is written and told though nothing else happens."""
    world = await make_world(lambda spec: None if "/n1/" in spec.name else literals(o=1), 1.0)
    await world.runner.accept(chain(2))
    await world.until(lambda: any(_succeeded(event) for _, event in world.reporter.sent))
    assert written


async def test_nothing_is_told_before_it_is_written(make_world: MakeWorld) -> None:
    """What a crash could take back is not told: the second task has begun and the control plane knows of nothing."""
    world = await make_world(lambda spec: None if "/n1/" in spec.name else literals(o=1))
    await world.runner.accept(chain(2))
    await world.until(lambda: world.executor.running == {"p/d/e/n1/0"})
    assert world.reporter.sent == []


async def test_a_failure_is_written_before_the_next_attempt(make_world: MakeWorld, written: list[int]) -> None:
    """An attempt that failed may end otherwise when it is looked at again: the log has it before the next begins."""
    before: list[int] = []

    def body(spec: AttemptSpec) -> Result:
        if spec.name.endswith("/n0/1"):
            before.extend(written)
            return literals(o=1)
        return Broken("Boom", "it broke")

    world = await make_world(body)
    await world.execute(Flow().task("n0", retries=1).lease())
    assert before == [1]


@pytest.mark.parametrize("ended", range(5))
async def test_a_successor_comes_to_the_same(make_world: MakeWorld, ended: int) -> None:
    """Whenever a runner dies, one that knows only the log goes on: no task runs twice, the end is the same."""
    gate = asyncio.Event()
    runs = itertools.count()

    async def later() -> Result:
        if next(runs) >= ended:
            await gate.wait()
        return literals(o=1)

    world = await make_world(lambda _: asyncio.ensure_future(later()))
    await world.runner.accept(chain(4))
    await world.until(lambda: len(world.executor.started) >= min(ended + 1, 4))
    starts, ends = list(world.executor.started), world.finished
    if not ends:
        await crash(world)
        # Offered again, as whatever the control plane has not heard the end of: a runner may die before it tells that.
        await world.runner.accept(chain(4))
    gate.set()
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert set(world.executor.started) == {f"p/d/e/n{number}/0" for number in range(4)}
    # One that had ended is not started again; one that ran is watched again.
    again = [name for name in world.executor.started[len(starts) :] if name in starts[:-1]]
    assert again == []


async def test_files_of_a_first_life_are_its_own(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a log knows that there was no former life, a successor takes what has ended from its files, and no note."""
    unfinished = ExecutionLog.unfinished

    async def first(self: ExecutionLog) -> list[LoggedExecution]:
        return [replace(logged, first=True) for logged in await unfinished(self)]

    monkeypatch.setattr(ExecutionLog, "unfinished", first)
    gate = asyncio.Event()
    world = await make_world(held_up_by(gate))
    lease = chain(2)
    await world.runner.adopt(await accepted(world, lease))
    await world.until(lambda: world.executor.running == {"p/d/e/n1/0"})
    assert f"{lease.metadata_prefix}/start-node/life" not in world.store.objects
    await crash(world)
    gate.set()
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.executor.started.count("p/d/e/n0/0") == 1


async def accepted(world: World, lease: Lease) -> LoggedExecution:
    """Have the log take an execution, and return it as one that was taken just now and has no former life."""
    log, at = ExecutionLog(world.path), datetime.now(UTC).timestamp()
    await log.open()
    await log.accept("p/d/e", lease.SerializeToString(), at)
    await log.close()
    return LoggedExecution("p/d/e", lease.SerializeToString(), at, 0, None, (), new=True, first=True)


async def test_what_the_log_does_not_know_is_ended_too(make_world: MakeWorld) -> None:
    """An abort right after a crash ends also what was begun before it, of which the log has nothing."""
    world = await make_world(lambda spec: None if "/n1/" in spec.name else literals(o=1))
    lease = chain(2)
    await world.runner.accept(lease)
    await world.until(lambda: world.executor.running == {"p/d/e/n1/0"})
    world.store.objects = {uri: content for uri, content in world.store.objects.items() if "/n0/data/0" not in uri}
    await crash(world)
    await world.runner.abort(lease.id, "enough")
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.ABORTED
    assert world.executor.running == set()


async def test_a_map_goes_ahead(make_world: MakeWorld, written: list[int]) -> None:
    """A map, also one over nothing, needs no write before its end."""
    world = await make_world(lambda _: literals(o=1))
    flow = Flow().map("n0", {"x": integers(1, 2, 3)}).map("n1", {"x": integers()})
    await world.execute(flow.lease())
    assert written == [1]


async def test_turns_are_taken_one_by_one() -> None:
    """Who waits for a turn has it alone, in order, and one who gives up keeps nobody waiting."""
    turns = Turns(SystemClock(), 0.001)
    given: asyncio.Queue[int] = asyncio.Queue()
    asked = [turns.ask(lambda number=number: given.put_nowait(number)) for number in range(5)]  # type: ignore[misc]
    asked[0].end()
    asked[3].end()
    async with asyncio.timeout(60):
        for number in (1, 2, 4):
            assert await given.get() == number
            await asyncio.sleep(0)
            assert [turn.given and not turn.is_over for turn in asked].count(True) == 1
            asked[number].end()
    await turns.close()


async def test_a_write_that_fails_leaves_its_turn(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a log that could not be written for a while the execution goes on, and others have their turns."""
    append = ExecutionLog.append
    failures = itertools.count()

    async def failing(self: ExecutionLog, key: str, step: LoggedStep, *rest: object) -> None:
        if next(failures) == 0:
            raise UnavailableError("not now")
        await append(self, key, step, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ExecutionLog, "append", failing)
    gate = asyncio.Event()
    world = await make_world(held_up_by(gate), 1.0)
    await world.runner.accept(chain(2))
    await world.until(lambda: any(_succeeded(event) for _, event in world.reporter.sent))
    gate.set()
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED


def _succeeded(event: object) -> bool:
    return bool(event.node.event.phase == NodeExecution.SUCCEEDED and event.node.event.id.node_id != "start-node")  # type: ignore[attr-defined]
