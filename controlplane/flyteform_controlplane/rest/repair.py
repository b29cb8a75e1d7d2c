"""Messages that protobuf carries and JSON has no form for: the nearest that it has, so that no row spoils a list."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

# The years 1 to 9999, and as many years in either direction.
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799
_LONGEST_SECONDS: Final = 315_576_000_000
_NANOS: Final = 999_999_999


def showable(message: Message) -> Message:
    """Return a copy in which times, durations and numbers are such as JSON can show."""
    copy = type(message)()
    copy.CopyFrom(message)
    _repair(copy)
    return copy


def _repair(message: Message) -> None:
    match message:
        case Timestamp():
            message.seconds = min(max(message.seconds, _FIRST_SECOND), _LAST_SECOND)
            message.nanos = min(max(message.nanos, 0), _NANOS)
        case Duration():
            message.seconds = min(max(message.seconds, -_LONGEST_SECONDS), _LONGEST_SECONDS)
            # Both parts have one sign.
            least, most = (0, _NANOS) if message.seconds >= 0 else (-_NANOS, 0)
            message.nanos = min(max(message.nanos, least), most)
        case Value() if message.WhichOneof("kind") == "number_value" and not math.isfinite(message.number_value):
            message.string_value = str(message.number_value)
        case _:
            for inner in _messages(message):
                _repair(inner)


def _messages(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        kind = field.message_type
        held: Any = value
        if kind is None:
            continue
        if kind.GetOptions().map_entry:
            if kind.fields_by_name["value"].message_type is not None:
                yield from held.values()
        elif field.is_repeated:
            yield from held
        else:
            yield held
