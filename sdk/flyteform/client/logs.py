"""The calls of `flyteform.v1.LogService`: what attempts print, whichever cluster they run in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc.aio
from flyteidl.admin import node_execution_pb2, task_execution_pb2
from flyteidl.admin.common_pb2 import Sort

from flyteform.client.errors import UnsupportedError
from flyteform.client.failures import from_call
from flyteform.errors import UnavailableError
from flyteform.proto.flyteform.v1 import logs_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, WorkflowExecutionIdentifier

    from flyteform.client.calls import Caller

_ADMIN = "flyteidl.service.AdminService"
_METHOD = "/flyteform.v1.LogService/TailLogs"
_ROWS = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last attempt of a node."""

    node: NodeExecutionIdentifier
    number: int


@dataclass(frozen=True, slots=True)
class LogClient:
    """The logs of one platform. A stock FlyteAdmin has none: `UnsupportedError`."""

    caller: Caller

    async def attempts(self, execution: WorkflowExecutionIdentifier, node: str = "") -> list[Attempt]:
        """Return the last attempt of each node that has run a task, or of one node, in the order of their starts."""
        found = []
        async for one in self._nodes(execution):
            if node in ("", one.node_id) and one.node_id not in ("start-node", "end-node"):
                number = await self._last(one)
                if number is not None:
                    found.append(Attempt(one, number))
        return found

    async def tail(
        self,
        node: NodeExecutionIdentifier,
        attempt: int,
        *,
        item: int | None = None,
        lines: int = 0,
        follow: bool = False,
    ) -> AsyncIterator[Sequence[str]]:
        """Yield lines in batches; `NotFoundError` if the attempt has no log."""
        request = logs_pb2.TailLogsRequest(node=node, retry_attempt=attempt, lines=lines, follow=follow)
        if item is not None:
            request.item = item
        call = self.caller.channel.unary_stream(
            _METHOD,
            request_serializer=logs_pb2.TailLogsRequest.SerializeToString,
            response_deserializer=logs_pb2.TailLogsResponse.FromString,
        )
        metadata = grpc.aio.Metadata(*await self.caller.authenticator.metadata())
        try:
            async for answer in call(request, metadata=metadata):
                yield answer.lines
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise UnsupportedError(
                    f"{self.caller.endpoint} tells no logs: it is a stock FlyteAdmin",
                    remedy="follow the log links of the task executions",
                ) from error
            # The platform answers so too: for a cluster that cannot be asked.
            if error.code() is grpc.StatusCode.UNAVAILABLE and (error.details() or "").startswith("cluster "):
                raise UnavailableError(error.details() or "") from error
            raise from_call(error, self.caller.endpoint, "TailLogs") from error

    async def _nodes(self, execution: WorkflowExecutionIdentifier) -> AsyncIterator[NodeExecutionIdentifier]:
        request = node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=execution,
            limit=_ROWS,
            sort_by=Sort(key="created_at", direction=Sort.ASCENDING),
        )
        while True:
            page = await self.caller.call(_ADMIN, "ListNodeExecutions", request, node_execution_pb2.NodeExecutionList)
            for one in page.node_executions:
                yield one.id
            if not page.token:
                return
            request.token = page.token

    async def _last(self, node: NodeExecutionIdentifier) -> int | None:
        request = task_execution_pb2.TaskExecutionListRequest(
            node_execution_id=node, limit=1, sort_by=Sort(key="retry_attempt", direction=Sort.DESCENDING)
        )
        found = await self.caller.call(_ADMIN, "ListTaskExecutions", request, task_execution_pb2.TaskExecutionList)
        return found.task_executions[0].id.retry_attempt if found.task_executions else None
