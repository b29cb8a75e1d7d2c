"""Values have the types that Flyte infers, and fit the declared types that they should."""

from __future__ import annotations

import compiler_builders as b
import pytest
from flyteidl.core import literals_pb2, types_pb2
from hypothesis import given
from hypothesis import strategies as st

from flyteform.compiler import literal_matches, type_of_literal

Literal = literals_pb2.Literal
Scalar = literals_pb2.Scalar
LiteralType = types_pb2.LiteralType


def _scalar(scalar: Scalar) -> Literal:
    return Literal(scalar=scalar)


def _list(*items: Literal) -> Literal:
    return Literal(collection=literals_pb2.LiteralCollection(literals=items))


def _map(**items: Literal) -> Literal:
    return Literal(map=literals_pb2.LiteralMap(literals=items))


def _union(value: Literal, kind: LiteralType) -> Literal:
    return _scalar(Scalar(union=literals_pb2.Union(value=value, type=kind)))


def _csv(blob_format: str = "csv") -> LiteralType:
    return LiteralType(blob=types_pb2.BlobType(format=blob_format))


_ONE, _WORD = _scalar(b.integer(1)), _scalar(b.string("red"))
_VOID = _scalar(Scalar(none_type=literals_pb2.Void()))
_FILE = _scalar(Scalar(blob=literals_pb2.Blob(metadata=literals_pb2.BlobMetadata(type=_csv().blob))))
_DATASET = LiteralType(structured_dataset_type=types_pb2.StructuredDatasetType(format="csv"))
_TABLE = _scalar(
    Scalar(
        structured_dataset=literals_pb2.StructuredDataset(
            metadata=literals_pb2.StructuredDatasetMetadata(structured_dataset_type=_DATASET.structured_dataset_type)
        )
    )
)
_BARE_TABLE = _scalar(Scalar(structured_dataset=literals_pb2.StructuredDataset(uri="a")))
_PACKED = _scalar(Scalar(binary=literals_pb2.Binary(value=b"\x80", tag="msgpack")))
_BYTES = _scalar(Scalar(binary=literals_pb2.Binary(value=b"a")))
_OPTIONAL = b.union_of(b.tagged(b.INT, "int"), b.tagged(b.NONE, "none"))
_AWAY = Literal(offloaded_metadata=literals_pb2.LiteralOffloadedMetadata(uri="a", inferred_type=b.list_of(b.INT)))


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (_ONE, b.INT),
        (_WORD, b.TEXT),
        (_VOID, b.NONE),
        (_FILE, _csv()),
        (_TABLE, _DATASET),
        (_PACKED, b.STRUCT),
        (_BYTES, LiteralType(simple=types_pb2.BINARY)),
        (_scalar(Scalar(error=types_pb2.Error(message="a"))), LiteralType(simple=types_pb2.ERROR)),
        (_scalar(Scalar(primitive=literals_pb2.Primitive())), b.NONE),
        (_scalar(Scalar(schema=literals_pb2.Schema())), LiteralType(schema=types_pb2.SchemaType())),
        (_union(_ONE, b.INT), b.union_of(b.INT)),
        (_list(), b.list_of(b.NONE)),
        (_list(_ONE, _ONE), b.list_of(b.INT)),
        (_list(_WORD, _ONE), b.list_of(b.union_of(b.INT, b.TEXT))),
        (_list(_list(), _list(_ONE)), b.list_of(b.list_of(b.INT))),
        (_list(_list()), b.list_of(b.list_of(b.NONE))),
        (_list(_list(_ONE, _WORD), _list(_ONE)), b.list_of(b.list_of(b.union_of(b.list_of(b.INT), b.INT, b.TEXT)))),
        (_map(), b.map_of(b.NONE)),
        (_map(a=_ONE, b=_WORD), b.map_of(b.union_of(b.INT, b.TEXT))),
        (_AWAY, b.list_of(b.INT)),
        (Literal(), None),
        (_list(Literal()), None),
        (_map(a=Literal()), None),
        (_scalar(Scalar(blob=literals_pb2.Blob(uri="a"))), None),
    ],
)
def test_type_of_literal(literal: Literal, expected: LiteralType | None) -> None:
    """Each kind of value has its type; mixed elements make a union, unknown values none."""
    assert type_of_literal(literal) == expected


@pytest.mark.parametrize(
    ("literal", "kind"),
    [
        (_ONE, b.INT),
        (_WORD, b.COLOUR),
        (_VOID, b.NONE),
        (_FILE, _csv("")),
        (_TABLE, _DATASET),
        (_BARE_TABLE, _DATASET),
        (_VOID, _DATASET),
        (_PACKED, b.STRUCT),
        (_ONE, _OPTIONAL),
        (_VOID, _OPTIONAL),
        (_union(_VOID, b.tagged(b.NONE, "none")), _OPTIONAL),
        (_list(), b.list_of(b.TEXT)),
        (_list(_ONE, _VOID), b.list_of(_OPTIONAL)),
        (_list(_union(_ONE, b.tagged(b.INT, "int")), _VOID), b.list_of(_OPTIONAL)),
        (_map(a=_ONE), b.map_of(b.INT)),
        (_AWAY, b.list_of(b.INT)),
    ],
)
def test_literal_matches(literal: Literal, kind: LiteralType) -> None:
    """A value that fits is accepted."""
    assert literal_matches(literal, kind)


@pytest.mark.parametrize(
    ("literal", "kind"),
    [
        (_ONE, b.TEXT),
        (_ONE, b.COLOUR),
        (_ONE, b.NONE),
        (Literal(), b.INT),
        (_ONE, b.list_of(b.INT)),
        (_list(_ONE), b.INT),
        (_list(_ONE, _WORD), b.list_of(b.INT)),
        (_list(_ONE), b.map_of(b.INT)),
        (_map(a=_WORD), b.map_of(b.INT)),
        (_FILE, _csv("png")),
        (_BARE_TABLE, b.INT),
        (_WORD, _OPTIONAL),
        (_ONE, b.union_of(b.INT, b.INT)),
        (_union(_ONE, b.tagged(b.INT, "long")), _OPTIONAL),
        (_AWAY, b.list_of(b.TEXT)),
    ],
)
def test_literal_does_not_match(literal: Literal, kind: LiteralType) -> None:
    """A value that does not fit is refused."""
    assert not literal_matches(literal, kind)


_SCALARS = st.one_of(st.integers(-9, 9).map(b.integer), st.text(max_size=3).map(b.string)).map(_scalar)


@given(st.lists(_SCALARS, max_size=4))
def test_a_value_fits_its_own_type(items: list[Literal]) -> None:
    """The inferred type of a list takes the list."""
    kind = type_of_literal(_list(*items))
    assert kind is not None
    assert literal_matches(_list(*items), kind)
