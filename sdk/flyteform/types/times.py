"""datetime, date and timedelta."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flyteform.types.family import TypeFamily, ValueMismatchError, mismatch, unexpected

if TYPE_CHECKING:
    from flyteidl.core import literals_pb2, types_pb2

_LONGEST = timedelta(days=3_652_500)  # 10,000 years: google.protobuf.Duration holds no more
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|[wdhms])")


class TimeFamily(TypeFamily):
    """A type whose literal is one primitive message and whose plain form is text or a number."""

    simple: str
    schema_of: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the Python type."""
        return self.tag

    def schema(self) -> dict[str, Any]:
        """Return the JSON type and its format."""
        return dict(self.schema_of)

    def literal_type(self) -> types_pb2.LiteralType:
        """Return the simple type."""
        from flyteidl.core import types_pb2

        return types_pb2.LiteralType(simple=self.simple)

    def accepts(self, source: TypeFamily) -> bool:
        """Accept the same type only."""
        return type(source) is type(self)


def _from_iso(text: Any, name: str) -> datetime:
    if not isinstance(text, str):
        raise mismatch(f"{name} as ISO 8601 text", text)
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueMismatchError(f"expected {name} such as 2030-01-31T06:00:00Z, got {text!r}") from error


class DatetimeFamily(TimeFamily):
    """Points in time, with microseconds; a value without a time zone is taken as UTC, so that it means one thing."""

    tag = "datetime"
    simple = "DATETIME"
    schema_of = {"type": "string", "format": "date-time"}  # noqa: RUF012 - never changed, copied on the way out

    def check(self, value: Any) -> datetime:
        """Return the same instant in UTC."""
        if not isinstance(value, datetime):
            raise mismatch("datetime", value)
        try:
            # A literal does not say which of two equal times an hour was, when clocks are set back.
            return value.replace(tzinfo=UTC, fold=0) if value.tzinfo is None else value.astimezone(UTC).replace(fold=0)
        except OverflowError as error:
            raise ValueMismatchError(f"{value} is outside of the years 1 to 9999 in UTC") from error

    def to_plain(self, value: datetime) -> str:
        """Return ISO 8601 text."""
        return value.isoformat()

    def from_plain(self, plain: Any) -> datetime:
        """Read ISO 8601 text."""
        return self.check(_from_iso(plain, "datetime"))

    def parse(self, text: str) -> datetime:
        """Read ISO 8601 text."""
        return self.from_plain(text)

    def fill(self, literal: literals_pb2.Literal, value: datetime) -> None:
        """Write the timestamp."""
        literal.scalar.primitive.datetime.SetInParent()  # the epoch itself has no field set
        literal.scalar.primitive.datetime.FromDatetime(value)

    def read(self, literal: literals_pb2.Literal) -> datetime:
        """Return the instant in UTC."""
        primitive = literal.scalar.primitive
        if primitive.HasField("string_value"):  # a field of a dataclass, as the engine hands it on
            return self.from_plain(primitive.string_value)
        if not primitive.HasField("datetime"):
            raise unexpected("datetime", literal)
        return primitive.datetime.ToDatetime(tzinfo=UTC)


class DateFamily(TimeFamily):
    """Calendar days, carried as their midnight in UTC."""

    tag = "date"
    simple = "DATETIME"
    schema_of = {"type": "string", "format": "date"}  # noqa: RUF012 - never changed, copied on the way out

    def check(self, value: Any) -> date:
        """Accept a date that is no datetime."""
        if isinstance(value, datetime) or not isinstance(value, date):
            raise mismatch("date", value)
        return value

    def to_plain(self, value: date) -> str:
        """Return ISO 8601 text."""
        return value.isoformat()

    def from_plain(self, plain: Any) -> date:
        """Read ISO 8601 text."""
        return _from_iso(plain, "date").date()

    def parse(self, text: str) -> date:
        """Read ISO 8601 text."""
        return self.from_plain(text)

    def fill(self, literal: literals_pb2.Literal, value: date) -> None:
        """Write the timestamp of the day's start."""
        midnight = datetime(value.year, value.month, value.day, tzinfo=UTC)
        literal.scalar.primitive.datetime.SetInParent()  # the epoch itself has no field set
        literal.scalar.primitive.datetime.FromDatetime(midnight)

    def read(self, literal: literals_pb2.Literal) -> date:
        """Return the day."""
        primitive = literal.scalar.primitive
        if primitive.HasField("string_value"):  # as above
            return self.from_plain(primitive.string_value)
        if not primitive.HasField("datetime"):
            raise unexpected("date", literal)
        return primitive.datetime.ToDatetime(tzinfo=UTC).date()


class TimedeltaFamily(TimeFamily):
    """Durations, with microseconds; as plain values seconds."""

    tag = "timedelta"
    simple = "DURATION"
    schema_of = {"type": "number", "format": "time-delta"}  # noqa: RUF012 - never changed, copied on the way out

    def check(self, value: Any) -> timedelta:
        """Accept durations of up to 10,000 years."""
        if not isinstance(value, timedelta):
            raise mismatch("timedelta", value)
        if abs(value) > _LONGEST:
            raise ValueMismatchError(f"{value} is longer than 10,000 years")
        return value

    def to_plain(self, value: timedelta) -> float:
        """Return seconds."""
        return value.total_seconds()

    def from_plain(self, plain: Any) -> timedelta:
        """Read seconds, or text as a person writes it."""
        if isinstance(plain, str):
            return self.parse(plain)
        if isinstance(plain, bool) or not isinstance(plain, (int, float)):
            raise mismatch("timedelta in seconds", plain)
        try:
            return self.check(timedelta(seconds=plain))
        except (OverflowError, ValueError) as error:
            raise ValueMismatchError(f"{plain} seconds are no duration") from error

    def parse(self, text: str) -> timedelta:
        """Read seconds (`90`) or parts with units (`1h30m`)."""
        try:
            return self.from_plain(float(text))
        except ValueError:
            return self._parse_parts(text)

    def _parse_parts(self, text: str) -> timedelta:
        parts = _PARTS.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise ValueMismatchError(f"expected timedelta in seconds or such as 1h30m, got {text!r}")
        return self.check(sum((timedelta(**{_UNITS[unit]: float(n)}) for n, unit in parts), timedelta()))

    def fill(self, literal: literals_pb2.Literal, value: timedelta) -> None:
        """Write the duration."""
        literal.scalar.primitive.duration.SetInParent()
        literal.scalar.primitive.duration.FromTimedelta(value)

    def read(self, literal: literals_pb2.Literal) -> timedelta:
        """Return the duration."""
        primitive = literal.scalar.primitive
        if primitive.HasField("float_value"):  # as above
            return self.from_plain(primitive.float_value)
        if not primitive.HasField("duration"):
            raise unexpected("timedelta", literal)
        return primitive.duration.ToTimedelta()
