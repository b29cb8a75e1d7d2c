"""The casting table holds: which types may be given where, over examples of each row and over random types."""

from __future__ import annotations

import compiler_builders as b
import pytest
from flyteidl.core import types_pb2
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from flyteform.compiler import can_cast

LiteralType = types_pb2.LiteralType
Column = types_pb2.SchemaType.SchemaColumn


def _blob(blob_format: str, *, parts: bool = False) -> LiteralType:
    return LiteralType(blob=types_pb2.BlobType(format=blob_format, dimensionality=int(parts)))  # type: ignore[arg-type]


def _schema(**columns: Column.SchemaColumnType) -> LiteralType:
    made = [Column(name=name, type=kind) for name, kind in columns.items()]
    return LiteralType(schema=types_pb2.SchemaType(columns=made))


def _dataset(dataset_format: str = "", **columns: LiteralType) -> LiteralType:
    made = [
        types_pb2.StructuredDatasetType.DatasetColumn(name=name, literal_type=kind) for name, kind in columns.items()
    ]
    return LiteralType(structured_dataset_type=types_pb2.StructuredDatasetType(format=dataset_format, columns=made))


def _dataclass(schema: dict[str, object]) -> LiteralType:
    return LiteralType(simple=types_pb2.STRUCT, metadata=json_format.ParseDict(schema, struct_pb2.Struct()))


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _described(kind: LiteralType) -> LiteralType:
    copy = LiteralType()
    copy.CopyFrom(kind)
    copy.metadata["note"] = "for people"
    copy.annotation.annotations["key"] = 1
    return copy


_NUMBER, _WORD = {"type": "integer"}, {"type": "string"}
_PARENT = _dataclass(_object(a=_NUMBER))
_CHILD = _dataclass(_object(a=_NUMBER, b=_NUMBER))

YES = [
    (b.INT, b.INT),
    (_described(b.INT), b.INT),
    (b.INT, _described(b.INT)),
    (b.INT, b.tagged(b.INT, "int")),
    (b.NONE, b.NONE),
    (b.COLOUR, b.TEXT),
    (b.TEXT, b.COLOUR),
    (b.list_of(b.NONE), b.list_of(b.TEXT)),
    (b.map_of(b.NONE), b.map_of(b.list_of(b.INT))),
    (b.list_of(b.INT), b.list_of(b.union_of(b.INT, b.NONE))),
    (_blob("csv"), _blob("csv", parts=True)),
    (_blob(""), _blob("csv")),
    (_blob("csv"), _blob("")),
    (_schema(a=Column.INTEGER, b=Column.STRING), _schema(b=Column.STRING)),
    (_schema(), _schema(b=Column.STRING)),
    (_schema(b=Column.STRING), _schema()),
    (_schema(a=Column.FLOAT), _dataset("PARQUET", a=b.FLOAT)),
    (_dataset("parquet", a=b.FLOAT), _schema(a=Column.FLOAT)),
    (_dataset(a=b.INT, b=b.TEXT), _dataset("csv", b=b.TEXT)),
    (_dataset("CSV"), _dataset("csv")),
    (_dataset("csv"), _dataset()),
    (b.NONE, _dataset("csv")),
    (b.STRUCT, _PARENT),
    (_PARENT, b.STRUCT),
    (_CHILD, _PARENT),
    (_dataclass(_object(x=_object(a=_NUMBER, b=_NUMBER))), _dataclass(_object(x=_object(a=_NUMBER)))),
    (b.INT, b.union_of(b.INT, b.TEXT)),
    (b.union_of(b.INT), b.INT),
    (b.union_of(b.INT, b.NONE), b.union_of(b.TEXT, b.NONE, b.INT)),
    (b.union_of(b.tagged(b.NONE, "none")), b.union_of(b.tagged(b.INT, "int"), b.tagged(b.NONE, "none"))),
]

NO = [
    (b.INT, b.FLOAT),
    (b.INT, b.NONE),
    (b.NONE, b.INT),
    (b.COLOUR, b.INT),
    (b.COLOUR, LiteralType(enum_type=types_pb2.EnumType(values=["red"]))),
    (b.tagged(b.INT, "int"), b.tagged(b.INT, "long")),
    (b.list_of(b.INT), b.INT),
    (b.list_of(b.INT), b.map_of(b.INT)),
    (b.list_of(b.INT), b.list_of(b.TEXT)),
    (b.map_of(b.INT), b.map_of(b.TEXT)),
    (b.list_of(b.union_of(b.INT, b.NONE)), b.list_of(b.INT)),
    (_blob("csv"), _blob("png")),
    (b.INT, _blob("")),
    (_schema(a=Column.INTEGER), _schema(b=Column.INTEGER)),
    (_schema(a=Column.INTEGER), _schema(a=Column.STRING)),
    (b.INT, _schema()),
    (_schema(a=Column.INTEGER), _dataset("csv")),
    (_schema(a=Column.INTEGER), _dataset(a=b.TEXT)),
    (_schema(a=Column.INTEGER), _dataset(b=b.INT)),
    (_dataset("csv"), _schema()),
    (_dataset(a=b.INT), _schema(a=Column.STRING)),
    (_dataset("csv"), _dataset("parquet")),
    (_dataset(a=b.INT), _dataset(b=b.INT)),
    (_dataset(a=b.INT), _dataset(a=b.TEXT)),
    (b.INT, _dataset()),
    (_PARENT, _CHILD),
    (_dataclass(_object(a=_NUMBER)), _dataclass(_object(a=_WORD))),
    (_dataclass(_object(a=_NUMBER)), _dataclass({"type": "array", "items": _NUMBER})),
    (b.INT, b.union_of(b.INT, b.INT)),
    (b.FLOAT, b.union_of(b.INT, b.TEXT)),
    (b.union_of(b.INT, b.FLOAT), b.union_of(b.INT, b.TEXT)),
    (b.union_of(b.INT, b.NONE), b.INT),
]


@pytest.mark.parametrize(("up", "down"), YES)
def test_casts(up: LiteralType, down: LiteralType) -> None:
    """A row of the table that lets a value through."""
    assert can_cast(up, down)


@pytest.mark.parametrize(("up", "down"), NO)
def test_does_not_cast(up: LiteralType, down: LiteralType) -> None:
    """A row of the table that stops a value."""
    assert not can_cast(up, down)


@pytest.mark.parametrize(
    ("up", "down", "expected"),
    [
        ({"type": "array", "items": _object(a=_NUMBER, b=_WORD)}, {"type": "array", "items": _object(a=_NUMBER)}, True),
        ({"type": "array", "items": _NUMBER}, {"type": "array", "items": _WORD}, False),
        ({"anyOf": [_NUMBER, {"type": "null"}]}, {"anyOf": [_NUMBER, {"type": "null"}], "title": "A"}, True),
        ({"anyOf": [_NUMBER, {"type": "null"}]}, {"anyOf": [_NUMBER]}, False),
        ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["b"]}, False),
    ],
)
def test_fields_of_dataclasses(up: object, down: object, *, expected: bool) -> None:
    """A field's schema is compared by type, through lists and choices."""
    assert can_cast(_dataclass(_object(f=up)), _dataclass(_object(f=down))) is expected


def test_types_of_newer_clients() -> None:
    """A column type without a name here and a schema that is no JSON cast to nothing, and break nothing."""
    newer = _schema(a=99)  # type: ignore[arg-type]
    assert can_cast(newer, newer)
    assert not can_cast(newer, _dataset(a=b.INT))
    assert not can_cast(_dataset(a=b.INT), newer)
    endless = LiteralType(simple=types_pb2.STRUCT)
    endless.metadata["limit"] = float("inf")
    assert not can_cast(endless, _PARENT)


def test_references_in_schemas() -> None:
    """A reference stands for what it names in its own document; one that leads nowhere fits nothing."""
    named = _dataclass({**_object(f={"$ref": "#/$defs/A"}), "$defs": {"A": _NUMBER}})
    assert can_cast(named, _dataclass(_object(f=_NUMBER)))
    assert not can_cast(named, _dataclass(_object(f=_WORD)))
    assert not can_cast(_dataclass(_object(f={"$ref": "#/$defs/Gone"})), _dataclass(_object(f=_NUMBER)))


def test_recursive_dataclass() -> None:
    """A dataclass that contains itself is compared without end only on paper."""
    tree = {"type": "object", "properties": {"next": {"$ref": "#/$defs/T"}}}
    named = {"type": "object", "properties": {"next": {"$ref": "#/$defs/T"}, "name": _WORD}}
    plain, richer = _dataclass({**tree, "$defs": {"T": tree}}), _dataclass({**named, "$defs": {"T": named}})
    assert can_cast(richer, plain)
    assert not can_cast(plain, richer)


_SIMPLE = st.sampled_from([b.INT, b.FLOAT, b.TEXT, b.FLAG, b.COLOUR, _blob("csv"), _PARENT, _dataset("csv", a=b.INT)])
_TYPES = st.recursive(_SIMPLE, lambda inner: st.one_of(inner.map(b.list_of), inner.map(b.map_of)), max_leaves=4)


@given(_TYPES)
def test_every_type_casts_to_itself(kind: LiteralType) -> None:
    """Casting is reflexive."""
    assert can_cast(kind, kind)


@given(_TYPES)
def test_none_goes_to_none_alone(kind: LiteralType) -> None:
    """NONE fits NONE and a structured dataset, and nothing else that is not a union with it."""
    assert can_cast(b.NONE, kind) is kind.HasField("structured_dataset_type")
    assert not can_cast(kind, b.NONE)
    assert can_cast(b.NONE, b.union_of(b.INT, b.NONE))


@given(_TYPES, _TYPES)
def test_a_union_of_one_is_that_one(one: LiteralType, other: LiteralType) -> None:
    """A union upstream with one variant goes wherever the variant goes."""
    assert can_cast(b.union_of(one), other) is can_cast(one, other)


@given(st.lists(_TYPES, min_size=2, max_size=4), _TYPES)
def test_a_plain_type_needs_exactly_one_variant(variants: list[LiteralType], kind: LiteralType) -> None:
    """A plain type goes into a union when one variant takes it, not none and not several."""
    takers = sum(can_cast(kind, variant) for variant in variants)
    assert can_cast(kind, b.union_of(*variants)) is (takers == 1)


@given(st.lists(_TYPES, min_size=2, max_size=3), st.lists(_TYPES, max_size=2))
def test_a_union_goes_into_a_wider_union(variants: list[LiteralType], more: list[LiteralType]) -> None:
    """Each variant upstream finds a place when the union downstream has all of them, in any order."""
    assert can_cast(b.union_of(*variants), b.union_of(*more, *reversed(variants)))


@given(_TYPES, _TYPES)
def test_containers_cast_by_their_elements(one: LiteralType, other: LiteralType) -> None:
    """Lists and maps cast exactly when their elements do."""
    assert can_cast(b.list_of(one), b.list_of(other)) is can_cast(one, other)
    assert can_cast(b.map_of(one), b.map_of(other)) is can_cast(one, other)
