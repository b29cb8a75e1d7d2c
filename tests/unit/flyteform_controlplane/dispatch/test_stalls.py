"""Dispatch while something stands still: a store, a data plane that takes nothing, a replica for a minute."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
from sqlalchemy import select, update

from flyteform.objects.local import LocalStore
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.dispatch.config import DispatchConfig
from flyteform_controlplane.dispatch.dispatcher import Dispatcher
from flyteform_controlplane.errors import UnavailableError
from flyteform_controlplane.services import link
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.tables_duties import clusters, dispatches
from support.dispatch import CONFIG, World, identifier, migrated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteform_controlplane.domain.ports import ExecutionKey

LARGE = LiteralMap(literals={"x": Literal(scalar=Scalar(primitive=Primitive(string_value="x" * 1_500_000)))})


class Stalling(LocalStore):
    """A store in which the inputs of the execution `slow` are found only when they are let go, well or not."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix)
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None

    async def get(self, uri: str, *, limit: int | None = None) -> bytes:
        """Wait the first time, then read or fail."""
        if uri.endswith("/slow/inputs") and not self.asked.is_set():
            self.asked.set()
            await self.answers.wait()
            if self.error is not None:
                raise self.error
        return await super().get(uri, limit=limit)


class Stalled(World):
    """Dispatch on such a store."""

    objects: Stalling

    async def hold_back(self, name: str, state: str) -> None:
        """Cordon a cluster, or let it work."""
        async with self.database.transaction() as tx:
            await tx.execute(update(clusters).where(clusters.c.name == name).values(state=state))

    async def offered_before_a_restart(self) -> ExecutionKey:
        """Offer an execution to the cluster `east`, which says nothing to it, and be away for ten minutes."""
        plane = self.data_plane(ack=False)
        await plane.register("east")
        key = await self.create()
        await plane.lease()
        await self.dispatcher.stop()
        self.time += timedelta(minutes=10)
        await self.dispatcher.start()
        return key


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Stalled]:
    """Serve dispatch on a database and objects of its own."""
    async with migrated(tmp_path) as database:
        world = Stalled(database, Stalling(f"file://{tmp_path}/objects"))
        async with world.serving():
            yield world


async def test_what_cannot_be_read_holds_up_nobody_else(world: Stalled) -> None:
    """While the parts of one execution are waited for, others are leased; it follows when they have come."""
    plane = world.data_plane()
    await plane.register("east")
    slow = await world.create("slow")
    await world.objects.asked.wait()
    quick = await world.create("quick")
    assert (await plane.lease()).id == identifier(quick)
    world.objects.answers.set()
    assert (await plane.lease()).id == identifier(slow)


@pytest.mark.parametrize("error", [None, UnavailableError("too late")])
async def test_a_lease_that_ended_before_it_was_sent_moves_nothing(world: Stalled, error: Exception | None) -> None:
    """Who stood still while another cluster got the execution neither sends the lease nor takes it back."""
    late = world.data_plane()
    await late.register("late")
    slow = await world.create("slow")
    await world.objects.asked.wait()
    await world.hold_back("late", "CORDONED")
    world.time += CONFIG.lease_ttl + timedelta(seconds=1)
    await late.send(heartbeat=link_pb2.Heartbeat())
    other = world.data_plane()
    await other.register("other")
    assert (await other.lease()).epoch == 2
    await world.until(slow, "ACKED")
    world.objects.error = error
    world.objects.answers.set()
    await world.hold_back("other", "CORDONED")
    await world.hold_back("late", "READY")
    next_one = await world.create("next")
    assert (await late.lease()).id == identifier(next_one)
    row = select(dispatches.c.cluster).where(dispatches.c.execution_name == "slow", dispatches.c.state == "ACKED")
    assert await world.value(row) == "other"


async def test_a_stop_does_not_wait_for_what_cannot_be_read(world: Stalled) -> None:
    """The lease is left to its end, for whoever serves then."""
    plane = world.data_plane()
    await plane.register("east")
    slow = await world.create("slow")
    await world.objects.asked.wait()
    async with asyncio.timeout(60):
        await world.dispatcher.stop()
    assert await world.state(slow) == "LEASED"


async def test_what_was_offered_before_a_restart_waits_for_who_may_run_it(world: Stalled) -> None:
    """A control plane that was away gives its data planes time to come back: an Ack may have been lost with it."""
    key = await world.offered_before_a_restart()
    other = world.data_plane()
    await other.register("other", "label")
    late = await world.create("late", "label")
    assert (await other.lease()).id == identifier(late)
    assert await world.state(key) == "LEASED"
    back = world.data_plane()
    await back.register("east", held=(key,))
    await world.until(key, "ACKED")
    assert await world.value(select(dispatches.c.cluster).where(dispatches.c.execution_name == key.name)) == "east"


async def test_what_was_offered_before_a_restart_moves_if_nobody_comes_for_it(world: Stalled) -> None:
    """After as long as a silent cluster is given, the one that did not come back is lost, and others get its offers."""
    key = await world.offered_before_a_restart()
    other = world.data_plane()
    await other.register("other")
    world.time += CONFIG.heartbeat_timeout
    await other.send(heartbeat=link_pb2.Heartbeat())
    await world.until_cluster("east", "LOST")
    await world.until_cluster("other", "READY")
    assert (await other.lease()).id == identifier(key)


async def test_a_data_plane_that_takes_nothing_is_given_no_more(tmp_path: Path) -> None:
    """Leases that ended unsent are not sent later, and do not pile up; when it takes them, only the newest come."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    await migrate(database)
    world = World(database, LocalStore(f"file://{tmp_path}/objects"))
    config = DispatchConfig(lease_ttl=CONFIG.lease_ttl, poll_interval=CONFIG.poll_interval, unacknowledged_limit=2)
    world.dispatcher = Dispatcher(database, world.objects, config, now=lambda: world.time)
    for number in range(3):
        await world.create(f"e{number}")
    await world.dispatcher.start()
    connection = await world.dispatcher.connect(link_pb2.Register(cluster="east"))
    epochs = select(dispatches.c.epoch).where(dispatches.c.execution_name == "e0")
    await world.until_value(epochs, 1)
    leased = select(dispatches.c.state).where(dispatches.c.execution_name == "e0")
    for _ in range(3):
        world.time += config.lease_ttl + timedelta(seconds=1)
        await world.dispatcher.heartbeat(connection)
        await world.until_value(leased, "QUEUED")
        assert connection.unsent <= 3, "Registered, and two leases"
    taken = [await connection.receive() for _ in range(3)]
    kinds = [message.WhichOneof("message") for message in taken if message is not None]
    assert kinds == ["registered", "lease", "lease"]
    world.time += timedelta(seconds=1)
    assert await world.value(epochs) == 2, "only one more was made"
    await world.dispatcher.stop()
    assert await connection.receive() is None
    await database.close()


async def test_a_stream_that_nobody_reads_ends_all_the_same(
    world: Stalled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer connection ends the older one also where that is busy with messages which are not taken."""
    monkeypatch.setattr(link, "LEAVE_SECONDS", 0.01)
    caplog.set_level("INFO", "flyteform.access")
    old = world.data_plane(ack=False)
    await old.register("east")
    for number in range(20):
        key = await world.create(f"e{number}")
        await world.objects.put(f"{world.objects.prefix}/metadata/{key.name}/inputs", LARGE.SerializeToString())
    new = world.data_plane(ack=False)
    await new.register("east")
    assert (await new.lease()).id.project == "flytesnacks"
    async with asyncio.timeout(60):
        while "DataPlaneLink/Connect" not in caplog.text:  # noqa: ASYNC110 - the log of calls that have ended
            await asyncio.sleep(0.01)
    assert await new.lease()
