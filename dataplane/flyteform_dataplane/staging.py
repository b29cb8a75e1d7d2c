"""Leases made whole: large parts fetched by their URLs, and what this cluster cannot read copied into its own store."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError

from flyteform.errors import UnavailableError
from flyteform.objects.references import URI, change_texts
from flyteform.proto.flyteform.v1.link_pb2 import Lease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.objects.ports import ObjectStore
    from flyteform.proto.flyteform.v1.link_pb2 import StagedObject, Staging

_TIMEOUT = 60.0  # seconds without a byte


def is_whole(lease: Lease) -> bool:
    """Say whether the lease has all that is needed to run it."""
    return not (lease.closure_url or lease.inputs_url or lease.staging)


async def make_whole(lease: Lease, objects: ObjectStore) -> Lease:
    """Return the lease with its closure and inputs in it, naming copies in the data plane's own store.

    `UnavailableError` when something cannot be fetched now; doing it again copies only what is not there yet.
    """
    whole = Lease()
    whole.CopyFrom(lease)
    try:
        if lease.closure_url:
            whole.closure.ParseFromString(await _fetch(lease.closure_url))
        if lease.inputs_url:
            whole.inputs.ParseFromString(await _fetch(lease.inputs_url))
    except DecodeError as error:
        raise UnavailableError("a part of a lease cannot be read") from error
    for field in ("closure_url", "inputs_url"):
        whole.ClearField(field)  # they are secrets, and end
    copies = {}
    for staging in whole.staging:
        copies[staging.uri] = staging.staged_uri = await _stage(staging, objects)
        for one in staging.objects:
            one.ClearField("signed_url")
    _rename(whole, copies)
    return whole


async def _stage(staging: Staging, objects: ObjectStore) -> str:
    """Copy an object, or a folder of them, and return where it is now; what is named so never changes."""
    base = staging.uri.rstrip("/").rpartition("/")[2]
    target = f"{objects.prefix}/staged/{hashlib.sha256(staging.uri.encode()).hexdigest()[:40]}/{base}"
    for one in staging.objects:
        await _copy(one, f"{target}/{one.path}" if one.path else target, objects)
    return target


async def _copy(one: StagedObject, target: str, objects: ObjectStore) -> None:
    present = await objects.head(target)
    if present is None or present.size != one.size:
        await objects.put(target, await _fetch(one.signed_url), durable=False)


def _rename(lease: Lease, copies: Mapping[str, str]) -> None:
    if not copies:
        return
    longest_first = sorted(copies, key=len, reverse=True)

    def inside(text: str) -> str:
        for uri in longest_first:
            text = text.replace(uri, copies[uri])
        return text

    for task in lease.closure.tasks:
        change_texts(task.template, inside)
    change_texts(lease.inputs, lambda uri: copies.get(uri, uri), URI)


async def _fetch(url: str) -> bytes:
    return await asyncio.to_thread(_get, url)


def _get(url: str) -> bytes:
    """Get what lies at a signed URL; its query is a secret and stays out of messages."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT)
    where = f"{parts.scheme}://{parts.netloc}{parts.path}"
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"{where} cannot be fetched: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        raise UnavailableError(f"{where} cannot be fetched: {response.status} {response.reason}")
    return content
