"""The few parts of protobuf's wire format that put stored messages together need."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.message import Message

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_MORE: Final = 0x80
_SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def tag(message: type[Message], field: str) -> bytes:
    """Return what stands before a text, bytes or a message in a field."""
    return varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | _LENGTH_DELIMITED)


def number_tag(message: type[Message], field: str) -> bytes:
    """Return what stands before a whole number or a member of an enum in a field."""
    return varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | _VARINT)


def varint(number: int) -> bytes:
    """Return a whole number of 64 bits, which a negative one is as its complement."""
    number &= 2**64 - 1
    encoded = bytearray()
    while number >= _MORE:
        encoded.append(number & (_MORE - 1) | _MORE)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_LENGTHS = [varint(length) for length in range(4096)]


def field(before: bytes, data: bytes) -> bytes:
    """Return a field whose `tag` is given."""
    length = len(data)
    return before + (_LENGTHS[length] if length < len(_LENGTHS) else varint(length)) + data


def timestamp(when: datetime) -> bytes:
    """Return the content of a Timestamp, zeros too: merged with another one it takes its place."""
    whole, part = divmod(_microseconds(when), _SECOND)
    return b"\x08" + varint(whole) + b"\x10" + varint(part * 1000)


def _microseconds(when: datetime) -> int:
    since = when - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds
