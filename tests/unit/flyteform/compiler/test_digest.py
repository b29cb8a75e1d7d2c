"""Digests are those that Flyte stores: its own published vectors, and the rules of objecthash."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import launch_plan_pb2
from flyteidl.core import compiler_pb2, literals_pb2, tasks_pb2, types_pb2, workflow_pb2
from google.protobuf import json_format, struct_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteform.compiler import digest
from flyteform.errors import InvalidInputError
from support.hostile import messages

if TYPE_CHECKING:
    from google.protobuf.message import Message


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


def _hash_json(value: object) -> bytes:
    """Hash a JSON value by the rules of objecthash, written down a second time."""
    match value:
        case None:
            return _sha(b"n")
        case bool():
            return _sha(b"b1" if value else b"b0")
        case int() | float():
            return _digest(value)
        case str():
            return _sha(b"u" + value.encode())
        case list():
            return _sha(b"l" + b"".join(_hash_json(item) for item in value))
        case dict():
            pairs = sorted((_hash_json(key), _hash_json(item)) for key, item in value.items())
            return _sha(b"d" + b"".join(key + item for key, item in pairs))
    raise TypeError(value)


@pytest.mark.parametrize(
    "kind",
    [compiler_pb2.CompiledWorkflowClosure, launch_plan_pb2.LaunchPlanSpec, literals_pb2.LiteralMap, tasks_pb2.Sql],
)
@given(data=st.data())
@settings(max_examples=25)
def test_messages_hash_as_their_json_does(kind: type[Message], data: st.DataObject) -> None:
    """Whatever fields a message has, 32-bit fractions, maps and nested ones among them, its JSON form decides."""
    message = data.draw(messages(kind.DESCRIPTOR))
    try:
        mapped = json_format.MessageToDict(message)
    except (json_format.Error, ValueError, TypeError):
        with pytest.raises(InvalidInputError):
            digest(message)
    else:
        assert digest(message) == _hash_json(mapped)


def test_fractions_of_32_bits() -> None:
    """A ratio that a client wrote as 0.8 hashes as 0.8, not as the nearest number that 32 bits can hold."""
    assert digest(workflow_pb2.ArrayNode(min_success_ratio=0.8)) == _digest({"minSuccessRatio": 0.8})
