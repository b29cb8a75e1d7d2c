"""Whether a literal is a value of a type, as FlyteAdmin checks the inputs of executions and launch plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.types_pb2 import SimpleType

if TYPE_CHECKING:
    from flyteidl.core.literals_pb2 import Blob, Literal, Scalar
    from flyteidl.core.types_pb2 import BlobType, LiteralType

_PRIMITIVES = {
    "integer": SimpleType.INTEGER,
    "float_value": SimpleType.FLOAT,
    "string_value": SimpleType.STRING,
    "boolean": SimpleType.BOOLEAN,
    "datetime": SimpleType.DATETIME,
    "duration": SimpleType.DURATION,
}
_SIMPLE_SCALARS = {
    "none_type": (SimpleType.NONE,),
    "generic": (SimpleType.STRUCT,),
    # A msgpack value may stand for any dataclass, dictionary or untyped list.
    "binary": (SimpleType.BINARY, SimpleType.STRUCT),
    "error": (SimpleType.ERROR,),
}


def is_instance(literal: Literal, expected: LiteralType) -> bool:
    """Say whether the literal is a value of the type."""
    if literal.WhichOneof("value") == "offloaded_metadata":
        # Its value lies elsewhere: only the kind that it declares can be compared.
        inferred = literal.offloaded_metadata.inferred_type
        return not inferred.WhichOneof("type") or inferred.WhichOneof("type") == expected.WhichOneof("type")
    match expected.WhichOneof("type"):
        case "union_type":
            return _is_member(literal, expected)
        case "collection_type":
            values = literal.collection.literals
            is_collection = literal.WhichOneof("value") == "collection"
            return is_collection and all(is_instance(value, expected.collection_type) for value in values)
        case "map_value_type":
            is_map = literal.WhichOneof("value") == "map"
            return is_map and all(is_instance(v, expected.map_value_type) for v in literal.map.literals.values())
        case _:
            return literal.WhichOneof("value") == "scalar" and _is_scalar(literal.scalar, expected)


def _is_member(literal: Literal, expected: LiteralType) -> bool:
    """Say whether a literal, tagged with its variant or not, is of one of the union's variants."""
    variants = expected.union_type.variants
    if literal.scalar.WhichOneof("value") != "union":
        return any(is_instance(literal, variant) for variant in variants)
    tag = literal.scalar.union.type.structure.tag
    value = literal.scalar.union.value
    return any(is_instance(value, one) for one in variants if not tag or one.structure.tag in ("", tag))


def _is_scalar(scalar: Scalar, expected: LiteralType) -> bool:
    kind = scalar.WhichOneof("value")
    if kind == "union":
        return is_instance(scalar.union.value, expected)
    match expected.WhichOneof("type"):
        case "simple":
            return _is_simple(scalar, expected.simple)
        case "enum_type":
            primitive = scalar.primitive
            return primitive.WhichOneof("value") == "string_value" and (
                primitive.string_value in expected.enum_type.values
            )
        case "blob":
            return kind == "blob" and _is_blob(scalar.blob, expected.blob)
        case "schema" | "structured_dataset_type":
            return kind in ("schema", "structured_dataset")
        case _:
            return False


def _is_simple(scalar: Scalar, expected: SimpleType) -> bool:
    kind = scalar.WhichOneof("value") or ""
    if kind == "primitive":
        return _PRIMITIVES.get(scalar.primitive.WhichOneof("value") or "") == expected
    return expected in _SIMPLE_SCALARS.get(kind, ())


def _is_blob(blob: Blob, expected: BlobType) -> bool:
    found = blob.metadata.type
    same_format = not found.format or not expected.format or found.format == expected.format
    return same_format and found.dimensionality == expected.dimensionality
