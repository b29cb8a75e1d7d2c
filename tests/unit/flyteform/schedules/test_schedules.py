"""When schedules fire, against robfig/cron's rules and a slow oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from flyteidl.admin import schedule_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteform.authoring.schedules import CronSchedule
from flyteform.errors import DefinitionError, InvalidInputError
from flyteform.schedules import (
    Every,
    firings,
    from_idl,
    latest_firings,
    next_firing,
    parse_schedule,
    validate_schedule,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform.schedules import Schedule

NEW_YORK = "CRON_TZ=America/New_York "


def utc(text: str) -> datetime:
    """Read an ISO time; without an offset it is UTC."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@pytest.mark.parametrize(
    ("after", "text", "expected"),
    [
        # robfig's own cases: steps, ranges, names, wrap-arounds, leap years
        ("2012-07-09T14:45", "0/15 * * * *", "2012-07-09T15:00"),
        ("2012-07-09T14:59:59", "0/15 * * * *", "2012-07-09T15:00"),
        ("2012-07-09T15:45", "20-35/15 * * * *", "2012-07-09T16:20"),
        ("2012-07-09T23:46", "*/15 * * * *", "2012-07-10T00:00"),
        ("2012-07-09T23:35:51", "20-35/15 1/2 */2 * *", "2012-07-11T01:20"),
        ("2012-07-09T23:35", "0 0 9 Apr-Oct ?", "2012-08-09T00:00"),
        ("2012-07-09T23:35", "0 0 */5 Apr,Aug,Oct Mon", "2012-08-01T00:00"),
        ("2012-07-09T23:35", "0 0 * Feb Mon", "2013-02-04T00:00"),
        ("2012-07-09T23:35", "0 0 * Feb Mon/2", "2013-02-01T00:00"),
        ("2012-12-31T23:59:45", "* * * * *", "2013-01-01T00:00"),
        ("2012-07-09T23:35", "0 0 29 Feb ?", "2016-02-29T00:00"),
        ("2096-03-01T00:00", "0 0 29 2 *", "2104-02-29T00:00"),
        ("2012-07-09T23:35", "0 0 30 Feb ?", None),
        ("2012-07-09T23:35", "0 0 31 Apr ?", None),
        # the day rule: alternatives unless one of both is a star
        ("2012-07-14T23:59", "* * 1,15 * Sun", "2012-07-15T00:00"),
        ("2012-06-14T23:59", "0 0 1,15 * Sun", "2012-06-15T00:00"),
        ("2012-07-02T00:00", "0 0 1,15 * *", "2012-07-15T00:00"),
        ("2012-07-15T00:00", "0 0 * * SUN", "2012-07-22T00:00"),
        ("2012-07-15T00:00", "0 0 ? * 0", "2012-07-22T00:00"),
        # daylight saving: skipped local times do not fire, repeated ones fire twice
        ("2012-03-11T00:00-05:00", NEW_YORK + "30 2 11 Mar ?", "2013-03-11T02:30-04:00"),
        ("2012-03-11T01:00-05:00", NEW_YORK + "0 * * * ?", "2012-03-11T03:00-04:00"),
        ("2012-03-11T01:00-05:00", NEW_YORK + "0 1 * * ?", "2012-03-12T01:00-04:00"),
        ("2012-03-11T00:00-05:00", NEW_YORK + "0 2 * * ?", "2012-03-12T02:00-04:00"),
        ("2012-11-04T01:00-04:00", NEW_YORK + "0 * * * ?", "2012-11-04T01:00-05:00"),
        ("2012-11-04T01:00-05:00", NEW_YORK + "0 * * * ?", "2012-11-04T02:00-05:00"),
        ("2012-11-04T01:45-04:00", "TZ=America/New_York 30 1 04 Nov ?", "2012-11-04T01:30-05:00"),
        # descriptors and the names that flytekit accepts
        ("2012-07-09T15:04", "@hourly", "2012-07-09T16:00"),
        ("2012-07-09T15:04", "hours", "2012-07-09T16:00"),
        ("2012-07-09T15:04", "@midnight", "2012-07-10T00:00"),
        ("2012-07-09T15:04", "weekly", "2012-07-15T00:00"),
        ("2012-07-09T15:04", "@monthly", "2012-08-01T00:00"),
        ("2012-07-09T15:04", NEW_YORK + "@annually", "2013-01-01T05:00"),
        ("2012-07-09T15:04:05.7", "@every 1h30m", "2012-07-09T16:34:05"),
        ("2012-07-09T15:04:05", "@every 300ms", "2012-07-09T15:04:06"),
    ],
)
def test_next_firing_follows_the_rules_of_robfig_cron(after: str, text: str, expected: str | None) -> None:
    """The next firing is the one that Flyte's scheduler computes."""
    assert next_firing(parse_schedule(text), utc(after)) == (None if expected is None else utc(expected))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("* * * *", "4 fields"),
        ("0/15 * * * ? *", "6 fields"),
        ("60 * * * *", "minute '60' is not within 0-59"),
        ("* 24 * * *", "hour '24' is not within 0-23"),
        ("* * 0 * *", "day of month '0' is not within 1-31"),
        ("* * * 13 *", "month '13' is not within 1-12"),
        ("* * * * 7", "day of week '7' is not within 0-6"),
        ("* * * foo *", "month 'foo' is no number"),
        ("* * * * -1", "day of week '' is no number"),
        ("5-1 * * * *", "ends before it begins"),
        ("*/0 * * * *", "step 0"),
        ("*-5 * * * *", "range of stars"),
        (", * * * *", "names no value"),
        ("@reboot", "not known"),
        ("@every 5 minutes", "no duration"),
        ("CRON_TZ=Mars/Olympus @daily", "time zone 'Mars/Olympus'"),
        ("CRON_TZ=../../etc/passwd @daily", "time zone"),
    ],
)
def test_wrong_text_is_refused_with_what_is_wrong(text: str, what: str) -> None:
    """Every refused text gets one message that names the part that is wrong."""
    with pytest.raises(InvalidInputError) as refused:
        validate_schedule(text)
    assert what in refused.value.message


def test_an_offset_moves_every_firing() -> None:
    """A cron offset is added to each instant, also across the day's end."""
    late = parse_schedule("0 23 * * *", offset="PT1H30M")
    early = parse_schedule("0 0 * * *", offset="-PT15M")
    assert next_firing(late, utc("2024-05-01T00:00")) == utc("2024-05-01T00:30")
    assert next_firing(late, utc("2024-05-01T00:30")) == utc("2024-05-02T00:30")
    assert next_firing(early, utc("2024-05-01T12:00")) == utc("2024-05-01T23:45")
    with pytest.raises(InvalidInputError, match="P1M"):
        parse_schedule("@daily", offset="P1M")


def test_launch_plan_schedules_of_every_kind_are_read() -> None:
    """All three forms of Flyte's message, and none, become what fires."""
    after = utc("2024-05-01T10:07:30")
    cron = schedule_pb2.Schedule(cron_schedule=schedule_pb2.CronSchedule(schedule="@daily", offset="PT1M"))
    old = schedule_pb2.Schedule(cron_expression="0 12 * * *")
    rate = schedule_pb2.Schedule(rate=schedule_pb2.FixedRate(value=2, unit=schedule_pb2.HOUR))
    kinds = [from_idl(message) for message in (cron, old, rate)]
    assert [next_firing(kind, after) for kind in kinds if kind] == [
        utc("2024-05-02T00:01"),
        utc("2024-05-01T12:00"),
        utc("2024-05-01T12:07:30"),
    ]
    assert from_idl(schedule_pb2.Schedule()) is None
    with pytest.raises(InvalidInputError, match="never fires"):
        from_idl(schedule_pb2.Schedule(rate=schedule_pb2.FixedRate(value=0, unit=schedule_pb2.DAY)))


NUMBERS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> tuple[str, set[int], bool]:
    """Draw a cron field with the numbers that it means and whether it counts as a star."""
    kind = draw(st.sampled_from(["star", "question", "one", "list", "range", "step", "from", "range-step"]))
    one, other = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
    step = draw(st.integers(2, 20))
    everything = set(range(low, high + 1))
    return {
        "star": ("*", everything, True),
        "question": ("?", everything, True),
        "one": (f"{one}", {one}, False),
        "list": (f"{other},{one}", {one, other}, False),
        "range": (f"{one}-{other}", set(range(one, other + 1)), False),
        "step": (f"*/{step}", set(range(low, high + 1, step)), False),
        "from": (f"{one}/{step}", set(range(one, high + 1, step)), False),
        "range-step": (f"{one}-{other}/{step}", set(range(one, other + 1, step)), False),
    }[kind]


ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Santiago"]
# Around changes of daylight saving in these zones, and anywhere else.
CHANGES = ["2024-03-10T05:00", "2024-11-03T04:00", "2024-03-30T22:00", "2024-04-06T13:00"]
MOMENTS = st.one_of(
    st.integers(1_600_000_000, 1_800_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.sampled_from([utc(text) for text in CHANGES]),
)


@settings(max_examples=200, deadline=None)
@given(st.tuples(*(fields(*bounds) for bounds in NUMBERS.values())), MOMENTS, st.sampled_from(ZONES))
def test_a_firing_is_the_first_minute_whose_local_time_matches(
    drawn: tuple[tuple[str, set[int], bool], ...], after: datetime, zone: str
) -> None:
    """Within three days, the next firing is the one that looking at every minute in turn finds."""
    (_, minutes, _), (_, hours, _), (_, days, any_day), (_, months, _), (_, weekdays, any_weekday) = drawn
    schedule = parse_schedule(f"CRON_TZ={zone} " + " ".join(text for text, _, _ in drawn))
    minute = after.replace(second=0, microsecond=0)
    expected = None
    for _ in range(3 * 24 * 60):
        minute += timedelta(minutes=1)
        local = minute.astimezone(ZoneInfo(zone))
        by_day, by_weekday = local.day in days, local.isoweekday() % 7 in weekdays
        on_day = by_day and by_weekday if any_day or any_weekday else by_day or by_weekday
        if on_day and local.month in months and local.hour in hours and local.minute in minutes:
            expected = minute
            break
    found = next_firing(schedule, after)
    assert found == expected if expected else found is None or found > minute


def walk(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """Go from firing to firing."""
    at = next_firing(schedule, after, anchor=after)
    while at is not None and at <= until:
        yield at
        at = next_firing(schedule, at, anchor=after)


@settings(deadline=None)
@given(
    st.sampled_from(["*/7 * * * *", "0 3 * * 1", "0 0 31 * *", "@every 45m", "@every 7s", NEW_YORK + "30 1 * * *"]),
    MOMENTS,
    st.integers(0, 3 * 24 * 3600),
    st.integers(1, 5),
)
def test_the_latest_firings_are_the_end_of_all_firings(text: str, after: datetime, seconds: int, count: int) -> None:
    """Looking back gives the same instants as walking forward through all of them."""
    until = after + timedelta(seconds=seconds)
    schedule = parse_schedule(text)
    walked = list(walk(schedule, after, until)) if seconds < 9000 else None
    latest = latest_firings(schedule, after, until, count)
    assert latest == sorted(latest)
    assert all(after < at <= until for at in latest)
    if walked is not None:
        assert latest == walked[-count:]
    elif len(latest) == count:
        assert next_firing(schedule, latest[-1], anchor=after) > until  # type: ignore[operator] - these never end


def test_a_fixed_rate_counts_from_its_activation() -> None:
    """Firings lie on the activation plus whole intervals, whatever time is asked for."""
    anchor = utc("2024-05-01T10:07:30.9")
    rate = Every(timedelta(minutes=10))
    assert next_firing(rate, anchor, anchor=anchor) == utc("2024-05-01T10:17:30")
    assert next_firing(rate, utc("2024-05-01T11:00"), anchor=anchor) == utc("2024-05-01T11:07:30")
    assert next_firing(rate, utc("2024-05-01T11:07:30"), anchor=anchor) == utc("2024-05-01T11:17:30")
    assert firings(rate, anchor, 2) == [utc("2024-05-01T10:17:30"), utc("2024-05-01T10:27:30")]


def test_a_declared_schedule_is_checked_where_it_is_declared() -> None:
    """The author gets the scheduler's own verdict, with file and line."""
    assert CronSchedule("@every 90s").schedule == "@every 90s"
    with pytest.raises(DefinitionError, match=r"test_schedules\.py:\d+: CronSchedule: .*day of week '7'"):
        CronSchedule("0 0 * * 7")
