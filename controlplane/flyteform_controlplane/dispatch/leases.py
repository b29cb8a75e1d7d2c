"""The Lease message: all that a data plane needs to run an execution without reading the control plane's store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin.execution_pb2 import ExecutionMetadata, ExecutionSpec
from flyteidl.core.literals_pb2 import LiteralMap
from sqlalchemy import and_, select

from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.dispatch.connection import identifier
from flyteform_controlplane.domain.locations import join
from flyteform_controlplane.errors import MissingEntityError
from flyteform_controlplane.store.tables import EXECUTION_KEY, executions, workflows

if TYPE_CHECKING:
    from datetime import timedelta

    from flyteform.objects.ports import ObjectStore
    from flyteform_controlplane.domain.ports import ExecutionKey
    from flyteform_controlplane.store.database import Database


@dataclass(frozen=True, slots=True)
class LeaseBuilder:
    """Collects an execution's parts from the database and the object store."""

    database: Database
    objects: ObjectStore

    async def build(self, execution: ExecutionKey, epoch: int, ttl: timedelta) -> link_pb2.Lease:
        """Return the lease; raise `MissingEntityError` or the object store's errors if a part cannot be had."""
        closure_uri, inputs_uri, spec = await self._locate(execution)
        key = f"{execution.project}-{execution.domain}-{execution.name}"
        lease = link_pb2.Lease(
            id=identifier(execution),
            epoch=epoch,
            spec=spec,
            metadata_prefix=join(self.objects.prefix, "metadata", "propeller", key),
            raw_output_prefix=join(self._raw_prefix(spec), execution.project, execution.domain, execution.name),
        )
        lease.ttl.FromTimedelta(ttl)
        lease.closure.ParseFromString(await self.objects.get(closure_uri))
        lease.inputs.CopyFrom(LiteralMap.FromString(await self.objects.get(inputs_uri)) if inputs_uri else LiteralMap())
        if spec.metadata.mode == ExecutionMetadata.RECOVERED:
            lease.recover_from.CopyFrom(spec.metadata.reference_execution)
        return lease

    async def _locate(self, execution: ExecutionKey) -> tuple[str, str, ExecutionSpec]:
        values = (execution.project, execution.domain, execution.name)
        same = and_(*(executions.c[name] == value for name, value in zip(EXECUTION_KEY, values, strict=True)))
        statement = (
            select(workflows.c.remote_closure_identifier, executions.c.inputs_uri, executions.c.spec)
            .join(workflows, executions.c.workflow_id == workflows.c.id)
            .where(same)
        )
        async with self.database.reading() as tx:
            found = (await tx.execute(statement)).first()
        if found is None:
            raise MissingEntityError(f"execution {execution} has no row, or its workflow has none")
        return found.remote_closure_identifier, found.inputs_uri, ExecutionSpec.FromString(found.spec)

    def _raw_prefix(self, spec: ExecutionSpec) -> str:
        return spec.raw_output_data_config.output_location_prefix.rstrip("/") or f"{self.objects.prefix}/raw"
