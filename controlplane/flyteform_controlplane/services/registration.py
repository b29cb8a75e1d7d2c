"""What the registration of tasks, workflows and launch plans has in common (contract 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flyteform_controlplane.domain.difference import difference
from flyteform_controlplane.domain.records import DescriptionRecord, EntityRecord
from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError

if TYPE_CHECKING:
    from flyteidl.admin.description_entity_pb2 import DescriptionEntity
    from flyteidl.core.identifier_pb2 import ResourceType
    from google.protobuf.message import Message

    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.store.kept_objects import Placed
    from flyteform_controlplane.store.ports import Rows

E = TypeVar("E", bound=EntityRecord)


def exists_identical(kind: str, *details: Message) -> EntityExistsError:
    """Return the answer to a registration that changes nothing."""
    return EntityExistsError(f"{kind} with identical structure already exists", details=details)


def exists_different(kind: str, name: str, old: Message, new: Message, *details: Message) -> InvalidArgumentError:
    """Return the answer to a registration that would change a version."""
    return InvalidArgumentError(
        f"{name} {kind} with different structure already exists. "
        f"(Please register a new version of the {kind}):\n{difference(old, new)}",
        details=details,
        remedy=f"register the {kind} under a new version",
    )


async def add_version(
    backend: Backend,
    rows: Rows[E],
    record: E,
    resource_type: ResourceType,
    description: DescriptionEntity | None = None,
    placed: Placed | None = None,
) -> bool:
    """Keep a version, the object that it names and the documentation, if there are any; False if the version exists."""
    if description is not None and description.ByteSize():
        async with backend.database.transaction() as tx:
            if await rows.add_new(tx, record) is None:
                return False
            if placed is not None:
                await backend.objects.keep(tx, placed)
            await backend.store.descriptions.add(tx, _description(record, resource_type, description))
        return True
    if placed is None:
        async with backend.database.statement() as tx:
            return await rows.add_new(tx, record) is not None
    try:
        async with backend.database.together() as tx:
            await rows.append(tx, record)
            await backend.objects.keep(tx, placed)
    except EntityExistsError:
        return False
    return True


def _description(
    record: EntityRecord, resource_type: ResourceType, description: DescriptionEntity
) -> DescriptionRecord:
    return DescriptionRecord(
        resource_type=resource_type,
        project=record.project,
        domain=record.domain,
        name=record.name,
        version=record.version,
        short_description=description.short_description,
        long_description=description.long_description,
        link=description.source_code.link,
    )
