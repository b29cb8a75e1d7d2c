"""State in our control plane: `flyteform://project/domain/name` on the platform that is provisioned."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from datetime import UTC, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from flyteform.client.errors import UnsupportedError
from flyteform.client.states import StateClient
from flyteform.errors import ConflictError, FlyteformError, InvalidInputError
from flyteform.proto.flyteform.v1.state_pb2 import StateIdentifier, StateLock
from flyteform.provision.errors import StateError, StateLockedError, StateLostError
from flyteform.provision.ports import Holder

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeVar

    from flyteform.client.calls import Caller

    Result = TypeVar("Result")

SCHEME = "flyteform"
LEASE_SECONDS = 60.0
_RENEWALS_PER_LEASE = 3
_PARTS = 2  # domain and name, below the project


class ServiceBackend:
    """The document that `url` names, kept by the platform behind `caller`; leases expire by the platform's clock."""

    def __init__(self, url: str, caller: Caller, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.location = url
        self.id = _identifier(url)
        self.lease_seconds = lease_seconds
        self._client = StateClient(caller)

    @property
    def ttl(self) -> timedelta:
        """How long a lock lasts without being renewed."""
        return timedelta(seconds=self.lease_seconds)

    async def read(self) -> str | None:
        """Return the last document."""
        found = await self._asked(self._client.get(self.id))
        return None if found is None else found.document.decode(errors="replace")

    async def acquire(self, holder: Holder) -> ServiceLease:
        """Take the lock if it is free or has expired."""
        started = time.monotonic()
        answer = await self._asked(self._client.lock(self.id, uuid.uuid4().hex, holder.who, self.ttl))
        if not answer.granted:
            raise StateLockedError(self.location, _holder(answer.lock))
        return ServiceLease(self, self._client, answer.fence, started + self.lease_seconds)

    async def holder(self) -> Holder | None:
        """Return who holds the lock."""
        return await self._asked(self._holder())

    async def unlock(self) -> None:
        """Take the lock from its holder, whose puts are refused from then on."""
        await self._asked(self._client.unlock(self.id, force=True))

    async def _holder(self) -> Holder | None:
        async for state in self._client.list(self.id.project, self.id.domain):
            if state.id == self.id:
                return _holder(state.lock) if state.HasField("lock") else None
        return None

    async def _asked(self, call: Awaitable[Result]) -> Result:
        try:
            return await call
        except UnsupportedError as error:
            raise StateError(
                "this platform keeps no states, as a stock FlyteAdmin does not",
                remedy="keep the state in a file, or in a bucket: --state s3://BUCKET/NAME.json",
            ) from error
        except InvalidInputError as error:
            raise StateError(f"the state {self.location} is refused: {error.message}", remedy=error.remedy) from error


class ServiceLease:
    """The lock while it is held: renewed beside the work, and given back at its end."""

    def __init__(self, backend: ServiceBackend, client: StateClient, fence: int, good_until: float) -> None:
        self._backend = backend
        self._client = client
        self._fence = fence
        self._lost = False
        self._good_until = good_until
        self._renewal = asyncio.create_task(self._renew())

    def check(self) -> None:
        """Raise `StateLostError` if it was taken over, or could not be renewed for so long that it may have been."""
        if self._lost or time.monotonic() > self._good_until:
            raise StateLostError(self._backend.location)

    async def write(self, text: str, serial: int) -> None:
        """Put the document; the platform compares fence and serial in one transaction with that."""
        started = time.monotonic()
        try:
            await self._client.put(self._backend.id, self._fence, serial, text.encode(), self._backend.ttl)
            self._good_until = started + self._backend.lease_seconds
        except ConflictError as error:
            self._lost = True
            raise StateLostError(self._backend.location) from error
        except InvalidInputError as error:
            raise StateError(f"the state {self._backend.location} is refused: {error.message}") from error

    async def release(self) -> None:
        """Stop renewing and let others write."""
        self._renewal.cancel()
        await asyncio.gather(self._renewal, return_exceptions=True)
        with suppress(FlyteformError):
            await self._client.unlock(self._backend.id, self._fence)

    async def _renew(self) -> None:
        while not self._lost:
            await asyncio.sleep(self._backend.lease_seconds / _RENEWALS_PER_LEASE)
            started = time.monotonic()
            try:
                await self._client.renew(self._backend.id, self._fence, self._backend.ttl)
                self._good_until = started + self._backend.lease_seconds
            except ConflictError:
                self._lost = True
            except FlyteformError:  # it is tried again, until the lock may be another's
                continue


def _identifier(url: str) -> StateIdentifier:
    parts = urlsplit(url)
    below = parts.path.strip("/").split("/")
    if not parts.netloc or len(below) != _PARTS or not all(below):
        raise InvalidInputError(f"{url!r} names no state of a platform", remedy=f"write {SCHEME}://PROJECT/DOMAIN/NAME")
    domain, name = below
    return StateIdentifier(project=unquote(parts.netloc), domain=unquote(domain), name=unquote(name))


def _holder(lock: StateLock) -> Holder:
    since = lock.acquired_at.ToDatetime(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Holder(lock.holder, since)
