"""The type-casting table: which values may flow where. Pure; the rules are those of Flyte 1's compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core import types_pb2

from flyteform.compiler import schemas

if TYPE_CHECKING:
    from flyteidl.core.types_pb2 import LiteralType, SchemaType, StructuredDatasetType

_PARQUET = "parquet"
# A type that a newer client knows and we do not casts to nothing.
_Column = types_pb2.SchemaType.SchemaColumn
_COLUMN_TYPES = {
    _Column.INTEGER: types_pb2.INTEGER,
    _Column.FLOAT: types_pb2.FLOAT,
    _Column.STRING: types_pb2.STRING,
    _Column.BOOLEAN: types_pb2.BOOLEAN,
    _Column.DATETIME: types_pb2.DATETIME,
    _Column.DURATION: types_pb2.DURATION,
}


def can_cast(upstream: LiteralType, downstream: LiteralType) -> bool:
    """Say whether a value of type `upstream` may be given where `downstream` is expected.

    A union of one variant upstream also counts as that variant.
    """
    variants = upstream.union_type.variants
    if len(variants) == 1 and _casts(variants[0], downstream):
        return True
    return _casts(upstream, downstream)


def is_none(kind: LiteralType) -> bool:
    """Say whether the type is NONE (as opposed to no type at all)."""
    return kind.WhichOneof("type") == "simple" and kind.simple == types_pb2.NONE


def is_optional(kind: LiteralType) -> bool:
    """Say whether the type is a union with NONE: such an input needs no binding."""
    return any(variant.simple == types_pb2.NONE and is_none(variant) for variant in kind.union_type.variants)


def tag_of(kind: LiteralType) -> str:
    """Give the tag that tells the variants of a union apart, such as `int`; empty when there is none."""
    return kind.structure.tag


def _casts(up: LiteralType, down: LiteralType) -> bool:  # noqa: PLR0911 - one row of the table each
    match down.WhichOneof("type"):
        case "collection_type":
            return _element_casts(up, down, "collection_type")
        case "map_value_type":
            return _element_casts(up, down, "map_value_type")
        case "blob":
            return up.HasField("blob") and formats_match(up.blob.format, down.blob.format)
        case "schema":
            return _casts_to_schema(up, down.schema)
        case "structured_dataset_type":
            return _casts_to_dataset(up, down.structured_dataset_type)
        case "union_type":
            return _casts_to_union(up, down)
        case _ if is_none(down):
            return is_none(up)
        case _:
            return _casts_plainly(up, down)


def _element_casts(up: LiteralType, down: LiteralType, which: str) -> bool:
    """Cast a list or map by its elements; the element type NONE is that of an empty literal and fits any."""
    if up.WhichOneof("type") != which:
        return False
    element: LiteralType = getattr(up, which)
    return is_none(element) or _casts(element, getattr(down, which))


def _casts_to_union(up: LiteralType, down: LiteralType) -> bool:
    """Every variant upstream must find a place; a plain type must find exactly one, or its tag would be a guess."""
    targets = down.union_type.variants
    if up.HasField("union_type"):
        return all(any(can_cast(one, other) for other in targets) for one in up.union_type.variants)
    return sum(can_cast(up, target) for target in targets) == 1


def _casts_plainly(up: LiteralType, down: LiteralType) -> bool:
    if (up.HasField("enum_type") and _is_simple(down, types_pb2.STRING)) or (
        down.HasField("enum_type") and _is_simple(up, types_pb2.STRING)
    ):
        return True
    if tag_of(up) and tag_of(up) != tag_of(down):
        return False
    if _is_simple(up, types_pb2.STRUCT) and _is_simple(down, types_pb2.STRUCT):
        without_schema = not up.HasField("metadata") or not down.HasField("metadata")
        return without_schema or schemas.is_compatible(up.metadata, down.metadata)
    return _bare(up) == _bare(down)


def _is_simple(kind: LiteralType, simple: int) -> bool:
    return kind.WhichOneof("type") == "simple" and kind.simple == simple


def _bare(kind: LiteralType) -> LiteralType:
    """Copy without what does not take part in comparisons."""
    if not (kind.HasField("metadata") or kind.HasField("structure") or kind.HasField("annotation")):
        return kind
    copy = types_pb2.LiteralType()
    copy.CopyFrom(kind)
    for name in ("metadata", "structure", "annotation"):
        copy.ClearField(name)
    return copy


def formats_match(one: str, other: str) -> bool:
    """Compare blob formats: an empty one fits any."""
    return not one or not other or one == other


def _casts_to_schema(up: LiteralType, down: SchemaType) -> bool:
    if up.HasField("schema"):
        return schema_casts(up.schema, down)
    if not up.HasField("structured_dataset_type"):
        return False
    # A schema can only be parquet.
    given = up.structured_dataset_type.format
    return (not given or given.lower() == _PARQUET) and dataset_casts_to_schema(up.structured_dataset_type, down)


def _casts_to_dataset(up: LiteralType, down: StructuredDatasetType) -> bool:
    if is_none(up):
        return True
    if up.HasField("schema"):
        return schema_casts_to_dataset(up.schema, down)
    return up.HasField("structured_dataset_type") and dataset_casts(up.structured_dataset_type, down)


def schema_casts(up: SchemaType, down: SchemaType) -> bool:
    """Cast schema to schema: the columns downstream are a subset with equal types, or either side names none."""
    if not up.columns or not down.columns:
        return True
    offered = {column.name: column.type for column in up.columns}
    return all(offered.get(column.name) == column.type for column in down.columns)


def dataset_casts(up: StructuredDatasetType, down: StructuredDatasetType) -> bool:
    """Cast structured dataset to structured dataset: formats agree regardless of case, columns are a subset."""
    if up.format and down.format and up.format.lower() != down.format.lower():
        return False
    if not up.columns or not down.columns:
        return True
    offered = {column.name: column.literal_type for column in up.columns}
    return all(column.name in offered and _casts(offered[column.name], column.literal_type) for column in down.columns)


def schema_casts_to_dataset(up: SchemaType, down: StructuredDatasetType) -> bool:
    """Cast schema to structured dataset: a schema counts as parquet."""
    if down.format and down.format.lower() != _PARQUET:
        return False
    if not up.columns or not down.columns:
        return True
    offered = {column.name: _COLUMN_TYPES.get(column.type, -1) for column in up.columns}
    return all(
        column.name in offered and _is_simple(column.literal_type, offered[column.name]) for column in down.columns
    )


def dataset_casts_to_schema(up: StructuredDatasetType, down: SchemaType) -> bool:
    """Cast structured dataset to schema, by columns alone."""
    if not up.columns or not down.columns:
        return True
    offered = {column.name: column.literal_type for column in up.columns}
    return all(
        column.name in offered and _is_simple(offered[column.name], _COLUMN_TYPES.get(column.type, -1))
        for column in down.columns
    )
