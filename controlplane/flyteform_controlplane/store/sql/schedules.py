"""Schedules of launch plans in SQL; every function works within the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, RowMapping, and_, insert, or_, select, update

from flyteform_controlplane.domain.ports import EntityKey
from flyteform_controlplane.domain.schedules import ScheduledPlan
from flyteform_controlplane.store.tables_duties import launch_plan_catch_ups as catch_ups
from flyteform_controlplane.store.tables_duties import schedulable_entities as table

if TYPE_CHECKING:
    from datetime import datetime

    from flyteidl.admin.schedule_pb2 import Schedule
    from sqlalchemy.ext.asyncio import AsyncConnection


def _is(key: EntityKey) -> ColumnElement[bool]:
    return and_(
        table.c.project == key.project,
        table.c.domain == key.domain,
        table.c.name == key.name,
        table.c.version == key.version,
    )


def _plan(row: RowMapping) -> ScheduledPlan:
    return ScheduledPlan(
        id=row["id"],
        launch_plan=EntityKey(row["project"], row["domain"], row["name"], row["version"]),
        cron_expression=row["cron_expression"],
        cron_offset=row["cron_offset"],
        fixed_rate_value=row["fixed_rate_value"],
        unit=row["unit"],
        kickoff_time_input_arg=row["kickoff_time_input_arg"],
        activated_at=row["activated_at"],
        last_fired_at=row["last_fired_at"],
        catch_up=row["catch_up"],
    )


async def activate(tx: AsyncConnection, key: EntityKey, schedule: Schedule, at: datetime) -> None:
    """Fire from `at` on; a schedule that is active already goes on as it is (a version's schedule never changes)."""
    found = (await tx.execute(select(table.c.id, table.c.active).where(_is(key)))).first()
    if found is None:
        identity = {"project": key.project, "domain": key.domain, "name": key.name, "version": key.version}
        times = {"created_at": at, "updated_at": at, "activated_at": at}
        await tx.execute(insert(table).values(**identity, **times, **_columns(schedule), active=True))
    elif not found.active:
        # Firings missed while it was inactive are not made up for.
        values = {"active": True, "activated_at": at, "last_fired_at": None, "updated_at": at}
        await tx.execute(update(table).where(table.c.id == found.id).values(**values))


def _columns(schedule: Schedule) -> dict[str, str | int]:
    cron, offset = schedule.cron_expression, ""
    if schedule.HasField("cron_schedule"):
        cron, offset = schedule.cron_schedule.schedule, schedule.cron_schedule.offset
    return {
        "cron_expression": cron,
        "cron_offset": offset,
        "fixed_rate_value": schedule.rate.value,
        "unit": int(schedule.rate.unit),
        "kickoff_time_input_arg": schedule.kickoff_time_input_arg,
    }


async def deactivate(tx: AsyncConnection, key: EntityKey, at: datetime) -> None:
    """Fire no longer."""
    await tx.execute(update(table).where(_is(key), table.c.active).values(active=False, updated_at=at))


async def active(tx: AsyncConnection) -> list[ScheduledPlan]:
    """Return every schedule that fires."""
    same = and_(*(catch_ups.c[name] == table.c[name] for name in ("project", "domain", "name")))
    query = select(table, catch_ups.c.max.label("catch_up")).select_from(table.outerjoin(catch_ups, same))
    return [_plan(row) for row in (await tx.execute(query.where(table.c.active))).mappings()]


async def is_active(tx: AsyncConnection, plan: ScheduledPlan) -> bool:
    """Say whether the schedule still fires as it did when it was read."""
    same = and_(table.c.id == plan.id, table.c.active, table.c.activated_at == plan.activated_at)
    return (await tx.execute(select(table.c.id).where(same))).first() is not None


async def record_firing(tx: AsyncConnection, plan: ScheduledPlan, at: datetime, now: datetime) -> None:
    """Write that the firing is done with: the next one is later than `at`.

    A replica that was slow to notice that another has taken over does not turn time back.
    """
    earlier = or_(table.c.last_fired_at.is_(None), table.c.last_fired_at < at)
    same = and_(table.c.id == plan.id, table.c.activated_at == plan.activated_at, earlier)
    await tx.execute(update(table).where(same).values(last_fired_at=at, updated_at=now))
