"""The REST gateway: requests into calls through the same chain as gRPC's, answers and errors back."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from grpc import StatusCode
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from flyteform_controlplane.errors import ControlPlaneError, InvalidArgumentError
from flyteform_controlplane.rest.codecs import request_codec, response_codec
from flyteform_controlplane.rest.fields import setter
from flyteform_controlplane.rest.guard import call_metadata
from flyteform_controlplane.rest.routes import Match, Router, routes_of
from flyteform_controlplane.transport.calls import REQUEST_ID, Call, request_id_of
from flyteform_controlplane.transport.status import CallError, Status, http_status, status_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message
    from starlette.types import Receive, Scope, Send

    from flyteform_controlplane.rest.routes import Route
    from flyteform_controlplane.transport.methods import Method

MAX_BODY_BYTES = 64 * 1024 * 1024

_cached_setter = lru_cache(maxsize=4096)(setter)


class Refusal(Exception):  # noqa: N818 - no error of the program: an answer
    """The answer to a request that is no call: an HTTP status of its own beside the gRPC one."""

    def __init__(self, http: int, status: Status, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status.message)
        self.http = http
        self.status = status
        self.headers = headers or {}


class Gateway:
    """An ASGI application that serves every method with an HTTP binding."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self.routes = routes_of(methods)
        self._router = Router(self.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        codec = response_codec(request.headers)
        identity = request_id_of(request.headers)
        try:
            match = self._match(request)
            message = await _message(match, request)
            body = codec.encode(await match.route.method.invoke(_call(match.route, message, request, identity)))
            return Response(body, 200, {REQUEST_ID: identity}, codec.media_type)
        except CallError as error:
            refusal = Refusal(http_status(error.status.code), error.status)
        except ControlPlaneError as error:
            refusal = Refusal(http_status(error.status), status_of(error))
        except Refusal as error:
            refusal = error
        headers = {REQUEST_ID: identity, **refusal.headers}
        return Response(codec.error(refusal.status), refusal.http, headers, codec.media_type)

    def _match(self, request: Request) -> Match:
        raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
        try:
            segments = [unquote(part, errors="strict") for part in raw.decode("ascii").split("/")[1:]]
        except UnicodeDecodeError as error:
            raise InvalidArgumentError("the path is not UTF-8") from error
        found = self._router.match(request.method, segments)
        if isinstance(found, Match):
            return found
        if found:
            allowed = ", ".join(found)
            text = f"{request.method} is not allowed for {request.url.path}; it takes {allowed}"
            raise Refusal(405, Status(StatusCode.UNIMPLEMENTED, text), {"allow": allowed})
        raise Refusal(404, Status(StatusCode.NOT_FOUND, f"there is nothing at {request.url.path}"))


async def _message(match: Match, request: Request) -> Message:
    route = match.route
    message = route.method.request_type()
    if route.body:
        target = message if route.body == "*" else getattr(message, route.body)
        request_codec(request.headers).decode(await read_body(request), target)
    if route.body != "*":
        _set_query(message, str(request.scope["query_string"], "latin-1"))
    # Last, because the path names what is called, whatever the body says.
    for variable, value in zip(route.variables, match.values, strict=True):
        variable.apply(message, (value,))
    return message


def _set_query(message: Message, query: str) -> None:
    values: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(query, keep_blank_values=True, errors="strict"):
            values.setdefault(name, []).append(value)
    except ValueError as error:
        raise InvalidArgumentError(f"the query is malformed: {error}") from error
    for name, texts in values.items():
        # Names that are no field are no error: browsers and proxies add some.
        found = _cached_setter(message.DESCRIPTOR, name)
        if found is not None:
            found.apply(message, texts)


async def read_body(request: Request) -> bytes:
    """Return the body, refused with 413 if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            text = f"the body is larger than {MAX_BODY_BYTES} bytes"
            raise Refusal(413, Status(StatusCode.RESOURCE_EXHAUSTED, text))
    return bytes(body)


def _call(route: Route, message: Message, request: Request, identity: str) -> Call:
    client: Any = request.client
    peer = f"http:{client.host}:{client.port}" if client else "http"
    return Call(route.method.name, message, call_metadata(request.headers), peer, request_id=identity)
