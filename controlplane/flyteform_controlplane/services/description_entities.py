"""The documentation of tasks and workflows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin.description_entity_pb2 import (
    DescriptionEntity,
    DescriptionEntityList,
    DescriptionEntityListRequest,
    SourceCode,
)
from flyteidl.core.identifier_pb2 import Identifier

from flyteform_controlplane.domain.filters import Entity
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.validation import check_identifier, check_scope
from flyteform_controlplane.services.backend import missing
from flyteform_controlplane.services.listing import key_of, scope_of

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import ObjectGetRequest

    from flyteform_controlplane.domain.records import DescriptionRecord
    from flyteform_controlplane.services.backend import Backend


@dataclass(frozen=True, slots=True)
class DescriptionEntities:
    """The AdminService's methods about documentation."""

    backend: Backend

    async def GetDescriptionEntity(self, request: ObjectGetRequest, _context: object) -> DescriptionEntity:
        """Return the documentation of one version."""
        identifier = request.id
        check_identifier(identifier, identifier.resource_type)
        async with self.backend.database.reading() as tx:
            record = await self.backend.store.descriptions.get(tx, identifier.resource_type, *key_of(identifier))
        if record is None:
            raise missing("DESCRIPTION_ENTITY", identifier)
        return _message(record)

    async def ListDescriptionEntities(
        self, request: DescriptionEntityListRequest, _context: object
    ) -> DescriptionEntityList:
        """Return a page of documentation in a project and domain, of one name if it is given."""
        check_scope(request.id)
        query = parse_query(request, Entity.DESCRIPTION_ENTITY)
        scope = scope_of(request.id) | {"resource_type": request.resource_type}
        async with self.backend.database.reading() as tx:
            rows = await self.backend.store.descriptions.page(tx, query, scope)
        return DescriptionEntityList(descriptionEntities=[_message(row) for row in rows], token=next_token(query, rows))


def _message(record: DescriptionRecord) -> DescriptionEntity:
    identifier = Identifier(
        resource_type=record.resource_type,
        project=record.project,
        domain=record.domain,
        name=record.name,
        version=record.version,
    )
    return DescriptionEntity(
        id=identifier,
        short_description=record.short_description,
        long_description=record.long_description,
        source_code=SourceCode(link=record.link),
    )
