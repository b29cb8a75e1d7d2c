"""Values of every supported type survive the way through a literal, and through its bytes."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NewType, Optional, Union

import pydantic
import pytest
from flyteidl.core import literals_pb2
from hypothesis import given
from hypothesis import strategies as st

from flyteform.types import check, from_plain, guess_python, parse_text, to_literal, to_plain, to_python


class Colour(enum.Enum):
    """A str enum."""

    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    """Ints and floats side by side."""

    x: int
    y: float
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Track:
    """Nested, optional, timed."""

    points: list[Point]
    by_name: dict[str, Point]
    colour: Colour
    at: datetime
    took: timedelta
    day: date
    note: str | None = None
    mixed: int | str = 0
    extra: dict = field(default_factory=dict)  # type: ignore[type-arg]


class Settings(pydantic.BaseModel):
    """A pydantic model."""

    rate: float
    layers: list[int]
    when: datetime | None = None
    colour: Colour = Colour.RED


UserId = NewType("UserId", int)

INTS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
FLOATS = st.floats(allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))])
TIMES = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001
SPANS = st.timedeltas(min_value=timedelta(days=-10_000), max_value=timedelta(days=10_000))
PLAIN = st.recursive(
    st.none() | st.booleans() | INTS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
POINTS = st.builds(Point, x=INTS, y=FLOATS, tags=st.lists(TEXT, max_size=3))
TRACKS = st.builds(
    Track,
    points=st.lists(POINTS, max_size=3),
    by_name=st.dictionaries(TEXT, POINTS, max_size=3),
    colour=st.sampled_from(Colour),
    at=TIMES,
    took=SPANS,
    day=st.dates(),
    note=st.none() | TEXT,
    mixed=INTS | TEXT,
    extra=st.dictionaries(TEXT, PLAIN, max_size=3),
)
SETTINGS = st.builds(
    Settings, rate=FLOATS, layers=st.lists(INTS), when=st.none() | TIMES, colour=st.sampled_from(Colour)
)

TYPED: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, INTS),
    (UserId, INTS),
    (float, FLOATS),
    (str, TEXT),
    (bool, st.booleans()),
    (type(None), st.none()),
    (datetime, TIMES),
    (date, st.dates()),
    (timedelta, SPANS),
    (Colour, st.sampled_from(Colour)),
    (list[int], st.lists(INTS)),
    (list[list[float]], st.lists(st.lists(FLOATS))),
    (dict[str, int], st.dictionaries(TEXT, INTS)),
    (dict[str, list[bool]], st.dictionaries(TEXT, st.lists(st.booleans()))),
    (Optional[int], st.none() | INTS),  # noqa: UP045 - users write it so
    (Union[int, str, list[str]], INTS | TEXT | st.lists(TEXT)),  # noqa: UP007 - as above
    (float | int, INTS | FLOATS),
    (list[Colour | None], st.lists(st.none() | st.sampled_from(Colour))),
    (list, st.lists(PLAIN)),
    (dict, st.dictionaries(TEXT, PLAIN)),
    (Any, PLAIN),
    (Point, POINTS),
    (Track, TRACKS),
    (list[Track], st.lists(TRACKS, max_size=2)),
    (Settings, SETTINGS),
    (Settings | None, st.none() | SETTINGS),
]
CASES = st.sampled_from(TYPED).flatmap(lambda case: st.tuples(st.just(case[0]), case[1]))


def through_bytes(value: Any, python_type: Any) -> Any:
    """Send a value the way that it takes between two tasks."""
    data = to_literal(value, python_type).SerializeToString()
    return to_python(literals_pb2.Literal.FromString(data), python_type)


@given(CASES)
def test_a_value_survives_its_literal(case: tuple[Any, Any]) -> None:
    """What a task returns is what the next one receives, type by type."""
    python_type, value = case
    received = through_bytes(value, python_type)
    assert received == check(value, python_type)
    assert type(received) is type(check(value, python_type))


@given(CASES)
def test_a_local_run_passes_what_a_platform_would(case: tuple[Any, Any]) -> None:
    """Checking alone, which is what a local run does, gives the same value as the way through a literal."""
    python_type, value = case
    checked = check(value, python_type)
    assert checked == through_bytes(checked, python_type)
    assert repr(checked) == repr(through_bytes(checked, python_type))


@given(CASES)
def test_the_plain_form_can_be_read_back(case: tuple[Any, Any]) -> None:
    """The JSON-like form that --json prints stands for the same value."""
    python_type, value = case
    assert from_plain(to_plain(value, python_type), python_type) == check(value, python_type)


@given(CASES)
def test_the_same_value_gives_the_same_bytes(case: tuple[Any, Any]) -> None:
    """Cache keys and digests need literals that do not vary."""
    python_type, value = case
    first, second = (to_literal(value, python_type).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


@given(CASES)
def test_a_client_without_the_type_can_read_it(case: tuple[Any, Any]) -> None:
    """Outputs can be printed without the code that made them."""
    python_type, value = case
    guessed = guess_python(to_literal(value, python_type))
    if python_type in (int, float, str, bool, list[int], dict[str, int], list, dict, Any, timedelta):
        assert guessed == value
    if python_type is Point:
        assert guessed == {"x": value.x, "y": value.y, "tags": value.tags}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("python_type", [float, Any, list[float]])
def test_floats_without_a_number_survive(value: float, python_type: Any) -> None:
    """Infinities and NaN are floats like others."""
    sent = [value] if python_type == list[float] else value
    assert repr(through_bytes(sent, python_type)) == repr(sent)


def test_ints_and_floats_stay_apart_in_a_dataclass() -> None:
    """A whole float comes back as float and an int as int, which Flyte's older Struct encoding could not do."""
    received = through_bytes(Point(1, 2.0), Point)
    assert (type(received.x), type(received.y)) == (int, float)


def test_an_instant_is_the_same_whatever_its_zone() -> None:
    """Times come back in UTC, and a time without a zone is taken as UTC."""
    zoned = datetime(2030, 1, 31, 6, tzinfo=timezone(timedelta(hours=2)))
    assert through_bytes(zoned, datetime) == datetime(2030, 1, 31, 4, tzinfo=UTC)
    assert through_bytes(datetime(2030, 1, 31, 6), datetime) == datetime(2030, 1, 31, 6, tzinfo=UTC)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "python_type", "expected"),
    [
        ("3", int, 3),
        ("3", float, 3.0),
        ("inf", float, math.inf),
        ("3", str, "3"),
        ("TRUE", bool, True),
        ("no", bool, False),
        ("red", Colour, Colour.RED),
        ("BLUE", Colour, Colour.BLUE),
        ("2030-01-31", date, date(2030, 1, 31)),
        ("2030-01-31T06:00:00Z", datetime, datetime(2030, 1, 31, 6, tzinfo=UTC)),
        ("90", timedelta, timedelta(seconds=90)),
        ("1h30m", timedelta, timedelta(minutes=90)),
        ("[1, 2]", list[int], [1, 2]),
        ('[1, "a", null]', list, [1, "a", None]),
        ('{"a": 1.5}', dict[str, float], {"a": 1.5}),
        ('{"x": 1, "y": 2}', Point, Point(1, 2.0)),
        ('{"rate": 1, "layers": [3]}', Settings, Settings(rate=1.0, layers=[3])),
        ("null", int | None, None),
        ("4", int | None, 4),
        ("4", str | int, 4),
        ("four", str | int, "four"),
    ],
)
def test_a_person_can_type_it(text: str, python_type: Any, expected: Any) -> None:
    """Command lines are read as a person would expect."""
    assert parse_text(text, python_type) == expected
