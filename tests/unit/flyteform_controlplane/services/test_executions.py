"""Executions: creation with its precedence and inputs, relaunch, recovery, end by request, lists and data."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.common_pb2 import (
    Labels,
    NamedEntityIdentifier,
    NamedEntityListRequest,
    ResourceListRequest,
)
from flyteidl.admin.event_pb2 import EventFailureReason, WorkflowExecutionEventRequest
from flyteidl.admin.execution_pb2 import (
    EXECUTION_ARCHIVED,
    ExecutionCreateRequest,
    ExecutionMetadata,
    ExecutionRecoverRequest,
    ExecutionRelaunchRequest,
    ExecutionSpec,
    ExecutionTerminateRequest,
    ExecutionUpdateRequest,
    WorkflowExecutionGetDataRequest,
    WorkflowExecutionGetRequest,
)
from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.admin.matchable_resource_pb2 import MatchingAttributes
from flyteidl.admin.project_domain_attributes_pb2 import (
    ProjectDomainAttributes,
    ProjectDomainAttributesUpdateRequest,
)
from flyteidl.admin.project_pb2 import Project
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import ResourceType, WorkflowExecutionIdentifier
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
from flyteidl.event.event_pb2 import WorkflowExecutionEvent

from flyteform_controlplane.domain.config import AdminConfig
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.domain.times import to_timestamp
from flyteform_controlplane.errors import (
    EntityExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    MissingEntityError,
)
from support.admin import DOMAIN, PROJECT, World, identifier, integers, open_world

if TYPE_CHECKING:
    from pathlib import Path

    from flyteidl.admin.execution_pb2 import Execution, ExecutionList

NAMES = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
AT = to_timestamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


async def get(world: World, name: WorkflowExecutionIdentifier) -> Execution:
    """Read one execution."""
    found: Execution = await world.admin.GetExecution(WorkflowExecutionGetRequest(id=name), None)
    return found


async def report(world: World, name: WorkflowExecutionIdentifier, phase: WorkflowExecution.Phase, **more: str) -> None:
    """Send an event of an execution."""
    event = WorkflowExecutionEvent(execution_id=name, phase=phase, occurred_at=AT, **more)  # type: ignore[arg-type]
    await world.admin.CreateWorkflowEvent(WorkflowExecutionEventRequest(event=event), None)


async def listed(world: World, filters: str = "") -> list[str]:
    """Return the names that a list has, newest first."""
    request = ResourceListRequest(id=NAMES, limit=100, filters=filters)
    request.sort_by.key = "execution_created_at"
    page: ExecutionList = await world.admin.ListExecutions(request, None)
    return [one.id.name for one in page.executions]


async def test_execution_is_written_queued_and_readable(world: World) -> None:
    """CreateExecution resolves the launch plan, keeps the inputs, queues once, and GetExecution shows it fresh."""
    plan = await world.register_launch_plan("wf")
    name = await world.execute(plan, "run", x=4)
    assert world.dispatch.enqueued == [(ExecutionKey(PROJECT, DOMAIN, "run"), "")]
    assert world.dispatch.woken == 1
    found = await get(world, name)
    assert found.spec.launch_plan == plan
    assert found.spec.max_parallelism == 25
    assert found.spec.metadata.system_metadata.namespace == "flytesnacks-development"
    assert found.closure.phase == WorkflowExecution.UNDEFINED
    assert found.closure.workflow_id == identifier(ResourceType.WORKFLOW, "wf")
    assert found.closure.created_at.seconds > 0
    data = await world.admin.GetExecutionData(WorkflowExecutionGetDataRequest(id=name), None)
    assert data.full_inputs == integers(x=4)
    assert data.inputs.url.startswith("http://127.0.0.1:1/objects/metadata/flytesnacks/development/run/inputs?")
    assert not data.full_outputs.literals


async def test_random_names_are_made_as_the_contract_says(world: World) -> None:
    """Without a name the server makes one of a letter a and 19 lower-case letters and digits."""
    plan = await world.register_launch_plan("wf")
    names = {(await world.execute(plan, x=1)).name for _ in range(3)}
    assert len(names) == 3
    for name in names:
        assert name[0] == "a"
        assert len(name) == 20
        assert name.isalnum()
        assert name == name.lower()


@pytest.mark.parametrize("name", ["Run", "1run", "run_1", "r" * 64, "run/..", "läuft"])
async def test_bad_names_are_refused(world: World, name: str) -> None:
    """A name that is no label is INVALID_ARGUMENT."""
    plan = await world.register_launch_plan("wf")
    with pytest.raises(InvalidArgumentError):
        await world.execute(plan, name, x=1)


async def test_fifty_simultaneous_creations_of_one_name_make_one_execution_with_its_own_inputs(world: World) -> None:
    """Exactly one call wins, it alone is queued, and no loser changes its inputs."""
    plan = await world.register_launch_plan("wf")
    calls = (world.execute(plan, "run", x=number) for number in range(50))
    results = await asyncio.gather(*calls, return_exceptions=True)
    winners = [number for number, result in enumerate(results) if not isinstance(result, BaseException)]
    assert len(winners) == 1
    assert all(isinstance(result, EntityExistsError) for result in results if isinstance(result, BaseException))
    assert len(world.dispatch.enqueued) == 1
    name = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="run")
    data = await world.admin.GetExecutionData(WorkflowExecutionGetDataRequest(id=name), None)
    assert data.full_inputs == integers(x=winners[0])
    kept = [info.uri async for info in world.objects.list(f"{world.objects.prefix}/metadata/{PROJECT}/")]
    assert len(kept) == 1  # nothing was added to what the user gave


async def test_refusal_of_dispatch_leaves_nothing_behind(world: World) -> None:
    """When the execution cannot be queued, neither row nor inputs stay, and the name is free again."""
    plan = await world.register_launch_plan("wf")
    world.dispatch.refuse = FailedPreconditionError("no cluster has the label")
    with pytest.raises(FailedPreconditionError):
        await world.execute(plan, "run", x=1)
    assert not [info async for info in world.objects.list(f"{world.objects.prefix}/metadata/{PROJECT}/")]
    world.dispatch.refuse = None
    await world.execute(plan, "run", x=2)
    assert await listed(world) == ["run"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (LiteralMap(), "expected_inputs x missing"),
        (integers(x=1, y=2), "invalid input y"),
        (
            LiteralMap(literals={"x": Literal(scalar=Scalar(primitive=Primitive(string_value="1")))}),
            "invalid x input wrong type",
        ),
    ],
)
async def test_wrong_inputs_are_refused(world: World, inputs: LiteralMap, message: str) -> None:
    """Missing, unknown and mistyped inputs are INVALID_ARGUMENT and name the input."""
    plan = await world.register_launch_plan("wf")
    request = ExecutionCreateRequest(
        project=PROJECT, domain=DOMAIN, spec=ExecutionSpec(launch_plan=plan), inputs=inputs
    )
    with pytest.raises(InvalidArgumentError, match=message):
        await world.admin.CreateExecution(request, None)
    assert not world.dispatch.enqueued


async def test_fixed_inputs_are_given_and_cannot_be_overridden(world: World) -> None:
    """The value that a launch plan fixes is the one that runs."""
    plan = await world.register_launch_plan("wf", spec=LaunchPlanSpec(fixed_inputs=integers(x=7)))
    with pytest.raises(InvalidArgumentError, match="x cannot be overridden"):
        await world.execute(plan, x=1)
    name = await world.execute(plan)
    data = await world.admin.GetExecutionData(WorkflowExecutionGetDataRequest(id=name), None)
    assert data.full_inputs == integers(x=7)


async def test_unknown_launch_plan_and_project_are_refused(world: World) -> None:
    """What does not exist cannot be executed, and a workflow is not what is executed."""
    with pytest.raises(MissingEntityError):
        await world.execute(identifier(ResourceType.LAUNCH_PLAN, "nobody"))
    with pytest.raises(MissingEntityError):
        await world.execute(identifier(ResourceType.TASK, "nobody"))
    with pytest.raises(InvalidArgumentError):
        await world.execute(identifier(ResourceType.WORKFLOW, "nobody"))
    with pytest.raises(InvalidArgumentError):
        await world.admin.CreateExecution(
            ExecutionCreateRequest(project="nobody", domain=DOMAIN, spec=ExecutionSpec()), None
        )


async def test_single_task_runs_in_a_generated_workflow_that_lists_hide(world: World) -> None:
    """A task is executed through `.flytegen.`, made once even by simultaneous calls, and hidden from lists of names."""
    task = await world.register_task("my.task")
    names = await asyncio.gather(*(world.execute(task, x=number) for number in range(4)))
    found = await get(world, names[0])
    assert found.spec.launch_plan == task
    assert found.closure.workflow_id == identifier(ResourceType.WORKFLOW, ".flytegen.my.task")
    for kind in (ResourceType.WORKFLOW, ResourceType.LAUNCH_PLAN):
        request = NamedEntityListRequest(resource_type=kind, project=PROJECT, domain=DOMAIN, limit=10)
        assert not (await world.admin.ListNamedEntities(request, None)).entities
    assert len(await listed(world, "eq(task.name,my.task)")) == 4


async def test_settings_come_from_execution_then_launch_plan_then_attributes_then_application(tmp_path: Path) -> None:
    """Each setting is taken from the first level that has it; the project's labels are added."""
    config = AdminConfig(max_parallelism=3, raw_output_prefix="file:///app", kubernetes_service_account="app")
    async with open_world(tmp_path, config) as world:
        await world.admin.UpdateProject(Project(id=PROJECT, labels=Labels(values={"of": "project", "a": "p"})), None)
        attributes = MatchingAttributes()
        attributes.workflow_execution_config.max_parallelism = 5
        attributes.workflow_execution_config.raw_output_data_config.output_location_prefix = "file:///domain"
        update = ProjectDomainAttributes(project=PROJECT, domain=DOMAIN, matching_attributes=attributes)
        await world.admin.UpdateProjectDomainAttributes(ProjectDomainAttributesUpdateRequest(attributes=update), None)
        plan = await world.register_launch_plan("wf", spec=LaunchPlanSpec(max_parallelism=7))
        spec = ExecutionSpec(labels=Labels(values={"a": "e"}))
        spec.interruptible.value = False
        found = await get(world, await world.execute(plan, spec=spec, x=1))
    assert found.spec.max_parallelism == 7
    assert found.spec.raw_output_data_config.output_location_prefix == "file:///domain"
    assert found.spec.security_context.run_as.k8s_service_account == "app"
    assert dict(found.spec.labels.values) == {"a": "e", "of": "project"}
    assert found.spec.HasField("interruptible")


async def test_cluster_label_comes_from_attributes_and_goes_to_dispatch(world: World) -> None:
    """The label of an execution is its own, or what is set for its domain."""
    plan = await world.register_launch_plan("wf")
    attributes = MatchingAttributes()
    attributes.execution_cluster_label.value = "gpu"
    update = ProjectDomainAttributes(project=PROJECT, domain=DOMAIN, matching_attributes=attributes)
    await world.admin.UpdateProjectDomainAttributes(ProjectDomainAttributesUpdateRequest(attributes=update), None)
    await world.execute(plan, x=1)
    own = ExecutionSpec()
    own.execution_cluster_label.value = "cpu"
    await world.execute(plan, spec=own, x=1)
    assert [label for _, label in world.dispatch.enqueued] == ["gpu", "cpu"]


async def test_relaunch_runs_the_same_inputs_under_another_name(world: World) -> None:
    """A relaunch has the spec and the given inputs of the first, its mode and a reference to it."""
    plan = await world.register_launch_plan("wf")
    first = await world.execute(plan, "first", x=4)
    request = ExecutionRelaunchRequest(id=first, name="second", overwrite_cache=True)
    second = (await world.admin.RelaunchExecution(request, None)).id
    found = await get(world, second)
    assert found.spec.metadata.mode == ExecutionMetadata.RELAUNCH
    assert found.spec.metadata.reference_execution == first
    assert found.spec.overwrite_cache
    data = await world.admin.GetExecutionData(WorkflowExecutionGetDataRequest(id=second), None)
    assert data.full_inputs == integers(x=4)


async def test_relaunch_decides_anew_whether_the_cache_is_overwritten(world: World) -> None:
    """Who asks for a relaunch without overwriting gets none, as with Flyte, unless the launch plan demands it."""
    plan = await world.register_launch_plan("wf")
    first = await world.execute(plan, "first", ExecutionSpec(overwrite_cache=True), x=4)
    second = (await world.admin.RelaunchExecution(ExecutionRelaunchRequest(id=first, name="second"), None)).id
    assert not (await get(world, second)).spec.overwrite_cache
    demanding = await world.register_launch_plan("demanding", spec=LaunchPlanSpec(overwrite_cache=True))
    third = await world.execute(demanding, "third", x=4)
    fourth = (await world.admin.RelaunchExecution(ExecutionRelaunchRequest(id=third, name="fourth"), None)).id
    assert (await get(world, fourth)).spec.overwrite_cache


async def test_recovery_names_what_it_recovers(world: World) -> None:
    """It starts in mode RECOVERED with a reference, as with Flyte whether the other has ended or not."""
    first = await world.execute(await world.register_launch_plan("wf"), "first", x=4)
    for name, phase in (("early", WorkflowExecution.RUNNING), ("late", WorkflowExecution.FAILED)):
        await report(world, first, phase)
        recovered = (await world.admin.RecoverExecution(ExecutionRecoverRequest(id=first, name=name), None)).id
        found = await get(world, recovered)
        assert found.spec.metadata.mode == ExecutionMetadata.RECOVERED
        assert found.spec.metadata.reference_execution == first
    missing = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="none")
    with pytest.raises(MissingEntityError):
        await world.admin.RecoverExecution(ExecutionRecoverRequest(id=missing, name="never"), None)


async def test_waiting_execution_is_aborted_at_once_and_a_running_one_by_its_data_plane(world: World) -> None:
    """Termination is final for what nobody runs, ABORTING for what somebody runs, and refused after the end."""
    plan = await world.register_launch_plan("wf")
    waiting, running = await world.execute(plan, "waiting", x=1), await world.execute(plan, "running", x=1)
    await report(world, running, WorkflowExecution.RUNNING)
    world.dispatch.held.add("running")
    for name in (waiting, running):
        await world.admin.TerminateExecution(ExecutionTerminateRequest(id=name, cause="enough"), None)
    found = await get(world, waiting)
    assert found.closure.phase == WorkflowExecution.ABORTED
    assert found.closure.abort_metadata.cause == "enough"
    assert (await get(world, running)).closure.phase == WorkflowExecution.ABORTING
    assert [(key.name, cause) for key, cause in world.dispatch.aborted] == [
        ("waiting", "enough"),
        ("running", "enough"),
    ]
    await report(world, running, WorkflowExecution.ABORTED)
    with pytest.raises(FailedPreconditionError) as refusal:
        await world.admin.TerminateExecution(ExecutionTerminateRequest(id=running, cause="again"), None)
    reason = EventFailureReason()
    reason.already_in_terminal_state.current_phase = "ABORTED"
    assert refusal.value.details == (reason,)


async def test_archived_executions_are_hidden_unless_filtered(world: World) -> None:
    """UpdateExecution archives; a filter on state finds it again."""
    name = await world.execute(await world.register_launch_plan("wf"), "run", x=1)
    await world.admin.UpdateExecution(ExecutionUpdateRequest(id=name, state=EXECUTION_ARCHIVED), None)
    assert await listed(world) == []
    assert await listed(world, "eq(state,1)") == ["run"]
    assert (await get(world, name)).closure.state_change_details.state == EXECUTION_ARCHIVED


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ("eq(phase,RUNNING)", ["b"]),
        ("value_in(phase,RUNNING;UNDEFINED)", ["b", "a"]),
        ("ne(phase,RUNNING)", ["a"]),
        ("eq(workflow.name,wf)+eq(phase,UNDEFINED)", ["a"]),
        ("eq(launch_plan.name,nobody)", []),
        ("eq(execution.phase,RUNNING)", ["b"]),
        ("gte(started_at,2026-01-02T03:04:05Z)", ["b"]),
        ("gte(started_at,2026-01-02T04:04:05+01:00)+eq(phase,RUNNING)", ["b"]),
        ("lt(started_at,2026-01-02T03:04:05Z)", []),
        ("lt(duration,200)", ["b", "a"]),
        ("gt(duration,1m30s)", []),
        ("contains(execution_name,b)", ["b"]),
        ("eq(execution_tag.key,red)", ["a"]),
        ("eq(admin_tag.name,red)", ["a"]),
        ("value_not_in(execution_name,b;c)", ["a"]),
    ],
)
async def test_executions_are_found_by_what_clients_filter(world: World, filters: str, names: list[str]) -> None:
    """Filters on own columns, related entities, tags, times and durations select what they say."""
    plan = await world.register_launch_plan("wf")
    await world.execute(plan, "a", ExecutionSpec(tags=["red", "red"]), x=1)
    await report(world, await world.execute(plan, "b", x=1), WorkflowExecution.RUNNING)
    assert await listed(world, filters) == names


@pytest.mark.parametrize("filters", ["eq(project,x)", "eq(spec,x)", "gt(duration,long)", "eq(started_at,soon)"])
async def test_filters_that_the_table_cannot_answer_are_refused(world: World, filters: str) -> None:
    """Columns that executions lack and values of another type are INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgumentError):
        await listed(world, filters)


async def test_long_errors_are_cut_in_lists_alone(world: World) -> None:
    """A list shows the start of an error message, GetExecution the whole."""
    name = await world.execute(await world.register_launch_plan("wf"), "run", x=1)
    event = WorkflowExecutionEvent(execution_id=name, phase=WorkflowExecution.FAILED, occurred_at=AT)
    event.error.message = "e" * 5000
    await world.admin.CreateWorkflowEvent(WorkflowExecutionEventRequest(event=event), None)
    page = await world.admin.ListExecutions(ResourceListRequest(id=NAMES, limit=1), None)
    assert len(page.executions[0].closure.error.message) == 100
    assert len((await get(world, name)).closure.error.message) == 5000


async def test_outputs_are_read_from_where_the_data_plane_wrote_them(world: World) -> None:
    """A terminal event's output URI is visible at once, signed, and small values are inline; large ones are not."""
    plan = await world.register_launch_plan("wf")
    for size, inline in ((1, True), (3 * 1024 * 1024, False)):
        name = await world.execute(plan, x=1)
        uri = f"{world.objects.prefix}/raw/{name.name}/outputs.pb"
        text = Literal(scalar=Scalar(primitive=Primitive(string_value="v" * size)))
        outputs = LiteralMap(literals={"o0": text})
        await world.objects.put(uri, outputs.SerializeToString())
        await report(world, name, WorkflowExecution.SUCCEEDED, output_uri=uri)
        assert (await get(world, name)).closure.outputs.uri == uri
        data = await world.admin.GetExecutionData(WorkflowExecutionGetDataRequest(id=name), None)
        assert data.outputs.bytes == outputs.ByteSize()
        assert data.outputs.url
        assert (data.full_outputs == outputs) is inline


async def test_missing_execution_is_not_found(world: World) -> None:
    """Every method that names an execution answers NOT_FOUND for one that is not there."""
    name = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="nobody")
    for call in (
        world.admin.GetExecution(WorkflowExecutionGetRequest(id=name), None),
        world.admin.GetExecutionData(WorkflowExecutionGetDataRequest(id=name), None),
        world.admin.TerminateExecution(ExecutionTerminateRequest(id=name), None),
        world.admin.UpdateExecution(ExecutionUpdateRequest(id=name), None),
        world.admin.RelaunchExecution(ExecutionRelaunchRequest(id=name), None),
        report(world, name, WorkflowExecution.RUNNING),
    ):
        with pytest.raises(MissingEntityError):
            await call


async def test_scheduler_launches_with_its_mode_and_time(world: World) -> None:
    """The launcher that the scheduler uses keeps mode SCHEDULED and the time of the firing."""
    plan = await world.register_launch_plan("wf", spec=LaunchPlanSpec(fixed_inputs=integers(x=1)))
    request = ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name="fired", spec=ExecutionSpec(launch_plan=plan))
    at = datetime(2026, 1, 2, tzinfo=UTC)
    name = await world.admin.launch(request, mode=ExecutionMetadata.SCHEDULED, scheduled_at=at)
    metadata = (await get(world, name)).spec.metadata
    assert metadata.mode == ExecutionMetadata.SCHEDULED
    assert metadata.scheduled_at == to_timestamp(at)
    with pytest.raises(EntityExistsError):
        await world.admin.launch(request, mode=ExecutionMetadata.SCHEDULED, scheduled_at=at)
