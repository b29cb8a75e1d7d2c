"""Executions whose closure or inputs are gone or damaged: they end, and what is only out of reach waits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin.execution_pb2 import WorkflowExecutionGetRequest
from flyteidl.core.execution_pb2 import ExecutionError, WorkflowExecution

from flyteform.errors import UnavailableError
from flyteform_controlplane.dispatch.config import DispatchConfig
from flyteform_controlplane.dispatch.dispatcher import Dispatcher
from flyteform_controlplane.services.given_up import UNREADABLE, GivenUp
from flyteform_controlplane.store.kept_objects import SCHEME
from flyteform_controlplane.store.tables import kept_objects
from support.admin import World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteidl.admin.execution_pb2 import Execution

    from flyteform.proto.flyteform.v1.link_pb2 import Register

DEADLINE_SECONDS = 20


@asynccontextmanager
async def dispatching(world: World, attempts: int) -> AsyncIterator[Dispatcher]:
    """Dispatch what the services create."""
    ends = GivenUp(world.admin.events)
    dispatcher = Dispatcher(
        world.database, world.objects, DispatchConfig(attempts=attempts), give_up=ends.end_unreadable
    )
    object.__setattr__(world.admin.backend, "dispatch", dispatcher)
    await dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop()


def registration() -> Register:
    """Introduce a data plane."""
    from flyteform.proto.flyteform.v1.link_pb2 import Register

    return Register(cluster="east", version="1")


async def execution(world: World, name: Any) -> Execution:
    """Return the execution as clients see it."""
    found: Execution = await world.admin.GetExecution(WorkflowExecutionGetRequest(id=name), None)
    return found


async def ended(world: World, name: Any) -> Execution:
    """Return the execution once it has ended."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (found := await execution(world, name)).closure.phase == WorkflowExecution.UNDEFINED:  # noqa: ASYNC110 - the rows have no event
            await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize("damage", ["gone", "damaged"])
async def test_execution_without_its_inputs_fails_with_a_clear_error(tmp_path: Path, damage: str) -> None:
    """After the allowed number of tries it is FAILED, its error names the object, and the queue forgets it."""
    async with open_world(tmp_path) as world, dispatching(world, attempts=1) as dispatcher:
        plan = await world.register_launch_plan("wf")
        name = await world.execute(plan, "run", x=1)
        async with world.database.transaction() as tx:
            record = await world.admin.backend.execution(tx, name)
            key = record.inputs_uri.removeprefix(SCHEME).partition("/")[0]
            inputs = kept_objects.c.key == key
            if damage == "gone":
                await tx.execute(kept_objects.delete().where(inputs))
            else:
                await tx.execute(kept_objects.update().where(inputs).values(data=b"\xff\xff"))
        connection = await dispatcher.connect(registration())
        found = await ended(world, name)
        assert found.closure.phase == WorkflowExecution.FAILED
        assert found.closure.error.code == UNREADABLE
        assert found.closure.error.kind == ExecutionError.SYSTEM
        assert "inputs" in found.closure.error.message
        dispatcher.disconnect(connection)


async def test_store_that_is_out_of_reach_fails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that passes by itself is waited out, however often it comes."""
    async with open_world(tmp_path) as world, dispatching(world, attempts=1) as dispatcher:
        plan = await world.register_launch_plan("wf")
        name = await world.execute(plan, "run", x=1)
        asked = asyncio.Event()

        async def unreachable(_uri: str) -> bytes:
            asked.set()
            raise UnavailableError("the store cannot be reached")

        monkeypatch.setattr(type(world.objects), "get", lambda _self, uri: unreachable(uri))
        connection = await dispatcher.connect(registration())
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asked.wait()
        dispatcher.disconnect(connection)
        await dispatcher.stop()
        assert (await execution(world, name)).closure.phase == WorkflowExecution.UNDEFINED
