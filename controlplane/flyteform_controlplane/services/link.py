"""The control plane's side of the data-plane link: streams in, dispatch behind them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from flyteform.proto.flyteform.v1 import link_pb2, link_pb2_grpc
from flyteform_controlplane.domain.clusters import check_name
from flyteform_controlplane.domain.principals import check_cluster_name, principal_of
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform_controlplane.dispatch.connection import Connection
    from flyteform_controlplane.dispatch.dispatcher import Dispatcher
    from flyteform_controlplane.dispatch.resources import ClusterResources

REGISTER_TIMEOUT_SECONDS: Final = 10.0
# What a data plane has to take the last words of a stream, which say why it ended.
LEAVE_SECONDS: Final = 5.0
LONGEST_NAME: Final = 255
MOST_LABELS: Final = 100


class LinkService(link_pb2_grpc.DataPlaneLinkServicer):
    """Serves `DataPlaneLink`."""

    def __init__(self, dispatcher: Dispatcher, resources: ClusterResources | None = None) -> None:
        self._dispatcher = dispatcher
        self._resources = resources

    async def Connect(
        self,
        request_iterator: AsyncIterator[link_pb2.FromDataPlane],
        context: object,
    ) -> AsyncIterator[link_pb2.ToDataPlane]:
        """Register the data plane, then exchange messages until either side ends."""
        register = await _registration(request_iterator)
        principal = principal_of(context)
        if principal is not None:
            check_cluster_name(principal, register.cluster)
        connection = await self._dispatcher.unbroken(self._dispatcher.connect(register))
        if self._resources is not None:
            self._resources.look()
        reader = asyncio.create_task(self._read(connection, request_iterator))
        leaving = asyncio.create_task(_leave(connection, asyncio.current_task()))
        try:
            while (message := await connection.receive()) is not None:
                yield message
        finally:
            self._dispatcher.disconnect(connection)
            leaving.cancel()
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def _read(self, connection: Connection, messages: AsyncIterator[link_pb2.FromDataPlane]) -> None:
        try:
            async for message in messages:
                if connection.closed.is_set():
                    return
                await self._dispatcher.unbroken(self._handle(connection, message))
        except Exception as error:  # noqa: BLE001 - whatever it is, the other half of the stream ends with it
            connection.close(error)
        finally:
            # Here too: the sending half may be busy with a message that nobody takes any more.
            self._dispatcher.disconnect(connection)

    async def _handle(self, connection: Connection, message: link_pb2.FromDataPlane) -> None:
        match message.WhichOneof("message"):
            case "heartbeat":
                await self._dispatcher.heartbeat(connection)
            case "ack":
                await self._dispatcher.acknowledge(connection, message.ack)
            case "finished":
                await self._dispatcher.finish(connection, message.finished)
            case "signed":
                connection.answered(message.signed.id, message)
            case "log_lines":
                connection.answered(message.log_lines.id, message)
            case "sync_report" if self._resources is not None:
                await self._resources.reported(connection, message.sync_report)
            case "register":
                raise InvalidArgumentError("a data plane registers once, as its first message")
            case _:
                # A newer data plane's message: this control plane has no use for it.
                return


async def _leave(connection: Connection, sender: asyncio.Task[Any] | None) -> None:
    """End the sending half of a stream that has ended, should it be busy with what nobody takes."""
    await connection.closed.wait()
    await asyncio.sleep(LEAVE_SECONDS)
    if sender is not None:
        sender.cancel()


async def _registration(messages: AsyncIterator[link_pb2.FromDataPlane]) -> link_pb2.Register:
    """Read the first message, which names the cluster."""
    try:
        async with asyncio.timeout(REGISTER_TIMEOUT_SECONDS):
            first = await anext(messages)
    except (TimeoutError, StopAsyncIteration) as error:
        raise InvalidArgumentError("the first message of a data plane is Register; none came") from error
    if first.WhichOneof("message") != "register":
        raise InvalidArgumentError("the first message of a data plane is Register")
    register = first.register
    check_name(register.cluster)
    if len(register.labels) > MOST_LABELS:
        raise InvalidArgumentError(f"the data plane has {len(register.labels)} labels, more than {MOST_LABELS}")
    for what, text, least in [
        *(("label", label, 1) for label in register.labels),
        ("version", register.version, 0),
        ("version of Kubernetes", register.kubernetes_version, 0),
    ]:
        if not least <= len(text) <= LONGEST_NAME:
            raise InvalidArgumentError(f"{what} {text[:LONGEST_NAME]!r} must have {least} to {LONGEST_NAME} characters")
    return register
