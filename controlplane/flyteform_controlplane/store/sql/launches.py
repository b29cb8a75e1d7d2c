"""What a launch has to know before it writes, in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, exists, select

from flyteform_controlplane.store.direct import Direct
from flyteform_controlplane.store.ports import Circumstances
from flyteform_controlplane.store.tables import EXECUTION_KEY, executions, projects, resources
from flyteform_controlplane.store.tables_duties import launch_plan_policies as policies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.domain.attributes import Scope
    from flyteform_controlplane.domain.concurrency import LaunchPlanName, PolicyRecord
    from flyteform_controlplane.domain.ports import ExecutionKey
    from flyteform_controlplane.domain.records import MatchableRecord, ProjectRecord
    from flyteform_controlplane.store.sql.rows import SqlRows

_SCOPE = ("project", "domain", "workflow", "launch_plan")


class SqlLaunches:
    """Reads a project, whether an execution exists, a launch plan's policy, and the attributes of a scope."""

    def __init__(
        self, project_rows: SqlRows[ProjectRecord], policy_rows: SqlRows[PolicyRecord], rows: SqlRows[MatchableRecord]
    ) -> None:
        self._projects, self._policies, self._matchables = project_rows, policy_rows, rows
        taken = exists().where(*(executions.c[name] == bindparam(name) for name in EXECUTION_KEY))
        policy = (policies.c[name] == bindparam(f"plan_{name}") for name in ("project", "domain", "name"))
        statement = (
            select(
                taken.label("taken"),
                *(column.label(f"project_{column.name}") for column in project_rows.columns),
                *(column.label(f"policy_{column.name}") for column in policy_rows.columns),
                *(column.label(f"matchable_{column.name}") for column in rows.columns),
            )
            .select_from(projects.outerjoin(policies, and_(*policy)).outerjoin(resources, _covers()))
            .where(projects.c.identifier == bindparam("execution_project"))
        )
        self._statement = Direct(statement)

    async def circumstances(
        self, tx: AsyncConnection, execution: ExecutionKey, launch_plan: LaunchPlanName, scope: Scope
    ) -> Circumstances | None:
        """Return them; None if there is no such project."""
        values = dict(zip(EXECUTION_KEY, (execution.project, execution.domain, execution.name), strict=True))
        values |= {f"plan_{name}": getattr(launch_plan, name) for name in ("project", "domain", "name")}
        values |= {f"scope_{name}": getattr(scope, name) for name in _SCOPE}
        rows = await self._statement.fetch(tx, values)
        return self._read(rows) if rows else None

    def _read(self, rows: Sequence[Sequence[Any]]) -> Circumstances:
        first = list(rows[0])
        project_end = 1 + len(self._projects.columns)
        policy_end = project_end + len(self._policies.columns)
        policy, matchables = first[project_end:policy_end], (list(row)[policy_end:] for row in rows)
        return Circumstances(
            taken=bool(first[0]),
            project=self._projects.record(first[1:project_end]),
            # Of what is not there, the outer join gives NULLs.
            policy=self._policies.record(policy) if policy[0] is not None else None,
            matchables=[self._matchables.record(row) for row in matchables if row[0] is not None],
        )


def _covers() -> ColumnElement[bool]:
    """Return the condition that attributes apply to the scope: each part is the scope's own, or blank for any."""
    return and_(*(resources.c[name].in_(["", bindparam(f"scope_{name}")]) for name in _SCOPE))
