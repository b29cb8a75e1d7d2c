"""A proxy before a FlyteAdmin: counts calls, makes some fail, or holds them until they are let go."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_LARGEST = 64 * 1024 * 1024
_OPTIONS = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]


@dataclass
class Proxy:
    """What goes through it."""

    endpoint: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    failing: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


class _Forward(grpc.GenericRpcHandler):
    def __init__(self, proxy: Proxy, channel: grpc.aio.Channel) -> None:
        self._proxy = proxy
        self._channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        path = details.method
        name = path.rpartition("/")[2]
        call = self._channel.unary_unary(path)

        async def forward(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            self._proxy.calls[name] += 1
            if name in self._proxy.held:
                self._proxy.arrived.set()
                await self._proxy.released.wait()
            if name in self._proxy.failing:
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{name} is broken")
            try:
                answer: bytes = await call(request)
            except grpc.aio.AioRpcError as error:
                await context.abort(
                    error.code(), error.details() or "", trailing_metadata=tuple(error.trailing_metadata())
                )
            return answer

        return grpc.unary_unary_rpc_method_handler(forward)


@asynccontextmanager
async def proxied(endpoint: str) -> AsyncIterator[Proxy]:
    """Stand before an endpoint for the length of the block."""
    proxy = Proxy()
    async with grpc.aio.insecure_channel(endpoint, options=_OPTIONS) as channel:
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((_Forward(proxy, channel),))
        proxy.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield proxy
        finally:
            proxy.released.set()
            await server.stop(None)
