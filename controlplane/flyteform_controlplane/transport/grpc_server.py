"""The gRPC server: every method behind the chain, health, reflection, and connections that may stay idle."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status as RpcStatus
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped] # ships no types
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped] # ships no types

from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.transport.calls import Call, compose
from flyteform_controlplane.transport.status import CallError, Status, cut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from google.protobuf.message import Message

    from flyteform_controlplane.transport.methods import Method

HEALTH_NAMES = ("", "flyteadmin")
DETAILS_TRAILER = "grpc-status-details-bin"
MAX_RECEIVE_BYTES = 64 * 1024 * 1024
MAX_METADATA_BYTES = 32 * 1024
# A client with gRPC's defaults drops answers whose headers are over 8 KiB: message and details stay below together.
MAX_MESSAGE_HEADER_BYTES = 3 * 1024
MAX_DETAILS_BYTES = 3 * 1024

OPTIONS: tuple[tuple[str, int], ...] = (
    # flytekit pings every 30 s, also with no call open, and takes GOAWAY for an error (contract 4).
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    # A data plane that vanished without a word is noticed within 40 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", 2 * MAX_METADATA_BYTES),
    # Without this a second server on the same port would start and take half of the calls.
    ("grpc.so_reuseport", 0),
)

_log = logging.getLogger(__name__)


class GrpcServer:
    """Serves the methods on `address`; port 0 picks a free one. `start` returns the port."""

    def __init__(self, methods: Sequence[Method], max_message_bytes: int = MAX_RECEIVE_BYTES) -> None:
        options = (*OPTIONS, ("grpc.max_receive_message_length", max_message_bytes))
        self._server = grpc.aio.server(options=options)
        self._health = health.aio.HealthServicer()
        names = sorted({method.descriptor.containing_service.full_name for method in methods})
        for name in names:
            handlers = {m.descriptor.name: _handler(m) for m in methods if m.name.startswith(f"/{name}/")}
            self._server.add_registered_method_handlers(name, handlers)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        reflection.enable_server_reflection((*names, health_name, reflection.SERVICE_NAME), self._server)

    async def start(self, address: str) -> int:
        """Bind and serve; `RuntimeError` if the address cannot be bound."""
        port = self._server.add_insecure_port(address)
        await self.report(ready=False)
        await self._server.start()
        return port

    async def report(self, *, ready: bool) -> None:
        """Answer the health service's questions accordingly from now on."""
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in HEALTH_NAMES:
            await self._health.set(name, status)

    async def stop(self, grace: float) -> None:
        """Take no new calls, give the open ones `grace` seconds, then cancel them."""
        await self._server.stop(grace)


def _handler(method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    decode, encode = _decoder(method.request_type), method.response_type.SerializeToString
    match method.descriptor.client_streaming, method.descriptor.server_streaming:
        case False, False:
            return grpc.unary_unary_rpc_method_handler(_unary(method), decode, encode)
        case False, True:
            return grpc.unary_stream_rpc_method_handler(_stream(method), decode, encode)
        case True, False:
            return grpc.stream_unary_rpc_method_handler(_unary(method), decode, encode)
        case _:
            return grpc.stream_stream_rpc_method_handler(_stream(method), decode, encode)


def _decoder(kind: type[Message]) -> Callable[[bytes], Message | DecodeError]:
    parse = kind.FromString

    def decode(data: bytes) -> Message | DecodeError:
        try:
            return parse(data)
        except DecodeError as error:
            # Raised here, gRPC would answer UNKNOWN, which stock clients take for a question of login.
            return error

    return decode


async def _refuse(call: Call) -> NoReturn:
    raise InvalidArgumentError(f"the request cannot be read: {call.request}")


async def _readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, DecodeError):
            raise InvalidArgumentError(f"a message of the stream cannot be read: {request}")
        yield request


def _unary(method: Method) -> Callable[[Any, Any], Awaitable[Any]]:
    invoke, name, refuse = method.invoke, method.name, compose(method.interceptors, _refuse)

    async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        call = _GrpcCall(name, request, context)
        try:
            return await (refuse(call) if isinstance(request, DecodeError) else invoke(call))
        except CallError as error:
            return await _abort(context, error.status)

    return handle


def _stream(method: Method) -> Callable[[Any, Any], Awaitable[Any]]:
    implementation, reads_stream = method.implementation, method.descriptor.client_streaming

    async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        async def endpoint(call: Call) -> None:
            if isinstance(call.request, DecodeError):
                await _refuse(call)
            answer = implementation(call.request, call)
            if inspect.isawaitable(answer):
                await answer
            else:
                await _write_all(answer, context)

        try:
            # The interceptors are around the whole life of the stream.
            received = _readable(request) if reads_stream else request
            return await compose(method.interceptors, endpoint)(_GrpcCall(method.name, received, context))
        except CallError as error:
            return await _abort(context, error.status)

    return handle


async def _write_all(responses: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]) -> None:
    async for response in responses:
        await context.write(response)


class _GrpcCall(Call):
    __slots__ = ("_context",)

    def __init__(self, method: str, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        # Not by the base's: what that would be given is asked of gRPC when it is needed.
        self.method = method
        self.request = request
        self.principal = None
        self._context = context
        self._request_id = ""

    @property
    def metadata(self) -> Mapping[str, str]:
        return {key: value for key, value in self._context.invocation_metadata() or () if isinstance(value, str)}

    @property
    def peer(self) -> str:
        return self._context.peer()


async def _abort(context: grpc.aio.ServicerContext[Any, Any], status: Status) -> NoReturn:
    message = fitting(status.message)
    await context.abort(status.code, message, trailers(status, message))


def fitting(message: str) -> str:
    """Shorten the message until its header, in which all but plain ASCII takes three bytes, has its room."""
    limit = MAX_MESSAGE_HEADER_BYTES
    shortened = cut(message, limit)
    while len(quote(shortened, safe=" !#$&'()*+,/:;=?@[]\"<>^`{|}\\")) > MAX_MESSAGE_HEADER_BYTES:
        limit = limit * 3 // 4
        shortened = cut(message, limit)
    return shortened


def trailers(status: Status, message: str) -> tuple[tuple[str, bytes], ...]:
    """Return the trailer with the details; nothing if there are none or they are too large for a header."""
    if not status.details:
        return ()
    packed = RpcStatus(code=status.number, message=message)
    for detail in status.details:
        any_message = AnyMessage()
        any_message.Pack(detail)
        packed.details.append(any_message)
    encoded = packed.SerializeToString()
    if len(encoded) > MAX_DETAILS_BYTES:
        _log.warning("details of %d bytes left out of an answer with code %s", len(encoded), status.code.name)
        return ()
    return ((DETAILS_TRAILER, encoded),)
