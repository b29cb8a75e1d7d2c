"""Start executions and fetch what they return."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from flyteidl.admin import execution_pb2
from flyteidl.core import identifier_pb2, literals_pb2

from flyteform.errors import AlreadyExistsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.client.admin import AdminClient
    from flyteform.client.config import ClientConfig

_NAME_BYTES = 9  # 18 hexadecimal digits: as hard to guess by accident as the names that FlyteAdmin makes


async def launch(
    client: AdminClient,
    entity: identifier_pb2.Identifier,
    inputs: Mapping[str, literals_pb2.Literal],
    name: str | None = None,
) -> identifier_pb2.WorkflowExecutionIdentifier:
    """Start an execution of a launch plan or a task and return its id.

    Without `name` one is made here, so that a call whose answer was lost can be repeated: the execution that is
    there already under it can only be ours.
    """
    execution = identifier_pb2.WorkflowExecutionIdentifier(
        project=entity.project, domain=entity.domain, name=name or f"a{secrets.token_hex(_NAME_BYTES)}"
    )
    request = execution_pb2.ExecutionCreateRequest(
        project=execution.project,
        domain=execution.domain,
        name=execution.name,
        spec=execution_pb2.ExecutionSpec(
            launch_plan=entity, metadata=execution_pb2.ExecutionMetadata(mode=execution_pb2.ExecutionMetadata.MANUAL)
        ),
        inputs=literals_pb2.LiteralMap(literals=inputs),
    )
    if name is None:
        with suppress(AlreadyExistsError):
            return await client.create_execution(request)
        return execution
    return await client.create_execution(request)


async def outputs_of(
    client: AdminClient, execution: identifier_pb2.WorkflowExecutionIdentifier
) -> Mapping[str, literals_pb2.Literal]:
    """Return the outputs of an execution that has succeeded, by name."""
    data = await client.get_execution_data(execution)
    return dict(data.full_outputs.literals)


def execution_url(config: ClientConfig, execution: identifier_pb2.WorkflowExecutionIdentifier) -> str | None:
    """Return the address at which a person can see the execution, None where it is not known."""
    parts = [quote(part, safe="") for part in (execution.project, execution.domain, execution.name)]
    if config.http is not None:
        return f"{config.http}/api/v1/executions/{'/'.join(parts)}"
    if config.insecure:
        return None
    project, domain, name = parts
    return f"https://{config.endpoint}/console/projects/{project}/domains/{domain}/executions/{name}"
