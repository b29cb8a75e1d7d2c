"""Removes the resources of executions that are long over, and with each of them, by Kubernetes itself, its pods."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flyteform.errors import ConflictError, FlyteformError, NotFoundError
from flyteform_dataplane.kubernetes.scopes import Namespaces, listed
from flyteform_dataplane.kubernetes.sharding import SHARD_LABEL
from flyteform_dataplane.kubernetes.workflows.resources import COLLECTION, FINISHED_ANNOTATION, TERMINATED, key_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the resources of finished executions stay, and how many of each shard at most; looked at that often."""

    age: timedelta = timedelta(hours=23)
    count: int = 1000
    interval: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finished:
    """A resource that is over: the control plane knows all of it."""

    path: str
    uid: str
    shard: str
    at: datetime


def superfluous(found: Iterable[Finished], retention: Retention, now: datetime) -> list[Finished]:
    """Return what has to go: what is too old, and of each shard the oldest beyond so many."""
    kept: dict[str, int] = {}
    going = []
    for each in sorted(found, key=lambda one: one.at, reverse=True):
        kept[each.shard] = kept.get(each.shard, 0) + 1
        if now - each.at > retention.age or kept[each.shard] > retention.count:
            going.append(each)
    return going


class Collector:
    """Collects the finished resources of the shards that are held here; those of others are theirs to collect."""

    def __init__(
        self,
        api: KubernetesApi,
        shards: Callable[[], Mapping[int, int]],
        retention: Retention,
        *,
        namespaces: Namespaces | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._shards = shards
        self._retention = retention
        self._namespaces = namespaces or Namespaces()
        self._now = now

    async def run(self) -> None:
        """Collect now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._retention.interval.total_seconds())
            try:
                await self.collect()
            except FlyteformError as error:
                logger.warning("finished executions cannot be collected now: %s", error.message)

    async def collect(self) -> int:
        """Collect once; return how many resources were removed."""
        shards = sorted(self._shards())
        if not shards:
            return 0
        going = superfluous(await self._finished(shards), self._retention, self._now())
        for each in going:
            try:
                await self._api.delete(each.path, {"preconditions": {"uid": each.uid}})
            except (NotFoundError, ConflictError):
                continue  # somebody else has removed it, and another life of it may have begun
        if going:
            logger.info("collected %d finished executions", len(going))
        return len(going)

    async def _finished(self, shards: Sequence[int]) -> list[Finished]:
        over = ",".join(f"{label}={value}" for label, value in TERMINATED.items())
        selector = f"{over},{SHARD_LABEL} in ({','.join(map(str, shards))})"
        found = listed(self._api, COLLECTION, self._namespaces, selector)
        return [_finished(item) async for item in found if key_in(item)]


def _finished(item: Json) -> Finished:
    metadata = item["metadata"]
    prefix, _, plural = COLLECTION.rpartition("/")
    path = f"{prefix}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"
    at = datetime.fromisoformat(metadata["creationTimestamp"])
    with contextlib.suppress(ValueError):  # of a mark that somebody else has made
        told = datetime.fromisoformat(metadata["annotations"].get(FINISHED_ANNOTATION, ""))
        at = told if told.tzinfo is not None else at
    return Finished(path, metadata["uid"], metadata["labels"][SHARD_LABEL], at)
