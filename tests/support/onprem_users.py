"""What users of a site's platform do: log in, launch what was declared, wait for its outputs."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as phases
from flyteidl.core import identifier_pb2

from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.client.login import ClientSecretLogin
from flyteform.types import to_literal
from support.onprem import user_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteform.client.admin import AdminClient, ExecutionId
    from support.onprem import Door

_SUCCEEDED = phases.WorkflowExecution.SUCCEEDED


@asynccontextmanager
async def caller(folder: Path, entry: Door) -> AsyncIterator[AdminClient]:
    """Log in as the platform's users do."""
    secret = folder / "user.secret"
    secret.write_text(user_secret())
    config = ClientConfig(entry.grpc, insecure=True, http=entry.http, login=ClientSecretLogin("flyteform", secret))
    async with connect(config) as client:
        yield client


async def launch(client: AdminClient, name: str, plan: str, version: str, **inputs: int | str) -> ExecutionId:
    """Launch what the program declared."""
    request = execution_pb2.ExecutionCreateRequest(project="flytesnacks", domain="development", name=name)
    about = request.spec.launch_plan
    about.resource_type, about.name, about.version = identifier_pb2.LAUNCH_PLAN, plan, version
    about.project, about.domain = request.project, request.domain
    for key, value in inputs.items():
        request.inputs.literals[key].CopyFrom(to_literal(value, type(value)))
    return await client.create_execution(request)


async def outputs_of(client: AdminClient, execution: ExecutionId) -> dict[str, Any]:
    """Wait for the end of an execution, which is a good one; return its outputs."""
    deadline = time.monotonic() + 180
    while (found := await client.get_execution(execution)).closure.phase < _SUCCEEDED:
        assert time.monotonic() < deadline, found.closure
        await asyncio.sleep(0.5)
    assert found.closure.phase == _SUCCEEDED, found.closure.error.message
    data = await client.get_execution_data(execution)
    return {key: each.scalar.primitive.integer for key, each in data.full_outputs.literals.items()}
