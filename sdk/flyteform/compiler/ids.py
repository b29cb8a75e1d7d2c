"""The key of a registered entity: an identifier as a plain value, since messages can be neither hashed nor ordered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from flyteidl.core import identifier_pb2

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import Identifier


@dataclass(frozen=True, slots=True, order=True)
class IdKey:
    """One version of a task, workflow or launch plan; `resource_type` is the number of core.ResourceType.

    Keys sort as Flyte sorts identifiers: type, project, domain, name, version.
    """

    resource_type: int
    project: str
    domain: str
    name: str
    version: str

    @classmethod
    def from_message(cls, message: Identifier) -> Self:
        """Take the five fields of a core.Identifier."""
        return cls(message.resource_type, message.project, message.domain, message.name, message.version)

    def to_message(self) -> Identifier:
        """Make the core.Identifier of this key."""
        message = identifier_pb2.Identifier(
            project=self.project, domain=self.domain, name=self.name, version=self.version
        )
        message.resource_type = self.resource_type  # type: ignore[assignment] # any number is allowed on the wire
        return message
