"""The error of a failed workflow, as the one that cleans up after it receives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteform.types.family import TypeFamily, mismatch, unexpected

if TYPE_CHECKING:
    from flyteidl.core import literals_pb2, types_pb2


@dataclass(frozen=True, slots=True)
class FlyteError:
    """Why a workflow failed: the message, and the node that was told of it."""

    message: str
    failed_node_id: str = ""


class ErrorFamily(TypeFamily):
    """`FlyteError`, which Flyte has a literal of its own for."""

    tag = "FlyteError"

    @property
    def name(self) -> str:
        """The class's name."""
        return "FlyteError"

    def check(self, value: Any) -> FlyteError:
        """Take errors only."""
        if not isinstance(value, FlyteError):
            raise mismatch(self.name, value)
        return value

    def to_plain(self, value: FlyteError) -> dict[str, str]:
        """Return message and node."""
        return {"message": value.message, "failed_node_id": value.failed_node_id}

    def from_plain(self, plain: Any) -> FlyteError:
        """Read message and node."""
        if not isinstance(plain, dict) or not isinstance(plain.get("message"), str):
            raise mismatch(self.name, plain)
        return FlyteError(plain["message"], str(plain.get("failed_node_id", "")))

    def schema(self) -> dict[str, Any]:
        """Describe message and node."""
        parts = {"message": {"type": "string"}, "failed_node_id": {"type": "string"}}
        return {"type": "object", "properties": parts, "required": ["message"]}

    def literal_type(self) -> types_pb2.LiteralType:
        """Return Flyte's simple type for errors."""
        from flyteidl.core import types_pb2

        return types_pb2.LiteralType(simple=types_pb2.ERROR)

    def fill(self, literal: literals_pb2.Literal, value: FlyteError) -> None:
        """Write the error."""
        literal.scalar.error.message = value.message
        literal.scalar.error.failed_node_id = value.failed_node_id

    def read(self, literal: literals_pb2.Literal) -> FlyteError:
        """Read the error."""
        if literal.scalar.WhichOneof("value") != "error":
            raise unexpected(self.name, literal)
        return FlyteError(literal.scalar.error.message, literal.scalar.error.failed_node_id)

    def accepts(self, source: TypeFamily) -> bool:
        """Take errors only."""
        return isinstance(source, ErrorFamily)
