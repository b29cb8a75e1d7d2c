"""The runner among fake ports: outputs, events, cache, failures, aborts and crashes."""

from __future__ import annotations

import asyncio
import itertools
import re
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.catalog_pb2 import CatalogCacheStatus
from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.event.event_pb2 import TaskExecutionMetadata

from flyteform.errors import UnavailableError
from flyteform_dataplane.runner import log as log_module
from support.closures import Flow, integer, integers, literals, promise
from support.world import Broken, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteform_dataplane.ports import AttemptSpec

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def one(_: AttemptSpec) -> LiteralMap:
    """Return 1."""
    return literals(o=1)


def index_of(spec: AttemptSpec) -> int:
    """Return which item of a map the attempt is for."""
    return int(spec.environment["FLYTE_K8S_ARRAY_INDEX"])


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the fakes set no event
            await asyncio.sleep(0.001)


async def test_chain_runs_to_its_outputs(make_world: MakeWorld) -> None:
    """Inputs reach the tasks by their bindings, outputs come out at the end node, events are legal."""
    world = await make_world(one)
    flow = Flow().task("n0", {"x": promise("", "a")}).task("n1", {"x": promise("n0", "o"), "y": 5})
    lease = flow.returns(r=promise("n1", "o")).lease(a=7)

    rows = await world.execute(lease)

    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=1)
    assert world.store.literals(f"{lease.metadata_prefix}/n0/data/inputs.pb") == literals(x=7)
    assert world.store.literals(f"{lease.metadata_prefix}/n1/data/inputs.pb") == literals(x=1, y=5)
    assert world.store.literals(f"{lease.metadata_prefix}/start-node/data/0/outputs.pb") == literals(a=7)
    assert set(rows.nodes) == {"start-node", "n0", "n1", "end-node"}
    assert world.runner.held() == []


async def test_node_event_fields(make_world: MakeWorld) -> None:
    """A node's and a task's last events carry what clients read: spec id, URIs, type, log."""
    world = await make_world(one)
    lease = Flow().task("n0").lease()
    await world.execute(lease)

    node = [event.node.event for _, event in world.reporter.sent if event.node.event.id.node_id == "n0"][-1]
    task = [event.task.event for _, event in world.reporter.sent if event.HasField("task")][-1]
    prefix = f"{lease.metadata_prefix}/n0/data"
    assert (node.spec_node_id, node.input_uri, node.output_uri) == (
        "n0",
        f"{prefix}/inputs.pb",
        f"{prefix}/0/outputs.pb",
    )
    assert (task.phase, task.output_uri) == (TaskExecution.SUCCEEDED, f"{prefix}/0/outputs.pb")
    assert (task.task_type, task.task_id.name, task.logs[0].uri) == ("python-task", "n0", "log:p/d/e/n0/0")


async def test_recoverable_error_is_retried(make_world: MakeWorld) -> None:
    """An error that the task calls recoverable uses up retries, and the outputs are the last attempt's."""

    def body(spec: AttemptSpec) -> LiteralMap | Broken:
        return literals(o=9) if spec.environment["FLYTE_ATTEMPT_NUMBER"] == "2" else Broken("USER:Oops", "no")

    world = await make_world(body)
    lease = Flow().task("n0", retries=2).returns(r=promise("n0", "o")).lease()
    rows = await world.execute(lease)
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=9)
    assert {key: phase for key, (phase, _) in rows.tasks.items()} == {
        ("n0", 0): TaskExecution.RETRYABLE_FAILED,
        ("n0", 1): TaskExecution.RETRYABLE_FAILED,
        ("n0", 2): TaskExecution.SUCCEEDED,
    }


@pytest.mark.parametrize(
    ("broken", "code", "message", "attempts"),
    [
        (Broken("USER:Oops", "no"), "RetriesExhausted|USER:Oops", "[2/2] currentAttempt done. Last Error: USER::no", 2),
        (Broken("USER:Oops", "no", recoverable=False), "USER:Oops", "no", 1),
        (Broken(exit_code=-9), "RetriesExhausted|Interrupted", "[3/3] currentAttempt done. Last Error: SYSTEM::", 3),
        (Broken(exit_code=0), "RetriesExhausted|ErrorFileNotFound", "[2/2] currentAttempt done. Last Error: USER::", 2),
        (Broken(exit_code=3), "RetriesExhausted|Error", "[2/2] currentAttempt done. Last Error: USER::terminated", 2),
    ],
)
async def test_failure_texts(make_world: MakeWorld, broken: Broken, code: str, message: str, attempts: int) -> None:
    """A task that always fails ends the execution with Flyte's code and text, after as many attempts as its budget."""
    world = await make_world(lambda _: broken)
    rows = await world.execute(Flow().task("n0", retries=1).lease())
    error = world.reporter.sent[-1][1].workflow.event.error
    assert rows.workflow == WorkflowExecution.FAILED
    assert error.code == code
    assert error.message.startswith(message)
    assert len(world.executor.started) == attempts


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


async def test_abort_stops_what_runs(make_world: MakeWorld) -> None:
    """An abort ends the running attempt and everything is told as ABORTED with the cause."""
    world = await make_world(lambda _: None)
    lease = Flow().task("n0").task("n1", after=["n0"]).lease()
    await world.runner.accept(lease)
    await until(lambda: len(world.executor.running) == 1)
    await world.runner.abort(lease.id, "not needed")
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.ABORTED
    assert rows.nodes["n0"] == NodeExecution.ABORTED
    assert "n1" not in rows.nodes
    assert world.executor.running == set()
    assert world.reporter.sent[-1][1].workflow.event.error.message == "not needed"


async def test_timeout_stops_the_attempt(make_world: MakeWorld) -> None:
    """An attempt over its time is stopped and counts as a recoverable user error."""
    world = await make_world(lambda _: None)
    await world.execute(Flow().task("n0", timeout=0.2, retries=1).lease())
    error = world.reporter.sent[-1][1].workflow.event.error
    assert error.code == "RetriesExhausted|TimeoutExpired"
    assert world.executor.stopped == ["p/d/e/n0/0", "p/d/e/n0/1"]


async def test_unknown_task_type(make_world: MakeWorld) -> None:
    """A task that brings no container, of a type that nothing runs, fails the execution with one clear error."""
    world = await make_world(one)
    lease = Flow().task("n0", task_type="fortran").lease()
    lease.closure.tasks[0].template.ClearField("container")
    await world.execute(lease)
    error = world.reporter.sent[-1][1].workflow.event.error
    assert "'fortran'" in error.message
    assert "python-task" in error.message


async def test_echo_needs_no_process(make_world: MakeWorld) -> None:
    """An echo task gives its inputs back without an attempt in the executor."""
    world = await make_world(one)
    flow = Flow().task("n0", {"o": 4}, task_type="echo").returns(r=promise("n0", "o"))
    lease = flow.lease()
    await world.execute(lease)
    assert world.outputs(lease) == literals(r=4)
    assert world.executor.started == []


async def test_events_name_plugin_and_machine(make_world: MakeWorld) -> None:
    """Task executions say which plugin ran them, and whether on a machine that could be taken away."""
    world = await make_world(one)
    flow = Flow().task("n0", {"o": 4}, task_type="echo").task("n1", {}).returns(r=promise("n0", "o"))
    lease = flow.lease()
    lease.spec.interruptible.value = True
    await world.execute(lease)
    told = [event.task.event for _, event in world.reporter.sent if event.HasField("task")]
    assert {(one.parent_node_execution_id.node_id, one.metadata.plugin_identifier) for one in told} == {
        ("n0", "echo"),
        ("n1", "container"),
    }
    assert {one.metadata.instance_class for one in told} == {TaskExecutionMetadata.InstanceClass.INTERRUPTIBLE}


async def test_missing_output_is_a_clear_error(make_world: MakeWorld) -> None:
    """A task that did not write the output that another needs fails that other one with a sentence that says so."""
    world = await make_world(lambda _: LiteralMap())
    await world.execute(Flow().task("n0").task("n1", {"x": promise("n0", "o")}).lease())
    error = world.reporter.sent[-1][1].workflow.event.error
    assert error.message == "input 'x' cannot be made: node n0 has no output 'o'"


async def test_accepting_twice_runs_once(make_world: MakeWorld) -> None:
    """A lease that is offered again, during and after its run, starts nothing; its end is told again."""
    world = await make_world(one)
    lease = Flow().task("n0").lease()
    await world.runner.accept(lease)
    await world.runner.accept(lease)
    await world.end_of("e")
    await world.runner.accept(lease)
    assert world.executor.started == ["p/d/e/n0/0"]
    assert world.finished == ["e", "e"]


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


async def test_inputs_lost_in_a_crash_are_made_again(make_world: MakeWorld) -> None:
    """Inputs are not stored durably, so after a power cut an attempt that starts again finds them anew."""
    results = iter((literals(o=1), None, literals(o=2)))
    world = await make_world(lambda _: next(results))
    lease = Flow().task("n0").task("n1", {"x": promise("n0", "o")}).returns(r=promise("n1", "o")).lease()
    uri = f"{lease.metadata_prefix}/n1/data/inputs.pb"
    await world.runner.accept(lease)
    await until(lambda: world.executor.running == {"p/d/e/n1/0"})
    assert world.store.volatile == {f"{lease.metadata_prefix}/n0/data/inputs.pb", uri}
    await world.crash()
    await world.end_of("e")
    assert world.outputs(lease) == literals(r=2)
    assert world.store.literals(uri) == literals(x=1)


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
