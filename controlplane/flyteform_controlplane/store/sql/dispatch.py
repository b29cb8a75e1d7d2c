"""Dispatched executions in SQL; every function works within the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import ColumnElement, RowMapping, and_, delete, func, insert, select, tuple_, update

from flyteform_controlplane.domain.dispatches import DispatchRecord, DispatchState
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.store.direct import Direct
from flyteform_controlplane.store.tables import EXECUTION_KEY, executions
from flyteform_controlplane.store.tables_duties import dispatches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

_KEY = tuple(dispatches.c[name] for name in EXECUTION_KEY)
# Statements may have 32,766 parameters, and PostgreSQL's stack has room for some thousand names in one.
_MOST_NAMED: Final = 1000
T = TypeVar("T")
_ADD = Direct(insert(dispatches), (*EXECUTION_KEY, "cluster_label", "cluster", "state", "created_at", "updated_at"))


def _is(execution: ExecutionKey) -> ColumnElement[bool]:
    values = (execution.project, execution.domain, execution.name)
    return and_(*(column == value for column, value in zip(_KEY, values, strict=True)))


def _of(execution: ExecutionKey) -> ColumnElement[bool]:
    values = (execution.project, execution.domain, execution.name)
    return and_(*(executions.c[name] == value for name, value in zip(EXECUTION_KEY, values, strict=True)))


def _record(row: RowMapping) -> DispatchRecord:
    return DispatchRecord(
        id=row["id"],
        execution=ExecutionKey(*(row[name] for name in EXECUTION_KEY)),
        cluster_label=row["cluster_label"],
        state=DispatchState(row["state"]),
        cluster=row["cluster"],
        epoch=row["epoch"],
        due_at=row["due_at"],
        failures=row["failures"],
        abort_cause=row["abort_cause"],
    )


async def add(
    tx: AsyncConnection, execution: ExecutionKey, cluster_label: str, at: datetime, *, near: str = ""
) -> None:
    """Queue an execution, which may go to any cluster and goes to the one that is `near` if it can."""
    key = dict(zip(EXECUTION_KEY, (execution.project, execution.domain, execution.name), strict=True))
    times = {"created_at": at, "updated_at": at}
    values = {"cluster_label": cluster_label, "cluster": near, "state": DispatchState.QUEUED.value}
    await _ADD.send(tx, key | values | times)


async def get(tx: AsyncConnection, execution: ExecutionKey) -> DispatchRecord | None:
    """Return where the execution is, None if it has ended or never was; nobody else moves it meanwhile."""
    row = (await tx.execute(select(dispatches).where(_is(execution)).with_for_update())).mappings().first()
    return None if row is None else _record(row)


async def lock_execution(tx: AsyncConnection, execution: ExecutionKey) -> None:
    """Lock the execution's own row: before its place in the queue, as who ends executions does."""
    await tx.execute(select(executions.c.id).where(_of(execution)).with_for_update(key_share=True))


async def get_many(tx: AsyncConnection, keys: Collection[ExecutionKey]) -> list[DispatchRecord]:
    """Return those of these executions that are dispatched."""
    names = [(key.project, key.domain, key.name) for key in keys]
    found: list[DispatchRecord] = []
    for some in portions(names):
        rows = (await tx.execute(select(dispatches).where(tuple_(*_KEY).in_(some)))).mappings()
        found += [_record(row) for row in rows]
    return found


async def held_by(tx: AsyncConnection, cluster: str) -> list[DispatchRecord]:
    """Return what is leased to the cluster or acknowledged by it."""
    theirs = and_(dispatches.c.cluster == cluster, dispatches.c.state != DispatchState.QUEUED.value)
    return [_record(row) for row in (await tx.execute(select(dispatches).where(theirs))).mappings()]


async def queued(tx: AsyncConnection, at: datetime, *, after_id: int, limit: int) -> list[tuple[DispatchRecord, str]]:
    """Return a page of what may be leased now, oldest first, each with its execution's phase ("" if that is gone)."""
    same = and_(*(dispatches.c[name] == executions.c[name] for name in EXECUTION_KEY))
    statement = (
        select(dispatches, executions.c.phase)
        .outerjoin(executions, same)
        .where(
            dispatches.c.state == DispatchState.QUEUED.value,
            dispatches.c.id > after_id,
            (dispatches.c.due_at.is_(None)) | (dispatches.c.due_at <= at),
        )
        .order_by(dispatches.c.id)
        .limit(limit)
    )
    return [(_record(row), row["phase"] or "") for row in (await tx.execute(statement)).mappings()]


async def offered(tx: AsyncConnection, names: Collection[str]) -> dict[str, int]:
    """Return how many leases wait for the acknowledgement of each of these clusters that has any."""
    theirs = and_(dispatches.c.cluster.in_(names), dispatches.c.state == DispatchState.LEASED.value)
    statement = select(dispatches.c.cluster, func.count().label("leases")).where(theirs).group_by(dispatches.c.cluster)
    return {row.cluster: row.leases for row in await tx.execute(statement)}


async def counts(tx: AsyncConnection, names: Collection[str]) -> dict[tuple[str, DispatchState], int]:
    """Return how many executions each of these clusters has, offered and held; those that have none are left out."""
    theirs = and_(dispatches.c.cluster.in_(names), dispatches.c.state != DispatchState.QUEUED.value)
    groups = (dispatches.c.cluster, dispatches.c.state)
    statement = select(*groups, func.count().label("executions")).where(theirs).group_by(*groups)
    return {(row.cluster, DispatchState(row.state)): row.executions for row in await tx.execute(statement)}


async def return_offers(tx: AsyncConnection, names: Collection[str], at: datetime) -> None:
    """Return to the queue what these clusters were offered and have not acknowledged."""
    offered = and_(dispatches.c.cluster.in_(names), dispatches.c.state == DispatchState.LEASED.value)
    await tx.execute(update(dispatches).where(offered).values(_queued(at)))


async def lease(
    tx: AsyncConnection, ids: Collection[int], cluster: str, until: datetime, at: datetime
) -> dict[int, int]:
    """Offer what is still queued of these to the cluster; return the epochs of the new leases by row.

    What another transaction is just moving is passed over, not waited for.
    """
    free = select(dispatches.c.id).where(dispatches.c.id.in_(ids), dispatches.c.state == DispatchState.QUEUED.value)
    values = {
        "state": DispatchState.LEASED.value,
        "cluster": cluster,
        "epoch": dispatches.c.epoch + 1,
        "due_at": until,
        "updated_at": at,
    }
    statement = (
        update(dispatches)
        .where(dispatches.c.id.in_(free.with_for_update(skip_locked=True)))
        .values(**values)
        .returning(dispatches.c.id, dispatches.c.epoch)
    )
    return {row.id: row.epoch for row in await tx.execute(statement)}


async def hold(tx: AsyncConnection, record: DispatchRecord, cluster: str, at: datetime) -> None:
    """Write that the cluster has the execution, also in the execution's own row, by which clients filter."""
    await tx.execute(update(executions).where(_of(record.execution)).values(cluster=cluster))
    values = {"state": DispatchState.ACKED.value, "cluster": cluster, "due_at": None, "failures": 0, "updated_at": at}
    await tx.execute(update(dispatches).where(dispatches.c.id == record.id).values(**values))


async def take_back(tx: AsyncConnection, ids: Collection[int], cluster: str, at: datetime) -> None:
    """Return to the queue those of these executions that the cluster still has."""
    values = {**_queued(at), "failures": 0}
    still = and_(dispatches.c.cluster == cluster, dispatches.c.state != DispatchState.QUEUED.value)
    for some in portions(list(ids)):
        await tx.execute(update(dispatches).where(dispatches.c.id.in_(some), still).values(values))


async def postpone(
    tx: AsyncConnection, record: DispatchRecord, epoch: int, at: datetime, *, due_at: datetime, failures: int
) -> bool:
    """Take back the lease of that epoch, which could not be sent; the execution is not leased before `due_at`.

    False, and nothing is done, if the lease has ended meanwhile: the execution may be another's since.
    """
    leased = dispatches.c.state == DispatchState.LEASED.value
    ours = and_(dispatches.c.id == record.id, dispatches.c.epoch == epoch, leased)
    values = {**_queued(at), "due_at": due_at, "failures": failures}
    return (await tx.execute(update(dispatches).where(ours).values(values))).rowcount > 0


async def expire(tx: AsyncConnection, at: datetime, *, after: datetime | None = None) -> list[DispatchRecord]:
    """Return to the queue the leases that ended without an Ack (`after` some time, if given), and return them.

    What another transaction is just moving is passed over, not waited for: it may stand still.
    """
    ended = and_(dispatches.c.state == DispatchState.LEASED.value, dispatches.c.due_at <= at)
    if after is not None:
        ended = and_(ended, dispatches.c.due_at > after)
    locked = select(dispatches).where(ended).with_for_update(skip_locked=True)
    found = [_record(row) for row in (await tx.execute(locked)).mappings()]
    for some in portions([record.id for record in found]):
        values = {**_queued(at), "failures": 0}
        await tx.execute(update(dispatches).where(dispatches.c.id.in_(some)).values(values))
    return found


async def request_abort(tx: AsyncConnection, record: DispatchRecord, cause: str, at: datetime) -> None:
    """Write that the execution is to end; the first cause stays."""
    if record.abort_cause is None:
        await tx.execute(
            update(dispatches).where(dispatches.c.id == record.id).values(abort_cause=cause, updated_at=at)
        )


async def aborting(tx: AsyncConnection, names: Collection[str]) -> list[DispatchRecord]:
    """Return what these clusters have and shall abort."""
    theirs = and_(
        dispatches.c.cluster.in_(names),
        dispatches.c.state != DispatchState.QUEUED.value,
        dispatches.c.abort_cause.is_not(None),
    )
    return [_record(row) for row in (await tx.execute(select(dispatches).where(theirs))).mappings()]


async def remove(tx: AsyncConnection, ids: Collection[int]) -> None:
    """Forget these executions."""
    await tx.execute(delete(dispatches).where(dispatches.c.id.in_(ids)))


def portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut what may be of any number into what one statement can name: databases limit its parameters."""
    for start in range(0, len(values), _MOST_NAMED):
        yield values[start : start + _MOST_NAMED]


def _queued(at: datetime) -> Mapping[str, object]:
    # The cluster stays: it may have taken the execution, and nobody else but the next one that it is leased to.
    return {"state": DispatchState.QUEUED.value, "due_at": None, "updated_at": at}
