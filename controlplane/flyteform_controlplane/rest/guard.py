"""Keeps whoever has no token away from all of HTTP but the few paths that are for those who have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import Response

from flyteform_controlplane.errors import UnauthenticatedError
from flyteform_controlplane.rest.codecs import response_codec
from flyteform_controlplane.transport.calls import REQUEST_ID, request_id_of
from flyteform_controlplane.transport.status import http_status, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

CHALLENGE = {"www-authenticate": "Bearer"}


class Guard:
    """Refuses requests before their bodies are read, and for paths that are no method too.

    `admit` raises `UnauthenticatedError`; the methods behind ask again, so this is never the only check of a call.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        admit: Callable[[Mapping[str, str]], object],
        open_paths: Collection[str],
        open_prefixes: tuple[str, ...],
    ) -> None:
        self._app = app
        self._admit = admit
        self._paths = frozenset(open_paths)
        self._prefixes = open_prefixes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or pass the request on."""
        if scope["type"] == "http" and not self._is_open(scope["path"]):
            headers = Headers(scope=scope)
            try:
                self._admit(call_metadata(headers))
            except UnauthenticatedError as error:
                await _refusal(headers, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._paths or path.startswith(self._prefixes)


def call_metadata(headers: Headers) -> dict[str, str]:
    """Return the headers as the metadata of a call; a gateway's clients may prefix their names."""
    return {name.removeprefix("grpc-metadata-"): value for name, value in headers.items()}


def _refusal(headers: Headers, error: UnauthenticatedError) -> Response:
    codec, status = response_codec(headers), status_of(error)
    answer = {REQUEST_ID: request_id_of(headers), **CHALLENGE}
    return Response(codec.error(status), http_status(status.code), answer, codec.media_type)
