"""Which executions of a launch plan are live, for its concurrency policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, select, text

from flyteform_controlplane.domain.concurrency import Behavior, LaunchPlanName, Live, WaitingRecord
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.store.tables import EXECUTION_KEY, executions, launch_plans
from flyteform_controlplane.store.tables_duties import launch_plan_policies as policies
from flyteform_controlplane.store.tables_duties import waiting_executions as waiting

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

_LIVE = ("UNDEFINED", "QUEUED", "RUNNING", "SUCCEEDING", "FAILING", "ABORTING")
_QUEUEING = (Behavior.WAIT.value, Behavior.REPLACE.value)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_WAITING_FIELDS = ("id", "created_at", "updated_at", *EXECUTION_KEY, "project", "domain", "name", "cluster_label")


class SqlSlots:
    """The executions of launch plans that have not ended."""

    async def lock(self, tx: AsyncConnection, name: LaunchPlanName) -> None:
        """Hold the launch plan's slots until the transaction ends; SQLite's one writer holds all of them anyway."""
        if tx.dialect.name == "postgresql":
            await tx.execute(_LOCK, {"key": f"slots:{name.project}:{name.domain}:{name.name}"})

    async def live(self, tx: AsyncConnection, name: LaunchPlanName) -> Sequence[Live]:
        """Return them, oldest first."""
        same = and_(*(executions.c[column] == waiting.c[column] for column in EXECUTION_KEY))
        of_plan = launch_plans.c.project == name.project, launch_plans.c.domain == name.domain
        keys = (executions.c[column].label(f"key_{column}") for column in EXECUTION_KEY)
        statement = (
            select(*keys, executions.c.phase, *(waiting.c[column] for column in _WAITING_FIELDS))
            .join(launch_plans, executions.c.launch_plan_id == launch_plans.c.id)
            .outerjoin(waiting, same)
            .where(*of_plan, launch_plans.c.name == name.name, executions.c.phase.in_(_LIVE))
            .order_by(executions.c.id)
        )
        found = []
        for row in (await tx.execute(statement)).mappings():
            key = ExecutionKey(*(row[f"key_{column}"] for column in EXECUTION_KEY))
            waits = WaitingRecord(**{field: row[field] for field in _WAITING_FIELDS}) if row["id"] else None
            found.append(Live(key, row["phase"], waits))
        return found

    async def limited(self, tx: AsyncConnection, launch_plan_ids: Collection[int]) -> Sequence[LaunchPlanName]:
        """Return those of the launch plans for which executions may wait, in one order everywhere."""
        columns = ("project", "domain", "name")
        same = and_(*(policies.c[column] == launch_plans.c[column] for column in columns))
        statement = (
            select(*(policies.c[column] for column in columns))
            .join(launch_plans, same)
            .where(launch_plans.c.id.in_(launch_plan_ids), policies.c.behavior.in_(_QUEUEING))
            .distinct()
            .order_by(*(policies.c[column] for column in columns))
        )
        return [LaunchPlanName(*row) for row in await tx.execute(statement)]

    async def waited_for(self, tx: AsyncConnection) -> Sequence[LaunchPlanName]:
        """Return the launch plans of which executions wait."""
        columns = waiting.c.project, waiting.c.domain, waiting.c.name
        return [LaunchPlanName(*row) for row in await tx.execute(select(*columns).distinct().order_by(*columns))]
