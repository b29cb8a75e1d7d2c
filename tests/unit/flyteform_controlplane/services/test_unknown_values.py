"""Numbers that no enum has, negative counts and endless lists: refused by name, never an internal error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin.common_pb2 import (
    NamedEntityGetRequest,
    NamedEntityIdentifier,
    NamedEntityUpdateRequest,
    ResourceListRequest,
)
from flyteidl.admin.execution_pb2 import ExecutionSpec, WorkflowExecutionGetRequest
from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.core.execution_pb2 import NodeExecution, TaskExecution, WorkflowExecution
from flyteidl.core.identifier_pb2 import ResourceType

from flyteform_controlplane.domain.filters import MAX_FILTERS, MAX_VALUES
from flyteform_controlplane.errors import InvalidArgumentError
from support.admin import DOMAIN, PROJECT, World, task_spec
from support.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable

UNKNOWN: Any = 99


@pytest.fixture
async def run(world: World) -> Run:
    """Give an execution of a workflow of one task."""
    name = await world.execute(await world.register_launch_plan("wf"), "run", x=1)
    return Run(world, name, (await world.register_task("other")))


@pytest.mark.parametrize(
    "make", [lambda run: run.execution(UNKNOWN), lambda run: run.node(UNKNOWN), lambda run: run.attempt(UNKNOWN)]
)
async def test_phases_that_there_are_none_of_are_refused(run: Run, make: Callable[[Run], Any]) -> None:
    """An event with a phase that a newer client may know is INVALID_ARGUMENT, and the others of its batch are taken."""
    await run.send(run.execution(WorkflowExecution.RUNNING), run.node(NodeExecution.QUEUED))
    with pytest.raises(InvalidArgumentError, match="invalid value for phase: 99"):
        await run.send(make(run))
    await run.send(run.attempt(TaskExecution.QUEUED))


async def test_other_unknown_numbers_in_events_are_kept_as_numbers(run: Run) -> None:
    """A kind of error or a cache status without a name does no harm."""
    node = run.node(NodeExecution.QUEUED)
    node.task_node_metadata.cache_status = UNKNOWN
    failed = run.node(NodeExecution.FAILED, seconds=1)
    failed.error.kind = UNKNOWN
    end = run.execution(WorkflowExecution.FAILED)
    end.error.kind = UNKNOWN
    await run.send(run.execution(WorkflowExecution.RUNNING), node, failed, end)
    found = await run.world.admin.GetExecution(WorkflowExecutionGetRequest(id=run.name), None)
    assert found.closure.error.kind == UNKNOWN


async def test_unknown_numbers_in_registrations_are_refused_by_number(world: World) -> None:
    """A resource or a notification's phase without a name is named by its number."""
    spec = task_spec("t")
    for _ in range(2):
        spec.template.container.resources.requests.add(name=UNKNOWN, value="1")
    with pytest.raises(InvalidArgumentError, match="99 is given twice"):
        await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)
    plan = LaunchPlanSpec()
    plan.entity_metadata.notifications.add().phases.append(UNKNOWN)
    with pytest.raises(InvalidArgumentError, match="not on 99"):
        await world.register_launch_plan("wf", spec=plan)


async def test_names_have_known_kinds_and_states(world: World) -> None:
    """Neither a state nor a kind of name can be made up, and an update says what to set."""
    await world.register_task("t")
    name = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="t")
    update = NamedEntityUpdateRequest(resource_type=ResourceType.TASK, id=name)
    with pytest.raises(InvalidArgumentError, match="missing metadata"):
        await world.admin.UpdateNamedEntity(update, None)
    update.metadata.state = UNKNOWN
    with pytest.raises(InvalidArgumentError, match="invalid value for state: 99"):
        await world.admin.UpdateNamedEntity(update, None)
    with pytest.raises(InvalidArgumentError, match="invalid value for resource_type"):
        await world.admin.GetNamedEntity(NamedEntityGetRequest(resource_type=UNKNOWN, id=name), None)


async def test_negative_parallelism_is_refused(world: World) -> None:
    """Less than no node at once would hold an execution for ever."""
    with pytest.raises(InvalidArgumentError, match="invalid value for max_parallelism"):
        await world.register_launch_plan("negative", spec=LaunchPlanSpec(max_parallelism=-1))
    plan = await world.register_launch_plan("wf")
    with pytest.raises(InvalidArgumentError, match="invalid value for max_parallelism"):
        await world.execute(plan, "run", ExecutionSpec(max_parallelism=-1), x=1)


async def test_filters_are_bounded(world: World) -> None:
    """As many filters and values as a statement holds are answered; one more is refused."""

    async def ask(filters: str) -> None:
        name = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
        await world.admin.ListExecutions(ResourceListRequest(id=name, limit=1, filters=filters), None)

    joined = "eq(launch_plan.name,a)", "eq(workflow.name,a)", "eq(task.name,a)", "eq(execution_tag.key,a)"
    await ask("+".join((joined * MAX_FILTERS)[:MAX_FILTERS]))
    await ask(f"value_in(phase,{';'.join('A' * MAX_VALUES)})")
    for filters in (
        "+".join(["eq(mode,0)"] * (MAX_FILTERS + 1)),
        f"value_in(phase,{';'.join('A' * (MAX_VALUES + 1))})",
    ):
        with pytest.raises(InvalidArgumentError, match="too many filters"):
            await ask(filters)
