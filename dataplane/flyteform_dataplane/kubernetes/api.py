"""Requests to a Kubernetes API server: plain JSON both ways, and one error tree for its answers.

Typed models cost more than the requests themselves at thousands of pods, so credentials and TLS are the client
library's, and objects stay what they are on the wire.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from multidict import CIMultiDict
from yaml import YAMLError
from yarl import URL

from flyteform.errors import (
    AlreadyExistsError,
    ConflictError,
    FlyteformError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from flyteform_dataplane.kubernetes.limits import RateLimit, RequestLimits
from flyteform_dataplane.kubernetes.wire import Change, Described, Listed, Reader, decoded, encoded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)

_TIMEOUT = aiohttp.ClientTimeout(30.0)  # seconds for one request
_WATCH_SECONDS = 300  # a watch ends by itself and is begun again: a connection may die without a word
_DAY = 86_400.0  # seconds
_SILENCE = 60.0  # seconds of a watch beyond its own end, after which it is given up
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_JSON = "application/json"
_METADATA = "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA_ONLY = f"{_JSON};{_METADATA},{_JSON}"
_METADATA_LISTS = f"{_JSON};{_METADATA_LIST},{_JSON}"
# Whoever asks for metadata reads no more, should the server know no such answer and give all.
_READERS = {_METADATA_ONLY: Reader(Described), _METADATA_LISTS: Reader(Listed[Described])}
_read_described = Reader(Change[Described])
_FIRST_ERROR = 400
_SILENT = (aiohttp.ClientError, TimeoutError, ConnectionError, asyncio.IncompleteReadError)
_WATCHES = 16
_KEPT = 60.0  # seconds that a connection is kept without use: making one costs both ends as much as many requests
_TRIES = 4  # of a request that the API server has no room for
_LINE = 4 * 1024 * 1024  # of a watch: an object is at most 1.5 MiB in the server's store
_PIECE = 256 * 1024  # of what comes: many changes are taken apart together, and few are held at once


class ExpiredError(ConflictError):
    """The resource version that a watch starts from is not kept any more: list again."""


class ForbiddenError(InvalidInputError):
    """Whoever guards the API server does not let it pass: roles, quotas, pod security, an admission webhook."""


class TooLargeError(InvalidInputError):
    """No object may be that large."""


class ThrottledError(UnavailableError):
    """The API server wants fewer requests; `after` is for how many seconds it asks for none."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class KubernetesApi:
    """One API server. Paths are absolute (`/api/v1/namespaces/x/pods`).

    Requests keep to the limits; watches are as long as they are and are not counted. A request that the server
    refuses with 429 was not carried out, and is made again when the server says so, while all others wait too.
    """

    def __init__(self, client: ApiClient, session: aiohttp.ClientSession, limits: RequestLimits | None = None) -> None:
        self._session = session
        self._configuration = client.configuration
        self._token: str | None = None
        self._prepared: dict[tuple[str, str], CIMultiDict[str]] = {}  # headers with that token
        limits = limits or RequestLimits()
        self._limit = RateLimit(limits)
        # Who waits for a connection has not written its request yet: a thousand at once take little memory.
        self._slots = asyncio.Semaphore(limits.in_flight)
        self.requests = 0  # that were made, for people who measure

    async def get(self, path: str, read: Reader | None = None, /, **query: str) -> Json:
        """Return an object or a list, of which `read` may leave parts out; `NotFoundError` if there is none."""
        return await self._call("GET", path, query=query, read=read)

    async def get_metadata(self, path: str, **query: str) -> Json:
        """Return a list of which each object has its metadata only."""
        listed = await self._call("GET", path, query=query, accept=_METADATA_LISTS)
        return {**listed, "items": listed["items"] or []}  # an empty list of metadata is null

    async def service_account_keys(self) -> Json:
        """Return the keys that sign service accounts' tokens: a JSON Web Key Set, which has a media type of its own."""
        return await self._call("GET", "/openid/v1/jwks", accept="application/jwk-set+json")

    async def create(self, path: str, body: Json, *, metadata_only: bool = False, **query: str) -> Json:
        """Create an object in a collection and return it or its metadata; `AlreadyExistsError` if its name is taken."""
        accept = _METADATA_ONLY if metadata_only else _JSON
        return await self._call("POST", path, body=body, query=query, accept=accept)

    async def patch(self, path: str, body: Json) -> Json:
        """Merge into an object, return its metadata.

        With a `resourceVersion` in the body `ConflictError` if the object has moved on.
        """
        return await self._call("PATCH", path, body=body, content_type=MERGE_PATCH, accept=_METADATA_ONLY)

    async def patch_json(self, path: str, operations: Sequence[Json]) -> Json:
        """Apply operations one after the other, all or none; `InvalidInputError` where a `test` among them fails.

        Returns the object's metadata.
        """
        return await self._call("PATCH", path, body=list(operations), content_type=JSON_PATCH, accept=_METADATA_ONLY)

    async def apply(self, path: str, body: Json, *, manager: str, force: bool = False) -> Json:
        """Make an object have these fields, which are the manager's then; it is created if there is none.

        `ConflictError` for fields that another manager owns with other values, unless they are taken by `force`.
        """
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self._call("PATCH", path, body=body, query=query, content_type=APPLY_PATCH)

    async def replace(self, path: str, body: Json, *, metadata_only: bool = False) -> Json:
        """Replace an object and return it or its metadata; `ConflictError` if it has moved on since it was read."""
        accept = _METADATA_ONLY if metadata_only else _JSON
        return await self._call("PUT", path, body=body, accept=accept)

    async def delete(self, path: str, body: Json | None = None) -> Json:
        """Delete an object; `NotFoundError` if there is none."""
        return await self._call("DELETE", path, body=body)

    async def stream(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """Yield what is no JSON, a log, as it comes; it may be followed for a day."""
        async with self._responding(path, query, seconds=_DAY) as response:
            async for piece in response.content.iter_any():
                yield piece

    async def watch(
        self, path: str, version: str, read: Reader | None = None, /, *, metadata_only: bool = False, **query: str
    ) -> AsyncIterator[tuple[str, Json]]:
        """Yield changes of a collection from a resource version on, until the server ends the watch.

        Each is ADDED, MODIFIED, DELETED or BOOKMARK with its object, of which `read` may leave parts out;
        `ExpiredError` where the version is too old.
        """
        asked = {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        accept = _METADATA_ONLY if metadata_only else _JSON
        read = read or (_read_described if metadata_only else decoded)
        async with self._responding(path, asked, seconds=_WATCH_SECONDS + _SILENCE, accept=accept) as got:
            begun = b""
            async for piece in got.content.iter_chunked(_PIECE):
                *lines, begun = (begun + piece).split(b"\n")
                for line in lines:
                    yield _change(line, read)
                if len(begun) > _LINE:
                    raise UnavailableError(f"the Kubernetes API server tells of a change in more than {_LINE} bytes")
            if begun:
                yield _change(begun, read)

    async def _call(
        self, method: str, path: str, *, body: Json | list[Json] | None = None, query: Mapping[str, str] | None = None,
        content_type: str = _JSON, accept: str = _JSON, read: Reader | None = None,
    ) -> Json:  # fmt: skip
        read = read or _READERS.get(accept, decoded)
        for tries in range(1, _TRIES + 1):
            await self._limit.turn()
            try:
                async with self._slots:
                    data = None if body is None else encoded(body)
                    response = await self._ask(method, path, data, query, content_type=content_type, accept=accept)
                    answer: Json = read(await response.read())
                    return answer
            except ThrottledError as error:
                logger.info("the API server has no room for %s %s: %s", method, path, error.message)
                self._limit.rest(error.after)
                if tries == _TRIES:
                    raise
            except _SILENT as error:
                raise _unreachable(error) from error
        raise AssertionError(method)  # unreachable: the last try returns or raises

    @asynccontextmanager
    async def _responding(
        self, path: str, query: Mapping[str, str], *, seconds: float, accept: str = _JSON
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Read what comes for as long as that."""
        try:
            async with await self._ask(
                "GET", path, None, query, accept=accept, patience=aiohttp.ClientTimeout(seconds)
            ) as response:
                yield response
        except _SILENT as error:
            raise _unreachable(error) from error

    async def _ask(
        self, method: str, path: str, data: bytes | None, query: Mapping[str, str] | None, *,
        content_type: str = _JSON, accept: str = _JSON, patience: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> aiohttp.ClientResponse:  # fmt: skip
        """Return an answer of which the beginning is there; whoever asks reads it to its end, or closes it."""
        where = f"{self._configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = await self._headers(content_type, accept)
        self.requests += 1
        response = await self._session.request(
            method,
            URL(where, encoded=True),
            data=data,
            headers=headers,
            timeout=patience,
            proxy=self._configuration.proxy,
            proxy_headers=self._configuration.proxy_headers,
            server_hostname=self._configuration.tls_server_name or None,
        )
        if response.status >= _FIRST_ERROR:
            raise _error(response.status, await _document(response), response.headers)
        return response

    async def _headers(self, content_type: str, accept: str) -> CIMultiDict[str]:
        """Return the headers of a request. The library renews the token, so it is asked for that each time."""
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token != self._token:
            self._token, self._prepared = token, {}
        known = self._prepared.get((content_type, accept))
        if known is None:
            said = {"Accept": accept, "Content-Type": content_type, **({"Authorization": token} if token else {})}
            known = self._prepared[content_type, accept] = CIMultiDict(said)
        return known


@asynccontextmanager
async def connect(kubeconfig: Path | None = None, limits: RequestLimits | None = None) -> AsyncIterator[KubernetesApi]:
    """Connect as a kubeconfig says, or, without one, as the pod's own service account."""
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig), client_configuration=configuration
            )
    except (ConfigException, YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        # The library trusts the form of the file, so another file fails in any way.
        where = kubeconfig or "this pod"
        said = error if isinstance(error, ConfigException) else "it is no kubeconfig"
        raise InvalidInputError(f"no Kubernetes API server is named by {where}: {said}") from error
    limits = limits or RequestLimits()
    async with ApiClient(configuration) as client:
        # Watches hold their connections, so they are not counted among those of the requests.
        connector = aiohttp.TCPConnector(
            ssl=client.rest_client.ssl_context, limit=limits.in_flight + _WATCHES, keepalive_timeout=_KEPT
        )
        _find_proxy(configuration)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=_PIECE
        ) as session:
            yield KubernetesApi(client, session, limits)


def _find_proxy(configuration: Configuration) -> None:
    """Take the proxy that the environment names, once: looked up for each request it costs as much as a small one."""
    server = URL(configuration.host)
    if configuration.proxy is None and not proxy_bypass(server.host or ""):
        configuration.proxy = getproxies().get(server.scheme)


def _change(line: bytes, read: Reader) -> tuple[str, Json]:
    event = read(line)
    if event["type"] == "ERROR":
        status = decoded(line)["object"]
        raise _error(status.get("code", 500), status, {})
    return event["type"], event["object"]


def _unreachable(error: Exception) -> UnavailableError:
    return UnavailableError(f"the Kubernetes API server cannot be reached: {str(error) or type(error).__name__}")


async def _document(response: aiohttp.ClientResponse) -> Json:
    try:
        document = decoded(await response.read())
    except UnavailableError:
        document = None
    return document if isinstance(document, dict) else {"message": (await response.text(errors="replace"))[:500]}


_ERRORS: dict[tuple[int, str], type[FlyteformError]] = {(409, "AlreadyExists"): AlreadyExistsError}
_BY_STATUS: dict[int, type[FlyteformError]] = {404: NotFoundError, 409: ConflictError, 410: ExpiredError}
_REFUSALS: dict[int, type[InvalidInputError]] = {
    **dict.fromkeys((400, 405, 415, 422), InvalidInputError),
    403: ForbiddenError,
    413: TooLargeError,
}
_UNAUTHORIZED, _TOO_MANY = 401, 429


def _error(status: int, document: Json, headers: Mapping[str, str]) -> FlyteformError:
    """Return what an answer means. Kubernetes' own sentence names the object and the field."""
    message = str(document.get("message") or f"status {status}")
    known = _ERRORS.get((status, str(document.get("reason")))) or _BY_STATUS.get(status)
    if known is not None:
        return known(message)
    if status == _TOO_MANY:
        return ThrottledError(message, _seconds(headers.get("Retry-After"), document))
    if status in _REFUSALS:
        return _REFUSALS[status](f"Kubernetes refuses it: {message}")
    if status == _UNAUTHORIZED:
        # A token that has run out is renewed, and a server that begins may not know any yet: nobody's attempt is wrong.
        return UnavailableError(f"the Kubernetes API server does not accept these credentials: {message}")
    return UnavailableError(f"the Kubernetes API server failed: {message}")


def _seconds(header: str | None, document: Json) -> float:
    """Return how long the server asks to wait: a proxy may name a date instead, and then it is a second."""
    details: dict[str, Any] = document.get("details") or {}
    return float(header) if header and header.isdigit() else float(details.get("retryAfterSeconds", 1))
