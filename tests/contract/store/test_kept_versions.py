"""What one replica has read and keeps is never older than what another one has written, over each database."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import launch_plan_pb2, project_pb2, workflow_pb2
from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.admin.execution_pb2 import WorkflowExecutionGetRequest
from flyteidl.admin.matchable_resource_pb2 import MatchingAttributes
from flyteidl.admin.project_domain_attributes_pb2 import ProjectDomainAttributes, ProjectDomainAttributesUpdateRequest
from flyteidl.core.identifier_pb2 import ResourceType

from flyteform.proto.flyteform.v1 import policies_pb2
from flyteform_controlplane.errors import (
    EntityExistsError,
    InvalidArgumentError,
    MissingEntityError,
)
from flyteform_controlplane.services.launch_plan_policies import LaunchPlanPolicyService
from flyteform_controlplane.services.versions import Kept
from support.admin import DOMAIN, PROJECT, World, identifier, open_world, workflow_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import Identifier


@pytest.fixture
async def replicas(tmp_path: Path, url: str) -> AsyncIterator[tuple[World, World]]:
    """Give two control planes on one database and one object store."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_world(tmp_path, database_url=url))
        yield first, await stack.enter_async_context(open_world(tmp_path, database_url=url))


def get(entity: Identifier) -> ObjectGetRequest:
    """Ask for a version."""
    return ObjectGetRequest(id=entity)


async def test_a_version_that_was_missing_is_found_as_soon_as_it_is_there(replicas: tuple[World, World]) -> None:
    """That something is not there is not kept."""
    one, other = replicas
    task = identifier(ResourceType.TASK, "t")
    with pytest.raises(MissingEntityError):
        await other.admin.GetTask(get(task), None)
    await one.register_task("t")
    for world in replicas:
        assert (await world.admin.GetTask(get(task), None)).id == task


async def test_the_state_of_a_launch_plan_is_always_read(replicas: tuple[World, World]) -> None:
    """A replica that launched it, and so keeps it, sees at once what another one makes of its state."""
    one, other = replicas
    plan = await one.register_launch_plan()
    await other.execute(plan, x=1)
    for state in (launch_plan_pb2.ACTIVE, launch_plan_pb2.INACTIVE):
        await one.activate(plan, state)
        assert (await other.admin.GetLaunchPlan(get(plan), None)).closure.state == state


async def test_all_else_that_a_launch_goes_by_is_always_read(replicas: tuple[World, World]) -> None:
    """Attributes, policies and the end of a project that one replica writes hold for the next launch on the other."""
    one, other = replicas
    plan = await one.register_launch_plan()
    await other.execute(plan, "first", x=1)
    attributes = MatchingAttributes()
    attributes.workflow_execution_config.max_parallelism = 7
    update = ProjectDomainAttributes(project=PROJECT, domain=DOMAIN, matching_attributes=attributes)
    await one.admin.UpdateProjectDomainAttributes(ProjectDomainAttributesUpdateRequest(attributes=update), None)
    second = await other.execute(plan, "second", x=1)
    execution = await other.admin.GetExecution(WorkflowExecutionGetRequest(id=second), None)
    assert execution.spec.max_parallelism == 7
    request = policies_pb2.SetLaunchPlanPolicyRequest()
    request.id.project, request.id.domain, request.id.name = PROJECT, DOMAIN, plan.name
    request.policy.concurrency.max = 2
    request.policy.concurrency.behavior = policies_pb2.CONCURRENCY_BEHAVIOR_SKIP
    await LaunchPlanPolicyService(one.admin.backend, one.admin.ending).SetLaunchPlanPolicy(request, None)
    with pytest.raises(EntityExistsError, match=r"concurrency limit \(2\) reached"):
        await other.execute(plan, "third", x=1)
    await one.admin.UpdateProject(project_pb2.Project(id=PROJECT, state=project_pb2.Project.ARCHIVED), None)
    with pytest.raises(InvalidArgumentError, match="is not active"):
        await other.execute(plan, "fourth", x=1)


async def test_of_different_registrations_of_one_workflow_one_is_kept_whole(replicas: tuple[World, World]) -> None:
    """Row and object are the same call's, on whichever replica; the others are told that it exists otherwise."""
    tasks = [await replicas[0].register_task(f"t{number}") for number in range(8)]

    async def register(number: int) -> bool:
        spec = workflow_spec("wf", "v1", tasks[number])
        request = workflow_pb2.WorkflowCreateRequest(id=spec.template.id, spec=spec)
        try:
            await replicas[number % 2].admin.CreateWorkflow(request, None)
        except InvalidArgumentError as error:
            # Told from all others by what it says.
            return "workflow with different structure already exists" not in error.message
        return True

    won = await asyncio.gather(*(register(number) for number in range(8)))
    assert sum(won) == 1
    workflow = identifier(ResourceType.WORKFLOW, "wf")
    for world in replicas:
        found = await world.admin.GetWorkflow(get(workflow), None)
        (task,) = found.closure.compiled_workflow.tasks
        assert task.template.id == tasks[won.index(True)]


async def test_a_registration_goes_over_what_a_broken_one_left(replicas: tuple[World, World]) -> None:
    """An object without a row, left by a crash between the two, is in nobody's way."""
    one, other = replicas
    uri = f"{one.objects.prefix}/metadata/admin/{PROJECT}/{DOMAIN}/wf/v1"
    await one.objects.put(uri, b"left behind")
    workflow = await one.register_workflow("wf")
    found = await other.admin.GetWorkflow(get(workflow), None)
    assert found.closure.compiled_workflow.primary.template.id == workflow


async def test_a_name_goes_to_one_of_many_launches(replicas: tuple[World, World]) -> None:
    """Of twenty launches under one name on two replicas one is told that it started, the others who has the name."""
    plan = await replicas[0].register_launch_plan()
    launches = (replicas[number % 2].execute(plan, "run", x=number) for number in range(20))
    outcomes = await asyncio.gather(*launches, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, EntityExistsError)]
    assert len(refused) == 19
    assert {error.message for error in refused} == {f"execution {PROJECT}:{DOMAIN}:run already exists"}


def test_memory_is_bounded() -> None:
    """The least used leaves first, what is replaced counts once, and what is too large is not kept at all."""
    kept = Kept(budget=10)
    for name in "abc":
        kept.put(name, name.upper(), 3)
    assert kept.get("a") == "A"
    kept.put("c", "C2", 4)
    kept.put("d", "D", 3)
    assert [kept.get(name) for name in "abcd"] == ["A", None, "C2", "D"]
    kept.put("e", "E", 2**20 + 1)
    assert kept.get("e") is None
