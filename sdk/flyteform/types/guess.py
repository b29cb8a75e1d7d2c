"""Reading a literal without the Python type that wrote it: what clients print."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from flyteform.types.family import MSGPACK, struct_to_plain, unpack

if TYPE_CHECKING:
    from flyteidl.core import literals_pb2, types_pb2


def guess_python(literal: literals_pb2.Literal, literal_type: types_pb2.LiteralType | None = None) -> Any:
    """Return the value that a literal holds, as plain Python: structs as dict, blobs and schemas as their URI."""
    match literal.WhichOneof("value"):
        case "collection":
            item = literal_type.collection_type if literal_type is not None else None
            return [guess_python(one, item) for one in literal.collection.literals]
        case "map":
            item = literal_type.map_value_type if literal_type is not None else None
            return {key: guess_python(one, item) for key, one in sorted(literal.map.literals.items())}
        case "offloaded_metadata":
            return literal.offloaded_metadata.uri
        case "scalar":
            return _scalar(literal.scalar)
        case _:
            return None


def _scalar(scalar: literals_pb2.Scalar) -> Any:
    found: Any = None
    match scalar.WhichOneof("value"):
        case "primitive":
            found = _primitive(scalar.primitive)
        case "binary":
            found = unpack(scalar.binary.value) if scalar.binary.tag == MSGPACK else scalar.binary.value
        case "generic":
            found = struct_to_plain(scalar.generic)
        case "union":
            found = guess_python(scalar.union.value)
        case "blob" | "schema" | "structured_dataset" as kind:
            found = getattr(scalar, kind).uri
        case "error":
            found = scalar.error.message
    return found


def _primitive(primitive: literals_pb2.Primitive) -> Any:
    match primitive.WhichOneof("value"):
        case "datetime":
            return primitive.datetime.ToDatetime(tzinfo=UTC)
        case "duration":
            return primitive.duration.ToTimedelta()
        case None:
            return None
        case field:
            return getattr(primitive, field)
