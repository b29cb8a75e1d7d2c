"""The control plane as executions ask it: a real one, and none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc.aio
import pytest
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionRecoverRequest, ExecutionSpec
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.core.identifier_pb2 import ResourceType, SignalIdentifier, WorkflowExecutionIdentifier
from flyteidl.core.types_pb2 import LiteralType, SimpleType
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from flyteform.errors import AlreadyExistsError, NotFoundError, UnavailableError
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_dataplane.admin import AdminClient
from flyteform_dataplane.errors import UserError
from support.admin import DOMAIN, PROJECT, identifier, integers, task_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOBODY = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="nobody")


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """Give a channel to a control plane that has a task."""
    running = ControlPlane(ControlPlaneSettings(state_dir=tmp_path / "platform", grpc_port=0, http_port=0))
    address = (await running.start()).grpc
    try:
        async with grpc.aio.insecure_channel(address) as opened:
            spec = task_spec("t")
            await AdminServiceStub(opened).CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec))
            yield opened
    finally:
        await running.stop()


def request(name: str, **inputs: int) -> ExecutionCreateRequest:
    """Ask for an execution of the task."""
    spec = ExecutionSpec(launch_plan=task_spec("t").template.id)
    return ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=name, spec=spec, inputs=integers(**inputs))


async def test_executions_come_and_go(channel: grpc.aio.Channel) -> None:
    """One is created once, seen, has no outputs yet, waits for a signal and is ended."""
    client, name = AdminClient(channel), WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="run")
    await client.create(request("run", x=1))
    with pytest.raises(AlreadyExistsError):
        await client.create(request("run", x=1))
    assert (await client.execution(name)).id == name
    outputs = await client.outputs(name)
    assert outputs is not None
    assert not outputs.literals
    kind = LiteralType(simple=SimpleType.BOOLEAN)
    assert await client.signal(SignalIdentifier(signal_id="go", execution_id=name), kind) is None
    assert await client.nodes(name, "") == []
    await client.terminate(name, "enough")
    await client.terminate(name, "enough")


async def test_what_is_refused_for_good(channel: grpc.aio.Channel) -> None:
    """What does not exist is not found, what is wrong is the user's error, and to end nothing is no error."""
    client = AdminClient(channel)
    with pytest.raises(UserError, match="x"):
        await client.create(request("run"))
    with pytest.raises(NotFoundError):
        await client.execution(NOBODY)
    with pytest.raises(NotFoundError):
        await client.recover(ExecutionRecoverRequest(id=NOBODY))
    with pytest.raises(NotFoundError):
        await client.launch_plan(identifier(ResourceType.LAUNCH_PLAN, "nothing"))
    await client.terminate(NOBODY, "enough")


async def test_nobody_answers() -> None:
    """While there is no control plane every call may be made again."""
    async with grpc.aio.insecure_channel("127.0.0.1:1") as closed:
        with pytest.raises(UnavailableError):
            await AdminClient(closed).execution(NOBODY)
