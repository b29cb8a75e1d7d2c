"""What the lists of tasks, workflows and launch plans have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.common_pb2 import NamedEntityIdentifier, NamedEntityIdentifierList
from flyteidl.core.identifier_pb2 import Identifier, ResourceType

from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.domain.validation import check_scope

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import NamedEntityIdentifierListRequest

    from flyteform_controlplane.domain.filters import Entity
    from flyteform_controlplane.domain.records import EntityRecord
    from flyteform_controlplane.services.backend import Backend


def scope_of(names: NamedEntityIdentifier) -> dict[str, str | int]:
    """Return the columns that a list of versions is limited to: a name only when one is given."""
    scope: dict[str, str | int] = {"project": names.project, "domain": names.domain}
    return scope | {"name": names.name} if names.name else scope


def key_of(identifier: Identifier) -> tuple[str, str, str, str]:
    """Return the key of a version's row."""
    return identifier.project, identifier.domain, identifier.name, identifier.version


def identifier_of(record: EntityRecord, resource_type: ResourceType) -> Identifier:
    """Return the identifier of a version's row."""
    return Identifier(
        resource_type=resource_type,
        project=record.project,
        domain=record.domain,
        name=record.name,
        version=record.version,
    )


async def list_identifiers(
    backend: Backend, request: NamedEntityIdentifierListRequest, resource_type: ResourceType, entity: Entity
) -> NamedEntityIdentifierList:
    """Return a page of the names in a project and domain."""
    check_scope(request)
    query = parse_query(request, entity)
    async with backend.database.reading() as tx:
        rows = await backend.store.names.identifiers(tx, resource_type, request.project, request.domain, query)
    entities = [NamedEntityIdentifier(project=project, domain=domain, name=name) for project, domain, name in rows]
    return NamedEntityIdentifierList(entities=entities, token=next_token(query, rows))
