"""The inputs and outputs of executions, nodes and attempts: signed URLs, and small values inline (contract 1.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.admin.common_pb2 import UrlBlob
from flyteidl.admin.execution_pb2 import ExecutionClosure
from flyteidl.core.literals_pb2 import LiteralMap

from flyteform.errors import InvalidInputError, NotFoundError
from flyteform_controlplane.domain.stored import decoded

if TYPE_CHECKING:
    from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure
    from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure

    from flyteform_controlplane.services.backend import Backend


@dataclass(frozen=True, slots=True)
class Data:
    """A set of values: where it can be fetched, and the values themselves if they are small enough."""

    blob: UrlBlob = field(default_factory=UrlBlob)
    literals: LiteralMap = field(default_factory=LiteralMap)


async def read_data(backend: Backend, uri: str) -> Data:
    """Return what lies at the URI; nothing when there is none yet, or it is in a store that we cannot reach."""
    if not uri:
        return Data()
    try:
        info = await backend.objects.head(uri)
        if info is None:
            return Data()
        signed = await backend.objects.sign(uri, "GET", backend.config.signed_url_expiry)
        blob = UrlBlob(url=signed.url, bytes=info.size)
        if info.size > backend.config.max_inline_bytes:
            return Data(blob)
        return Data(blob, decoded(LiteralMap, await backend.objects.get(uri), uri))
    except (InvalidInputError, NotFoundError):
        return Data()


async def read_outputs(
    backend: Backend, closure: ExecutionClosure | NodeExecutionClosure | TaskExecutionClosure
) -> Data:
    """Return the outputs that a closure holds or names."""
    if closure.WhichOneof("output_result") == "output_data":
        return Data(UrlBlob(bytes=closure.output_data.ByteSize()), closure.output_data)
    uri = closure.outputs.uri if isinstance(closure, ExecutionClosure) else closure.output_uri
    return await read_data(backend, uri)
