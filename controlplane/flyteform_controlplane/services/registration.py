"""What the registration of tasks, workflows and launch plans has in common (contract 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_controlplane.domain.difference import difference
from flyteform_controlplane.domain.records import DescriptionRecord
from flyteform_controlplane.errors import EntityExistsError, InvalidArgumentError

if TYPE_CHECKING:
    from flyteidl.admin.description_entity_pb2 import DescriptionEntity
    from flyteidl.core.identifier_pb2 import Identifier
    from google.protobuf.message import Message
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.store.ports import Rows


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


async def describe_version(
    tx: AsyncConnection, rows: Rows[DescriptionRecord], identifier: Identifier, description: DescriptionEntity
) -> None:
    """Keep the documentation that came with a new version, if any did."""
    if not description.ByteSize():
        return
    record = DescriptionRecord(
        resource_type=identifier.resource_type,
        project=identifier.project,
        domain=identifier.domain,
        name=identifier.name,
        version=identifier.version,
        short_description=description.short_description,
        long_description=description.long_description,
        link=description.source_code.link,
    )
    await rows.add(tx, record)
