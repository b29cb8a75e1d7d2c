"""Who computes a cache entry now, so that others wait for it: the same rules for both cache services (contract 1.9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError
from flyteform_controlplane.store.sql import catalog as store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from google.protobuf.duration_pb2 import Duration

    from flyteform_controlplane.store.database import Database

LONGEST_HEARTBEAT: Final = timedelta(seconds=10)
# Heartbeats that an owner may miss before others may take over.
GRACE: Final = 3


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation as it stands: perhaps another owner's."""

    owner_id: str
    heartbeat: timedelta
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Reservations:
    """Takes, extends and releases reservations by the name of a cache entry."""

    database: Database
    now: Callable[[], datetime]

    async def hold(self, key: str, owner: str, heartbeat: Duration) -> Held:
        """Take or extend it for the owner unless a live one of another exists; return what then stands."""
        if not owner:
            raise InvalidArgumentError("missing owner_id")
        try:
            asked = heartbeat.ToTimedelta()
        except (ValueError, OverflowError) as error:
            raise InvalidArgumentError("heartbeat_interval is invalid") from error
        interval = min(asked, LONGEST_HEARTBEAT) if asked > timedelta() else LONGEST_HEARTBEAT
        try:
            holder, expires_at = await self._reserve(key, owner, interval)
        except EntityExistsError:
            holder, expires_at = await self._reserve(key, owner, interval)
        return Held(holder, interval, expires_at)

    async def _reserve(self, key: str, owner: str, interval: timedelta) -> tuple[str, datetime]:
        async with self.database.transaction() as tx:
            at = self.now()
            return await store.reserve(tx, key, owner, at + interval * GRACE, at)

    async def release(self, key: str, owner: str) -> None:
        """Give it up; one that is not there, or another's, is left alone."""
        if not owner:
            raise InvalidArgumentError("missing owner_id")
        async with self.database.transaction() as tx:
            await store.release(tx, key, owner)
