"""The Lease message: all that a data plane needs to run an execution without reading the control plane's store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import ExecutionMetadata, ExecutionSpec
from flyteidl.admin.matchable_resource_pb2 import MatchableResource, MatchingAttributes
from flyteidl.core.literals_pb2 import LiteralMap
from sqlalchemy import and_, select

from flyteform.compiler import apply_defaults
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.dispatch.choice import fnv64a
from flyteform_controlplane.dispatch.connection import identifier
from flyteform_controlplane.dispatch.staging import URL_LIFE, add_staging
from flyteform_controlplane.domain.attributes import Scope
from flyteform_controlplane.domain.config import AdminConfig
from flyteform_controlplane.domain.locations import join
from flyteform_controlplane.domain.quality import apply_queue, choose_queue, resolve_quality
from flyteform_controlplane.domain.tasks import complete_resources, resource_spec
from flyteform_controlplane.errors import MissingEntityError
from flyteform_controlplane.store.sql.store import SqlStore
from flyteform_controlplane.store.tables import EXECUTION_KEY, executions, workflows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform.objects.ports import ObjectStore
    from flyteform_controlplane.dispatch.staging import Stores
    from flyteform_controlplane.domain.ports import ExecutionKey
    from flyteform_controlplane.store.database import Database

    _Attributes = Mapping[MatchableResource, MatchingAttributes]


_MATCHABLES = SqlStore().matchables
_KINDS = (MatchableResource.TASK_RESOURCE, MatchableResource.EXECUTION_QUEUE, MatchableResource.PLUGIN_OVERRIDE)


@dataclass(frozen=True, slots=True)
class LeaseBuilder:
    """Collects an execution's parts from the database and the object store."""

    database: Database
    objects: ObjectStore
    config: AdminConfig = field(default_factory=AdminConfig)
    stores: Stores | None = None
    # What is larger goes by URL.
    inline_bytes: int = 2 * 1024 * 1024

    async def build(self, execution: ExecutionKey, epoch: int, ttl: timedelta, storage: str = "") -> link_pb2.Lease:
        """Return the lease for a cluster with its store below `storage`, or with the control plane's if that is empty.

        `MissingEntityError` or the object stores' errors if a part cannot be had.
        """
        prefix = storage or self.objects.prefix
        closure_uri, inputs_uri, spec, attributes = await self._locate(execution)
        key = f"{execution.project}-{execution.domain}-{execution.name}"
        lease = link_pb2.Lease(
            id=identifier(execution),
            epoch=epoch,
            spec=spec,
            metadata_prefix=join(prefix, "metadata", "propeller", key),
            raw_output_prefix=join(_raw_prefix(spec, prefix), execution.project, execution.domain, execution.name),
        )
        lease.ttl.FromTimedelta(ttl)
        lease.closure.ParseFromString(await self.objects.get(closure_uri))
        self._apply(lease, attributes)
        lease.inputs.CopyFrom(LiteralMap.FromString(await self.objects.get(inputs_uri)) if inputs_uri else LiteralMap())
        if spec.metadata.mode == ExecutionMetadata.RECOVERED:
            lease.recover_from.CopyFrom(spec.metadata.reference_execution)
        if self.stores is not None and prefix != self.objects.prefix:
            await add_staging(lease, prefix, self.stores)
        await self._lighten(lease, inputs_uri)
        return lease

    async def _lighten(self, lease: link_pb2.Lease, inputs_uri: str) -> None:
        """Put signed URLs in the place of what is large: a message has its limits, and blocks the others behind it."""
        if lease.closure.ByteSize() > self.inline_bytes:
            closure = lease.closure.SerializeToString(deterministic=True)
            # The same for all executions of a version with the same settings.
            uri = join(self.objects.prefix, "metadata", "leases", hashlib.sha256(closure).hexdigest())
            if await self.objects.head(uri) is None:
                await self.objects.put(uri, closure, durable=False)
            lease.closure_url = (await self.objects.sign(uri, "GET", URL_LIFE)).url
            lease.ClearField("closure")
        if lease.inputs.ByteSize() > self.inline_bytes:
            lease.inputs_url = (await self.objects.sign(inputs_uri, "GET", URL_LIFE)).url
            lease.ClearField("inputs")

    async def _locate(self, execution: ExecutionKey) -> tuple[str, str, ExecutionSpec, _Attributes]:
        values = (execution.project, execution.domain, execution.name)
        same = and_(*(executions.c[name] == value for name, value in zip(EXECUTION_KEY, values, strict=True)))
        statement = (
            select(workflows.c.remote_closure_identifier, workflows.c.name, executions.c.inputs_uri, executions.c.spec)
            .join(workflows, executions.c.workflow_id == workflows.c.id)
            .where(same)
        )
        async with self.database.reading() as tx:
            found = (await tx.execute(statement)).first()
            if found is None:
                raise MissingEntityError(f"execution {execution} has no row, or its workflow has none")
            spec = ExecutionSpec.FromString(found.spec)
            scope = Scope(execution.project, execution.domain, found.name, spec.launch_plan.name)
            attributes = await _attributes(tx, scope)
        return found.remote_closure_identifier, found.inputs_uri, spec, attributes

    def _apply(self, lease: link_pb2.Lease, attributes: _Attributes) -> None:
        """Write into the lease what attributes and the operator decide about tasks (contract 1.6)."""
        own, platform = attributes[MatchableResource.TASK_RESOURCE].task_resource_attributes, self.config
        lease.task_resources.defaults.CopyFrom(resource_spec(complete_resources(own.defaults, platform.task_defaults)))
        lease.task_resources.limits.CopyFrom(resource_spec(complete_resources(own.limits, platform.task_limits)))
        apply_defaults(lease.closure.tasks, lease.task_resources.defaults)
        tags = attributes[MatchableResource.EXECUTION_QUEUE].execution_queue_attributes.tags
        apply_queue(lease.closure, choose_queue(tags, lease.id.domain, self.config.queues, fnv64a(lease.id.name)))
        lease.plugin_overrides.extend(attributes[MatchableResource.PLUGIN_OVERRIDE].plugin_overrides.overrides)
        levels = (lease.spec.quality_of_service, lease.closure.primary.template.metadata.quality_of_service)
        quality = resolve_quality(levels, lease.id.domain, self.config.quality)
        if quality.ByteSize():
            lease.spec.quality_of_service.CopyFrom(quality)


def _raw_prefix(spec: ExecutionSpec, prefix: str) -> str:
    return spec.raw_output_data_config.output_location_prefix.rstrip("/") or f"{prefix}/raw"


async def _attributes(tx: AsyncConnection, scope: Scope) -> _Attributes:
    """Return the most specific attributes of each kind, empty ones where none are set, with one statement."""
    keys = {kind: [one.key(kind) for one in scope.covering()] for kind in _KINDS}
    rows = await _MATCHABLES.get_many(tx, [key for some in keys.values() for key in some])
    return {
        kind: next((rows[key].attributes for key in some if key in rows), MatchingAttributes())
        for kind, some in keys.items()
    }
