"""The type of a literal value, and whether a value fits a declared type: what inputs are validated with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core import types_pb2

from flyteform.compiler import casting, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core.literals_pb2 import Literal, Primitive, Scalar
    from flyteidl.core.types_pb2 import LiteralType

MESSAGE_PACK = "msgpack"
_PRIMITIVES = {
    "integer": types_pb2.INTEGER,
    "float_value": types_pb2.FLOAT,
    "string_value": types_pb2.STRING,
    "boolean": types_pb2.BOOLEAN,
    "datetime": types_pb2.DATETIME,
    "duration": types_pb2.DURATION,
}
_SIMPLE_SCALARS = {"none_type": types_pb2.NONE, "error": types_pb2.ERROR, "generic": types_pb2.STRUCT}


def type_of_literal(literal: Literal) -> LiteralType | None:
    """Infer the type of a value; None when the value is of a kind that is not known (or empty).

    A list or map of mixed values gets a union as element type, an empty one NONE.
    """
    match literal.WhichOneof("value"):
        case "scalar":
            return type_of_scalar(literal.scalar)
        case "collection":
            element = _common_type(literal.collection.literals)
            return element and types_pb2.LiteralType(collection_type=element)
        case "map":
            values = [literal.map.literals[key] for key in sorted(literal.map.literals)]
            element = _common_type(values)
            return element and types_pb2.LiteralType(map_value_type=element)
        case "offloaded_metadata":
            return literal.offloaded_metadata.inferred_type
        case _:
            return None


def type_of_scalar(scalar: Scalar) -> LiteralType | None:  # noqa: PLR0911 - one row of a table each
    """Infer the type of a scalar; None for a blob without its type and for a kind that is not known."""
    match scalar.WhichOneof("value"):
        case "primitive":
            return type_of_primitive(scalar.primitive)
        case "blob":
            known = scalar.blob.HasField("metadata")
            return types_pb2.LiteralType(blob=scalar.blob.metadata.type) if known else None
        case "binary":
            packed = scalar.binary.tag == MESSAGE_PACK
            return types_pb2.LiteralType(simple=types_pb2.STRUCT if packed else types_pb2.BINARY)
        case "schema":
            return types_pb2.LiteralType(schema=scalar.schema.type)
        case "structured_dataset":
            dataset = scalar.structured_dataset.metadata.structured_dataset_type
            return types_pb2.LiteralType(structured_dataset_type=dataset)
        case "union":
            return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=[scalar.union.type]))
        case "none_type" | "error" | "generic" as which:
            return types_pb2.LiteralType(simple=_SIMPLE_SCALARS[which])
        case _:
            return None


def type_of_primitive(primitive: Primitive) -> LiteralType:
    """Infer the type of a primitive; one without a value is NONE."""
    which = primitive.WhichOneof("value")
    return types_pb2.LiteralType(simple=_PRIMITIVES[which] if which else types_pb2.NONE)


def literal_matches(literal: Literal, kind: LiteralType) -> bool:
    """Say whether a value may be given where `kind` is declared, element by element.

    An offloaded value is judged by the type that was inferred when it was written. A member of an enum is any
    string here, as in Flyte; bindings check membership.
    """
    if literal.HasField("offloaded_metadata"):
        return casting.can_cast(literal.offloaded_metadata.inferred_type, kind)
    match kind.WhichOneof("type"):
        case "collection_type":
            return literal.HasField("collection") and all(
                literal_matches(item, kind.collection_type) for item in literal.collection.literals
            )
        case "map_value_type":
            return literal.HasField("map") and all(
                literal_matches(item, kind.map_value_type) for item in literal.map.literals.values()
            )
        case "union_type":
            return _matches_union(literal, kind)
        case _ if casting.is_none(kind):
            return literal.scalar.HasField("none_type")
        case _:
            return literal.HasField("scalar") and _scalar_matches(literal.scalar, kind)


def _matches_union(literal: Literal, kind: LiteralType) -> bool:
    variants = kind.union_type.variants
    if literal.scalar.HasField("union"):
        return any(casting.can_cast(literal.scalar.union.type, variant) for variant in variants)
    return sum(literal_matches(literal, variant) for variant in variants) == 1


def _scalar_matches(scalar: Scalar, kind: LiteralType) -> bool:
    if scalar.HasField("structured_dataset") and not scalar.structured_dataset.HasField("metadata"):
        return kind.WhichOneof("type") in ("schema", "structured_dataset_type")
    inferred = type_of_scalar(scalar)
    return inferred is not None and casting.can_cast(inferred, kind)


def _common_type(literals: Iterable[Literal]) -> LiteralType | None:
    """Find the element type: the only one, or a union; an empty inner list says nothing when others speak."""
    kinds: dict[str, LiteralType] = {}
    empty: LiteralType | None = None
    for literal in literals:
        kind = type_of_literal(literal)
        if kind is None:
            return None
        if literal.HasField("collection") and not literal.collection.literals:
            empty = kind
        else:
            kinds[text.one_line(kind)] = kind
    if not kinds:
        return empty or types_pb2.LiteralType(simple=types_pb2.NONE)
    if len(kinds) == 1:
        return next(iter(kinds.values()))
    return _union([kinds[key] for key in sorted(kinds)])


def _union(kinds: list[LiteralType]) -> LiteralType:
    """Join types; lists of unions become one list of the union of all, so that nested lists keep one shape."""
    variants: list[LiteralType] = []
    nested = False
    for kind in kinds:
        inner = kind.collection_type.union_type.variants
        nested = nested or bool(inner)
        variants.extend(inner or [kind])
    joined = types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))
    return types_pb2.LiteralType(collection_type=joined) if nested else joined
