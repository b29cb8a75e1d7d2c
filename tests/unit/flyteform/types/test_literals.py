"""The literals and types are Flyte's: other clients read ours, and we read theirs."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgpack
import pytest
from flyteidl.core import literals_pb2
from google.protobuf.json_format import MessageToDict, ParseDict

from flyteform.types import ValueMismatchError, guess_python, literal_type, to_literal, to_python


class Colour(enum.Enum):
    """A str enum."""

    RED = "red"


@dataclass
class Box:
    """As in the reference closures."""

    n: int
    tags: list[str]


@dataclass
class Fitted:
    """With defaults."""

    score: float
    rounds: int = 3
    notes: list[str] = field(default_factory=list)


def shown(message: Any) -> Any:
    """Return a message as JSON with the names of the protocol."""
    return MessageToDict(message, preserving_proto_field_name=True)


def literal(document: dict[str, Any]) -> literals_pb2.Literal:
    """Return a literal written as JSON."""
    return ParseDict(document, literals_pb2.Literal())


def binary(plain: Any) -> literals_pb2.Literal:
    """Return a literal as Flyte's own SDK writes dataclasses, and its engine parts of them."""
    return literals_pb2.Literal(
        scalar=literals_pb2.Scalar(binary=literals_pb2.Binary(value=msgpack.packb(plain), tag="msgpack"))
    )


def test_a_dataclass_has_the_type_that_flytes_sdk_gives_it() -> None:
    """The JSON schema, the structure and the annotation are those of the reference closures."""
    assert shown(literal_type(Box)) == {
        "simple": "STRUCT",
        "annotation": {"annotations": {"cache-key-metadata": {"serialization-format": "msgpack"}}},
        "metadata": {
            "additionalProperties": False,
            "properties": {"n": {"type": "integer"}, "tags": {"items": {"type": "string"}, "type": "array"}},
            "required": ["n", "tags"],
            "title": "Box",
            "type": "object",
        },
        "structure": {
            "dataclass_type": {"n": {"simple": "INTEGER"}, "tags": {"collection_type": {"simple": "STRING"}}}
        },
    }


@pytest.mark.parametrize(
    ("python_type", "expected"),
    [
        (list, {"collection_type": {"simple": "STRUCT"}}),
        (dict, {"simple": "STRUCT"}),
        (Colour, {"enum_type": {"values": ["red"]}}),
        (type(None), {"simple": "NONE"}),
        (
            int | None,
            {
                "union_type": {
                    "variants": [
                        {"simple": "INTEGER", "structure": {"tag": "int"}},
                        {"simple": "NONE", "structure": {"tag": "none"}},
                    ]
                }
            },
        ),
    ],
)
def test_other_types_are_flytes_too(python_type: Any, expected: dict[str, Any]) -> None:
    """Each Python type has the Flyte type that its users know."""
    message = literal_type(python_type)
    assert shown(message) == expected or (python_type is type(None) and message.WhichOneof("type") == "simple")


def test_a_dataclass_of_flytes_sdk_is_read() -> None:
    """A msgpack map becomes the dataclass; absent fields take their defaults, unknown ones are left out."""
    assert to_python(binary({"score": 1, "later": True}), Fitted) == Fitted(1.0)


def test_an_old_struct_is_read() -> None:
    """Generics of old clients have only floats, which become the ints that the fields declare."""
    old = literal({"scalar": {"generic": {"n": 3.0, "tags": ["a"]}}})
    assert to_python(old, Box) == Box(3, ["a"])


@pytest.mark.parametrize(
    ("plain", "python_type", "expected"),
    [(3, int, 3), (3, float, 3.0), ("red", Colour, Colour.RED), (["a"], list[str], ["a"]), (None, int | None, None)],
)
def test_a_part_of_a_dataclass_is_read(plain: Any, python_type: Any, expected: Any) -> None:
    """Flyte's engine passes an attribute of a dataclass as a binary literal, whatever its type."""
    assert to_python(binary(plain), python_type) == expected


@pytest.mark.parametrize(
    ("primitive", "python_type", "expected"),
    [
        ({"string_value": "2030-01-31T06:00:00+00:00"}, datetime, datetime(2030, 1, 31, 6, tzinfo=UTC)),
        ({"string_value": "2030-01-31"}, date, date(2030, 1, 31)),
        ({"float_value": 1.5}, timedelta, timedelta(seconds=1.5)),
        ({"integer": "2"}, float, 2.0),
        ({"string_value": "red"}, Colour, Colour.RED),
        ({"integer": "2"}, Any, 2),
    ],
)
def test_a_plain_part_of_a_dataclass_is_read(primitive: dict[str, Any], python_type: Any, expected: Any) -> None:
    """Flyte's engine passes text and numbers of a dataclass as primitives, without knowing the declared type."""
    assert to_python(literal({"scalar": {"primitive": primitive}}), python_type) == expected


def test_a_list_in_a_dataclass_is_read() -> None:
    """Flyte's engine passes it as a collection of binary literals, whatever its items are."""
    collection = literals_pb2.LiteralCollection(literals=[binary(1), binary([2.5, None])])
    handed_on = literals_pb2.Literal(collection=collection)
    assert to_python(handed_on, list) == [1, [2.5, None]]
    assert to_python(handed_on, Any) == [1, [2.5, None]]
    assert to_python(handed_on, list[int | list[float | None]]) == [1, [2.5, None]]


def test_a_union_literal_names_its_variant() -> None:
    """The tag decides, so that text which looks like a number stays text."""
    union = to_literal("3", int | str)
    assert union.scalar.union.type.structure.tag == "str"
    assert to_python(union, int | str) == "3"


def test_a_union_is_read_from_a_bare_literal() -> None:
    """Values typed in the console come without a variant."""
    assert to_python(literal({"scalar": {"primitive": {"integer": "4"}}}), str | int) == 4


def test_a_literal_of_another_kind_is_refused() -> None:
    """The message names what was expected and what came."""
    with pytest.raises(ValueMismatchError, match="expected int, got a literal of kind string_value"):
        to_python(literal({"scalar": {"primitive": {"string_value": "x"}}}), int)


def test_broken_binary_is_refused() -> None:
    """Bytes that are no msgpack give a message, not a traceback."""
    broken = literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=literals_pb2.Binary(value=b"\xc1", tag="msgpack")))
    with pytest.raises(ValueMismatchError, match="not valid msgpack"):
        to_python(broken, dict)


def test_blobs_are_shown_by_their_uri() -> None:
    """Outputs of other SDKs that are files can be printed."""
    assert guess_python(literal({"scalar": {"blob": {"uri": "s3://bucket/file"}}})) == "s3://bucket/file"
