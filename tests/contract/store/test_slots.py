"""Concurrency policies with two replicas of the control plane on one database of each kind."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest
from flyteidl.admin.event_pb2 import WorkflowExecutionEventRequest
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from flyteidl.event.event_pb2 import WorkflowExecutionEvent

from flyteform.proto.flyteform.v1 import policies_pb2
from flyteform_controlplane.domain.times import now, to_timestamp
from flyteform_controlplane.errors import ControlPlaneError, EntityExistsError, ResourceExhaustedError
from flyteform_controlplane.services.launch_plan_policies import LaunchPlanPolicyService
from support.admin import DOMAIN, PROJECT, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import Identifier

SCOPE = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
PLAN = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="wf")


class Replicas:
    """Two control planes on one database, and one launch plan."""

    def __init__(self, worlds: tuple[World, World], plan: Identifier) -> None:
        self.worlds, self.plan = worlds, plan

    async def limit(self, behavior: policies_pb2.ConcurrencyBehavior, maximum: int) -> None:
        """Set the policy."""
        policy = policies_pb2.LaunchPlanPolicy()
        policy.concurrency.max, policy.concurrency.behavior = maximum, behavior
        service = LaunchPlanPolicyService(self.worlds[0].admin.backend, self.worlds[0].admin.ending)
        await service.SetLaunchPlanPolicy(policies_pb2.SetLaunchPlanPolicyRequest(id=PLAN, policy=policy), None)

    async def launch(self, number: int) -> str | ControlPlaneError:
        """Launch on one replica or the other; return the name or the refusal."""
        try:
            return (await self.worlds[number % 2].execute(self.plan, f"run-{number}", x=1)).name
        except ControlPlaneError as error:
            return error

    async def end(self, name: str, replica: int) -> None:
        """Report an execution's success."""
        identifier = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name)
        event = WorkflowExecutionEvent(
            execution_id=identifier, phase=WorkflowExecution.SUCCEEDED, occurred_at=to_timestamp(now())
        )
        await self.worlds[replica].admin.CreateWorkflowEvent(WorkflowExecutionEventRequest(event=event), None)

    def dispatched(self) -> list[str]:
        """Return what was queued for data planes by either."""
        return [key.name for world in self.worlds for key, _ in world.dispatch.enqueued]

    async def live(self) -> list[str]:
        """Return what has not ended, oldest first."""
        request = ResourceListRequest(id=SCOPE, limit=100, filters="value_not_in(phase,ABORTED;SUCCEEDED)")
        page = await self.worlds[0].admin.ListExecutions(request, None)
        return [one.id.name for one in page.executions]


@pytest.fixture
async def replicas(url: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Give two replicas."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_world(tmp_path, database_url=url))
        second = await stack.enter_async_context(open_world(tmp_path, database_url=url))
        yield Replicas((first, second), await first.register_launch_plan("wf"))


@pytest.mark.parametrize(
    ("behavior", "refusal"),
    [
        (policies_pb2.CONCURRENCY_BEHAVIOR_SKIP, EntityExistsError),
        (policies_pb2.CONCURRENCY_BEHAVIOR_ABORT, ResourceExhaustedError),
    ],
)
async def test_fifty_launches_on_two_replicas_get_the_slots_that_there_are(
    replicas: Replicas, behavior: policies_pb2.ConcurrencyBehavior, refusal: type[ControlPlaneError]
) -> None:
    """Not one execution more than the policy allows is created, whichever replica is asked."""
    await replicas.limit(behavior, 3)
    results = await asyncio.gather(*(replicas.launch(number) for number in range(50)))
    created = [result for result in results if isinstance(result, str)]
    assert len(created) == 3
    assert sorted(replicas.dispatched()) == sorted(created)
    assert {type(result) for result in results if not isinstance(result, str)} == {refusal}


async def test_slots_are_given_on_while_more_come(replicas: Replicas) -> None:
    """Ends on one replica start what waits on the other: all run, each once, and none is forgotten."""
    await replicas.limit(policies_pb2.CONCURRENCY_BEHAVIOR_WAIT, 4)
    ended: set[str] = set()
    launches = asyncio.gather(*(replicas.launch(number) for number in range(50)))
    async with asyncio.timeout(60):
        while len(ended) < 50:
            running = [name for name in replicas.dispatched() if name not in ended]
            assert len(running) <= 4
            await asyncio.gather(*(replicas.end(name, index % 2) for index, name in enumerate(running)))
            ended |= set(running)
            await asyncio.sleep(0)
    assert all(isinstance(result, str) for result in await launches)
    assert len(replicas.dispatched()) == 50


async def test_of_fifty_replacements_on_two_replicas_one_is_left(replicas: Replicas) -> None:
    """However launches meet, what is left is one execution, and it has started."""
    await replicas.limit(policies_pb2.CONCURRENCY_BEHAVIOR_REPLACE, 1)
    results = await asyncio.gather(*(replicas.launch(number) for number in range(50)))
    assert [result for result in results if not isinstance(result, str)] == []
    left = await replicas.live()
    assert len(left) == 1
    assert left[0] in replicas.dispatched()
