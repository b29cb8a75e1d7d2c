"""Fifty launches at once through two control-plane processes, one of which is killed in their midst."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from flyteidl.admin.common_pb2 import NamedEntityIdentifier
from flyteidl.admin.event_pb2 import WorkflowExecutionEventRequest
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.event.event_pb2 import WorkflowExecutionEvent
from sqlalchemy import select

from e2e.test_replicas import DEADLINE_SECONDS, Replica, client, executions, named, running_replicas, status_of
from flyteform.proto.flyteform.v1 import link_pb2, policies_pb2
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from flyteform.proto.flyteform.v1.policies_pb2_grpc import LaunchPlanPolicyServiceStub
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.tables import executions as table
from support.admin import DOMAIN, PROJECT, World
from support.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from flyteidl.admin.execution_pb2 import Execution
    from flyteidl.core.identifier_pb2 import Identifier

ENDED = frozenset({WorkflowExecution.ABORTED, WorkflowExecution.FAILED, WorkflowExecution.SUCCEEDED})
REFUSED = frozenset({grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.RESOURCE_EXHAUSTED})
# Of fifty launches, after how many answers the kill comes.
ANSWERS = 8


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[Replica]]:
    """Run two replicas, of which the test kills one."""
    with running_postgres() as postgres, running_replicas(tmp_path, postgres) as running:
        yield running


@asynccontextmanager
async def limited(replica: Replica, plans: dict[str, tuple[str, int]]) -> AsyncIterator[dict[str, Identifier]]:
    """Register launch plans by name, each with a behaviour and as many executions at once."""
    async with client(replica) as world, grpc.aio.insecure_channel(replica.grpc) as channel:
        found = {}
        for name, (behavior, most) in plans.items():
            found[name] = await world.register_launch_plan(name)
            policy = policies_pb2.LaunchPlanPolicy()
            policy.concurrency.max = most
            policy.concurrency.behavior = policies_pb2.ConcurrencyBehavior.Value(f"CONCURRENCY_BEHAVIOR_{behavior}")
            scope = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=name)
            request = policies_pb2.SetLaunchPlanPolicyRequest(id=scope, policy=policy)
            await LaunchPlanPolicyServiceStub(channel).SetLaunchPlanPolicy(request)
        yield found


async def launch_and_kill(
    victim: Replica, worlds: tuple[World, World], plans: dict[str, Identifier]
) -> dict[str, Counter[grpc.StatusCode]]:
    """Launch each plan fifty times through both, kill one replica after a few answers, and return all answers."""
    answers: dict[str, Counter[grpc.StatusCode]] = {name: Counter() for name in plans}

    async def launch(name: str, number: int) -> None:
        code = await status_of(worlds[number % 2].execute(plans[name], f"{name}-{number}", x=number))
        answers[name][code] += 1
        if sum(each.total() for each in answers.values()) == ANSWERS:
            victim.process.kill()

    await asyncio.gather(*(launch(name, number) for number in range(50) for name in plans))
    return answers


async def live(world: World, plan: str) -> list[Execution]:
    """Return the executions of a launch plan that have not ended, oldest first."""
    return [one for one in await executions(world) if one.id.name.startswith(plan) and one.closure.phase not in ENDED]


@asynccontextmanager
async def data_plane(replica: Replica) -> AsyncIterator[list[str]]:
    """Connect one that takes every lease; give the names of what it was leased so far, in order."""
    leased: list[str] = []
    async with grpc.aio.insecure_channel(replica.grpc) as channel:
        stream: Any = DataPlaneLinkStub(channel).Connect()
        await stream.write(link_pb2.FromDataPlane(register=link_pb2.Register(cluster="c", version="1")))

        async def read() -> None:
            while (message := await stream.read()) is not grpc.aio.EOF:
                if message.WhichOneof("message") == "lease":
                    ack = link_pb2.Ack(id=message.lease.id, epoch=message.lease.epoch)
                    await stream.write(link_pb2.FromDataPlane(ack=ack))
                    leased.append(message.lease.id.name)

        reading = asyncio.create_task(read())
        yield leased
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - there is no event for us
            await asyncio.sleep(0.02)


async def test_no_policy_is_broken_by_a_kill_in_the_middle_of_fifty_launches(replicas: list[Replica]) -> None:
    """No slot is given twice and none is lost: SKIP and ABORT fill theirs, WAIT goes on in turns, REPLACE keeps one."""
    victim, survivor = replicas
    policies = {"skip": ("SKIP", 3), "abort": ("ABORT", 3), "wait": ("WAIT", 2), "replace": ("REPLACE", 1)}
    async with client(victim) as first, client(survivor) as second, limited(survivor, policies) as plans:
        answers = await launch_and_kill(victim, (first, second), plans)
        assert victim.process.wait(timeout=10) != 0
        for name in ("skip", "abort"):
            assert len(await live(second, name)) == 3
            assert set(answers[name]) <= REFUSED | {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        async with data_plane(survivor) as leased:
            count = 3 + 3 + 2 + 1
            await until(lambda: len(leased) >= count)
            assert Counter(name.partition("-")[0] for name in leased) == {
                "skip": 3,
                "abort": 3,
                "wait": 2,
                "replace": 1,
            }
            assert len(await live(second, "replace")) == 1
            await turns(second, survivor.database_url, leased)
        assert len(leased) == len(set(leased))


async def line(database_url: str) -> list[str]:
    """Return the executions of the launch plan that waits, as they came into its line: they were begun in any order."""
    database = Database(database_url)
    ours = table.c.execution_name.startswith("wait")
    async with database.reading() as tx:
        found = await tx.execute(select(table.c.execution_name).where(ours).order_by(table.c.id))
        names = list(found.scalars())
    await database.close()
    return names


async def turns(world: World, database_url: str, leased: list[str]) -> None:
    """Check that those that wait start in turn as others end, one for one."""
    order = await line(database_url)
    assert len(order) == len(await live(world, "wait")) >= 25
    for ended in range(4):
        running = [name for name in leased if name.startswith("wait")]
        # Two leases that are made at once may come in either order.
        assert set(running) == set(order[: ended + 2])
        event = WorkflowExecutionEvent(execution_id=named(running[ended]), phase=WorkflowExecution.SUCCEEDED)
        event.occurred_at.GetCurrentTime()
        await world.admin.CreateWorkflowEvent(WorkflowExecutionEventRequest(event=event))
        await until(lambda ended=ended: len([name for name in leased if name.startswith("wait")]) > ended + 2)  # type: ignore[misc]
