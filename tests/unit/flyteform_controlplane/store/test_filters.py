"""Filters never become SQL text, whatever they contain."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from flyteform_controlplane.domain.filters import Entity, Filter, Function, Query, Sort, parse_filters
from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.store.sql.filters import apply_query, condition
from flyteform_controlplane.store.tables import executions, tasks
from support.admin import PROJECT, open_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Dialect

INJECTIONS = [
    "'; DROP TABLE tasks; --",
    "x' OR '1'='1",
    'x" OR 1=1 --',
    "1) OR 1=1 --",
    "name) UNION SELECT closure FROM tasks --",
    ":name",
    "?",
    "%s",
    "$1",
    "\\",
    "\x00",
]
hostile = st.one_of(st.sampled_from(INJECTIONS), st.text(min_size=1, max_size=40))
DIALECTS: tuple[Dialect, ...] = (sqlite.dialect(), postgresql.dialect())


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    """Give a directory for the whole module, as hypothesis runs many examples in one test."""
    with tempfile.TemporaryDirectory() as path:
        yield path


@given(function=st.sampled_from(Function), value=hostile)
def test_values_are_bound_and_never_part_of_the_statement(function: Function, value: str) -> None:
    """For every function and any value the statement's text is the same as for a harmless value."""
    for dialect in DIALECTS:
        harmless = str(condition(Filter(function, None, "name", ("harmless",)), tasks).compile(dialect=dialect))
        found = condition(Filter(function, None, "name", (value,)), tasks).compile(dialect=dialect)
        assert str(found) == harmless
        assert any(value.replace("/", "//") in str(bound) or value in _texts(bound) for bound in found.params.values())


def _texts(bound: object) -> list[str]:
    if isinstance(bound, list):
        return [str(one) for one in bound]
    plain = str(bound)
    for escaped in ("/%", "/_", "//"):
        plain = plain.replace(escaped, escaped[1:])
    return [plain]


@given(field=hostile)
def test_fields_and_sort_keys_are_columns_or_refused(field: str) -> None:
    """A field that is no column of the table is INVALID_ARGUMENT, in filters and in sorts."""
    if field in tasks.c:
        return
    with pytest.raises(InvalidArgumentError):
        condition(Filter(Function.EQUAL, None, field, ("x",)), tasks)
    with pytest.raises(InvalidArgumentError):
        apply_query(select(tasks.c.id), tasks, Query(sort=Sort(field, ascending=True)))


@given(text=st.one_of(hostile, st.builds("{0}({1},{2})".format, hostile, hostile, hostile)))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """The parser answers nothing but filters or INVALID_ARGUMENT."""
    try:
        assert all(isinstance(one, Filter) for one in parse_filters(text, Entity.TASK))
    except InvalidArgumentError as refusal:
        assert refusal.message  # noqa: PT017 - both outcomes are right


@settings(max_examples=25, deadline=None)
@given(function=st.sampled_from(Function), value=hostile.filter(lambda value: "\x00" not in value))
def test_hostile_filters_select_rows_and_change_none(function: Function, value: str, directory: str) -> None:
    """Run on a real database, such a value finds what it says and the table is still there and whole."""
    asyncio.run(_list_and_count(directory, f"{function.value}(name,{value})"))


async def _list_and_count(directory: str, filters: str) -> None:
    from pathlib import Path

    from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest

    async with open_world(Path(directory)) as world:
        names = NamedEntityIdentifier(project=PROJECT, domain="development")
        if not (await world.admin.ListTasks(ResourceListRequest(id=names, limit=9), None)).tasks:
            await world.register_task("t")
        await world.admin.ListTasks(ResourceListRequest(id=names, limit=9, filters=filters), None)
        assert len((await world.admin.ListTasks(ResourceListRequest(id=names, limit=9), None)).tasks) == 1


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("200", 200_000_000_000), ("0.5", 500_000_000), ("1h2m3.5s", 3_723_500_000_000), ("10ms", 10_000_000)],
)
def test_durations_are_seconds_or_as_go_writes_them(text: str, nanoseconds: int) -> None:
    """Clients filter durations by seconds or by Go's text."""
    found = condition(Filter(Function.LESS, None, "duration", (text,)), executions).compile(dialect=DIALECTS[0])
    assert list(found.params.values()) == [nanoseconds]


@pytest.mark.parametrize("text", ["inf", "nan", "1e400", "soon", "1h2", ""])
def test_other_durations_are_refused(text: str) -> None:
    """What is no duration is INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgumentError):
        condition(Filter(Function.LESS, None, "duration", (text,)), executions)
