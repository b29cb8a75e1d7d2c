"""Requests to a Kubernetes API server: plain JSON both ways, and one error tree for its answers.

Typed models cost more than the requests themselves at thousands of pods, so credentials, TLS and connections are the
client library's, and objects stay what they are on the wire.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from flyteform.errors import (
    AlreadyExistsError,
    ConflictError,
    FlyteformError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from flyteform_dataplane.kubernetes.profile import Json

_TIMEOUT = 30.0  # seconds for one request
_WATCH_SECONDS = 300  # a watch ends by itself and is begun again: a connection may die without a word
_SILENCE = 60.0  # seconds of a watch beyond its own end, after which it is given up
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
_JSON = "application/json"
_FIRST_ERROR = 400


class ExpiredError(ConflictError):
    """The resource version that a watch starts from is not kept any more: list again."""


class ThrottledError(UnavailableError):
    """The API server wants fewer requests; `after` is for how many seconds it asks for none."""

    def __init__(self, message: str, after: float) -> None:
        super().__init__(message)
        self.after = after


class KubernetesApi:
    """One API server. Paths are absolute (`/api/v1/namespaces/x/pods`)."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def get(self, path: str, **query: str) -> Json:
        """Return an object or a list; `NotFoundError` if there is none."""
        return await self._call("GET", path, query=query)

    async def create(self, path: str, body: Json, **query: str) -> Json:
        """Create an object in a collection; `AlreadyExistsError` if its name is taken."""
        return await self._call("POST", path, body=body, query=query)

    async def patch(self, path: str, body: Json) -> Json:
        """Merge into an object; with a `resourceVersion` in it `ConflictError` if the object has moved on."""
        return await self._call("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def patch_json(self, path: str, operations: Sequence[Json]) -> Json:
        """Apply operations one after the other, all or none; `InvalidInputError` where a `test` among them fails."""
        return await self._call("PATCH", path, body=list(operations), content_type=JSON_PATCH)

    async def replace(self, path: str, body: Json) -> Json:
        """Replace an object; `ConflictError` if it has moved on since it was read."""
        return await self._call("PUT", path, body=body)

    async def delete(self, path: str, body: Json | None = None) -> Json:
        """Delete an object; `NotFoundError` if there is none."""
        return await self._call("DELETE", path, body=body)

    async def read(self, path: str, **query: str) -> str:
        """Return what is no JSON: a log."""
        async with self._responding("GET", path, query=query) as response:
            return await response.text(errors="replace")

    async def watch(self, path: str, version: str, **query: str) -> AsyncIterator[tuple[str, Json]]:
        """Yield changes of a collection from a resource version on, until the server ends the watch.

        Each is ADDED, MODIFIED, DELETED or BOOKMARK with its object; `ExpiredError` where the version is too old.
        """
        asked = {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with self._responding("GET", path, query=asked, seconds=_WATCH_SECONDS + _SILENCE) as response:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _error(event["object"].get("code", 500), event["object"], {})
                yield event["type"], event["object"]

    async def _call(
        self, method: str, path: str, *, body: Json | list[Json] | None = None, query: Mapping[str, str] | None = None,
        content_type: str = _JSON,
    ) -> Json:  # fmt: skip
        async with self._responding(method, path, body=body, query=query, content_type=content_type) as response:
            answer: Json = await response.json(content_type=None)
            return answer

    @asynccontextmanager
    async def _responding(
        self,
        method: str,
        path: str,
        *,
        body: Json | list[Json] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = _JSON,
        seconds: float = _TIMEOUT,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": _JSON, "Content-Type": content_type}
        serialized = await self._client.param_serialize(
            method, path, query_params=list((query or {}).items()), header_params=headers, auth_settings=["BearerToken"]
        )
        try:
            answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                method, serialized[1], headers=serialized[2], body=body, _request_timeout=aiohttp.ClientTimeout(seconds)
            )
            response: aiohttp.ClientResponse = answer.response
            async with response:
                if response.status >= _FIRST_ERROR:
                    raise _error(response.status, await _document(response), response.headers)
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise UnavailableError(
                f"the Kubernetes API server cannot be reached: {str(error) or type(error).__name__}"
            ) from error


@asynccontextmanager
async def connect(kubeconfig: Path | None = None) -> AsyncIterator[KubernetesApi]:
    """Connect as a kubeconfig says, or, without one, as the pod's own service account."""
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig), client_configuration=configuration
            )
    except ConfigException as error:
        where = kubeconfig or "this pod"
        raise InvalidInputError(f"no Kubernetes API server is named by {where}: {error}") from error
    async with ApiClient(configuration) as client:
        yield KubernetesApi(client)


async def _document(response: aiohttp.ClientResponse) -> Json:
    text = await response.text(errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"message": text[:500]}


_ERRORS: dict[tuple[int, str], type[FlyteformError]] = {(409, "AlreadyExists"): AlreadyExistsError}
_BY_STATUS: dict[int, type[FlyteformError]] = {404: NotFoundError, 409: ConflictError, 410: ExpiredError}
_REFUSALS = frozenset({400, 401, 403, 405, 413, 415, 422})
_TOO_MANY = 429


def _error(status: int, document: Json, headers: Mapping[str, str]) -> FlyteformError:
    """Return what an answer means. Kubernetes' own sentence names the object and the field."""
    message = str(document.get("message") or f"status {status}")
    known = _ERRORS.get((status, str(document.get("reason")))) or _BY_STATUS.get(status)
    if known is not None:
        return known(message)
    if status == _TOO_MANY:
        return ThrottledError(message, _seconds(headers.get("Retry-After"), document))
    if status in _REFUSALS:
        return InvalidInputError(f"Kubernetes refuses it: {message}")
    return UnavailableError(f"the Kubernetes API server failed: {message}")


def _seconds(header: str | None, document: Json) -> float:
    details: dict[str, Any] = document.get("details") or {}
    return float(header) if header and header.isdigit() else float(details.get("retryAfterSeconds", 1))
