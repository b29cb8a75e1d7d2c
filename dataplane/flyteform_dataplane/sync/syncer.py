"""Brings the cluster to have what the platform wants, tries again until it has, and looks again now and then."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from flyteform.errors import FlyteformError
from flyteform.proto.flyteform.v1.clusters_pb2 import SyncError
from flyteform.proto.flyteform.v1.link_pb2 import SyncReport
from flyteform_dataplane.channel import Backoff
from flyteform_dataplane.sync.resources import Problem, read_resources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flyteform.proto.flyteform.v1.link_pb2 import ResourceSync
    from flyteform_dataplane.sync.resources import Resource

logger = logging.getLogger(__name__)

_AGAIN = 300.0  # seconds: somebody else may have changed or removed what was right
_AT_ONCE = 8


class Applier(Protocol):
    """Writes one resource."""

    async def apply(self, resource: Resource) -> None:
        """Make the resource what it shall be, leaving alone what others own; a `FlyteformError` says why not."""
        ...


class ResourceSyncer:
    """Applies sets of resources: namespaces first, the others beside each other, each for itself."""

    def __init__(self, applier: Applier, *, backoff: Backoff | None = None, again: float = _AGAIN) -> None:
        self._applier = applier
        self._backoff = backoff or Backoff(first=1.0, longest=60.0)
        self._again = again

    async def sync(self, wanted: ResourceSync) -> AsyncIterator[SyncReport]:
        """Apply until nothing is wrong; yield each report that differs from the one before. It never ends by itself."""
        resources, refused = read_resources(wanted.resources)
        told: SyncReport | None = None
        failures = 0
        while True:
            problems = await self._apply_all(resources)
            report = _report(wanted.hash, len(resources) - len(problems), [*refused, *problems])
            if report != told:
                told = report
                yield report
            # What is refused stays so; what failed may succeed.
            failures = failures + 1 if problems else 0
            await asyncio.sleep(self._backoff.pause(failures) if problems else self._again)

    async def _apply_all(self, resources: Sequence[Resource]) -> list[Problem]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def apply(resource: Resource) -> Problem | None:
            async with slots:
                return await self._apply(resource)

        problems: list[Problem] = []
        for spaces in (True, False):
            some = [one for one in resources if (one.kind == "Namespace") is spaces]
            ends = await asyncio.gather(*(apply(one) for one in some))
            problems += [end for end in ends if end is not None]
        return problems

    async def _apply(self, resource: Resource) -> Problem | None:
        try:
            await self._applier.apply(resource)
        except FlyteformError as error:
            logger.warning("%s cannot be brought to what it shall be: %s", resource, error.message)
            return Problem(str(resource), error.message)
        return None


def _report(which: str, applied: int, problems: Sequence[Problem]) -> SyncReport:
    errors = [SyncError(resource=one.resource, message=one.message) for one in problems]
    return SyncReport(hash=which, applied=applied, errors=errors)
