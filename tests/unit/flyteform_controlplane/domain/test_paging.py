"""Filters, sort keys and tokens of list requests, as they are parsed."""

from __future__ import annotations

import pytest
from flyteidl.admin.common_pb2 import ResourceListRequest, Sort
from hypothesis import given
from hypothesis import strategies as st

from flyteform_controlplane.domain.filters import Entity, Filter, Function, Query, parse_filters
from flyteform_controlplane.domain.paging import next_token, parse_query
from flyteform_controlplane.errors import InvalidArgumentError

names = st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True)
# What a value may be without meaning something in the grammar itself.
values = st.text(st.characters(codec="utf-8", exclude_characters=";+"), min_size=1).filter(lambda text: text.strip())
single = st.builds(Filter, st.sampled_from([Function.EQUAL, Function.LESS]), st.none(), names, st.tuples(values))
several = st.builds(Filter, st.just(Function.IN), st.none(), names, st.lists(values, min_size=1, max_size=4).map(tuple))


def text_of(one: Filter) -> str:
    """Write the filter as a client does."""
    return f"{one.function.value}({one.field},{';'.join(one.values)})"


@given(st.lists(single | several, min_size=1, max_size=4))
def test_filters_are_read_as_clients_write_them(filters: list[Filter]) -> None:
    """Whatever a value contains (brackets, commas, quotes, line ends), it comes back, but for space at its edges."""
    found = parse_filters("+".join(map(text_of, filters)), Entity.TASK)
    assert [(one.function, one.field) for one in found] == [(one.function, one.field) for one in filters]
    for one, expected in zip(found, filters, strict=True):
        assert [value.strip() for value in one.values] == [value.strip() for value in expected.values]


@given(filters=st.text(), token=st.text(), key=st.text(), limit=st.integers(0, 2**32 - 1))
def test_no_text_breaks_the_parser(filters: str, token: str, key: str, limit: int) -> None:
    """Any request gives a query or INVALID_ARGUMENT."""
    request = ResourceListRequest(limit=limit, token=token, filters=filters, sort_by=Sort(key=key))
    try:
        query = parse_query(request, Entity.EXECUTION)
    except InvalidArgumentError:
        return
    assert query.limit == limit
    assert query.offset == int(token or 0)


@given(offset=st.integers(0, 10**18 - 1), limit=st.integers(1, 1000), count=st.integers(0, 1000))
def test_tokens_lead_from_page_to_page(offset: int, limit: int, count: int) -> None:
    """The token of a full page is where the next begins; a page that is not full is the last."""
    rows = range(min(count, limit))
    token = next_token(Query(limit=limit, offset=offset), rows)
    if len(rows) < limit:
        assert token == ""
    else:
        assert token == str(offset + limit)


@pytest.mark.parametrize("token", ["-1", "1.5", "0x1", "\u0661", "1 ", "9" * 19, "1; DROP TABLE executions"])
def test_what_is_no_token_is_refused(token: str) -> None:
    """Only decimal numbers that fit a database's integers are tokens."""
    with pytest.raises(InvalidArgumentError, match="invalid pagination token"):
        parse_query(ResourceListRequest(limit=1, token=token), Entity.TASK)
