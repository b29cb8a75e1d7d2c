"""Dispatch over a real channel: data planes that come, go, die, forget and lag."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from flyteidl.admin.execution_pb2 import ExecutionMetadata, ExecutionSpec
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from sqlalchemy import delete, select, update

from flyteform.objects.local import LocalStore
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform_controlplane.dispatch.config import DispatchConfig
from flyteform_controlplane.dispatch.dispatcher import Dispatcher
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.errors import FailedPreconditionError
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.tables import executions
from flyteform_controlplane.store.tables_duties import clusters, dispatches
from support.dispatch import CLOSURE, CONFIG, INPUTS, World, identifier, migrated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Serve dispatch on a database and objects of its own."""
    async with migrated(tmp_path) as database:
        world = World(database, LocalStore(f"file://{tmp_path}/objects"))
        async with world.serving():
            yield world


async def test_an_execution_runs_from_the_queue_to_its_end(world: World) -> None:
    """A lease carries all that the run needs; acknowledged it is held, finished it is forgotten."""
    key = await world.create()
    plane = world.data_plane()
    registered = await plane.register("east")
    assert registered.epoch == 1
    assert registered.heartbeat_interval.ToTimedelta() == CONFIG.heartbeat_interval
    lease = await plane.lease()
    prefix = world.objects.prefix
    assert lease.id == identifier(key)
    assert lease.closure == CLOSURE
    assert lease.inputs == INPUTS
    assert lease.spec.max_parallelism == 7
    assert lease.ttl.ToTimedelta() == CONFIG.lease_ttl
    assert lease.metadata_prefix == f"{prefix}/metadata/propeller/flytesnacks-development-e1"
    assert lease.raw_output_prefix == f"{prefix}/raw/flytesnacks/development/e1"
    assert not lease.HasField("recover_from")
    await world.until(key, "ACKED")
    assert await world.value(select(executions.c.cluster)) == "east"
    await plane.send(finished=link_pb2.Finished(id=lease.id))
    await world.until(key, None)


async def test_what_is_created_later_is_leased_at_once(world: World) -> None:
    """An idle data plane gets an execution as soon as its creator has committed."""
    plane = world.data_plane()
    await plane.register("east")
    await world.create("e1")
    assert (await plane.lease()).id.name == "e1"
    await world.create("e2")
    assert (await plane.lease()).id.name == "e2"


async def test_a_recovery_names_what_it_recovers_and_a_user_prefix_is_kept(world: World) -> None:
    """Mode RECOVERED puts the reference into the lease; the raw output goes below the user's prefix."""
    former = WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name="old")
    spec = ExecutionSpec(metadata=ExecutionMetadata(mode=ExecutionMetadata.RECOVERED, reference_execution=former))
    spec.raw_output_data_config.output_location_prefix = "s3://mine/"
    plane = world.data_plane()
    await plane.register("east")
    await world.create(spec=spec)
    lease = await plane.lease()
    assert lease.recover_from == former
    assert lease.raw_output_prefix == "s3://mine/flytesnacks/development/e1"


async def test_labels_choose_the_cluster(world: World) -> None:
    """Labelled work goes only where the label is; a label that nobody has is refused when it is asked for."""
    plain, gpu = world.data_plane(), world.data_plane()
    await plain.register("plain")
    await gpu.register("gpu-east", "gpu")
    for number in range(5):
        await world.create(f"g{number}", label="gpu")
    assert {(await gpu.lease()).id.name for _ in range(5)} == {f"g{number}" for number in range(5)}
    with pytest.raises(FailedPreconditionError, match="'tpu'"):
        await world.create("t1", label="tpu")
    assert await world.value(select(executions.c.id).where(executions.c.execution_name == "t1")) is None


async def test_a_lease_without_ack_is_offered_again_and_the_late_ack_refused(world: World) -> None:
    """After the ttl the execution has a lease with a higher epoch, and only that one can be acknowledged."""
    key = await world.create()
    silent = world.data_plane(ack=False)
    await silent.register("east")
    first = await silent.lease()
    world.time += CONFIG.lease_ttl + timedelta(seconds=1)
    await silent.send(heartbeat=link_pb2.Heartbeat())
    second = await silent.lease()
    assert second.epoch > first.epoch
    await silent.ack(first)
    await silent.ack(second)
    await world.until(key, "ACKED")


async def test_the_ack_of_a_lease_that_another_cluster_has_is_revoked(world: World) -> None:
    """Who lags behind is told to let go, and the one that acknowledged keeps the execution."""
    key = await world.create()
    slow = world.data_plane(ack=False)
    await slow.register("slow")
    lease = await slow.lease()
    fast = world.data_plane()
    await fast.register("fast")
    async with world.database.transaction() as tx:
        await tx.execute(update(clusters).where(clusters.c.name == "slow").values(state="CORDONED"))
    world.time += CONFIG.lease_ttl + timedelta(seconds=1)
    await fast.send(heartbeat=link_pb2.Heartbeat())
    await world.until_cluster("fast", "READY")
    other = await fast.lease()
    assert other.epoch > lease.epoch
    await world.until(key, "ACKED")
    await slow.ack(lease)
    assert (await slow.next()).revoke.id == identifier(key)
    assert await world.value(select(dispatches.c.cluster)) == "fast"


async def test_a_data_plane_that_returns_keeps_what_it_holds(world: World) -> None:
    """After a broken stream and a new registration, held executions are not leased again, and can be finished."""
    key = await world.create()
    plane = world.data_plane()
    await plane.register("east")
    await plane.lease()
    await world.until(key, "ACKED")
    plane.die()
    again = world.data_plane()
    assert (await again.register("east", held=(key,))).epoch == 2
    fresh = await world.create("e2")
    assert (await again.lease()).id == identifier(fresh)
    assert await world.state(key) == "ACKED"
    await again.send(finished=link_pb2.Finished(id=identifier(key)))
    await world.until(key, None)


async def test_a_data_plane_that_lost_its_state_gets_its_executions_again(world: World) -> None:
    """What was acknowledged and is not reported as held is leased anew; what has ended meanwhile is not."""
    lost, over = await world.create("lost"), await world.create("over")
    plane = world.data_plane()
    await plane.register("east")
    first = {(lease := await plane.lease()).id.name: lease.epoch for _ in range(2)}
    await world.until(lost, "ACKED")
    await world.until(over, "ACKED")
    await world.end(over, "SUCCEEDED")
    plane.die()
    again = world.data_plane()
    await again.register("east")
    lease = await again.lease()
    assert lease.id == identifier(lost)
    assert lease.epoch > first["lost"]
    await world.until(over, None)


async def test_an_ack_that_was_lost_with_the_stream_is_made_good_by_held(world: World) -> None:
    """A data plane that says that it holds what nobody else has keeps it."""
    key = await world.create()
    plane = world.data_plane(ack=False)
    await plane.register("east")
    await plane.lease()
    plane.die()
    again = world.data_plane()
    await again.register("east", held=(key,))
    await world.until(key, "ACKED")


async def cordon(world: World, name: str) -> None:
    """Lease nothing more to the cluster."""
    async with world.database.transaction() as tx:
        await tx.execute(update(clusters).where(clusters.c.name == name).values(state="CORDONED"))


async def test_only_the_cluster_of_the_last_lease_may_claim_what_is_queued_again(world: World) -> None:
    """One that had an earlier lease, or never any, lets go; the one of the last lease keeps what it took."""
    await world.data_plane().register("never")
    await cordon(world, "never")
    key = await world.create()
    for epoch, name in enumerate(("early", "late"), 1):
        plane = world.data_plane(ack=False)
        await plane.register(name)
        assert (await plane.lease()).epoch == epoch
        await cordon(world, name)
        plane.die()
        world.time += CONFIG.lease_ttl + timedelta(seconds=1)
        await world.until(key, "QUEUED")
    for stranger in ("early", "never"):
        plane = world.data_plane()
        await plane.register(stranger, held=(key,))
        assert (await plane.next()).revoke.id == identifier(key)
        await plane.send(finished=link_pb2.Finished(id=identifier(key)))
    again = world.data_plane()
    await again.register("late", held=(key,))
    await world.until(key, "ACKED")
    assert await world.value(select(dispatches.c.cluster)) == "late"


async def test_held_executions_that_are_over_are_revoked(world: World) -> None:
    """A data plane that still holds what the control plane has forgotten is told to let go."""
    gone = ExecutionKey("flytesnacks", "development", "gone")
    plane = world.data_plane()
    await plane.register("east", held=(gone,))
    assert (await plane.next()).revoke.id == identifier(gone)


async def test_a_queued_execution_is_aborted_without_any_data_plane(world: World) -> None:
    """It just leaves the queue, the caller is told to end it, and nobody ever gets it."""
    key = await world.create()
    assert await world.abort(key) is False
    assert await world.state(key) is None
    assert await world.abort(key) is False
    plane = world.data_plane()
    await plane.register("east")
    other = await world.create("e2")
    assert (await plane.lease()).id == identifier(other)


async def test_an_abort_reaches_the_data_plane_that_holds_the_execution(world: World) -> None:
    """It goes out once, with its cause, on the stream of the holder."""
    key = await world.create()
    plane = world.data_plane()
    await plane.register("east")
    await plane.lease()
    await world.until(key, "ACKED")
    assert await world.abort(key, "too slow") is True
    message = await plane.next()
    assert (message.abort.id, message.abort.cause) == (identifier(key), "too slow")
    await world.abort(key, "again")
    other = await world.create("e2")
    assert (await plane.lease()).id == identifier(other)


async def test_an_abort_waits_for_its_data_plane_to_return(world: World) -> None:
    """Requested while the holder is away, it is sent when that registers again."""
    key = await world.create()
    plane = world.data_plane()
    await plane.register("east")
    await plane.lease()
    await world.until(key, "ACKED")
    plane.die()
    assert await world.abort(key, "enough") is True
    again = world.data_plane()
    await again.register("east", held=(key,))
    assert (await again.next()).abort.id == identifier(key)


async def test_an_abort_between_lease_and_ack_follows_the_ack(world: World) -> None:
    """An execution that is accepted after its abort was requested is aborted then."""
    key = await world.create()
    plane = world.data_plane(ack=False)
    await plane.register("east")
    lease = await plane.lease()
    assert await world.abort(key) is True
    assert (await plane.next()).abort.id == identifier(key)
    await plane.ack(lease)
    assert (await plane.next()).abort.id == identifier(key)


async def test_a_silent_cluster_is_lost_and_its_unacknowledged_work_moves(world: World) -> None:
    """Three intervals without a heartbeat: what it acknowledged stays its own, what it did not goes elsewhere."""
    kept = await world.create("kept")
    silent = world.data_plane()
    await silent.register("silent")
    await silent.lease()
    await world.until(kept, "ACKED")
    silent._acks = False  # noqa: SLF001 - it falls silent now
    moved = await world.create("moved")
    await silent.lease()
    world.time += CONFIG.heartbeat_timeout + timedelta(seconds=1)
    world.dispatcher.wake()
    await world.until_cluster("silent", "LOST")
    assert await silent.ended() == grpc.StatusCode.FAILED_PRECONDITION
    other = world.data_plane()
    await other.register("other")
    assert (await other.lease()).id == identifier(moved)
    assert await world.state(kept) == "ACKED"
    back = world.data_plane()
    await back.register("silent", held=(kept,))
    await world.until_cluster("silent", "READY")


async def test_heartbeats_keep_a_cluster_ready(world: World) -> None:
    """A data plane that speaks in time is not lost, however long it has no work."""
    plane = world.data_plane()
    await plane.register("east")
    for _ in range(5):
        world.time += CONFIG.heartbeat_interval * 2
        await plane.send(heartbeat=link_pb2.Heartbeat())
        await world.until_value(select(clusters.c.heartbeat_at), world.time)
    assert await world.value(select(clusters.c.state)) == "READY"
    await world.create()
    await plane.lease()


async def test_a_newer_connection_ends_the_older_one(world: World) -> None:
    """One cluster has one stream; the old one ends with a reason, and its late Ack counts for nothing."""
    key = await world.create()
    old = world.data_plane(ack=False)
    await old.register("east")
    await old.lease()
    new = world.data_plane(ack=False)
    assert (await new.register("east")).epoch == 2
    assert await old.ended() == grpc.StatusCode.FAILED_PRECONDITION
    assert (await new.lease()).id == identifier(key)


async def test_no_more_leases_wait_for_their_ack_than_allowed(tmp_path: Path) -> None:
    """A data plane that is slow to acknowledge is not flooded; each Ack makes room for the next."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    await migrate(database)
    world = World(database, LocalStore(f"file://{tmp_path}/objects"))
    config = DispatchConfig(poll_interval=CONFIG.poll_interval, unacknowledged_limit=2)
    world.dispatcher = Dispatcher(database, world.objects, config, now=lambda: world.time)
    keys = [await world.create(f"e{number}") for number in range(4)]
    async with world.serving():
        plane = world.data_plane(ack=False)
        await plane.register("east")
        leases = [await plane.lease(), await plane.lease()]
        assert [await world.state(key) for key in keys] == ["LEASED", "LEASED", "QUEUED", "QUEUED"]
        await plane.ack(leases[0])
        assert (await plane.lease()).id.name == "e2"
    await database.close()


async def test_an_execution_whose_parts_are_missing_is_tried_again_and_blocks_nobody(world: World) -> None:
    """A closure that cannot be read sends its execution back to the queue; when it is there, the lease goes out."""
    plane = world.data_plane()
    await plane.register("east")
    key = await world.create("bad")
    await plane.lease()
    await world.until(key, "ACKED")
    uri = f"{world.objects.prefix}/metadata/bad/inputs"
    plane.die()
    await world.objects.delete(uri)
    again = world.data_plane()
    await again.register("east")
    await world.until_value(select(dispatches.c.failures), 1)
    good = await world.create("good")
    assert (await again.lease()).id == identifier(good)
    await world.objects.put(uri, INPUTS.SerializeToString())
    world.time += timedelta(seconds=3)
    assert (await again.lease()).id == identifier(key)


async def test_a_data_plane_gets_no_more_than_it_takes_at_a_time(world: World) -> None:
    """With a capacity of two it holds two; when one has ended it gets the next."""
    plane = world.data_plane()
    await plane.send(register=link_pb2.Register(cluster="small", capacity=2))
    await plane.next()
    keys = [await world.create(f"e{number}") for number in range(3)]
    first = [await plane.lease() for _ in range(2)]
    for lease in first:
        await world.until(next(key for key in keys if key.name == lease.id.name), "ACKED")
    assert await world.state(keys[2]) == "QUEUED"
    await plane.send(finished=link_pb2.Finished(id=first[0].id))
    assert (await plane.lease()).id == identifier(keys[2])


async def test_the_stream_of_a_deleted_cluster_ends(world: World) -> None:
    """Its data plane is told so, and nothing is leased to it any more."""
    plane = world.data_plane()
    await plane.register("east")
    async with world.database.transaction() as tx:
        await tx.execute(delete(clusters).where(clusters.c.name == "east"))
    world.dispatcher.wake()
    assert await plane.ended() == grpc.StatusCode.FAILED_PRECONDITION
    key = await world.create()
    assert await world.state(key) == "QUEUED"


@pytest.mark.parametrize(
    "message",
    [
        link_pb2.FromDataPlane(heartbeat=link_pb2.Heartbeat()),
        link_pb2.FromDataPlane(),
        link_pb2.FromDataPlane(register=link_pb2.Register()),
        link_pb2.FromDataPlane(register=link_pb2.Register(cluster="east", labels=[""])),
        link_pb2.FromDataPlane(register=link_pb2.Register(cluster="east", labels=map(str, range(101)))),
        link_pb2.FromDataPlane(register=link_pb2.Register(cluster="east", version="1" * 256)),
        link_pb2.FromDataPlane(register=link_pb2.Register(cluster="east\nERROR all is lost")),
        link_pb2.FromDataPlane(register=link_pb2.Register(cluster="../east")),
    ],
)
async def test_a_stream_that_does_not_begin_with_a_registration_is_refused(
    world: World, message: link_pb2.FromDataPlane
) -> None:
    """The data plane gets INVALID_ARGUMENT, and nothing is registered."""
    plane = world.data_plane()
    await plane._call.write(message)  # noqa: SLF001 - a message as no data plane sends it
    assert await plane.ended() == grpc.StatusCode.INVALID_ARGUMENT
    assert await world.value(select(clusters.c.id)) is None


async def test_a_second_registration_ends_the_stream(world: World) -> None:
    """It is an error of the data plane, said so, and another connection works as ever."""
    plane = world.data_plane()
    await plane.register("east")
    await plane.send(register=link_pb2.Register(cluster="west"))
    assert await plane.ended() == grpc.StatusCode.INVALID_ARGUMENT
    again = world.data_plane()
    await again.register("east")
    await world.create()
    await again.lease()


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"ack": link_pb2.Ack(epoch=3)},
        lambda: {"finished": link_pb2.Finished()},
        dict,
    ],
)
async def test_reports_about_unknown_executions_do_no_harm(world: World, make: Callable[[], dict[str, Any]]) -> None:
    """An Ack or Finished of nothing known, or an empty message, leaves the stream alive."""
    plane = world.data_plane()
    await plane.register("east")
    await plane.send(**make())
    key = await world.create()
    message = await plane.next()
    if message.WhichOneof("message") == "revoke":
        message = await plane.next()
    assert message.lease.id == identifier(key)


async def test_streams_end_promptly_when_the_control_plane_stops(tmp_path: Path) -> None:
    """Stopping ends every stream at once without an error, and a new one is sent away."""
    database = Database(f"sqlite:///{tmp_path}/control.db")
    await migrate(database)
    world = World(database, LocalStore(f"file://{tmp_path}/objects"))
    async with world.serving():
        planes = [world.data_plane() for _ in range(3)]
        for number, plane in enumerate(planes):
            await plane.register(f"c{number}")
        await world.dispatcher.stop()
        assert [await plane.ended() for plane in planes] == [grpc.StatusCode.OK] * 3
        late = world.data_plane()
        await late.send(register=link_pb2.Register(cluster="late"))
        assert await late.ended() == grpc.StatusCode.UNAVAILABLE
    await database.close()
