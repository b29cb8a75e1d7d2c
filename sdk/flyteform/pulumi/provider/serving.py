"""The provider's gRPC server: only the calls that are there, clear errors, operations that can be cancelled."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from google.rpc.status_pb2 import Status  # Pulumi's own copy cannot be loaded beside it
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from flyteform.errors import FlyteformError, InvalidInputError
from flyteform.pulumi.provider.errors import PartialError
from flyteform.pulumi.provider.values import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message

_SERVICE = "pulumirpc.ResourceProvider"
_LARGEST = 400 * 1024 * 1024  # bytes of a message, as the engine's own limit
_LONGEST_QUEUED = 30 * 60_000  # milliseconds: an engine may have thousands of calls under way


class Calls(Protocol):
    """What a provider answers: a method for each call of the engine's that it takes."""

    async def handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, /
    ) -> provider_pb2.ProviderHandshakeResponse:
        """Say what the provider understands."""
        ...

    async def attach(self, request: plugin_pb2.PluginAttach, /) -> empty_pb2.Empty:
        """Send messages to this engine."""
        ...

    async def get_plugin_info(self, request: empty_pb2.Empty, /) -> plugin_pb2.PluginInfo:
        """Return the version."""
        ...

    async def get_schema(self, request: provider_pb2.GetSchemaRequest, /) -> provider_pb2.GetSchemaResponse:
        """Return the package's schema."""
        ...

    async def check_config(self, request: provider_pb2.CheckRequest, /) -> provider_pb2.CheckResponse:
        """Check the provider's configuration."""
        ...

    async def diff_config(self, request: provider_pb2.DiffRequest, /) -> provider_pb2.DiffResponse:
        """Compare configurations."""
        ...

    async def configure(self, request: provider_pb2.ConfigureRequest, /) -> provider_pb2.ConfigureResponse:
        """Take the configuration."""
        ...

    async def check(self, request: provider_pb2.CheckRequest, /) -> provider_pb2.CheckResponse:
        """Check a resource's inputs and fill in defaults."""
        ...

    async def diff(self, request: provider_pb2.DiffRequest, /) -> provider_pb2.DiffResponse:
        """Compare a resource's inputs with its state."""
        ...

    async def create(self, request: provider_pb2.CreateRequest, /) -> provider_pb2.CreateResponse:
        """Create a resource."""
        ...

    async def read(self, request: provider_pb2.ReadRequest, /) -> provider_pb2.ReadResponse:
        """Read a resource."""
        ...

    async def update(self, request: provider_pb2.UpdateRequest, /) -> provider_pb2.UpdateResponse:
        """Update a resource."""
        ...

    async def delete(self, request: provider_pb2.DeleteRequest, /) -> empty_pb2.Empty:
        """Delete a resource."""
        ...


class Operations:
    """The operations under way, which the engine may want to end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cancelled = False

    async def run(self, operation: Callable[[Message], Awaitable[Message]], request: Message) -> Message:
        """Run an operation; `FlyteformError` if it is, or all have been, cancelled."""
        if self._cancelled:
            raise FlyteformError("cancelled")
        task = asyncio.ensure_future(operation(request))
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError as error:
            if not task.cancelled() or not self._cancelled:
                raise
            raise FlyteformError("cancelled before its end; the next update finishes it") from error
        finally:
            self._tasks.discard(task)

    def cancel(self) -> None:
        """End all that runs, and refuse what comes."""
        self._cancelled = True
        for task in self._tasks:
            task.cancel()


def make_server(servicer: Calls) -> grpc.aio.Server:
    """Return a server of the calls that the servicer has; all others are unimplemented."""
    operations = Operations()

    async def cancel(_: Message) -> Message:
        operations.cancel()
        return empty_pb2.Empty()

    calls: dict[str, tuple[type[Message], Callable[[Any], Awaitable[Message]]]] = {
        "Handshake": (provider_pb2.ProviderHandshakeRequest, servicer.handshake),
        "Attach": (plugin_pb2.PluginAttach, servicer.attach),
        "GetPluginInfo": (empty_pb2.Empty, servicer.get_plugin_info),
        "GetSchema": (provider_pb2.GetSchemaRequest, servicer.get_schema),
        "CheckConfig": (provider_pb2.CheckRequest, servicer.check_config),
        "DiffConfig": (provider_pb2.DiffRequest, servicer.diff_config),
        "Configure": (provider_pb2.ConfigureRequest, servicer.configure),
        "Check": (provider_pb2.CheckRequest, servicer.check),
        "Diff": (provider_pb2.DiffRequest, servicer.diff),
        "Cancel": (empty_pb2.Empty, cancel),
    }
    cancellable: dict[str, tuple[type[Message], Callable[[Any], Awaitable[Message]]]] = {
        "Create": (provider_pb2.CreateRequest, servicer.create),
        "Read": (provider_pb2.ReadRequest, servicer.read),
        "Update": (provider_pb2.UpdateRequest, servicer.update),
        "Delete": (provider_pb2.DeleteRequest, servicer.delete),
    }
    handlers = {name: _handler(request, call) for name, (request, call) in calls.items()}
    for name, (request, call) in cancellable.items():
        handlers[name] = _handler(request, _within(operations, call))
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", _LARGEST),
            ("grpc.max_send_message_length", _LARGEST),
            ("grpc.server_max_unrequested_time_in_server", _LONGEST_QUEUED // 1000),
        ]
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    return server


def _within(
    operations: Operations, call: Callable[[Any], Awaitable[Message]]
) -> Callable[[Message], Awaitable[Message]]:
    async def cancellable(request: Message) -> Message:
        limit = getattr(request, "timeout", 0) or None
        try:
            async with asyncio.timeout(limit) as scope:
                return await operations.run(call, request)
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise FlyteformError(f"not done within {limit:g} seconds") from error

    return cancellable


def _handler(
    request: type[Message], call: Callable[[Any], Awaitable[Message]]
) -> grpc.RpcMethodHandler[Message, Message]:
    async def answer(message: Message, context: grpc.aio.ServicerContext[Message, Message]) -> Message:
        try:
            return await call(message)
        except PartialError as error:
            await _abort_partial(context, error)
        except FlyteformError as error:
            wrong = isinstance(error, InvalidInputError)
            code = grpc.StatusCode.INVALID_ARGUMENT if wrong else grpc.StatusCode.UNKNOWN
            await context.abort(code, _text(error))
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug must not look like a broken connection
            traceback.print_exc(file=sys.stderr)
            await context.abort(grpc.StatusCode.INTERNAL, f"internal error: {type(error).__name__}: {error}")

    return grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request.FromString, response_serializer=_serialised
    )


def _serialised(message: Message) -> bytes:
    return message.SerializeToString()


def _text(error: FlyteformError) -> str:
    return error.message if error.remedy is None else f"{error.message} → {error.remedy}"


async def _abort_partial(context: grpc.aio.ServicerContext[Message, Message], error: PartialError) -> NoReturn:
    """Tell the engine what there is of the resource: it keeps it, and updates it the next time."""
    partial = error.partial
    failed = provider_pb2.ErrorResourceInitFailed(
        id=partial.id,
        properties=encode(partial.outputs.values, partial.outputs.secrets),
        inputs=encode(partial.inputs.values, partial.inputs.secrets),
        reasons=[_text(error)],
    )
    status = Status(code=grpc.StatusCode.UNKNOWN.value[0], message=_text(error))
    status.details.add().Pack(failed)
    await context.abort(
        grpc.StatusCode.UNKNOWN,
        _text(error),
        trailing_metadata=(("grpc-status-details-bin", status.SerializeToString()),),
    )
