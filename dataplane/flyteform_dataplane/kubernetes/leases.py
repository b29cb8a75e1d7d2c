"""Who works: a Lease of Kubernetes, held by one of several operators at a time.

Clocks of other machines are not believed: a holder is gone when its record has not changed for the lease's duration by
our own clock. A holder that cannot renew stops before anybody else may begin.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flyteform.errors import AlreadyExistsError, ConflictError, FlyteformError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)

_API_VERSION = "coordination.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """A holder that is not heard of for `duration` has lost it; it gives up by itself after `deadline`."""

    namespace: str
    name: str
    identity: str
    duration: timedelta = timedelta(seconds=15)
    deadline: timedelta = timedelta(seconds=10)
    retry: timedelta = timedelta(seconds=2)


class Leadership:
    """Takes part in the election, and runs the work while this identity is the holder."""

    def __init__(
        self, api: KubernetesApi, settings: LeaseSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._settings = settings
        self._clock = clock
        self._collection = f"/apis/{_API_VERSION}/namespaces/{settings.namespace}/leases"
        self._path = f"{self._collection}/{settings.name}"
        self._record: Json = {}
        self._changed_at = 0.0
        self._renewed_at = 0.0

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, work while it is held, and return when the work does or the lease is lost.

        However this ends, the work has ended first, and then the lease is given back, so that a successor begins at
        once. Cancelling it is the graceful hand-over.
        """
        await self._acquire()
        logger.info("%s holds lease %s", self._settings.identity, self._settings.name)
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(self._keep())
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
            await self._release()
        if working.done() and not working.cancelled():
            working.result()

    async def _acquire(self) -> None:
        while True:
            if await self._try():
                return
            await asyncio.sleep(self._settings.retry.total_seconds())

    async def _keep(self) -> None:
        """Renew until that fails for too long, or somebody else has it."""
        while True:
            await asyncio.sleep(self._settings.retry.total_seconds())
            if not await self._try() and self._clock() - self._renewed_at > self._settings.deadline.total_seconds():
                logger.warning("%s has lost lease %s", self._settings.identity, self._settings.name)
                return
            if self._holder not in ("", self._settings.identity):
                logger.warning("lease %s is %s's now", self._settings.name, self._holder)
                return

    async def _try(self) -> bool:
        """Take or renew the lease; False when somebody else has it or nobody can be asked."""
        now = self._clock()
        try:
            await self._read(now)
            if not self._may_take(now):
                return False
            await self._write(self._settings.identity)
        except (ConflictError, AlreadyExistsError):
            return False  # somebody was faster
        except FlyteformError as error:
            logger.warning("lease %s: %s", self._settings.name, error.message)
            return False
        self._renewed_at = now
        return True

    async def _read(self, now: float) -> None:
        try:
            record = await self._api.get(self._path)
        except NotFoundError:
            record = {}
        if record.get("spec") != self._record.get("spec"):
            self._changed_at = now
        self._record = record

    def _may_take(self, now: float) -> bool:
        if self._holder in ("", self._settings.identity):
            return True
        seconds = self._record["spec"].get("leaseDurationSeconds", self._settings.duration.total_seconds())
        return now - self._changed_at > float(seconds)

    async def _write(self, holder: str) -> None:
        before = self._record.get("spec", {})
        moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        taken = before.get("holderIdentity", "") != holder
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self._settings.duration.total_seconds())),
            "acquireTime": moment if taken else before.get("acquireTime", moment),
            "renewTime": moment,
            "leaseTransitions": before.get("leaseTransitions", 0) + (1 if taken and holder else 0),
        }
        metadata = {"name": self._settings.name, "namespace": self._settings.namespace}
        body: Json = {"apiVersion": _API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}
        if not self._record:
            self._record = await self._api.create(self._collection, body)
        else:
            metadata["resourceVersion"] = self._record["metadata"]["resourceVersion"]
            self._record = await self._api.replace(self._path, body)

    async def _release(self) -> None:
        if self._holder == self._settings.identity:
            with suppress(FlyteformError):  # it runs out by itself
                await self._write("")

    @property
    def _holder(self) -> str:
        return str(self._record.get("spec", {}).get("holderIdentity") or "")
