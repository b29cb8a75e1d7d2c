"""State in a bucket (S3, GCS, Azure): one object with the document and the lease, written on conditions alone.

Every write names the version of the object that it replaces. Who takes the lease over replaces the object, so a write
of the former holder fails, however late it comes: the object's version is the fencing token.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import obstore
from obstore import exceptions
from obstore.store import S3Store, from_url

from flyteform.errors import FlyteformError, InvalidInputError
from flyteform.provision.errors import StateError, StateLockedError, StateLostError
from flyteform.provision.ports import Holder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from obstore import PutMode, PutResult, UpdateVersion
    from obstore.store import ClientConfig, ObjectStore

FORMAT = "flyteform-state-object"
FORMAT_VERSION = 1
LEASE_SECONDS = 60.0
_RENEWALS_PER_LEASE = 3
_ATTEMPTS = 10
_CONNECT_TIMEOUT, _TIMEOUT = timedelta(seconds=5), timedelta(minutes=1)
_RETRIES, _RETRY_TIMEOUT = 2, timedelta(seconds=10)
_CONFLICT = "ConditionalRequestConflict"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds
_CODE = re.compile(r"<Code>(\w+)</Code>").search
# Too many requests: GCS takes about one write a second to an object, and an apply may begin with several.
_BUSY = re.compile(r"status code: (429|503)\b").search
# What says where a store is that is not its maker's: in the clear only where it says so itself.
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
# Conditions that no write can meet: the object is there, and has another version.
_NEVER: tuple[PutMode, ...] = ("create", {"e_tag": f'"{"0" * 32}"', "version": "1"})
_CONDITIONS = "use a store with conditional writes (S3, GCS, Azure, MinIO, SeaweedFS, …), or keep the state elsewhere"


@dataclass(frozen=True, slots=True)
class _Lease:
    """Who writes; `expires` is in Unix seconds."""

    token: str
    who: str
    since: str
    expires: float


@dataclass(frozen=True, slots=True)
class _Content:
    """What the object holds; no two revisions have the same bytes, so that no two have the same ETag."""

    revision: int = 0
    lease: _Lease | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    content: _Content
    version: UpdateVersion


class _MovedError(Exception):
    """The object is not the one any more on which the write was to follow."""


class BucketBackend:
    """The document in the object that `url` names (`s3://bucket/key`, `gs://bucket/key`, `az://container/key`).

    A lease ends `lease_seconds` after its last renewal by `clock` (Unix seconds), wherever its holder is.
    """

    def __init__(
        self,
        url: str,
        store: ObjectStore | None = None,
        *,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        self.location = url
        self.key = parts.path.strip("/")
        if not parts.netloc or not self.key or url.endswith("/"):
            raise InvalidInputError(
                f"{url!r} names no object in a bucket", remedy=f"write {parts.scheme}://BUCKET/PATH/NAME.json"
            )
        self.lease_seconds = lease_seconds
        self.clock = clock
        with self.errors():
            self._store = store or _open(parts.scheme, parts.netloc, os.environ)

    async def read(self) -> str | None:
        """Return the document, None if nobody has written one."""
        found = await self.stored()
        return None if found is None else found.content.state

    async def acquire(self, holder: Holder) -> BucketLease:
        """Take the lease if it is free or has expired."""
        for _ in range(_ATTEMPTS):
            found = await self.stored()
            content = _Content() if found is None else found.content
            if (other := self._live(content)) is not None:
                raise StateLockedError(self.location, Holder(other.who, other.since))
            lease = _Lease(uuid.uuid4().hex, holder.who, holder.since, self.clock() + self.lease_seconds)
            with suppress(_MovedError):
                taken = await self.put(replace(content, lease=lease), found)
                await self._check_conditions(taken)
                return BucketLease(self, taken)
        raise StateError(f"the state {self.location} does not come to rest", remedy="try again")

    async def holder(self) -> Holder | None:
        """Return whose lease has not expired."""
        found = await self.stored()
        lease = None if found is None else self._live(found.content)
        return None if lease is None else Holder(lease.who, lease.since)

    async def unlock(self) -> None:
        """End the lease; what its holder still sends is refused."""
        for _ in range(_ATTEMPTS):
            found = await self.stored()
            if found is None or found.content.lease is None:
                return
            with suppress(_MovedError):
                await self.put(replace(found.content, lease=None), found)
                return

    async def stored(self) -> _Stored | None:
        """Read the object."""
        with self.errors():
            try:
                found = await obstore.get_async(self._store, self.key)
                data = bytes(await found.bytes_async())
            except (FileNotFoundError, exceptions.NotFoundError) as error:
                if _said(error) in ("NoSuchBucket", "ContainerNotFound"):
                    raise
                return None
        return _Stored(_parsed(data, self.location), _version(found.meta["e_tag"], found.meta["version"]))

    async def put(self, content: _Content, before: _Stored | None) -> _Stored:
        """Write the next revision in the place of `before`; `_MovedError` if that is not there any more."""
        content = replace(content, revision=content.revision + 1)
        data = _bytes(content)
        mode: PutMode = "create" if before is None else before.version
        with self.errors():
            try:
                result = await self._send(data, mode)
            except (exceptions.PreconditionError, exceptions.AlreadyExistsError, exceptions.NotFoundError) as error:
                # The answer to our own write may have been lost, and the client has sent it again.
                now = await self.stored()
                if now is not None and _bytes(now.content) == data:
                    return now
                raise _MovedError from error
        return _Stored(content, _version(result["e_tag"], result["version"]))

    async def _send(self, data: bytes, mode: PutMode) -> PutResult:
        """Write on a condition; ask again where it was not judged: S3 at a conflict, each store when it is busy."""
        for attempt in range(_ATTEMPTS):
            try:
                return await obstore.put_async(self._store, self.key, data, mode=mode, use_multipart=False)
            except exceptions.BaseError as error:
                if _said(error) != _CONFLICT and not _BUSY(str(error)):
                    raise
            await asyncio.sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt))
        raise StateError(f"the state {self.location} does not come to rest", remedy="try again")

    async def _check_conditions(self, taken: _Stored) -> None:
        """Refuse a store that ignores conditions: writes that have to fail, harmless if they do not."""
        for mode in _NEVER:
            with self.errors():
                try:
                    await self._send(_bytes(taken.content), mode)
                except (exceptions.PreconditionError, exceptions.AlreadyExistsError):
                    continue
            raise StateError(
                f"the store of {self.location} ignores the conditions of writes: two applies could write at once",
                remedy=_CONDITIONS,
            )

    def _live(self, content: _Content) -> _Lease | None:
        lease = content.lease
        return lease if lease is not None and lease.expires > self.clock() else None

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Say what the store answers, and leave its addresses and the rest out."""
        try:
            yield
        except (NotImplementedError, exceptions.NotSupportedError) as error:
            raise StateError(f"the store of {self.location} knows no conditional writes", remedy=_CONDITIONS) from error
        except (exceptions.BaseError, OSError, ValueError) as error:
            said = _said(error)
            raise StateError(
                f"the state {self.location} cannot be reached" + (f": {said}" if said else ""),
                remedy="check that the bucket is there, the access to it, and the AWS_*, GOOGLE_* or AZURE_* settings",
            ) from error


class BucketLease:
    """The lease while it is held: renewed beside the work, and given back at its end."""

    def __init__(self, backend: BucketBackend, taken: _Stored) -> None:
        self._backend = backend
        self._last = taken
        self._writing = asyncio.Lock()
        self._lost = False
        self._good_until = time.monotonic() + backend.lease_seconds
        self._renewal = asyncio.create_task(self._renew())

    def check(self) -> None:
        """Raise `StateLostError` if it was taken over, or could not be renewed for so long that it may have been."""
        if self._lost or time.monotonic() > self._good_until:
            raise StateLostError(self._backend.location)

    async def write(self, text: str, serial: int) -> None:  # noqa: ARG002 - of use where a server compares it
        """Write the document, and renew the lease with it."""
        await self._put(lambda content: replace(content, state=text))

    async def release(self) -> None:
        """Stop renewing and let others write."""
        self._renewal.cancel()
        await asyncio.gather(self._renewal, return_exceptions=True)
        async with self._writing:
            if not self._lost:
                with suppress(FlyteformError, _MovedError):
                    await self._backend.put(replace(self._last.content, lease=None), self._last)

    async def _renew(self) -> None:
        while not self._lost:
            await asyncio.sleep(self._backend.lease_seconds / _RENEWALS_PER_LEASE)
            with suppress(FlyteformError):  # it is tried again, until the lease may be another's
                await self._put(lambda content: content)

    async def _put(self, change: Callable[[_Content], _Content]) -> None:
        """Follow on our own last write; anything else in its place means that the lease is another's."""
        async with self._writing:
            if self._lost:
                raise StateLostError(self._backend.location)
            started = time.monotonic()
            content = change(self._last.content)
            if content.lease is not None:
                expires = self._backend.clock() + self._backend.lease_seconds
                content = replace(content, lease=replace(content.lease, expires=expires))
            try:
                self._last = await self._backend.put(content, self._last)
            except _MovedError as error:
                self._lost = True
                raise StateLostError(self._backend.location) from error
            self._good_until = started + self._backend.lease_seconds


def _open(scheme: str, bucket: str, environment: Mapping[str, str]) -> ObjectStore:
    endpoint = next((environment[name] for name in _ENDPOINTS[scheme] if environment.get(name)), "")
    plain = endpoint.startswith("http://")
    client: ClientConfig = {"connect_timeout": _CONNECT_TIMEOUT, "timeout": _TIMEOUT, "allow_http": plain}
    retries: Any = {"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT}
    if scheme == "s3" and endpoint:
        return S3Store(bucket, config={"endpoint": endpoint}, client_options=client, retry_config=retries)
    return from_url(f"{scheme}://{bucket}", client_options=client, retry_config=retries)


def _version(e_tag: str | None, version: str | None) -> UpdateVersion:
    """Return what names a version of the object: the store takes no None for what it does not use."""
    found: UpdateVersion = {}
    if e_tag is not None:
        found["e_tag"] = e_tag
    if version is not None:
        found["version"] = version
    return found


def _bytes(content: _Content) -> bytes:
    document = {"format": FORMAT, "version": FORMAT_VERSION, **asdict(content)}
    return (json.dumps(document, indent=1) + "\n").encode()


def _parsed(data: bytes, location: str) -> _Content:
    try:
        document = json.loads(data)
        if document["format"] == FORMAT and document["version"] <= FORMAT_VERSION:
            lease = document["lease"]
            state = document["state"]
            return _Content(
                int(document["revision"]),
                None
                if lease is None
                else _Lease(lease["token"], lease["who"], lease["since"], float(lease["expires"])),
                None if state is None else str(state),
            )
    except (ValueError, KeyError, TypeError) as error:
        raise _no_state(location) from error
    raise _no_state(location)


def _no_state(location: str) -> StateError:
    return StateError(
        f"the object {location} is no state of this release",
        remedy="name another object with --state; `flyteform state push` brings a document there",
    )


def _said(error: BaseException) -> str:
    found = _CODE(str(error))
    if found:
        return found[1]
    return (
        "not allowed" if isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)) else ""
    )
