"""The digest by which a registry knows that two compiled things are the same: Flyte's objecthash of the JSON."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from google.protobuf.message import Message


def digest(message: Message) -> bytes:
    """Hash a message to 32 bytes, equal to what a stock FlyteAdmin stores for it.

    The rule: protobuf's JSON mapping without default values, parsed as JSON and hashed by structure (objecthash:
    SHA-256 of a type letter and the content, dictionaries by the order of their keys' hashes). Raises
    InvalidInputError for a message that has no JSON form, such as an infinite number in a Struct.
    """
    try:
        return _hash(json_format.MessageToDict(message))
    except (json_format.Error, ValueError) as error:
        raise InvalidInputError(f"the {message.DESCRIPTOR.name} cannot be written as JSON: {error}") from error


def _hash(value: Any) -> bytes:
    match value:
        case None:
            return _tagged(b"n", b"")
        case bool():
            return _tagged(b"b", b"1" if value else b"0")
        case int() | float():
            return _tagged(b"f", _normal(float(value)).encode())
        case str():
            return _tagged(b"u", value.encode())
        case list():
            return _tagged(b"l", b"".join(_hash(item) for item in value))
        case _:
            pairs = sorted((_hash(key), _hash(item)) for key, item in value.items())
            return _tagged(b"d", b"".join(key + item for key, item in pairs))


def _tagged(tag: bytes, content: bytes) -> bytes:
    return hashlib.sha256(tag + content).digest()


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
