"""Who holds which execution, when data planes come back with many, and while another replica moves one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, text

from flyteform.objects.local import LocalStore
from flyteform.proto.flyteform.v1 import clusters_pb2, link_pb2
from flyteform_controlplane.dispatch.dispatcher import Dispatcher
from flyteform_controlplane.domain.clusters import ClusterRecord, declared
from flyteform_controlplane.domain.dispatches import DispatchRecord, DispatchState
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.errors import FailedPreconditionError
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.sql import clusters, dispatch
from flyteform_controlplane.store.sql.store import SqlStore
from flyteform_controlplane.store.tables_duties import dispatches
from support.dispatch import identifier

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform_controlplane.dispatch.connection import Connection

START = datetime(2024, 5, 1, tzinfo=UTC)
LATER = START + timedelta(seconds=30)
# More than either database takes in one statement.
MANY = 11_000


def key(number: int) -> ExecutionKey:
    """Return the name of an execution."""
    return ExecutionKey("p", "d", f"e{number}")


def serving(database: Database, tmp_path: Path) -> Dispatcher:
    """Return dispatch on the database; it looks at nothing by itself."""
    return Dispatcher(database, LocalStore(f"file://{tmp_path}/objects"), now=lambda: START)


def register(cluster: str, *held: ExecutionKey) -> link_pb2.Register:
    """Introduce a data plane with what it holds."""
    return link_pb2.Register(cluster=cluster, held=[identifier(one) for one in held])


async def queue(database: Database, execution: ExecutionKey, cluster: str, state: DispatchState) -> DispatchRecord:
    """Put an execution where it was leased to the cluster last."""
    async with database.transaction() as tx:
        await dispatch.add(tx, execution, "", START, near=cluster)
        record = await dispatch.get(tx, execution)
        assert record is not None
        if state is not DispatchState.QUEUED:
            await dispatch.lease(tx, [record.id], cluster, LATER, START)
    return record


async def found(database: Database, execution: ExecutionKey) -> DispatchRecord:
    """Return where it is."""
    async with database.reading() as tx:
        (record,) = await dispatch.get_many(tx, [execution])
    return record


async def kinds(connection: Connection, count: int) -> list[str | None]:
    """Return what the next messages are."""
    messages = [await connection.receive() for _ in range(count)]
    return [None if message is None else message.WhichOneof("message") for message in messages]


async def test_a_data_plane_comes_back_with_many_executions(database: Database, tmp_path: Path) -> None:
    """However many it holds, or has lost: it is let in, keeps what is its own and lets go of the rest."""
    dispatcher = serving(database, tmp_path)
    columns = ("execution_project", "execution_domain", "execution_name", "cluster_label", "cluster", "state", "epoch")
    times = {"created_at": START, "updated_at": START}
    rows = [
        dict(zip(columns, ("p", "d", key(number).name, "", "big", "ACKED", 1), strict=True)) | times
        for number in range(MANY)
    ]
    async with database.transaction() as tx:
        await tx.execute(insert(dispatches), rows)
    own, strangers = [key(number) for number in range(100)], [key(number) for number in range(MANY, 2 * MANY)]
    connection = await dispatcher.connect(register("big", *own, *strangers))
    assert await kinds(connection, 2) == ["registered", "revoke"]
    assert connection.unsent == MANY - 1
    async with database.reading() as tx:
        assert await dispatch.counts(tx, ["big"]) == {("big", DispatchState.ACKED): 100}


@pytest.mark.parametrize("prefix", ["s3://theirs/data", "s3://theirs", "s3://theirs/data/below", "file://"])
async def test_nobody_lays_claim_to_the_store_of_another(database: Database, tmp_path: Path, prefix: str) -> None:
    """Neither to what is declared for a cluster that has not come yet, nor to what has the platform's own in it."""
    await declare(database, "declared", "s3://theirs/data")
    dispatcher = serving(database, tmp_path)
    claim = register("squatter")
    claim.storage.prefix = prefix if prefix != "file://" else f"file://{tmp_path}"
    with pytest.raises(FailedPreconditionError, match="keeps its data below"):
        await dispatcher.connect(claim)
    comes = register("declared")
    comes.storage.prefix = "s3://theirs/data"
    assert (await dispatcher.connect(comes)).storage == "s3://theirs/data"


async def test_a_declared_store_is_its_clusters_whoever_came_before(database: Database, tmp_path: Path) -> None:
    """What a cluster laid claim to before it was declared for another is asked of that one from then on."""
    dispatcher = serving(database, tmp_path)
    for cluster in ("a-squatter", "declared"):
        claim = register(cluster)
        claim.storage.prefix = "s3://theirs/data"
        if cluster == "declared":
            await declare(database, cluster, claim.storage.prefix)
        await dispatcher.connect(claim)
    async with database.reading() as tx:
        assert list(await clusters.storage_prefixes(tx)) == ["declared", "a-squatter"]


async def declare(database: Database, name: str, prefix: str) -> None:
    """Declare a cluster with its store."""
    spec = clusters_pb2.ClusterSpec(storage=clusters_pb2.StorageProfile(prefix=prefix))
    record = declared(ClusterRecord(name=name, created_at=START, updated_at=START), spec, START)
    async with database.transaction() as tx:
        await SqlStore().clusters.add(tx, record)


async def until_blocked(database: Database) -> None:
    """Wait until a transaction waits for another's lock."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(60), database.reading() as tx:
        while not (await tx.execute(text(blocked))).scalar():  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0.01)


async def test_what_another_replica_leases_at_that_moment_is_not_kept(postgres_url: str, tmp_path: Path) -> None:
    """A cluster that returns with an execution of an ended lease lets it go if another gets it just then."""
    database = Database(postgres_url)
    dispatcher = serving(database, tmp_path)
    record = await queue(database, key(1), "back", DispatchState.QUEUED)
    async with database.transaction() as tx:
        assert await dispatch.lease(tx, [record.id], "other", LATER, START)
        coming = asyncio.create_task(dispatcher.connect(register("back", key(1))))
        await until_blocked(database)
    assert await kinds(await coming, 2) == ["registered", "revoke"]
    after = await found(database, key(1))
    assert (after.cluster, after.state) == ("other", DispatchState.LEASED)
    await database.close()


async def test_what_another_has_meanwhile_is_not_taken_back(postgres_url: str, tmp_path: Path) -> None:
    """A cluster that returns without what it was leased takes nothing from the one that has it since that moment."""
    database = Database(postgres_url)
    dispatcher = serving(database, tmp_path)
    record = await queue(database, key(1), "back", DispatchState.LEASED)
    async with database.transaction() as tx:
        await dispatch.expire(tx, LATER)
        assert await dispatch.lease(tx, [record.id], "other", LATER, START)
        coming = asyncio.create_task(dispatcher.connect(register("back")))
        await until_blocked(database)
    await coming
    after = await found(database, key(1))
    assert (after.cluster, after.state) == ("other", DispatchState.LEASED)
    await database.close()


async def test_a_lease_that_ended_is_not_postponed(database: Database) -> None:
    """Who comes too late to take its lease back moves nothing, whoever has the execution since."""
    record = await queue(database, key(1), "slow", DispatchState.LEASED)

    async def postpone(epoch: int) -> bool:
        async with database.transaction() as tx:
            return await dispatch.postpone(tx, record, epoch, START, due_at=LATER, failures=1)

    async with database.transaction() as tx:
        assert [one.execution for one in await dispatch.expire(tx, LATER)] == [key(1)]
    assert not await postpone(1), "it is queued"
    async with database.transaction() as tx:
        await dispatch.lease(tx, [record.id], "quick", LATER, START)
    assert not await postpone(1), "it is another's"
    assert await postpone(2)
    assert not await postpone(2)


async def test_nobody_waits_for_who_stands_still(postgres_url: str) -> None:
    """Leases end and clusters are found silent although a transaction has one of each locked."""
    database = Database(postgres_url)
    first = await queue(database, key(1), "one", DispatchState.LEASED)
    await queue(database, key(2), "two", DispatchState.LEASED)
    async with database.transaction() as still:
        assert await dispatch.get(still, first.execution)
        async with asyncio.timeout(60), database.transaction() as tx:
            assert [one.execution for one in await dispatch.expire(tx, LATER)] == [key(2)]
    async with database.transaction() as tx:
        assert [one.execution for one in await dispatch.expire(tx, LATER)] == [key(1)]
    await database.close()
