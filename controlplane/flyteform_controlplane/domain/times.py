"""Times and durations between Python, protobuf messages and columns."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from flyteform_controlplane.errors import InvalidArgumentError

_NANOS = 1_000_000_000


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def to_timestamp(when: datetime) -> Timestamp:
    """Return the message for an aware time."""
    message = Timestamp()
    message.FromDatetime(when.astimezone(UTC))
    return message


def to_datetime(message: Timestamp) -> datetime:
    """Return the aware time in UTC of a message; `InvalidArgumentError` for one before the year 1 or after 9999."""
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"{message.seconds} s and {message.nanos} ns is no time") from error


def elapsed(start: Timestamp, end: Timestamp) -> int:
    """Return the nanoseconds between two times; 0 if the clocks of their writers disagree on the order."""
    return max(0, (end.seconds - start.seconds) * _NANOS + end.nanos - start.nanos)


def to_duration(nanoseconds: int) -> Duration:
    """Return the message for a number of nanoseconds."""
    return Duration(seconds=nanoseconds // _NANOS, nanos=nanoseconds % _NANOS)
