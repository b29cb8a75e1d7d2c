"""Two control-plane processes on one PostgreSQL: one platform, also when one of them is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest
from flyteidl.admin.execution_pb2 import ExecutionTerminateRequest
from flyteidl.admin.launch_plan_pb2 import INACTIVE, LaunchPlanSpec
from flyteidl.admin.schedule_pb2 import CronSchedule, Schedule
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from flyteform.proto.flyteform.v1 import link_pb2
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from support.admin import DOMAIN, PROJECT, World
from support.platform import clean_environment, wait_until
from support.postgres import Postgres, running_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime
    from pathlib import Path

    from flyteidl.admin.execution_pb2 import Execution

START_SECONDS = 60.0
DEADLINE_SECONDS = 15.0
# What the platform promises for a leader that is killed.
TAKEOVER_SECONDS = 10.0


@dataclass
class Replica:
    """A control-plane process, its address, and the URL of the database that all share."""

    process: subprocess.Popen[bytes]
    log: Path
    grpc: str = ""
    database_url: str = ""

    def wait_until_serving(self) -> None:
        """Read where it serves."""

        def told() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return "grpc=" in self.log.read_text()

        wait_until(told, seconds=START_SECONDS, what="the control plane says where it serves")
        line = next(line for line in self.log.read_text().splitlines() if line.startswith("grpc="))
        self.grpc = line.split()[0].removeprefix("grpc=")

    @property
    def leads(self) -> bool:
        """Whether it says that it is the one that fires schedules, and has not taken that back."""
        told = self.log.read_text()
        return told.rfind("this replica now does schedules") > told.rfind("this replica no longer does schedules")


@contextmanager
def running_replicas(folder: Path, postgres: Postgres) -> Iterator[list[Replica]]:
    """Run two on one database and one folder of objects."""
    replicas = []
    environment = {**clean_environment(folder), "FLYTEFORM_DATABASE_URL": postgres.create_database()}
    try:
        for number in range(2):
            command = [sys.executable, "-m", "flyteform_controlplane", "--grpc-port=0", "--http-port=0"]
            places = [f"--state-dir={folder}/{number}", f"--objects-prefix=file://{folder}/objects"]
            log = folder / f"{number}.log"
            with log.open("wb") as file:
                process = subprocess.Popen([*command, *places], stdout=file, stderr=file, env=environment)
            replicas.append(Replica(process, log, database_url=environment["FLYTEFORM_DATABASE_URL"]))
        for replica in replicas:
            replica.wait_until_serving()
        yield replicas
    finally:
        for replica in replicas:
            replica.process.kill()
            replica.process.wait(timeout=10)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Run a database server for the tests of this file."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[list[Replica]]:
    """Run two replicas for the tests of this file."""
    with running_replicas(tmp_path_factory.mktemp("replicas"), postgres) as running:
        yield running


class Calls:
    """An AdminService elsewhere, called as one in this process."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = AdminServiceStub(channel)

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._stub, method)
        return lambda request, _context=None: call(request, timeout=DEADLINE_SECONDS)


@asynccontextmanager
async def client(replica: Replica) -> AsyncIterator[World]:
    """Talk to one replica."""
    async with grpc.aio.insecure_channel(replica.grpc) as channel:
        nothing: Any = None
        yield World(Calls(channel), nothing, nothing, nothing, nothing)


async def status_of(call: Any) -> grpc.StatusCode:
    """Return how a call ended."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def executions(world: World) -> list[Execution]:
    """Return all executions."""
    scope = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
    return list((await world.admin.ListExecutions(ResourceListRequest(id=scope, limit=1000))).executions)


async def test_one_name_launched_fifty_times_at_once_is_one_execution(replicas: list[Replica]) -> None:
    """One launch succeeds, wherever; 49 are told that the name is taken; both replicas show the same execution."""
    async with client(replicas[0]) as first, client(replicas[1]) as second:
        plan = await first.register_launch_plan("crowd")
        launches = [world.execute(plan, "crowded", x=1) for world in (first, second) * 25]
        statuses = await asyncio.gather(*(status_of(launch) for launch in launches))
        assert sorted(status.name for status in statuses) == ["ALREADY_EXISTS"] * 49 + ["OK"]
        for world in (first, second):
            assert [each.id.name for each in await executions(world) if each.id.name == "crowded"] == ["crowded"]


async def test_versions_activated_at_once_leave_one_active(replicas: list[Replica]) -> None:
    """However many versions are activated through both replicas together, one is active in the end."""
    async with client(replicas[0]) as first, client(replicas[1]) as second:
        plans = [await first.register_launch_plan("switched", f"v{number}") for number in range(6)]
        await asyncio.gather(*((first, second)[at % 2].activate(plan) for at, plan in enumerate(plans)))
        scope = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="switched")
        request = ResourceListRequest(id=scope, limit=10, filters="eq(state,1)")
        assert len((await second.admin.ListLaunchPlans(request)).launch_plans) == 1


async def test_work_reaches_the_data_plane_wherever_its_stream_ends(replicas: list[Replica]) -> None:
    """Executions of both replicas are leased once each through the one that has the stream; so is an abort."""
    async with client(replicas[0]) as first, client(replicas[1]) as second:
        plan = await first.register_launch_plan("spread")
        async with grpc.aio.insecure_channel(replicas[1].grpc) as channel:
            stream: Any = DataPlaneLinkStub(channel).Connect()
            await stream.write(link_pb2.FromDataPlane(register=link_pb2.Register(cluster="c", version="1")))
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert (await stream.read()).WhichOneof("message") == "registered"
                names = [f"spread-{number}" for number in range(20)]
                await asyncio.gather(
                    *((first, second)[at % 2].execute(plan, name, x=at) for at, name in enumerate(names))
                )
                leased = [name async for name in acknowledged(stream, until=frozenset(names))]
                assert sorted(name for name in leased if name in names) == sorted(names)
                await first.admin.TerminateExecution(ExecutionTerminateRequest(id=named("spread-3"), cause="enough"))
                while (message := await stream.read()).WhichOneof("message") != "abort":
                    pass
            assert (message.abort.id.name, message.abort.cause) == ("spread-3", "enough")
            await stream.done_writing()


async def test_database_that_comes_back_finds_both_replicas_as_they_were(
    replicas: list[Replica], postgres: Postgres
) -> None:
    """While it is away calls are UNAVAILABLE, never INTERNAL; once it is back everything goes on by itself."""
    async with client(replicas[0]) as first, client(replicas[1]) as second:
        plan = await first.register_launch_plan("patient")
        await asyncio.to_thread(postgres.stop)
        for world in (first, second):
            for call in (world.execute(plan, x=1), executions(world)):
                assert await status_of(call) is grpc.StatusCode.UNAVAILABLE
        await asyncio.to_thread(postgres.start)
        for world in (first, second):
            assert await status_of(world.execute(plan, x=1)) is grpc.StatusCode.OK
        # The words between the replicas pass again too.
        async with grpc.aio.insecure_channel(replicas[1].grpc) as channel:
            stream: Any = DataPlaneLinkStub(channel).Connect()
            await stream.write(link_pb2.FromDataPlane(register=link_pb2.Register(cluster="d", version="1")))
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert (await stream.read()).WhichOneof("message") == "registered"
                await first.execute(plan, "after", x=1)
                assert "after" in [name async for name in acknowledged(stream, until=frozenset({"after"}))]
            await stream.done_writing()


async def acknowledged(stream: Any, until: frozenset[str]) -> AsyncIterator[str]:
    """Acknowledge leases, and give their names, until all of these have come."""
    missing = set(until)
    while missing:
        lease = (await stream.read()).lease
        missing.discard(lease.id.name)
        await stream.write(link_pb2.FromDataPlane(ack=link_pb2.Ack(id=lease.id, epoch=lease.epoch)))
        yield lease.id.name


def named(name: str) -> WorkflowExecutionIdentifier:
    """Name an execution."""
    return WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name)


async def scheduled(world: World) -> list[datetime]:
    """Return the times for which schedules have fired, latest last."""
    found = [each.spec.metadata.scheduled_at for each in await executions(world)]
    return sorted(at.ToDatetime() for at in found if at.seconds)


async def test_killed_leader_is_replaced_and_no_time_is_fired_twice(replicas: list[Replica]) -> None:
    """A schedule goes on within ten seconds after its replica's end, each time once, until it is switched off."""
    leader = next(replica for replica in replicas if replica.leads)
    (survivor,) = (replica for replica in replicas if replica is not leader)
    async with client(survivor) as world:
        every_second = Schedule(cron_schedule=CronSchedule(schedule="@every 1s"))
        spec = LaunchPlanSpec()
        spec.fixed_inputs.literals["x"].scalar.primitive.integer = 1
        spec.entity_metadata.schedule.CopyFrom(every_second)
        plan = await world.register_launch_plan("tick", spec=spec)
        await world.activate(plan)
        # Activated through the replica that does not fire.
        before = await fired(world, more_than=0)
        leader.process.kill()
        killed = time.monotonic()
        while not survivor.leads:
            assert time.monotonic() - killed < TAKEOVER_SECONDS
            await asyncio.sleep(0.05)
        after = await fired(world, more_than=len(before) + 1)
        assert len(after) == len(set(after))
        await world.activate(plan, INACTIVE)
        off = await scheduled(world)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await fired(world, more_than=len(off) + 1)


async def fired(world: World, *, more_than: int) -> list[datetime]:
    """Wait for more firings than that."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(found := await scheduled(world)) <= more_than:  # noqa: ASYNC110 - another process has no event for us
            await asyncio.sleep(0.05)
    return found
