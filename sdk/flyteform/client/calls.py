"""One unary call: metadata, deadline, bounded retries of what may succeed later, errors mapped."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio

from flyteform.client.channel import Anonymous, Authenticator
from flyteform.client.failures import from_call

if TYPE_CHECKING:
    from google.protobuf.message import Message

Response = TypeVar("Response", bound="Message")

_RETRY_DELAYS = (0.1, 0.2, 0.4)  # seconds: enough for a restarting server's listener, short enough for a person
_CALL_TIMEOUT = 30.0  # seconds
_CONCURRENCY = 16  # calls in flight: callers may ask for thousands of things at once


@dataclass(frozen=True, slots=True)
class Caller:
    """Makes calls on one channel. Every method that we call is idempotent or carries a name chosen by us.

    `sent` counts the calls by method, each attempt for itself.
    """

    channel: grpc.aio.Channel
    endpoint: str
    authenticator: Authenticator = field(default_factory=Anonymous)
    retry_delays: tuple[float, ...] = _RETRY_DELAYS
    sent: Counter[str] = field(default_factory=Counter, compare=False)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONCURRENCY))

    async def call(self, service: str, method: str, request: Message, response: type[Response]) -> Response:
        """Send `request`; raise the mapped `FlyteformError` when it fails for good."""
        for delay in self.retry_delays:
            try:
                return await self._send(service, method, request, response)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise from_call(error, self.endpoint, method) from error
            # Jitter, so that many callers of a restarted server do not come back in step.
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
        try:
            return await self._send(service, method, request, response)
        except grpc.aio.AioRpcError as error:
            raise from_call(error, self.endpoint, method) from error

    async def _send(self, service: str, method: str, request: Message, response: type[Response]) -> Response:
        call = self.channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        async with self._slots:
            self.sent[method] += 1
            sent = await self.authenticator.metadata()
            try:
                answer: Response = await call(request, timeout=_CALL_TIMEOUT, metadata=grpc.aio.Metadata(*sent))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAUTHENTICATED or not await self.authenticator.refused(sent):
                    raise
                metadata = grpc.aio.Metadata(*await self.authenticator.metadata())
                answer = await call(request, timeout=_CALL_TIMEOUT, metadata=metadata)
        return answer
