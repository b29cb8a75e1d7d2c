"""The digest by which a registry knows that two compiled things are the same: Flyte's objecthash of the JSON.

Hashed is the message itself, field by field, as its JSON form would be: making that first takes three times as long.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    Hasher: TypeAlias = Callable[[Any], bytes]


def digest(message: Message) -> bytes:
    """Hash a message to 32 bytes, equal to what a stock FlyteAdmin stores for it.

    The rule: protobuf's JSON mapping without default values, parsed as JSON and hashed by structure (objecthash:
    SHA-256 of a type letter and the content, dictionaries by the order of their keys' hashes). Raises
    InvalidInputError for a message that has no JSON form, such as an infinite number in a Struct.
    """
    try:
        return _message(message)
    except ValueError:
        # Found again by the mapping itself, which says in which field it is.
        return _mapped(message)


def _mapped(message: Message) -> bytes:
    try:
        return _json(json_format.MessageToDict(message))
    except (json_format.Error, ValueError, TypeError) as error:
        raise InvalidInputError(f"the {message.DESCRIPTOR.name} cannot be written as JSON: {error}") from error


def _message(message: Message) -> bytes:
    if _is_well_known(message.DESCRIPTOR):
        return _mapped(message)
    return _fields(message)


def _is_well_known(kind: Any) -> bool:
    """Say whether the message has a JSON form of its own."""
    package: str = kind.file.package
    return package == "google.protobuf"


def _fields(message: Message) -> bytes:
    pairs = []
    for field, value in message.ListFields():
        key, hasher = _FIELDS.get(field) or _learn(field)
        pairs.append(key + hasher(value))
    return _dictionary(pairs)


def _number_text(number: int) -> bytes:
    """Hash a number of 64 bits, which is a text in JSON."""
    return _text(str(number))


# What is known of a field: the hash of its name in JSON, and how its value is hashed.
_FIELDS: dict[FieldDescriptor, tuple[bytes, Hasher]] = {}


def _learn(field: FieldDescriptor) -> tuple[bytes, Hasher]:
    known = _FIELDS[field] = _text(field.json_name), _hasher(field)
    return known


def _hasher(field: FieldDescriptor) -> Hasher:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        of_value = _single(entry.fields_by_name["value"])
        of_key: Callable[[Any], str] = str
        if entry.fields_by_name["key"].type == FieldDescriptor.TYPE_BOOL:
            of_key = {True: "true", False: "false"}.__getitem__
        return lambda items: _dictionary([_text(of_key(key)) + of_value(items[key]) for key in items])
    single = _single(field)
    if field.is_repeated:
        return lambda values: _tagged(b"l" + b"".join([single(value) for value in values]))
    return single


def _single(field: FieldDescriptor) -> Hasher:
    if field.message_type is not None:
        return _mapped if _is_well_known(field.message_type) else _fields
    if field.enum_type is not None:
        names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
        return lambda number: _json(names.get(number, number))
    return _OF_TYPE.get(field.type, _json)


def _floating(number: float) -> bytes:
    if math.isnan(number):
        return _text("NaN")
    if math.isinf(number):
        return _text("Infinity" if number > 0 else "-Infinity")
    return _json(number)


_FLOAT = struct.Struct("<f")


def _shortest(number: float) -> float:
    """Return the number that is written for one of 32 bits: with as few digits as name it."""
    candidates = (float(f"{number:.{digits}g}") for digits in range(6, 9))
    return next((one for one in candidates if _FLOAT.unpack(_FLOAT.pack(one))[0] == number), number)


def _json(value: Any) -> bytes:
    match value:
        case None:
            return _tagged(b"n")
        case bool():
            return _tagged(b"b1" if value else b"b0")
        case int() | float():
            return _tagged(b"f" + _normal(float(value)).encode())
        case str():
            return _text(value)
        case list():
            return _tagged(b"l" + b"".join(_json(item) for item in value))
        case _:
            return _dictionary([_json(key) + _json(item) for key, item in value.items()])


_SHORT = 128


def _text(value: str) -> bytes:
    # Names come again and again; long texts hardly ever, and would stay in memory.
    return _short_text(value) if len(value) < _SHORT else _tagged(b"u" + value.encode())


@lru_cache(maxsize=4096)
def _short_text(value: str) -> bytes:
    return _tagged(b"u" + value.encode())


def _dictionary(pairs: list[bytes]) -> bytes:
    # All hashes are of one length, so the order of the pairs is that of their keys.
    return _tagged(b"d" + b"".join(sorted(pairs)))


def _tagged(content: bytes) -> bytes:
    # A copy is made in half the time of a new one.
    hashed = _EMPTY.copy()
    hashed.update(content)
    return hashed.digest()


_EMPTY = hashlib.sha256()


def _normal(number: float) -> str:
    """Write a JSON number as sign, binary exponent and mantissa bits, with 0.5 < mantissa <= 1."""
    if number == 0:
        return "+0:"
    mantissa, exponent = math.frexp(abs(number))
    if mantissa == 0.5:  # noqa: PLR2004 - frexp gives 0.5 <= m < 1, the rule wants the other end open
        mantissa, exponent = 1.0, exponent - 1
    bits = []
    while mantissa:
        bits.append("1" if mantissa >= 1 else "0")
        mantissa = (mantissa - 1 if mantissa >= 1 else mantissa) * 2
    return f"{'-' if number < 0 else '+'}{exponent}:{''.join(bits)}"


_OF_TYPE: dict[int, Hasher] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BYTES: lambda value: _text(base64.b64encode(value).decode()),
    FieldDescriptor.TYPE_DOUBLE: _floating,
    FieldDescriptor.TYPE_FLOAT: lambda number: _floating(_shortest(number)),
    FieldDescriptor.TYPE_INT64: _number_text,
    FieldDescriptor.TYPE_UINT64: _number_text,
    FieldDescriptor.TYPE_SINT64: _number_text,
    FieldDescriptor.TYPE_FIXED64: _number_text,
    FieldDescriptor.TYPE_SFIXED64: _number_text,
}
