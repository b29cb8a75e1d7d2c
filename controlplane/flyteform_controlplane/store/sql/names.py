"""The names of tasks, workflows and launch plans: distinct over versions, joined with their metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.common_pb2 import NAMED_ENTITY_ACTIVE
from flyteidl.core.identifier_pb2 import ResourceType
from sqlalchemy import Table, and_, func, select

from flyteform_controlplane.domain.filters import Entity
from flyteform_controlplane.domain.records import NamedEntityRecord
from flyteform_controlplane.errors import InvalidArgumentError
from flyteform_controlplane.store import tables
from flyteform_controlplane.store.sql.filters import column_of, compare

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Select, Subquery
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.filters import Filter, Query

_TABLES: dict[int, Table] = {
    ResourceType.TASK: tables.tasks,
    ResourceType.WORKFLOW: tables.workflows,
    ResourceType.LAUNCH_PLAN: tables.launch_plans,
}
_METADATA = tables.named_entity_metadata


class SqlNames:
    """Names of all versions, each once."""

    async def identifiers(
        self, tx: AsyncConnection, resource_type: ResourceType, project: str, domain: str, query: Query
    ) -> Sequence[tuple[str, str, str]]:
        """Return a page of (project, domain, name)."""
        table = _table(resource_type)
        names = _distinct(table, project, domain, [_own(one, table) for one in query.filters])
        rows = await tx.execute(_page(select(names), dict(names.c.items()), query))
        return [(row.project, row.domain, row.name) for row in rows]

    async def entities(
        self, tx: AsyncConnection, resource_type: ResourceType, project: str, domain: str, query: Query
    ) -> Sequence[NamedEntityRecord]:
        """Return a page of names with what is known of them."""
        names = _distinct(_table(resource_type), project, domain, [])
        columns = _columns(names)
        keys = and_(
            _METADATA.c.resource_type == resource_type,
            *(_METADATA.c[name] == names.c[name] for name in ("project", "domain", "name")),
        )
        statement = select(*columns.values()).select_from(names.outerjoin(_METADATA, keys))
        for one in query.filters:
            statement = statement.where(_known(one, columns))
        rows = await tx.execute(_page(statement, columns, query))
        return [NamedEntityRecord(resource_type=resource_type, **row._mapping) for row in rows]  # noqa: SLF001 - public, in spite of its name

    async def exists(
        self, tx: AsyncConnection, resource_type: ResourceType, project: str, domain: str, name: str
    ) -> bool:
        """Say whether any version has that name."""
        table = _table(resource_type)
        statement = select(table.c.id).where(table.c.project == project, table.c.domain == domain, table.c.name == name)
        return (await tx.execute(statement.limit(1))).first() is not None


def _table(resource_type: ResourceType) -> Table:
    table = _TABLES.get(resource_type)
    if table is None:
        raise InvalidArgumentError("invalid value for resource_type", remedy="use TASK, WORKFLOW or LAUNCH_PLAN")
    return table


def _distinct(table: Table, project: str, domain: str, conditions: list[ColumnElement[bool]]) -> Subquery:
    columns = table.c.project, table.c.domain, table.c.name
    within = table.c.project == project, table.c.domain == domain
    return select(*columns).where(*within, *conditions).distinct().subquery("entities")


def _columns(names: Subquery) -> dict[str, ColumnElement[Any]]:
    return {
        "project": names.c.project,
        "domain": names.c.domain,
        "name": names.c.name,
        "description": func.coalesce(_METADATA.c.description, "").label("description"),
        "state": func.coalesce(_METADATA.c.state, NAMED_ENTITY_ACTIVE).label("state"),
    }


def _own(one: Filter, table: Table) -> ColumnElement[bool]:
    if one.entity is not None:
        raise InvalidArgumentError(f"cannot filter {table.name} by {one.entity.value}")
    return compare(one, column_of(table, one.field))


def _known(one: Filter, columns: Mapping[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    if one.entity not in (None, Entity.NAMED_ENTITY_METADATA) or one.field not in columns:
        raise InvalidArgumentError(f"'{one.entity.value if one.entity else 'entities'}.{one.field}' is invalid filter")
    return compare(one, columns[one.field])


def _page(statement: Select[Any], columns: Mapping[str, ColumnElement[Any]], query: Query) -> Select[Any]:
    if query.sort is not None:
        if query.sort.field not in columns:
            raise InvalidArgumentError(f"invalid sort key '{query.sort.field}'")
        column = columns[query.sort.field]
        statement = statement.order_by(column.asc() if query.sort.ascending else column.desc())
    return statement.order_by(columns["name"]).limit(query.limit).offset(query.offset)
