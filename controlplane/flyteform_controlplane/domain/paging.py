"""Limit, token, sort and filters of a list request, checked and put into a `Query`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flyteidl.admin.common_pb2 import Sort as SortMessage

from flyteform_controlplane.domain.filters import Entity, Query, Sort, parse_filters
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sized

# Rows that a request without a limit gets where the contract allows that.
UNLIMITED = 1_000_000
_TOKEN_DIGITS = 18


class ListRequest(Protocol):
    """What all list requests have in common."""

    @property
    def limit(self) -> int: ...  # noqa: D102 - named by the contract

    @property
    def token(self) -> str: ...  # noqa: D102 - named by the contract

    @property
    def sort_by(self) -> SortMessage: ...  # noqa: D102 - named by the contract


def parse_query(request: ListRequest, listed: Entity, *, needs_limit: bool = True) -> Query:
    """Return the query that a list request asks for; `InvalidArgumentError` for any part that is wrong."""
    if request.limit < 1 and needs_limit:
        raise InvalidArgumentError("invalid value for limit", remedy="give a limit of 1 or more")
    sort = None
    if request.sort_by.key:
        key = request.sort_by.key.removeprefix(f"{listed.value}.")
        sort = Sort(key, ascending=request.sort_by.direction == SortMessage.ASCENDING)
    return Query(
        filters=parse_filters(getattr(request, "filters", ""), listed),
        sort=sort,
        limit=request.limit or UNLIMITED,
        offset=page_offset(request.token),
    )


def next_token(query: Query, rows: Sized) -> str:
    """Return the token of the following page: "" when this one did not come back full."""
    return str(query.offset + len(rows)) if len(rows) == query.limit else ""


def page_offset(token: str) -> int:
    """Return where the page of a token begins; `InvalidArgumentError` if it is none."""
    if not token:
        return 0
    # Longer numbers do not fit the databases' integers.
    if not token.isascii() or not token.isdigit() or len(token) > _TOKEN_DIGITS:
        raise InvalidArgumentError(f"invalid pagination token: {token}", remedy="send the token of the page before")
    return int(token)
