"""Names of tasks, workflows and launch plans over all their versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flyteidl.admin.common_pb2 import (
    NamedEntity,
    NamedEntityGetRequest,
    NamedEntityIdentifier,
    NamedEntityList,
    NamedEntityListRequest,
    NamedEntityMetadata,
    NamedEntityState,
    NamedEntityUpdateRequest,
    NamedEntityUpdateResponse,
)
from flyteidl.core.identifier_pb2 import ResourceType

from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.domain.filters import Entity, Filter, Function
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.records import NamedEntityRecord
from flyteform_controlplane.domain.skeleton import PREFIX
from flyteform_controlplane.domain.times import now
from flyteform_controlplane.domain.validation import check_scope, require
from flyteform_controlplane.errors import InvalidArgumentError, MissingEntityError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.services.backend import Backend

_NAMED = frozenset({ResourceType.TASK, ResourceType.WORKFLOW, ResourceType.LAUNCH_PLAN})
_NOT_GENERATED = Filter(Function.NOT_LIKE, None, "name", (f"{PREFIX}%",))


@dataclass(frozen=True, slots=True)
class NamedEntities:
    """The AdminService's methods about names."""

    backend: Backend

    async def GetNamedEntity(self, request: NamedEntityGetRequest, _context: object) -> NamedEntity:
        """Return what is known of a name."""
        check_scope(request.id)
        require(request.id.name, "name")
        async with self.backend.database.reading() as tx:
            record = await self._get(tx, request.resource_type, request.id)
        if record is None:
            kind = name_of(ResourceType, request.resource_type)
            raise MissingEntityError(
                f"missing entity of type {kind} with identifier "
                f"{request.id.project}:{request.id.domain}:{request.id.name}"
            )
        return _message(record)

    async def ListNamedEntities(self, request: NamedEntityListRequest, _context: object) -> NamedEntityList:
        """Return a page of names; without filters those that the server generated are left out."""
        check_scope(request)
        query = parse_query(request, Entity.NAMED_ENTITY)
        if not query.filters:
            query = replace(query, filters=(_NOT_GENERATED,))
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.names.entities(
                tx, request.resource_type, request.project, request.domain, query
            )
        return NamedEntityList(entities=[_message(row) for row in rows], token=next_token(query, rows))

    async def UpdateNamedEntity(self, request: NamedEntityUpdateRequest, _context: object) -> NamedEntityUpdateResponse:
        """Set the description and the state of a name."""
        check_scope(request.id)
        require(request.id.name, "name")
        if request.resource_type not in _NAMED:
            raise InvalidArgumentError("invalid value for resource_type", remedy="use TASK, WORKFLOW or LAUNCH_PLAN")
        require(request.HasField("metadata"), "metadata")
        if request.metadata.state not in NamedEntityState.values():
            raise InvalidArgumentError(f"invalid value for state: {request.metadata.state}")
        async with self.backend.database.transaction() as tx:
            await self.set_metadata(tx, request.resource_type, request.id, request.metadata)
        return NamedEntityUpdateResponse()

    async def set_metadata(
        self,
        tx: AsyncConnection,
        resource_type: ResourceType,
        name: NamedEntityIdentifier,
        metadata: NamedEntityMetadata,
    ) -> None:
        """Write description and state of a name, whether any was written before or not."""
        rows = self.backend.store.named_entities
        await rows.lock(tx, resource_type, name.project, name.domain, name.name)
        known = await rows.get(tx, resource_type, name.project, name.domain, name.name)
        if known is not None:
            changed = replace(known, description=metadata.description, state=metadata.state, updated_at=now())
            await rows.save_many(tx, [changed])
            return
        record = NamedEntityRecord(
            resource_type=resource_type,
            project=name.project,
            domain=name.domain,
            name=name.name,
            description=metadata.description,
            state=metadata.state,
        )
        await rows.add(tx, record)

    async def _get(
        self, tx: AsyncConnection, resource_type: ResourceType, name: NamedEntityIdentifier
    ) -> NamedEntityRecord | None:
        if not await self.backend.store.names.exists(tx, resource_type, name.project, name.domain, name.name):
            return None
        known = await self.backend.store.named_entities.get(tx, resource_type, name.project, name.domain, name.name)
        return known or NamedEntityRecord(
            resource_type=resource_type, project=name.project, domain=name.domain, name=name.name
        )


def _message(record: NamedEntityRecord) -> NamedEntity:
    return NamedEntity(
        resource_type=record.resource_type,
        id=NamedEntityIdentifier(project=record.project, domain=record.domain, name=record.name),
        metadata=NamedEntityMetadata(description=record.description, state=record.state),
    )
