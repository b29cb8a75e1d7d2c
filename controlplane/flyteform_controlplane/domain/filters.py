"""The filter language of all list methods: `func(field,value)` joined by `+`, parsed to plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from flyteform_controlplane.errors import InvalidArgumentError


class Function(Enum):
    """What is asked of a field; the value is the word in the request."""

    EQUAL = "eq"
    NOT_EQUAL = "ne"
    GREATER = "gt"
    GREATER_OR_EQUAL = "gte"
    LESS = "lt"
    LESS_OR_EQUAL = "lte"
    CONTAINS = "contains"
    NOT_LIKE = "not_like"
    IN = "value_in"
    NOT_IN = "value_not_in"


class Entity(Enum):
    """What a field belongs to; the value is the prefix in the request."""

    TASK = "task"
    WORKFLOW = "workflow"
    LAUNCH_PLAN = "launch_plan"
    EXECUTION = "execution"
    NODE_EXECUTION = "node_execution"
    TASK_EXECUTION = "task_execution"
    NAMED_ENTITY = "entities"
    NAMED_ENTITY_METADATA = "named_entity_metadata"
    PROJECT = "project"
    SIGNAL = "signal"
    EXECUTION_TAG = "execution_tag"
    DESCRIPTION_ENTITY = "description_entity"


# Older names of the same thing, which clients still send.
_FORMER_FIELDS = {
    "admin_tag.name": (Entity.EXECUTION_TAG, "key"),
    "execution_admin_tag.name": (Entity.EXECUTION_TAG, "key"),
    "execution_admin_tag.key": (Entity.EXECUTION_TAG, "key"),
}

# What one statement of a database can hold without doubt.
MAX_FILTERS = 100
MAX_VALUES = 10_000

_MULTIPLE = frozenset({Function.IN, Function.NOT_IN})
_CALL = re.compile(r"(\w+)\(([^(),]+),\s?(.+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition: `entity` None means what is listed; `values` are texts as they were sent, one or more."""

    function: Function
    entity: Entity | None
    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """An order by one field of what is listed."""

    field: str
    ascending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """One page of a list: conditions that all hold, an order or None, and `limit` rows from `offset` on."""

    filters: tuple[Filter, ...] = ()
    sort: Sort | None = None
    limit: int = 100
    offset: int = 0

    def constrains(self, field: str) -> bool:
        """Say whether the caller filters by this field of what is listed."""
        return any(one.entity is None and one.field == field for one in self.filters)


def parse_filters(text: str, listed: Entity) -> tuple[Filter, ...]:
    """Parse the filters of a request for a list of `listed`; `InvalidArgumentError` names the part that is wrong."""
    if not text:
        return ()
    # A `+` inside a value (a zone offset) does not follow a bracket.
    filters = tuple(_parse_one(part, listed) for part in re.split(r"(?<=\))\+", text))
    if len(filters) > MAX_FILTERS or sum(len(one.values) for one in filters) > MAX_VALUES:
        raise InvalidArgumentError(
            f"too many filters: at most {MAX_FILTERS}, with {MAX_VALUES} values together, can be asked for",
            remedy="ask several times",
        )
    return filters


def _parse_one(text: str, listed: Entity) -> Filter:
    match = _CALL.fullmatch(text.strip())
    if match is None:
        raise InvalidArgumentError(
            f"invalid filter expression: {text}", remedy="write func(field,value), several joined by +"
        )
    word, field, value = match.groups()
    try:
        function = Function(word)
    except ValueError:
        known = ", ".join(one.value for one in Function)
        raise InvalidArgumentError(f"unrecognized filter function: {word}", remedy=f"use one of {known}") from None
    entity, column = _resolve(field.strip(), listed)
    values = tuple(value.split(";")) if function in _MULTIPLE else (value,)
    return Filter(function, entity, column, values)


def _resolve(field: str, listed: Entity) -> tuple[Entity | None, str]:
    if field in _FORMER_FIELDS:
        return _FORMER_FIELDS[field]
    prefix, dot, column = field.rpartition(".")
    if not dot:
        return None, field
    try:
        entity = Entity(prefix)
    except ValueError:
        raise InvalidArgumentError(f"unrecognized filter entity: {prefix}") from None
    return (None if entity is listed else entity), column
