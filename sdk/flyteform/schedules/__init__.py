"""When schedules fire: cron text and fixed rates as data, and the one function that says the next instant.

Plans show the next firings and the scheduler creates executions by the same function, so both always agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, assert_never

from flyteform.errors import InvalidInputError
from flyteform.schedules.cron import REMEDY, CronFields, parse_fields

if TYPE_CHECKING:
    from flyteidl.admin import schedule_pb2

__all__ = [
    "Cron",
    "Every",
    "Schedule",
    "firings",
    "from_idl",
    "latest_firings",
    "next_firing",
    "parse_schedule",
    "validate_schedule",
]

# flytekit accepts all of these, with and without the sign.
ALIASES: Final = {
    alias: expression
    for aliases, expression in (
        ("yearly years annually", "0 0 1 1 *"),
        ("monthly months", "0 0 1 * *"),
        ("weekly weeks", "0 0 * * 0"),
        ("daily days midnight", "0 0 * * *"),
        ("hourly hours", "0 * * * *"),
    )
    for alias in aliases.split()
}
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)
# Go's time.ParseDuration, as `@every` takes it.
_GO_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+")
_GO_PART = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")
_GO_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_ISO_DURATION = re.compile(r"([+-]?)P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """Fires where the fields match, each instant moved by `offset`."""

    fields: CronFields
    offset: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Every:
    """Fires each `interval` (whole seconds, at least one), counted from an anchor: the activation."""

    interval: timedelta


Schedule = Cron | Every


def validate_schedule(text: str, *, offset: str = "") -> None:
    """Raise `InvalidInputError` with what is wrong and what to write, if the text is no schedule."""
    parse_schedule(text, offset=offset)


def parse_schedule(text: str, *, offset: str = "") -> Schedule:
    """Read cron text: five fields, an alias, or `@every`; `CRON_TZ=<zone>` before it sets the zone, UTC otherwise.

    `offset` is an ISO 8601 duration of weeks, days, hours, minutes and seconds, "" for none.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"{text!r} is no cron expression", remedy=REMEDY)
    zoned = _ZONE.fullmatch(text.strip())
    zone = _zone(zoned.group(1), text) if zoned else UTC
    expression = zoned.group(2).strip() if zoned else text.strip()
    if not expression:
        raise InvalidInputError("the cron expression is empty", remedy=REMEDY)
    shift = _offset(offset)
    if expression.startswith("@every "):
        if shift:
            raise InvalidInputError(f"{expression!r} counts from its activation and takes no offset")
        return Every(_every(expression))
    expression = _expand(expression)
    return Cron(parse_fields(expression, zone), shift)


def from_idl(schedule: schedule_pb2.Schedule) -> Schedule | None:
    """Read a launch plan's schedule; None if it has none, `InvalidInputError` if it cannot be understood."""
    match schedule.WhichOneof("ScheduleExpression"):
        case "cron_expression":
            return parse_schedule(schedule.cron_expression)
        case "cron_schedule":
            return parse_schedule(schedule.cron_schedule.schedule, offset=schedule.cron_schedule.offset)
        case "rate":
            return _rate(schedule.rate.value, int(schedule.rate.unit))
        case _:
            return None


def next_firing(schedule: Schedule, after: datetime, *, anchor: datetime | None = None) -> datetime | None:
    """Return the first firing (UTC) later than `after`; None if it never fires again.

    Fixed rates count from `anchor`, the activation, which is `after` itself if not given: activated now.
    """
    match schedule:
        case Cron(fields, offset):
            found = fields.next_after(after.astimezone(UTC) - offset)
            return None if found is None else found + offset
        case Every(interval):
            start = (anchor or after).astimezone(UTC).replace(microsecond=0)
            return start + interval * max((after - start) // interval + 1, 1)
        case _:
            assert_never(schedule)


def firings(schedule: Schedule, after: datetime, count: int, *, anchor: datetime | None = None) -> list[datetime]:
    """Return the next `count` firings (UTC) later than `after`, fewer if there are no more."""
    found: list[datetime] = []
    at: datetime | None = after
    while len(found) < count and at is not None:
        at = next_firing(schedule, at, anchor=anchor or after)
        if at is not None:
            found.append(at)
    return found


def latest_firings(
    schedule: Schedule, after: datetime, until: datetime, count: int, *, anchor: datetime | None = None
) -> list[datetime]:
    """Return the last `count` firings (UTC) later than `after` and not later than `until`, in order.

    The cost depends on `count`, not on the time between: a year's gap of a schedule that fires each minute is quick.
    """
    window = timedelta(hours=1)
    while True:
        start = max(after, until - window)
        found: list[datetime] = []
        at = next_firing(schedule, start, anchor=anchor or after)
        while at is not None and at <= until:
            found.append(at)
            at = next_firing(schedule, at, anchor=anchor or after)
        if len(found) >= count or start == after:
            return found[-count:] if count else []
        window *= 8


def _expand(expression: str) -> str:
    alias = expression.removeprefix("@").lower()
    if alias in ALIASES:
        return ALIASES[alias]
    if expression.startswith("@"):
        raise InvalidInputError(f"cron alias {expression!r} is not known", remedy=REMEDY)
    return expression


def _zone(name: str, text: str) -> tzinfo:
    from zoneinfo import ZoneInfo  # reads the zone files: only who names a zone pays

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInputError(
            f"cron expression {text!r} names the time zone {name!r}, which this machine does not know",
            remedy="use a name of the IANA database, like CRON_TZ=Europe/Berlin",
        ) from error


def _every(expression: str) -> timedelta:
    text = expression.removeprefix("@every ").strip()
    if not _GO_DURATION.fullmatch(text):
        raise InvalidInputError(f"{expression!r}: {text!r} is no duration", remedy="write it like @every 1h30m")
    try:
        seconds = sum(float(number) * _GO_SECONDS[unit] for number, unit in _GO_PART.findall(text))
        return max(timedelta(seconds=int(seconds)), _SECOND)
    except OverflowError as error:
        raise InvalidInputError(f"{expression!r}: the duration is too long") from error


def _rate(value: int, unit: int) -> Every:
    units = {0: "minutes", 1: "hours", 2: "days"}
    if value < 1 or unit not in units:
        raise InvalidInputError(f"a fixed rate of {value} {units.get(unit, '(unknown unit)')} never fires")
    try:
        return Every(timedelta(**{units[unit]: value}))
    except OverflowError as error:
        raise InvalidInputError(f"a fixed rate of {value} {units[unit]} is too long") from error


def _offset(text: str) -> timedelta:
    if not text:
        return timedelta()
    found = _ISO_DURATION.fullmatch(text)
    if not found:
        raise InvalidInputError(
            f"cron offset {text!r} is no ISO 8601 duration of fixed length",
            remedy="write it in weeks, days, hours, minutes and seconds, like PT1H30M",
        )
    sign, *numbers = found.groups()
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in numbers)
    try:
        shift = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise InvalidInputError(f"cron offset {text!r} is too long") from error
    return -shift if sign == "-" else shift
