"""Objects of the local store over HTTP, for holders of signed URLs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import mimetypes
from typing import TYPE_CHECKING

from grpc import StatusCode
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from flyteform.errors import FlyteformError, InvalidInputError, NotFoundError
from flyteform.objects.signing import Grant, SignatureRefusedError, UrlSigner, decode_md5
from flyteform_controlplane.rest.codecs import JSON, JsonCodec
from flyteform_controlplane.transport.status import Status, http_status, status_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from flyteform.objects.files import StagedFile
    from flyteform.objects.local import LocalStore

PREFIX = "/objects/"
MAX_OBJECT_BYTES = 5 * 1024 * 1024 * 1024  # as S3 takes in one request
BUFFER_BYTES = 1024 * 1024
# A deck is somebody's HTML: its scripts run, but as no site, so they reach nothing of this one.
SAFE_HEADERS = {"content-security-policy": "sandbox allow-scripts", "x-content-type-options": "nosniff"}


class TooLargeError(FlyteformError):
    """An upload is over the limit."""

    code = "TooLarge"


class ObjectEndpoint:
    """An ASGI application: GET, HEAD and PUT below `/objects/` for URLs that the signer has signed."""

    def __init__(self, store: LocalStore, signer: UrlSigner, *, max_bytes: int = MAX_OBJECT_BYTES) -> None:
        self._store = store
        self._signer = signer
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; one that breaks off has no answer and no effect."""
        with contextlib.suppress(ClientDisconnect):
            response = await self._respond(Request(scope, receive))
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        """Answer; a refusal never says whether the object exists."""
        try:
            path = request.scope["path"].removeprefix(PREFIX)
            grant = self._signer.verify(request.method, path, str(request.scope["query_string"], "latin-1"))
            uri = f"{self._store.prefix}/{path}"
            return await (self._put(uri, grant, request) if grant.method == "PUT" else self._get(uri))
        except TooLargeError as error:
            return _refusal(413, Status(StatusCode.RESOURCE_EXHAUSTED, error.message))
        except FlyteformError as error:
            status = status_of(error)
            return _refusal(http_status(status.code), status)

    async def _get(self, uri: str) -> Response:
        path = self._store.path(uri)
        if not path.is_file():
            raise NotFoundError(f"there is no object {uri}")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return FileResponse(path, media_type=kind, headers=SAFE_HEADERS)

    async def _put(self, uri: str, grant: Grant, request: Request) -> Response:
        announced = request.headers.get("content-md5")
        expected = {md5 for md5 in (grant.md5, decode_md5(announced) if announced else None) if md5 is not None}
        if len(expected) > 1:
            raise SignatureRefusedError("Content-MD5 is not the one that was signed")
        self._limit(int(request.headers.get("content-length", "0")))
        with self._store.staged(uri) as file:
            await self._receive(file, request)
            if expected and expected != {file.md5}:
                raise InvalidInputError("the content does not match its Content-MD5")
            await asyncio.to_thread(file.commit)
        return Response(status_code=200, headers={"etag": f'"{base64.b16encode(file.md5).decode().lower()}"'})

    async def _receive(self, file: StagedFile, request: Request) -> None:
        buffer = bytearray()
        async for chunk in request.stream():
            buffer += chunk
            self._limit(file.size + len(buffer))
            if len(buffer) >= BUFFER_BYTES:
                await asyncio.to_thread(file.write, bytes(buffer))
                buffer.clear()
        file.write(bytes(buffer))

    def _limit(self, size: int) -> None:
        if size > self._max_bytes:
            raise TooLargeError(f"the object is larger than {self._max_bytes} bytes")


def _refusal(http: int, status: Status) -> Response:
    return Response(JsonCodec().error(status), http, media_type=JSON)
