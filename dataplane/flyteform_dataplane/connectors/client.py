"""The calls to one connector service."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio
from flyteidl.admin import agent_pb2 as messages
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from flyteform_dataplane.connectors.errors import ConnectorCallError, ConnectorUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flyteform_dataplane.connectors.endpoints import Endpoint
    from flyteform_dataplane.ports import JobSpec

Answer = TypeVar("Answer", bound=Message)

_METADATA, _ASYNC, _SYNC = "AgentMetadataService", "AsyncAgentService", "SyncAgentService"

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
)
_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
    }
)
# What stock connectors answer when their own code raised, which may be the job's fault and may be the network's.
_DOUBTFUL = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})


class Connector:
    """One connector service. Every call raises `ConnectorUnavailableError` or `ConnectorCallError`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        if endpoint.tls:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.aio.secure_channel(endpoint.address, credentials, options=_OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(endpoint.address, options=_OPTIONS)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def agents(self) -> Sequence[messages.Agent]:
        """Return what the service runs."""
        answer = await self._call(_METADATA, "ListAgents", messages.ListAgentsRequest(), messages.ListAgentsResponse)
        return tuple(answer.agents)

    async def create(self, spec: JobSpec) -> bytes:
        """Create the job and return what the service knows it by."""
        request = messages.CreateTaskRequest(
            inputs=spec.inputs,
            template=spec.template,
            output_prefix=spec.output_prefix,
            task_execution_metadata=spec.metadata,
        )
        answer = await self._call(_ASYNC, "CreateTask", request, messages.CreateTaskResponse)
        return bytes(answer.resource_meta)

    async def get(self, category: messages.TaskCategory, meta: bytes, output_prefix: str) -> messages.Resource:
        """Return how the job stands."""
        request = messages.GetTaskRequest(
            task_type=category.name, resource_meta=meta, task_category=category, output_prefix=output_prefix
        )
        return (await self._call(_ASYNC, "GetTask", request, messages.GetTaskResponse)).resource

    async def delete(self, category: messages.TaskCategory, meta: bytes) -> None:
        """End the job; one that has ended stays as it is."""
        request = messages.DeleteTaskRequest(task_type=category.name, resource_meta=meta, task_category=category)
        await self._call(_ASYNC, "DeleteTask", request, messages.DeleteTaskResponse)

    async def logs(self, category: messages.TaskCategory, meta: bytes) -> list[str]:
        """Return the lines that the service has of the job."""
        request = messages.GetTaskLogsRequest(task_type=category.name, resource_meta=meta, task_category=category)
        call = self._channel.unary_stream(
            f"/flyteidl.service.{_ASYNC}/GetTaskLogs",
            request_serializer=messages.GetTaskLogsRequest.SerializeToString,
            response_deserializer=messages.GetTaskLogsResponse.FromString,
        )
        lines: list[str] = []
        try:
            async for answer in call(request, timeout=self.endpoint.timeout):
                lines += answer.body.results or [line.message for line in answer.body.structured_lines]
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error
        return lines

    async def metrics(self, category: messages.TaskCategory, meta: bytes) -> dict[str, str]:
        """Return what the service has measured of the job: names and JSON."""
        request = messages.GetTaskMetricsRequest(task_type=category.name, resource_meta=meta, task_category=category)
        answer = await self._call(_ASYNC, "GetTaskMetrics", request, messages.GetTaskMetricsResponse)
        return {result.metric: MessageToJson(result.data, indent=None) for result in answer.results}

    async def run(self, spec: JobSpec) -> messages.Resource:
        """Run a synchronous task to its end."""
        call = self._channel.stream_stream(
            f"/flyteidl.service.{_SYNC}/ExecuteTaskSync",
            request_serializer=messages.ExecuteTaskSyncRequest.SerializeToString,
            response_deserializer=messages.ExecuteTaskSyncResponse.FromString,
        )
        resource = messages.Resource()
        try:
            async for answer in call(_requests(spec), timeout=self.endpoint.sync_timeout):
                if answer.HasField("header"):
                    resource.MergeFrom(answer.header.resource)
                else:
                    resource.outputs.MergeFrom(answer.outputs)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error
        return resource

    async def _call(self, service: str, method: str, request: Message, response: type[Answer]) -> Answer:
        call = self._channel.unary_unary(
            f"/flyteidl.service.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            answer: Answer = await call(request, timeout=self.endpoint.timeout)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error
        return answer

    def _error(self, error: grpc.aio.AioRpcError) -> ConnectorUnavailableError | ConnectorCallError:
        said = f"the connector at {self.endpoint.address} answered {error.code().name}: {error.details()}"
        if error.code() in _TRANSIENT:
            return ConnectorUnavailableError(said)
        return ConnectorCallError(said, recoverable=error.code() in _DOUBTFUL)


async def _requests(spec: JobSpec) -> AsyncIterator[messages.ExecuteTaskSyncRequest]:
    header = messages.CreateRequestHeader(
        template=spec.template, output_prefix=spec.output_prefix, task_execution_metadata=spec.metadata
    )
    yield messages.ExecuteTaskSyncRequest(header=header)
    yield messages.ExecuteTaskSyncRequest(inputs=spec.inputs)
