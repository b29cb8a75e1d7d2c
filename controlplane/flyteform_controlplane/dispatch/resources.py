"""Brings the resources that the platform keeps in clusters to those that are connected here, and notes their reports.

What a cluster was sent and what it has are kept by cluster: one that failed is none the better for another's success.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flyteidl.admin.matchable_resource_pb2 import MatchableResource
from flyteidl.admin.project_pb2 import Project

from flyteform.proto.flyteform.v1 import clusters_pb2, link_pb2
from flyteform.waiting import set_within
from flyteform_controlplane.domain.attributes import Scope
from flyteform_controlplane.domain.cluster_resources import desired
from flyteform_controlplane.domain.filters import Query
from flyteform_controlplane.domain.times import now, to_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.dispatch.connection import Connection
    from flyteform_controlplane.domain.cluster_resources import ClusterResourcesConfig, Desired
    from flyteform_controlplane.store.database import Database
    from flyteform_controlplane.store.ports import Store

_log = logging.getLogger(__name__)
_MOST_PROJECTS: Final = 100_000
_KIND: Final = MatchableResource.CLUSTER_RESOURCE
_SHOWN_ERRORS: Final = 100
_PAUSE_SECONDS: Final = 1.0


class ClusterResources:
    """Sends each cluster what it shall have, whenever that is not what it was sent last."""

    def __init__(
        self,
        database: Database,
        store: Store,
        config: ClusterResourcesConfig,
        domains: Collection[str],
        connections: Callable[[], Sequence[Connection]],
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._store = store
        self._config = config
        self._domains = domains
        self._connections = connections
        self._now = clock
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look at what clusters shall have."""
        self._task = asyncio.create_task(self._run(), name="resources of clusters")

    async def stop(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def look(self) -> None:
        """Look at what clusters shall have now."""
        self._wake.set()

    async def reported(self, connection: Connection, report: link_pb2.SyncReport) -> None:
        """Note how the resources stand in a cluster; a report of what is wanted no longer changes nothing."""
        if connection.wanted is None or report.hash != connection.wanted.hash:
            return
        errors = [
            *report.errors,
            *(clusters_pb2.SyncError(resource=what, message=why) for what, why in connection.wanted.problems),
        ]
        status = clusters_pb2.SyncStatus(
            hash=report.hash,
            in_sync=not errors,
            applied=report.applied,
            errors=errors[:_SHOWN_ERRORS],
            reported_at=to_timestamp(self._now()),
        )
        async with self._database.transaction() as tx:
            record = await self._store.clusters.get(tx, connection.cluster)
            if record is not None:
                await self._store.clusters.save_many(tx, [replace(record, sync=status)])
        for error in errors:
            _log.warning("cluster %s: %s: %s", connection.cluster, error.resource, error.message)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._send()
            except Exception:  # noqa: BLE001 - one failed look must not be the last
                _log.exception("the resources of clusters cannot be looked at, trying again")
                await asyncio.sleep(_PAUSE_SECONDS)
            await set_within(self._wake, self._config.interval.total_seconds())

    async def _send(self) -> None:
        connections = [one for one in self._connections() if one.keeps_resources]
        if not connections:
            return
        async with self._database.reading() as tx:
            spaces, attributes = await self._spaces(tx)
            clusters = await self._store.clusters.get_many(tx, [(one.cluster,) for one in connections])
        for connection in connections:
            record = clusters.get((connection.cluster,))
            values = dict(record.spec.template_values) if record is not None else {}
            wanted = desired(self._config, connection.cluster, values, spaces, attributes)
            if connection.wanted is None or connection.wanted.hash != wanted.hash:
                await self._want(connection, wanted)

    async def _want(self, connection: Connection, wanted: Desired) -> None:
        connection.wanted = wanted
        async with self._database.transaction() as tx:
            record = await self._store.clusters.get(tx, connection.cluster)
            if record is not None and record.sync.hash != wanted.hash and record.sync.in_sync:
                behind = clusters_pb2.SyncStatus()
                behind.CopyFrom(record.sync)
                behind.in_sync = False
                await self._store.clusters.save_many(tx, [replace(record, sync=behind)])
        sync = link_pb2.ResourceSync(hash=wanted.hash, resources=wanted.resources)
        connection.send(link_pb2.ToDataPlane(resource_sync=sync))

    async def _spaces(
        self, tx: AsyncConnection
    ) -> tuple[list[tuple[str, str]], Mapping[tuple[str, str], Mapping[str, str]]]:
        """Return all pairs of an active project and a domain, and what is set for each."""
        projects = await self._store.projects.page(tx, Query(limit=_MOST_PROJECTS), {"state": Project.ACTIVE})
        spaces = [(project.identifier, domain) for project in projects for domain in self._domains]
        keys = {space: [one.key(_KIND) for one in Scope(*space).covering()] for space in spaces}
        rows = await self._store.matchables.get_many(tx, {key for some in keys.values() for key in some})
        found: dict[tuple[str, str], Mapping[str, str]] = {}
        for space, some in keys.items():
            row = next((rows[key] for key in some if key in rows), None)
            if row is not None:
                found[space] = dict(row.attributes.cluster_resource_attributes.attributes)
        return spaces, found
