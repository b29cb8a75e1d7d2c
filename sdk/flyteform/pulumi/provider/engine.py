"""The engine's own service: where messages of the provider go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable


_MISSES = 3


class EngineLog:
    """Sends messages about a resource to the engine, which shows them beside it."""

    def __init__(self, address: str | None = None) -> None:
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None
        if address:
            self.attach(address)

    def attach(self, address: str) -> None:
        """Speak to this engine from now on."""
        self._channel = grpc.aio.insecure_channel(address)
        # The generated constructors are not annotated.
        make: Callable[[grpc.aio.Channel], Any] = engine_pb2_grpc.EngineStub
        self._stub = make(self._channel)

    async def info(self, message: str, urn: str) -> None:
        """Say what is worth knowing."""
        await self._send(engine_pb2.LogSeverity.INFO, message, urn)

    async def warning(self, message: str, urn: str) -> None:
        """Say what somebody should look at."""
        await self._send(engine_pb2.LogSeverity.WARNING, message, urn)

    async def wait_until_gone(self, seconds: float = 10.0) -> None:
        """Return once the engine has not answered three times in a row: one that was killed ends nobody."""
        missed = 0
        while missed < _MISSES:
            await asyncio.sleep(seconds)
            missed = 0 if self._stub is None or await self._answers(seconds) else missed + 1

    async def _answers(self, seconds: float) -> bool:
        try:
            await self._stub.GetRootResource(engine_pb2.GetRootResourceRequest(), timeout=max(seconds, 1.0))
        except grpc.aio.AioRpcError as error:
            return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        return True

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()

    async def _send(self, severity: engine_pb2.LogSeverity.ValueType, message: str, urn: str) -> None:
        if self._stub is not None:
            try:
                await self._stub.Log(engine_pb2.LogRequest(severity=severity, message=message, urn=urn))
            except grpc.aio.AioRpcError:
                return  # a message that cannot be shown must not fail what it is about
