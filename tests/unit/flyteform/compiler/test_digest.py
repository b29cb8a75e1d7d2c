"""Digests are those that Flyte stores: its own published vectors, and the rules of objecthash."""

from __future__ import annotations

import base64
import hashlib

import pytest
from flyteidl.core import types_pb2
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from flyteform.compiler import digest
from flyteform.errors import InvalidInputError


def _digest(value: object) -> bytes:
    """Digest a JSON value: a Value message maps to the value itself."""
    return digest(json_format.ParseDict(value, struct_pb2.Value()))


def _sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


_SHORT = {"integer": "18", "floatValue": 1.3, "stringValue": "lets test this", "boolean": True}
_LONG = {
    **_SHORT,
    "datetime": "2019-03-29T12:00:00Z",
    "duration": "0.001s",
    "mapValue": {"z": "last", "a": "first"},
    "collections": ["1", "2", "3"],
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (_SHORT, "GhPMTKvJfUPHK8U3vEmoi/wdVBx7IQSPqyjGXAZzquI="),
        (_LONG, "YpWyLCP1NW0DVk3Hj64tK70H/9t+5fQlj7yyDK2lSEQ="),
    ],
)
def test_published_vectors(value: object, expected: str) -> None:
    """The hashes in Flyte's own tests come out, over the JSON form of the messages there."""
    assert base64.b64encode(_digest(value)).decode() == expected


@pytest.mark.parametrize(
    ("value", "normal"),
    [(0, "+0:"), (1, "+0:1"), (-1, "-0:1"), (2, "+1:1"), (3, "+2:011"), (0.5, "+-1:1"), (0.75, "+0:011")],
)
def test_numbers(value: float, normal: str) -> None:
    """A number is its sign, binary exponent and mantissa bits; whole numbers are no special case."""
    assert _digest(value) == _sha(b"f" + normal.encode())


def test_other_values() -> None:
    """Null, booleans, text and lists have a letter each."""
    assert _digest(None) == _sha(b"n")
    assert _digest(True) == _sha(b"b1")
    assert _digest(False) == _sha(b"b0")
    assert _digest(["a"]) == _sha(b"l" + _sha(b"ua"))


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 5), min_size=2))
def test_order_of_keys_does_not_matter(items: dict[str, int]) -> None:
    """The same content in another order has the same digest."""
    assert _digest(items) == _digest(dict(reversed(items.items())))


def test_no_json_form() -> None:
    """What JSON cannot say has no digest, and the reader learns why."""
    with pytest.raises(InvalidInputError, match="cannot be written as JSON"):
        digest(struct_pb2.Value(number_value=float("inf")))


def test_enums_and_defaults() -> None:
    """Enums hash by name, a chosen member of a oneof counts even when it is zero, other defaults do not."""
    none = types_pb2.LiteralType(simple=types_pb2.NONE)
    assert digest(none) == _digest({"simple": "NONE"})
    assert digest(types_pb2.BlobType()) == _digest({})
