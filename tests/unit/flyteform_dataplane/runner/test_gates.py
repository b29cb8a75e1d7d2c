"""The runner at gates: approvals, signals, sleeps, and their timeouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution
from flyteidl.core.types_pb2 import SimpleType

from support.closures import Flow, boolean, integer, literals, promise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.literals_pb2 import LiteralMap

    from flyteform_dataplane.ports import AttemptSpec
    from support.world import Broken, World

    MakeWorld = Callable[[Callable[[AttemptSpec], LiteralMap | Broken | None]], Awaitable[World]]


def one(_: AttemptSpec) -> LiteralMap:
    """Give 1."""
    return literals(o=1)


def phase_of(world: World, node: str) -> int:
    """Return the phase that was told of a node, 0 before any."""
    rows = world.reporter.rows.get("e")
    return rows.nodes.get(node, 0) if rows is not None else 0


def error_of(world: World) -> tuple[str, str]:
    """Return the code and the message of the execution's error."""
    error = world.reporter.sent[-1][1].workflow.event.error
    return error.code, error.message


async def test_a_signal_gives_its_value(make_world: MakeWorld) -> None:
    """A gate waits for the signal of its type, beyond a crash, and its value is the gate's output."""
    world = await make_world(one)
    lease = Flow().gate("go", "signal").task("n1", {"x": promise("go", "o")}).returns(r=promise("go", "o")).lease()
    await world.runner.accept(lease)
    await world.until(lambda: "go" in world.control.signals)
    await world.crash()
    world.control.signals["go"] = integer(9)
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=9)
    assert world.control.kinds["go"].simple == SimpleType.INTEGER


async def test_an_approval_passes_its_inputs_through(make_world: MakeWorld) -> None:
    """What goes into an approved gate comes out of it."""
    world = await make_world(one)
    flow = Flow().task("n0").gate("ok", "approve", {"v": promise("n0", "o")}).returns(r=promise("ok", "v"))
    world.control.signals["ok"] = boolean(True)
    lease = flow.lease()
    rows = await world.execute(lease)
    assert rows.nodes["ok"] == NodeExecution.SUCCEEDED
    assert world.outputs(lease) == literals(r=1)


async def test_a_rejection_fails_the_execution(make_world: MakeWorld) -> None:
    """A rejected approval is an error of the user, with Flyte's code."""
    world = await make_world(one)
    world.control.signals["ok"] = boolean(False)
    rows = await world.execute(Flow().gate("ok", "approve").lease())
    assert rows.workflow == WorkflowExecution.FAILED
    assert error_of(world) == ("ReceivedRejectSignal", "the approval 'ok' was rejected")


@pytest.mark.parametrize("crash", [False, True])
async def test_a_sleep_ends_by_itself(make_world: MakeWorld, crash: bool) -> None:
    """A gate that sleeps succeeds when its time is over, with or without a crash meanwhile."""
    world = await make_world(one)
    await world.runner.accept(Flow().gate("nap", "sleep", seconds=2).task("n1", after=["nap"]).lease())
    await world.until(lambda: phase_of(world, "nap") == NodeExecution.RUNNING)
    if crash:
        await world.crash()
    rows = await world.end_of("e")
    assert (rows.workflow, rows.nodes["nap"]) == (WorkflowExecution.SUCCEEDED, NodeExecution.SUCCEEDED)


async def test_nobody_answers_in_time(make_world: MakeWorld) -> None:
    """A gate whose time is up fails with Flyte's code."""
    world = await make_world(one)
    rows = await world.execute(Flow().gate("go", "signal", timeout=0.5).lease())
    assert rows.workflow == WorkflowExecution.FAILED
    assert error_of(world)[0] == "RetriesExhausted|TimeoutExpired"


async def test_an_abort_does_not_wait_at_a_gate(make_world: MakeWorld) -> None:
    """An execution that waits at a gate ends when it is aborted."""
    world = await make_world(one)
    lease = Flow().gate("go", "signal").lease()
    await world.runner.accept(lease)
    await world.until(lambda: "go" in world.control.signals)
    await world.runner.abort(lease.id, "enough")
    rows = await world.end_of("e")
    assert rows.workflow == WorkflowExecution.ABORTED


async def test_gates_take_no_place(make_world: MakeWorld) -> None:
    """Where one node may run at a time, a gate that waits keeps nobody from running."""
    world = await make_world(one)
    lease = Flow().gate("go", "signal").task("n1").lease()
    lease.spec.max_parallelism = 1
    await world.runner.accept(lease)
    await world.until(lambda: phase_of(world, "n1") == NodeExecution.SUCCEEDED)
    world.control.signals["go"] = integer(1)
    assert (await world.end_of("e")).workflow == WorkflowExecution.SUCCEEDED
