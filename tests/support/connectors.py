"""A connector service in this process, whose jobs are what a test says they are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from flyteidl.admin import agent_pb2 as messages
from flyteidl.core.execution_pb2 import TaskExecution
from flyteidl.service.agent_pb2_grpc import (
    AgentMetadataServiceServicer,
    AsyncAgentServiceServicer,
    SyncAgentServiceServicer,
    add_AgentMetadataServiceServicer_to_server,
    add_AsyncAgentServiceServicer_to_server,
    add_SyncAgentServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def category(name: str, version: int = 0) -> messages.TaskCategory:
    """Name a task type."""
    return messages.TaskCategory(name=name, version=version)


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class FakeConnector(AsyncAgentServiceServicer, SyncAgentServiceServicer, AgentMetadataServiceServicer):
    """Jobs `job-0`, `job-1`, …, which all stand as `resource` says; `refusal` is what every call of a job answers."""

    resource: messages.Resource = field(default_factory=lambda: messages.Resource(phase=TaskExecution.RUNNING))
    refusal: grpc.StatusCode | None = None
    synchronous: tuple[messages.ExecuteTaskSyncResponse, ...] = ()
    created: list[messages.CreateTaskRequest] = field(default_factory=list)
    asked: list[messages.GetTaskRequest] = field(default_factory=list)
    deleted: list[bytes] = field(default_factory=list)
    listed: int = 0
    address: str = ""
    # Cleared, jobs are created and whoever wants them has no answer yet.
    answering: asyncio.Event = field(default_factory=_set)

    async def start(self, address: str = "127.0.0.1:0") -> None:
        """Serve, at the same address as before if that is given."""
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        add_AsyncAgentServiceServicer_to_server(self, self._server)
        add_SyncAgentServiceServicer_to_server(self, self._server)
        add_AgentMetadataServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port(address)}"
        await self._server.start()

    async def stop(self) -> None:
        """Serve no more."""
        await self._server.stop(0)

    async def ListAgents(self, request: Any, context: Any) -> messages.ListAgentsResponse:  # noqa: ARG002, N802 - gRPC's
        """List an asynchronous agent for two versions, and a synchronous one."""
        self.listed += 1
        job = messages.Agent(name="job", supported_task_categories=[category("job"), category("job", 1)])
        at_once = messages.Agent(name="now", is_sync=True, supported_task_types=["now"])
        return messages.ListAgentsResponse(agents=[job, at_once])

    async def CreateTask(self, request: Any, context: Any) -> messages.CreateTaskResponse:  # noqa: N802 - as above
        """Create a job."""
        await self._refuse(context)
        self.created.append(request)
        meta = b"job-%d" % (len(self.created) - 1)
        await self.answering.wait()
        return messages.CreateTaskResponse(resource_meta=meta)

    async def GetTask(self, request: Any, context: Any) -> messages.GetTaskResponse:  # noqa: N802 - as above
        """Tell how the job stands."""
        self.asked.append(request)
        await self._refuse(context)
        return messages.GetTaskResponse(resource=self.resource)

    async def DeleteTask(self, request: Any, context: Any) -> messages.DeleteTaskResponse:  # noqa: N802 - as above
        """Delete the job."""
        await self._refuse(context)
        self.deleted.append(request.resource_meta)
        return messages.DeleteTaskResponse()

    async def GetTaskLogs(  # noqa: N802 - as above
        self,
        request: Any,  # noqa: ARG002 - as above
        context: Any,  # noqa: ARG002 - as above
    ) -> AsyncIterator[messages.GetTaskLogsResponse]:
        """Give two lines."""
        yield messages.GetTaskLogsResponse(body=messages.GetTaskLogsResponseBody(results=["line one", "line two"]))

    async def ExecuteTaskSync(  # noqa: N802 - as above
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[messages.ExecuteTaskSyncResponse]:
        """Answer with what the test says."""
        self.created.append((await anext(requests)).header)
        await anext(requests)
        await self._refuse(context)
        for answer in self.synchronous:
            yield answer

    async def _refuse(self, context: Any) -> None:
        if self.refusal is not None:
            await context.abort(self.refusal, "no luck")
