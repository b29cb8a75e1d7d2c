"""Put bytes where the platform's data planes can read them, by signed URL."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flyteidl.service import dataproxy_pb2

from flyteform.client.errors import ServerError
from flyteform.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.client.admin import AdminClient

_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class _Target:
    """A signed URL taken apart: its query is a secret and stays out of messages."""

    scheme: str
    netloc: str
    path: str


async def upload(client: AdminClient, project: str, domain: str, filename: str, data: bytes) -> str:
    """Store `data` and return its native URI; the same bytes under the same file name land at the same place."""
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    location = await client.create_upload_location(
        dataproxy_pb2.CreateUploadLocationRequest(project=project, domain=domain, filename=filename, content_md5=md5)
    )
    # What was signed wins over what we would send by ourselves, whatever the case of its name.
    headers = {"content-md5": base64.b64encode(md5).decode()}
    headers |= {name.lower(): value for name, value in location.headers.items()}
    status, reason = await asyncio.to_thread(_put, _target(location.signed_url), headers, data)
    if status not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT):
        raise ServerError(
            f"the object store refused the upload of {filename}: {status} {reason}",
            remedy="check the clock of this machine and the platform's object store",
        )
    return location.native_url


def _target(signed_url: str) -> _Target:
    parts = urlsplit(signed_url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return _Target(parts.scheme, parts.netloc, path)


def _put(target: _Target, headers: Mapping[str, str], data: bytes) -> tuple[int, str]:
    kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = kind(target.netloc, timeout=_TIMEOUT)
    try:
        connection.request("PUT", target.path, body=data, headers=dict(headers))
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(
            f"cannot reach the object store at {target.netloc}: {error}",
            remedy="check that this machine may connect to it",
        ) from error
    else:
        return response.status, response.reason
    finally:
        connection.close()
