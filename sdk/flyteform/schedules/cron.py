"""Five-field cron: its text to sets of numbers, and the instants that these match.

The rules are those of robfig/cron v3's standard parser, which Flyte's scheduler uses: `?` is `*`, `N/step` runs to
the end of the field, Sunday is 0 only, and day of month and day of week are alternatives when neither is a star.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The longest gap that a satisfiable expression has: 29 February across a year 2100 without one.
SEARCH_DAYS: Final = 8 * 366 + 1
FIELDS: Final = 5
REMEDY: Final = (
    "Write five fields (minute hour day-of-month month day-of-week), an alias like @hourly, or @every 1h30m."
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field's name, its smallest and largest number, and the names that some numbers have."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]


def _numbered(words: str, first: int) -> dict[str, int]:
    return {word: number for number, word in enumerate(words.split(), first)}


MINUTE: Final = Field("minute", 0, 59, {})
HOUR: Final = Field("hour", 0, 23, {})
DAY: Final = Field("day of month", 1, 31, {})
MONTH: Final = Field("month", 1, 12, _numbered("jan feb mar apr may jun jul aug sep oct nov dec", 1))
WEEKDAY: Final = Field("day of week", 0, 6, _numbered("sun mon tue wed thu fri sat", 0))


@dataclass(frozen=True, slots=True)
class CronFields:
    """What an expression matches, in local time of `zone`; weekdays count from Sunday = 0."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    zone: tzinfo

    def next_after(self, after: datetime) -> datetime | None:
        """Return the first matching instant (UTC) later than `after`, or None if there is none in eight years."""
        local = after.astimezone(self.zone)
        day, floor = local.date(), local.time()
        for _ in range(SEARCH_DAYS):
            if self.matches(day):
                found = next((instant for instant in self._instants(day, floor) if instant > after), None)
                if found is not None:
                    return found
            day, floor = day + timedelta(days=1), time()
        return None

    def matches(self, day: date) -> bool:
        """Say whether this local date is one of the schedule's."""
        if day.month not in self.months:
            return False
        by_date, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_date or by_weekday if self.either_day else by_date and by_weekday

    def _instants(self, day: date, floor: time) -> Iterator[datetime]:
        """Yield this date's instants in order of time; those before the local time `floor` may be left out.

        A local time that daylight saving skips has no instant; one that it repeats has two.
        """
        start = datetime.combine(day, time(), self.zone)
        if start.utcoffset() == (start + timedelta(days=1)).utcoffset():
            yield from (wall.astimezone(UTC) for wall in self._walls(start, floor.hour))
            return
        yield from sorted(
            {
                at
                for wall in self._walls(start, 0)
                for at in (wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
                # Astimezone answers for skipped times too: with another local time than was asked for.
                if at.astimezone(self.zone).replace(tzinfo=None, fold=0) == wall.replace(tzinfo=None)
            }
        )

    def _walls(self, start: datetime, first_hour: int) -> Iterator[datetime]:
        hours = (hour for hour in self.hours if hour >= first_hour)
        return (start.replace(hour=hour, minute=minute) for hour in hours for minute in self.minutes)


def parse_fields(text: str, zone: tzinfo) -> CronFields:
    """Parse five fields; `InvalidInputError` says which field is wrong and how."""
    parts = text.split()
    if len(parts) != FIELDS:
        raise InvalidInputError(f"cron expression {text!r} has {len(parts)} fields, not {FIELDS}", remedy=REMEDY)
    (minutes, _), (hours, _), (days, any_day), (months, _), (weekdays, any_weekday) = (
        _parse_field(part, field, text) for part, field in zip(parts, (MINUTE, HOUR, DAY, MONTH, WEEKDAY), strict=True)
    )
    return CronFields(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=weekdays,
        either_day=not any_day and not any_weekday,
        zone=zone,
    )


def _parse_field(part: str, field: Field, text: str) -> tuple[frozenset[int], bool]:
    """Return the numbers of a field, and whether a star is among its items."""
    numbers: set[int] = set()
    starred = False
    items = [item for item in part.split(",") if item]
    if not items:
        raise _wrong(text, field, part, "names no value")
    for item in items:
        values, star = _parse_item(item, field, text)
        numbers.update(values)
        starred = starred or star
    return frozenset(numbers), starred


def _parse_item(item: str, field: Field, text: str) -> tuple[range, bool]:
    span, slash, step_text = item.partition("/")
    step = _number(step_text, field, text, {}) if slash else 1
    if step == 0:
        raise _wrong(text, field, item, "has the step 0")
    low_text, dash, high_text = span.partition("-")
    if low_text in {"*", "?"}:
        if dash:
            raise _wrong(text, field, item, "has a range of stars")
        # A star with a step is a list of numbers: it restricts, so it takes part in the either-day rule.
        return range(field.low, field.high + 1, step), step == 1
    low = _number(low_text, field, text, field.names)
    high = _number(high_text, field, text, field.names) if dash else field.high if slash else low
    if low < field.low or high > field.high:
        raise _wrong(text, field, item, f"is not within {field.low}-{field.high}")
    if low > high:
        raise _wrong(text, field, item, "ends before it begins")
    return range(low, high + 1, step), False


def _number(word: str, field: Field, text: str, names: Mapping[str, int]) -> int:
    named = names.get(word.lower())
    if named is not None:
        return named
    if not (word.isascii() and word.isdigit()):
        raise _wrong(text, field, word, "is no number")
    return int(word)


def _wrong(text: str, field: Field, part: str, why: str) -> InvalidInputError:
    return InvalidInputError(f"cron expression {text!r}: {field.name} {part!r} {why}", remedy=REMEDY)
