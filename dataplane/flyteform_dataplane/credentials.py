"""The token that a data plane shows: in a file, which whoever issues it renews before it expires."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Continuation = Callable[..., Any]

_KEY: Final = "authorization"
logger = logging.getLogger(__name__)


class TokenFile:
    """Reads the token for every call: the file is small, and a token that was replaced is never shown."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._missing = False

    def details(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        """Return the details of a call with the token in them; without it while the file cannot be read."""
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            if not self._missing:
                logger.warning("the token of this data plane cannot be read: %s", error)
            self._missing = True
            return details
        self._missing = False
        metadata = grpc.aio.Metadata(*(details.metadata or ()), (_KEY, f"Bearer {token}"))
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: TokenFile) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        """Add the token to a call."""
        return await continuation(self._token.details(client_call_details), request)


class _Stream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, token: TokenFile) -> None:
        self._token = token

    async def intercept_stream_stream(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        """Add the token to the link."""
        return await continuation(self._token.details(client_call_details), request_iterator)


def token_interceptors(path: Path) -> Sequence[grpc.aio.ClientInterceptor]:
    """Return what adds the token in the file to all calls of a channel."""
    token = TokenFile(path)
    return (_Unary(token), _Stream(token))
