"""Filters and orders of a `Query` as SQLAlchemy expressions: columns are looked up, values are bound."""

from __future__ import annotations

import math
import operator
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Select, String, Table, Text, and_, cast, exists, not_

from flyteform_controlplane.domain.filters import Entity, Filter, Function, Query
from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.store import tables
from flyteform_controlplane.store.types import UtcDateTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement

_TABLES = {
    Entity.TASK: tables.tasks,
    Entity.WORKFLOW: tables.workflows,
    Entity.LAUNCH_PLAN: tables.launch_plans,
    Entity.EXECUTION: tables.executions,
    Entity.NODE_EXECUTION: tables.node_executions,
    Entity.EXECUTION_TAG: tables.execution_tags,
    Entity.NAMED_ENTITY_METADATA: tables.named_entity_metadata,
}


def _same(one: Table, other: Table, columns: tuple[str, ...]) -> ColumnElement[bool]:
    return and_(*(one.c[name] == other.c[name] for name in columns))


_NODE_KEY = (*tables.EXECUTION_KEY, "node_id")
_TASK_KEY = ("project", "domain", "name", "version")

# What may be asked of a related entity: (listed table, entity) → the condition that relates them.
_RELATIONS: dict[tuple[str, Entity], ColumnElement[bool]] = {
    ("executions", Entity.LAUNCH_PLAN): tables.executions.c.launch_plan_id == tables.launch_plans.c.id,
    ("executions", Entity.WORKFLOW): tables.executions.c.workflow_id == tables.workflows.c.id,
    ("executions", Entity.TASK): tables.executions.c.task_id == tables.tasks.c.id,
    ("executions", Entity.EXECUTION_TAG): _same(tables.executions, tables.execution_tags, tables.EXECUTION_KEY),
    ("launch_plans", Entity.WORKFLOW): tables.launch_plans.c.workflow_id == tables.workflows.c.id,
    ("node_executions", Entity.EXECUTION): _same(tables.node_executions, tables.executions, tables.EXECUTION_KEY),
    ("task_executions", Entity.EXECUTION): _same(tables.task_executions, tables.executions, tables.EXECUTION_KEY),
    ("task_executions", Entity.NODE_EXECUTION): _same(tables.task_executions, tables.node_executions, _NODE_KEY),
    ("task_executions", Entity.TASK): _same(tables.task_executions, tables.tasks, _TASK_KEY),
}

_COMPARISONS: dict[Function, Callable[[Any, Any], Any]] = {
    Function.EQUAL: operator.eq,
    Function.NOT_EQUAL: operator.ne,
    Function.GREATER: operator.gt,
    Function.GREATER_OR_EQUAL: operator.ge,
    Function.LESS: operator.lt,
    Function.LESS_OR_EQUAL: operator.le,
}


def apply_query(statement: Select[Any], table: Table, query: Query) -> Select[Any]:
    """Add the conditions, the order and the page of a query to a select from the table."""
    for one in query.filters:
        statement = statement.where(condition(one, table))
    if query.sort is not None:
        column = table.c.get(query.sort.field)
        if column is None:
            raise InvalidArgumentError(f"invalid sort key '{query.sort.field}'")
        statement = statement.order_by(column.asc() if query.sort.ascending else column.desc())
    # Rows that the order leaves equal must not change places between two pages.
    return statement.order_by(table.c.id).limit(query.limit).offset(query.offset)


def condition(one: Filter, table: Table) -> ColumnElement[bool]:
    """Return the condition of a filter on a table; `InvalidArgumentError` if there is no such column or relation."""
    if one.entity is None:
        return compare(one, column_of(table, one.field))
    relation = _RELATIONS.get((table.name, one.entity))
    if relation is None:
        raise InvalidArgumentError(f"cannot filter {table.name} by {one.entity.value}")
    other = _TABLES[one.entity]
    return exists().where(relation, compare(one, column_of(other, one.field))).correlate(table)


def column_of(table: Table, field: str) -> Column[Any]:
    """Return a column that can be compared with a text."""
    column = table.c.get(field)
    if column is None or isinstance(column.type, LargeBinary):
        raise InvalidArgumentError(f"'{table.name}.{field}' is invalid filter")
    return column


def compare(one: Filter, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the comparison of a column or expression with the filter's values, all of them bound."""
    match one.function:
        case Function.CONTAINS:
            return _text(column).contains(one.values[0], autoescape=True)
        case Function.NOT_LIKE:
            return not_(_text(column).like(one.values[0]))
        case Function.IN:
            return column.in_([_value(column, text) for text in one.values])
        case Function.NOT_IN:
            return column.not_in([_value(column, text) for text in one.values])
        case function:
            result: ColumnElement[bool] = _COMPARISONS[function](column, _value(column, one.values[0]))
            return result


def _text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return column if isinstance(column.type, String) else cast(column, Text)


def _value(column: ColumnElement[Any], text: str) -> str | int | datetime:
    """Turn a filter's text into a value of the column's type."""
    try:
        if isinstance(column.type, UtcDateTime):
            return _time(text)
        if getattr(column, "name", "") == "duration":
            return _nanoseconds(text)
        if isinstance(column.type, (Integer, BigInteger)):
            return _integer(text)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(f"invalid value '{text}' for {getattr(column, 'name', 'filter')}") from None
    return text


def _integer(text: str) -> int:
    value = int(text)
    if abs(value) >= 2**63:
        raise OverflowError(text)
    return value


def _time(text: str) -> datetime:
    value = datetime.fromisoformat(text.strip())
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)")


def _nanoseconds(text: str) -> int:
    """Read seconds ("200", "0.5") or a Go duration ("1h2m3.5s")."""
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.removeprefix("-"):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) * (-1 if text.startswith("-") else 1)
    else:
        seconds = float(text)
    if not math.isfinite(seconds):
        raise OverflowError(text)
    return _integer(str(round(seconds * 1e9)))
