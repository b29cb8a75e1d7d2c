"""Concurrency policies of launch plans, through the services."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ResourceListRequest
from flyteidl.admin.execution_pb2 import ExecutionTerminateRequest, WorkflowExecutionGetRequest
from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.core.execution_pb2 import WorkflowExecution

from flyteform.proto.flyteform.v1 import policies_pb2
from flyteform_controlplane.errors import (
    ControlPlaneError,
    EntityExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    MissingEntityError,
    ResourceExhaustedError,
)
from flyteform_controlplane.services.launch_plan_policies import LaunchPlanPolicyService
from flyteform_controlplane.services.waiting_line import WaitingLine
from support.admin import DOMAIN, PROJECT, World, open_world
from support.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier

PLAN = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="wf")
SKIP = policies_pb2.CONCURRENCY_BEHAVIOR_SKIP
WAIT = policies_pb2.CONCURRENCY_BEHAVIOR_WAIT
ABORT = policies_pb2.CONCURRENCY_BEHAVIOR_ABORT
REPLACE = policies_pb2.CONCURRENCY_BEHAVIOR_REPLACE


def service(world: World) -> LaunchPlanPolicyService:
    """Return the service over the world's parts."""
    return LaunchPlanPolicyService(world.admin.backend, world.admin.ending)


async def limit(
    world: World, behavior: policies_pb2.ConcurrencyBehavior, maximum: int = 1, name: NamedEntityIdentifier = PLAN
) -> None:
    """Set the policy of a launch plan."""
    policy = policies_pb2.LaunchPlanPolicy()
    policy.concurrency.max, policy.concurrency.behavior = maximum, behavior
    await service(world).SetLaunchPlanPolicy(policies_pb2.SetLaunchPlanPolicyRequest(id=name, policy=policy), None)


async def fifty(world: World, plan: Identifier) -> list[str | ControlPlaneError]:
    """Launch fifty executions at once; return names and refusals."""

    async def launch(number: int) -> str | ControlPlaneError:
        try:
            return (await world.execute(plan, f"run-{number}", x=1)).name
        except ControlPlaneError as error:
            return error

    return await asyncio.gather(*(launch(number) for number in range(50)))


async def phases(world: World) -> dict[str, str]:
    """Return the phases of all executions, oldest first."""
    request = ResourceListRequest(id=NamedEntityIdentifier(project=PROJECT, domain=DOMAIN), limit=100)
    page = await world.admin.ListExecutions(request, None)
    return {one.id.name: WorkflowExecution.Phase.Name(one.closure.phase) for one in page.executions}


async def end(world: World, name: str, phase: WorkflowExecution.Phase = WorkflowExecution.SUCCEEDED) -> None:
    """Report the end of an execution."""
    run = Run(world, identify(name), await world.register_task(f"task.of.{name}"))
    await run.send(run.execution(phase))


def identify(name: str) -> WorkflowExecutionIdentifier:
    """Name an execution."""
    request = WorkflowExecutionGetRequest()
    request.id.project, request.id.domain, request.id.name = PROJECT, DOMAIN, name
    return request.id


def dispatched(world: World) -> list[str]:
    """Return what was queued for data planes, in order."""
    return [key.name for key, _ in world.dispatch.enqueued]


@pytest.mark.parametrize(("behavior", "refusal"), [(SKIP, EntityExistsError), (ABORT, ResourceExhaustedError)])
async def test_fifty_at_once_get_three_slots(
    world: World, behavior: policies_pb2.ConcurrencyBehavior, refusal: type[ControlPlaneError]
) -> None:
    """SKIP and ABORT create exactly as many executions as there are slots; a slot that is freed can be had again."""
    plan = await world.register_launch_plan("wf")
    await limit(world, behavior, 3)
    results = await fifty(world, plan)
    created = [name for name in results if isinstance(name, str)]
    assert len(created) == 3
    assert sorted(dispatched(world)) == sorted(created)
    assert {type(error) for error in results if not isinstance(error, str)} == {refusal}
    assert len(await phases(world)) == 3
    await end(world, created[0])
    assert (await world.execute(plan, "later", x=1)).name == "later"
    with pytest.raises(refusal, match=r"concurrency limit \(3\) reached for launch plan wf"):
        await world.execute(plan, "too-late", x=1)


async def test_flytes_own_policy_counts_all_versions(world: World) -> None:
    """SKIP in a version's spec counts executions of the other versions; a version without it is not limited."""
    spec = LaunchPlanSpec()
    spec.concurrency_policy.max, spec.concurrency_policy.behavior = 1, 1
    free = await world.register_launch_plan("wf", "v1")
    limited = await world.register_launch_plan("wf", "v2", spec)
    await world.execute(free, "first", x=1)
    with pytest.raises(EntityExistsError, match="skipping execution"):
        await world.execute(limited, "second", x=1)
    await world.execute(free, "third", x=1)
    other = await world.register_launch_plan("other", "v2", spec)
    await world.execute(other, "fourth", x=1)
    assert list(await phases(world)) == ["first", "third", "fourth"]


async def test_fifty_at_once_wait_for_their_turns(world: World) -> None:
    """WAIT creates all, starts as many as there are slots, and each end starts the one that has waited longest."""
    plan = await world.register_launch_plan("wf")
    await limit(world, WAIT, 2)
    assert all(isinstance(name, str) for name in await fifty(world, plan))
    order = list(await phases(world))
    assert len(order) == 50
    assert dispatched(world) == order[:2]
    assert set((await phases(world)).values()) == {"UNDEFINED", "QUEUED"}
    await end(world, order[1])
    assert dispatched(world) == order[:3]
    await end(world, order[0], WorkflowExecution.FAILED)
    await end(world, order[2])
    assert dispatched(world) == order[:5]
    assert world.dispatch.woken == 5


async def test_who_waits_can_be_aborted(world: World) -> None:
    """An execution that is terminated while it waits is ABORTED at once and never starts."""
    plan = await world.register_launch_plan("wf")
    await limit(world, WAIT)
    for name in ("first", "second", "third"):
        await world.execute(plan, name, x=1)
    request = ExecutionTerminateRequest(id=identify("second"), cause="changed my mind")
    await world.admin.TerminateExecution(request, None)
    assert await phases(world) == {"first": "UNDEFINED", "second": "ABORTED", "third": "QUEUED"}
    assert not world.dispatch.aborted
    with pytest.raises(FailedPreconditionError):
        await world.admin.TerminateExecution(request, None)
    # What no data plane has yet gives its slot on by its termination.
    await world.admin.TerminateExecution(ExecutionTerminateRequest(id=identify("first")), None)
    assert dispatched(world) == ["first", "third"]


async def test_replacement_starts_when_the_former_has_ended(world: World) -> None:
    """REPLACE aborts what runs, and starts the new one only once the data plane has reported that end."""
    plan = await world.register_launch_plan("wf")
    await limit(world, REPLACE)
    await world.execute(plan, "first", x=1)
    world.dispatch.held.add("first")
    await world.execute(plan, "second", x=1)
    assert await phases(world) == {"first": "ABORTING", "second": "QUEUED"}
    assert dispatched(world) == ["first"]
    await world.execute(plan, "third", x=1)
    assert await phases(world) == {"first": "ABORTING", "second": "ABORTED", "third": "QUEUED"}
    await end(world, "first", WorkflowExecution.ABORTED)
    assert dispatched(world) == ["first", "third"]
    found = await world.admin.GetExecution(WorkflowExecutionGetRequest(id=identify("first")), None)
    assert "replaced by a newer execution" in found.closure.abort_metadata.cause


async def test_of_fifty_replacements_one_is_left(world: World) -> None:
    """However many replace each other at once, all but one end, and that one starts."""
    plan = await world.register_launch_plan("wf")
    await limit(world, REPLACE)
    assert all(isinstance(name, str) for name in await fifty(world, plan))
    found = await phases(world)
    left = [name for name, phase in found.items() if phase != "ABORTED"]
    assert left == list(found)[-1:]
    assert dispatched(world)[-1:] == left


async def test_those_that_wait_outlive_a_restart(tmp_path: Path) -> None:
    """A control plane that starts anew still knows who waits, and lets them start as slots are freed."""
    async with open_world(tmp_path) as world:
        plan = await world.register_launch_plan("wf")
        await limit(world, WAIT)
        for name in ("first", "second", "third"):
            await world.execute(plan, name, x=1)
    async with open_world(tmp_path) as world:
        await end(world, "first")
        assert dispatched(world) == ["second"]


async def test_waiting_line_repairs_what_a_crash_left(tmp_path: Path) -> None:
    """A crash between an execution's row and the abortion of the former leaves work that the next start does."""
    async with open_world(tmp_path) as world:
        plan = await world.register_launch_plan("wf")
        await limit(world, REPLACE)
        world.dispatch.held.add("first")
        await world.execute(plan, "first", x=1)
        crash = world.dispatch
        crash.fail_abort = ConnectionError("killed")
        with pytest.raises(ConnectionError):
            await world.execute(plan, "second", x=1)
        assert await phases(world) == {"first": "UNDEFINED", "second": "QUEUED"}
        crash.fail_abort = None
        line = WaitingLine(world.admin.ending)
        await line.start()
        try:
            async with asyncio.timeout(10):
                await world.dispatch.aborts.wait()
        finally:
            await line.stop()
        assert (await phases(world))["first"] == "ABORTING"


async def test_policy_can_be_read_changed_and_removed(world: World) -> None:
    """A wider policy and none at all start those that may; what is gone is NOT_FOUND."""
    plan = await world.register_launch_plan("wf")
    await limit(world, WAIT)
    names = [(await world.execute(plan, f"run-{number}", x=1)).name for number in range(4)]
    assert dispatched(world) == names[:1]
    await limit(world, WAIT, 2)
    assert dispatched(world) == names[:2]
    found = await service(world).GetLaunchPlanPolicy(policies_pb2.GetLaunchPlanPolicyRequest(id=PLAN), None)
    assert (found.policy.concurrency.max, found.policy.concurrency.behavior) == (2, WAIT)
    await service(world).DeleteLaunchPlanPolicy(policies_pb2.DeleteLaunchPlanPolicyRequest(id=PLAN), None)
    assert dispatched(world) == names
    with pytest.raises(MissingEntityError):
        await service(world).GetLaunchPlanPolicy(policies_pb2.GetLaunchPlanPolicyRequest(id=PLAN), None)
    with pytest.raises(MissingEntityError):
        await service(world).DeleteLaunchPlanPolicy(policies_pb2.DeleteLaunchPlanPolicyRequest(id=PLAN), None)


async def test_catch_up_is_set_beside_or_without_a_limit(world: World) -> None:
    """Each part of a policy can be there alone; what is set replaces all that was, and none at all is refused."""
    await world.register_launch_plan("wf")

    async def settled(policy: policies_pb2.LaunchPlanPolicy) -> policies_pb2.LaunchPlanPolicy:
        await service(world).SetLaunchPlanPolicy(policies_pb2.SetLaunchPlanPolicyRequest(id=PLAN, policy=policy), None)
        request = policies_pb2.GetLaunchPlanPolicyRequest(id=PLAN)
        return (await service(world).GetLaunchPlanPolicy(request, None)).policy

    none = policies_pb2.LaunchPlanPolicy(catch_up=policies_pb2.CatchUpPolicy(max=0))
    both = policies_pb2.LaunchPlanPolicy(
        catch_up=policies_pb2.CatchUpPolicy(max=5), concurrency=policies_pb2.ConcurrencyPolicy(max=1, behavior=WAIT)
    )
    limited = policies_pb2.LaunchPlanPolicy(concurrency=policies_pb2.ConcurrencyPolicy(max=2, behavior=WAIT))
    for policy in (none, both, limited, none):
        assert await settled(policy) == policy
    for wrong in (policies_pb2.LaunchPlanPolicy(), policies_pb2.LaunchPlanPolicy(catch_up={"max": 1001})):
        with pytest.raises(InvalidArgumentError):
            await settled(wrong)
    await service(world).DeleteLaunchPlanPolicy(policies_pb2.DeleteLaunchPlanPolicyRequest(id=PLAN), None)
    with pytest.raises(MissingEntityError):
        await service(world).GetLaunchPlanPolicy(policies_pb2.GetLaunchPlanPolicyRequest(id=PLAN), None)


async def test_wrong_policies_are_refused(world: World) -> None:
    """A limit below one, no behaviour, an unknown one, and a launch plan that does not exist are all refused."""
    await world.register_launch_plan("wf")
    for behavior, maximum in ((WAIT, 0), (0, 1), (99, 1)):
        with pytest.raises(InvalidArgumentError, match="invalid value for concurrency"):
            await limit(world, behavior, maximum)  # type: ignore[arg-type]
    unknown = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="unknown")
    with pytest.raises(MissingEntityError, match="missing entity of type LAUNCH_PLAN"):
        await limit(world, WAIT, 1, unknown)
    with pytest.raises(InvalidArgumentError, match="missing name"):
        await limit(world, WAIT, 1, NamedEntityIdentifier(project=PROJECT, domain=DOMAIN))
