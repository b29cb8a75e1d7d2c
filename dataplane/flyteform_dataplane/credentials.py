"""The token that a data plane shows: in a file, which whoever issues it renews before it expires."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Continuation = Callable[..., Any]

_KEY: Final = "authorization"
logger = logging.getLogger(__name__)


class Token(Protocol):
    """The token that is shown now."""

    def current(self) -> str | None:
        """Return it; None while there is none."""
        ...


class TokenFile:
    """Reads the token for every call: the file is small, and a token that was replaced is never shown."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._missing = False

    def current(self) -> str | None:
        """Return what is in the file; None while it cannot be read."""
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            if not self._missing:
                logger.warning("the token of this data plane cannot be read: %s", error)
            self._missing = True
            return None
        self._missing = False
        return token


def _with_token(token: Token, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    """Return the details of a call with the token in them, or as they are while there is none."""
    text = token.current()
    if text is None:
        return details
    metadata = grpc.aio.Metadata(*(details.metadata or ()), (_KEY, f"Bearer {text}"))
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


class _Unary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: Token) -> None:
        self._token = token

    async def intercept_unary_unary(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        """Add the token to a call."""
        return await continuation(_with_token(self._token, client_call_details), request)


class _Stream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, token: Token) -> None:
        self._token = token

    async def intercept_stream_stream(
        self, continuation: Continuation, client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        """Add the token to the link."""
        return await continuation(_with_token(self._token, client_call_details), request_iterator)


def token_interceptors(token: Token) -> Sequence[grpc.aio.ClientInterceptor]:
    """Return what adds the token to all calls of a channel."""
    return (_Unary(token), _Stream(token))
