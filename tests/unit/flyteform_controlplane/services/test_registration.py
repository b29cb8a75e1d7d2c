"""Registration of projects, tasks, workflows and launch plans."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.common_pb2 import (
    NAMED_ENTITY_ARCHIVED,
    Labels,
    NamedEntityGetRequest,
    NamedEntityIdentifier,
    NamedEntityIdentifierListRequest,
    NamedEntityListRequest,
    NamedEntityMetadata,
    NamedEntityUpdateRequest,
    ObjectGetRequest,
    ResourceListRequest,
)
from flyteidl.admin.description_entity_pb2 import DescriptionEntity, DescriptionEntityListRequest
from flyteidl.admin.launch_plan_pb2 import (
    ACTIVE,
    INACTIVE,
    ActiveLaunchPlanListRequest,
    ActiveLaunchPlanRequest,
    LaunchPlanCreateRequest,
    LaunchPlanSpec,
)
from flyteidl.admin.project_pb2 import (
    InactiveProject,
    Project,
    ProjectGetRequest,
    ProjectListRequest,
    ProjectRegisterRequest,
)
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.admin.version_pb2 import GetVersionRequest
from flyteidl.admin.workflow_pb2 import CreateWorkflowFailureReason, WorkflowCreateRequest
from flyteidl.core.identifier_pb2 import ResourceType
from flyteidl.core.tasks_pb2 import Resources

from flyteform_controlplane.errors import (
    EntityExistsError,
    InvalidArgumentError,
    MissingEntityError,
)
from support.admin import (
    DOMAIN,
    PROJECT,
    World,
    identifier,
    integer,
    integers,
    open_world,
    task_spec,
    workflow_spec,
)

if TYPE_CHECKING:
    from pathlib import Path

TASK, WORKFLOW, LAUNCH_PLAN = ResourceType.TASK, ResourceType.WORKFLOW, ResourceType.LAUNCH_PLAN
NAMES = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)


async def test_first_project_exists_with_all_domains(world: World) -> None:
    """A new platform has the project flytesnacks with three domains."""
    projects = (await world.admin.ListProjects(ProjectListRequest(), None)).projects
    assert [project.id for project in projects] == ["flytesnacks"]
    assert [domain.id for domain in projects[0].domains] == ["development", "staging", "production"]


async def test_project_is_registered_once_updated_and_hidden_when_archived(world: World) -> None:
    """A project's id is unique, its fields can be overwritten, and lists leave archived ones out unless filtered."""
    project = Project(id="one", name="One", labels=Labels(values={"team": "a"}))
    await world.admin.RegisterProject(ProjectRegisterRequest(project=project), None)
    with pytest.raises(EntityExistsError):
        await world.admin.RegisterProject(ProjectRegisterRequest(project=project), None)
    await world.admin.UpdateProject(Project(id="one", description="d", state=Project.ARCHIVED), None)
    found = await world.admin.GetProject(ProjectGetRequest(id="one"), None)
    assert (found.name, found.description, found.state) == ("One", "d", Project.ARCHIVED)
    assert [p.id for p in (await world.admin.ListProjects(ProjectListRequest(), None)).projects] == ["flytesnacks"]
    archived = await world.admin.ListProjects(ProjectListRequest(filters="eq(state,1)"), None)
    assert [p.id for p in archived.projects] == ["one"]


@pytest.mark.parametrize(
    "project",
    [
        Project(name="n"),
        Project(id="Upper", name="n"),
        Project(id="a" * 64, name="n"),
        Project(id="a", name="n" * 65),
        Project(id="a", name=""),
        Project(id="a", name="n", description="d" * 301),
        Project(id="a", name="n", labels=Labels(values={str(i): "v" for i in range(17)})),
        Project(id="a", name="n", labels=Labels(values={"bad key": "v"})),
        Project(id="a", name="n", domains=[{"id": "x"}]),  # type: ignore[list-item]
    ],
)
async def test_wrong_project_is_refused(world: World, project: Project) -> None:
    """Every rule on a project's fields is an INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgumentError):
        await world.admin.RegisterProject(ProjectRegisterRequest(project=project), None)


async def test_unknown_project_update_is_not_found(world: World) -> None:
    """Only a project that exists can be updated."""
    with pytest.raises(MissingEntityError):
        await world.admin.UpdateProject(Project(id="nobody"), None)


async def test_identical_task_exists_and_a_different_one_is_refused_with_the_difference(world: World) -> None:
    """The same registration is ALREADY_EXISTS; another structure under the version INVALID_ARGUMENT with a diff."""
    await world.register_task("t", image="img:1")
    with pytest.raises(EntityExistsError, match="task with identical structure already exists"):
        await world.register_task("t", image="img:1")
    with pytest.raises(InvalidArgumentError, match="t task with different structure already exists") as refusal:
        await world.register_task("t", image="img:2")
    assert "img:1" in refusal.value.message
    assert "img:2" in refusal.value.message


async def test_task_is_read_as_it_was_registered(world: World) -> None:
    """GetTask and ListTasks return the compiled task with its time."""
    task = await world.register_task("t")
    found = await world.admin.GetTask(ObjectGetRequest(id=task), None)
    assert found.id == task
    assert found.closure.compiled_task.template == task_spec("t").template
    assert found.closure.created_at.seconds > 0
    listed = await world.admin.ListTasks(ResourceListRequest(id=NAMES, limit=10), None)
    assert list(listed.tasks) == [found]
    with pytest.raises(MissingEntityError):
        await world.admin.GetTask(ObjectGetRequest(id=identifier(TASK, "t", "v2")), None)


@pytest.mark.parametrize(
    ("request_cpu", "limit_cpu", "gpu"), [("2", "1", "1"), ("x", "1", "1"), ("1", "1", "0.5"), ("-1", "1", "1")]
)
async def test_impossible_resources_are_refused(world: World, request_cpu: str, limit_cpu: str, gpu: str) -> None:
    """Requests over limits, things that are no quantity, and parts of a GPU are INVALID_ARGUMENT."""
    spec = task_spec("t")
    resources = spec.template.container.resources
    resources.requests.add(name=Resources.CPU, value=request_cpu)
    resources.limits.add(name=Resources.CPU, value=limit_cpu)
    resources.requests.add(name=Resources.GPU, value=gpu)
    with pytest.raises(InvalidArgumentError):
        await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)


@pytest.mark.parametrize("field", ["project", "domain", "name", "version"])
async def test_incomplete_identifier_is_refused_by_the_name_of_the_field(world: World, field: str) -> None:
    """A missing part of an identifier is named."""
    spec = task_spec("t")
    spec.template.id.ClearField(field)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=f"missing {field}"):
        await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)


async def test_unknown_project_domain_and_archived_project_are_refused(world: World) -> None:
    """Registration needs a known domain of an active project; the archived one is named in a detail."""
    spec = task_spec("t")
    spec.template.id.domain = "moon"
    with pytest.raises(InvalidArgumentError, match=r"domain \[moon\]"):
        await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)
    spec.template.id.domain, spec.template.id.project = DOMAIN, "nobody"
    with pytest.raises(InvalidArgumentError, match=r"failed to validate that project \[nobody\]"):
        await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)
    await world.admin.UpdateProject(Project(id=PROJECT, state=Project.ARCHIVED), None)
    with pytest.raises(InvalidArgumentError) as refusal:
        await world.register_task("t")
    assert refusal.value.details == (InactiveProject(id=PROJECT),)


async def test_workflow_is_compiled_and_its_closure_read_by_get_alone(world: World) -> None:
    """GetWorkflow returns the compiled closure, ListWorkflows leaves it out."""
    workflow = await world.register_workflow("wf")
    found = await world.admin.GetWorkflow(ObjectGetRequest(id=workflow), None)
    compiled = found.closure.compiled_workflow
    assert compiled.primary.template.id == workflow
    assert [task.template.id.name for task in compiled.tasks] == ["wf.task"]
    assert "n0" in compiled.primary.connections.downstream["start-node"].ids
    listed = await world.admin.ListWorkflows(ResourceListRequest(id=NAMES, limit=10), None)
    assert [one.id for one in listed.workflows] == [workflow]
    assert not listed.workflows[0].closure.HasField("compiled_workflow")


async def test_existing_workflow_says_in_a_detail_whether_it_is_the_same(world: World) -> None:
    """Both refusals carry CreateWorkflowFailureReason, which clients parse."""
    workflow = await world.register_workflow("wf")
    task = identifier(TASK, "wf.task")
    same = CreateWorkflowFailureReason()
    same.exists_identical_structure.id.CopyFrom(workflow)
    spec = workflow_spec("wf", "v1", task)
    with pytest.raises(EntityExistsError) as identical:
        await world.admin.CreateWorkflow(WorkflowCreateRequest(id=workflow, spec=spec), None)
    assert identical.value.details == (same,)
    spec.template.nodes[0].id = "other"
    spec.template.outputs[0].binding.promise.node_id = "other"
    with pytest.raises(InvalidArgumentError, match="different structure") as different:
        await world.admin.CreateWorkflow(WorkflowCreateRequest(id=workflow, spec=spec), None)
    reason = different.value.details[0]
    assert isinstance(reason, CreateWorkflowFailureReason)
    assert reason.exists_different_structure.id == workflow
    found = await world.admin.GetWorkflow(ObjectGetRequest(id=workflow), None)
    assert "n0" in found.closure.compiled_workflow.primary.connections.downstream["start-node"].ids


async def test_workflow_that_does_not_compile_says_why(world: World) -> None:
    """An unknown task is the compiler's error, with the workflow's name."""
    spec = workflow_spec("wf", "v1", identifier(TASK, "nobody"))
    with pytest.raises(InvalidArgumentError, match=r"failed to compile workflow for \[wf\] with err") as refusal:
        await world.admin.CreateWorkflow(WorkflowCreateRequest(id=spec.template.id, spec=spec), None)
    assert "TaskReferenceNotFound" in refusal.value.message


async def test_names_with_slashes_and_dots_stay_inside_the_object_store(world: World) -> None:
    """A version that looks like a path is kept and read back like any other."""
    task = await world.register_task("t")
    for version in ("../../../etc", "a/b", "..", "ä %"):
        spec = workflow_spec("wf", version, task)
        await world.admin.CreateWorkflow(WorkflowCreateRequest(id=spec.template.id, spec=spec), None)
        found = await world.admin.GetWorkflow(ObjectGetRequest(id=spec.template.id), None)
        assert found.closure.compiled_workflow.primary.template.id.version == version


async def test_simultaneous_different_registrations_keep_the_winners_closure(world: World) -> None:
    """Of several structures for one version exactly one is kept, row and object alike."""
    task = await world.register_task("t")
    specs = []
    for number in range(8):
        spec = workflow_spec("wf", "v1", task)
        spec.template.nodes[0].id = f"n{number}"
        spec.template.outputs[0].binding.promise.node_id = f"n{number}"
        specs.append(spec)
    requests = [WorkflowCreateRequest(id=spec.template.id, spec=spec) for spec in specs]
    results = await asyncio.gather(
        *(world.admin.CreateWorkflow(request, None) for request in requests), return_exceptions=True
    )
    winners = [number for number, result in enumerate(results) if not isinstance(result, Exception)]
    assert len(winners) == 1
    found = await world.admin.GetWorkflow(ObjectGetRequest(id=specs[0].template.id), None)
    downstream = found.closure.compiled_workflow.primary.connections.downstream["start-node"].ids
    assert f"n{winners[0]}" in downstream


async def test_launch_plan_expects_every_input_that_it_leaves_unbound(world: World) -> None:
    """Registration completes the default inputs and starts inactive."""
    plan = await world.register_launch_plan("wf")
    found = await world.admin.GetLaunchPlan(ObjectGetRequest(id=plan), None)
    assert found.closure.expected_inputs.parameters["x"].required
    assert found.spec.default_inputs == found.closure.expected_inputs
    assert set(found.closure.expected_outputs.variables) == {"o0"}
    assert found.closure.state == INACTIVE


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (LaunchPlanSpec(fixed_inputs=integers(y=1)), "unexpected fixed_input y"),
        (
            LaunchPlanSpec(fixed_inputs={"literals": {"x": {"scalar": {"none_type": {}}}}}),  # type: ignore[arg-type]
            "invalid fixed_input wrong type x",
        ),
        (
            LaunchPlanSpec(default_inputs={"parameters": {"y": {"default": integer(1)}}}),  # type: ignore[arg-type]
            "unexpected default_input y",
        ),
        (
            LaunchPlanSpec(
                entity_metadata={"schedule": {"cron_schedule": {"schedule": "0 * * * *"}}}  # type: ignore[arg-type]
            ),
            r"unbound required input. \[x\]",
        ),
        (
            LaunchPlanSpec(
                fixed_inputs=integers(x=1),
                entity_metadata={  # type: ignore[arg-type]
                    "schedule": {"cron_schedule": {"schedule": "0 * * * *"}, "kickoff_time_input_arg": "z"}
                },
            ),
            r"does not exist. \[z\]",
        ),
        (
            LaunchPlanSpec(entity_metadata={"notifications": [{"phases": [2]}]}),  # type: ignore[arg-type]
            "terminal phases only",
        ),
    ],
)
async def test_wrong_launch_plan_is_refused(world: World, spec: LaunchPlanSpec, message: str) -> None:
    """Inputs that the workflow lacks, wrong types and schedules that could not fire are INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgumentError, match=message):
        await world.register_launch_plan("wf", spec=spec)


async def test_existing_launch_plan_is_identical_or_refused(world: World) -> None:
    """The rule of registration holds for launch plans."""
    plan = await world.register_launch_plan("wf")
    spec = LaunchPlanSpec(workflow_id=identifier(WORKFLOW, "wf"))
    with pytest.raises(EntityExistsError, match="launch plan with identical structure"):
        await world.admin.CreateLaunchPlan(LaunchPlanCreateRequest(id=plan, spec=spec), None)
    spec.max_parallelism = 3
    with pytest.raises(InvalidArgumentError, match="wf launch plan with different structure"):
        await world.admin.CreateLaunchPlan(LaunchPlanCreateRequest(id=plan, spec=spec), None)


async def test_activation_replaces_the_active_version_and_its_schedule(world: World) -> None:
    """One version of a name is active; the former one's schedule is removed before the new one is added."""
    schedule = LaunchPlanSpec(
        fixed_inputs=integers(x=1),
        entity_metadata={"schedule": {"cron_schedule": {"schedule": "0 * * * *"}}},  # type: ignore[arg-type]
    )
    first = await world.register_launch_plan("wf", "v1", schedule)
    second = await world.register_launch_plan("wf", "v2", schedule)
    request = ActiveLaunchPlanRequest(id=NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="wf"))
    with pytest.raises(MissingEntityError):
        await world.admin.GetActiveLaunchPlan(request, None)
    await world.activate(first)
    await world.activate(first)
    await world.activate(second)
    assert (await world.admin.GetActiveLaunchPlan(request, None)).id == second
    calls = [(what, plan.version) for what, plan in world.schedules.calls]
    assert calls == [("activate", "v1"), ("deactivate", "v1"), ("activate", "v2")]
    active = ActiveLaunchPlanListRequest(project=PROJECT, domain=DOMAIN, limit=10)
    assert [p.id for p in (await world.admin.ListActiveLaunchPlans(active, None)).launch_plans] == [second]
    former = await world.admin.GetLaunchPlan(ObjectGetRequest(id=first), None)
    assert former.closure.state == INACTIVE
    await world.activate(second, INACTIVE)
    with pytest.raises(MissingEntityError):
        await world.admin.GetActiveLaunchPlan(request, None)


async def test_simultaneous_activations_leave_one_active(world: World) -> None:
    """However many activations meet, one version is active in the end."""
    plans = [await world.register_launch_plan("wf", f"v{number}") for number in range(5)]
    await asyncio.gather(*(world.activate(plan) for plan in plans))
    filters = ResourceListRequest(id=NAMES, limit=10, filters=f"eq(state,{ACTIVE})")
    assert len((await world.admin.ListLaunchPlans(filters, None)).launch_plans) == 1


async def test_named_entities_are_listed_once_with_their_metadata(world: World) -> None:
    """Two versions are one name; description and state belong to the name."""
    await world.register_task("t", "v1")
    await world.register_task("t", "v2")
    name = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="t")
    metadata = NamedEntityMetadata(description="about t", state=NAMED_ENTITY_ARCHIVED)
    update = NamedEntityUpdateRequest(resource_type=TASK, id=name, metadata=metadata)
    await world.admin.UpdateNamedEntity(update, None)
    await world.admin.UpdateNamedEntity(update, None)
    listing = NamedEntityListRequest(resource_type=TASK, project=PROJECT, domain=DOMAIN, limit=10)
    listed = await world.admin.ListNamedEntities(listing, None)
    assert [(one.id.name, one.metadata) for one in listed.entities] == [("t", metadata)]
    found = await world.admin.GetNamedEntity(NamedEntityGetRequest(resource_type=TASK, id=name), None)
    assert found.metadata == metadata
    listing.filters = "eq(state,0)"
    assert not (await world.admin.ListNamedEntities(listing, None)).entities
    ids = NamedEntityIdentifierListRequest(project=PROJECT, domain=DOMAIN, limit=10)
    assert [one.name for one in (await world.admin.ListTaskIds(ids, None)).entities] == ["t"]
    name.name = "nobody"
    with pytest.raises(MissingEntityError):
        await world.admin.GetNamedEntity(NamedEntityGetRequest(resource_type=TASK, id=name), None)


async def test_description_of_a_task_is_kept_beside_it(world: World) -> None:
    """What a registration says about the task is found as its documentation."""
    spec = task_spec("t")
    spec.description.CopyFrom(DescriptionEntity(short_description="short"))
    spec.description.long_description.value = "long"
    spec.description.source_code.link = "https://example.org"
    await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)
    found = await world.admin.GetDescriptionEntity(ObjectGetRequest(id=spec.template.id), None)
    assert (found.short_description, found.long_description.value) == ("short", "long")
    listing = DescriptionEntityListRequest(resource_type=TASK, id=NAMES, limit=10)
    assert list((await world.admin.ListDescriptionEntities(listing, None)).descriptionEntities) == [found]


async def test_pages_follow_each_other_without_gap_or_overlap(world: World) -> None:
    """Tokens lead through all versions in the requested order; a short page ends the list."""
    for number in range(5):
        await world.register_task("t", f"v{number}")
    request = ResourceListRequest(id=NAMES, limit=2)
    request.sort_by.key, request.sort_by.direction = "version", 0  # type: ignore[assignment]
    seen = []
    while True:
        page = await world.admin.ListTasks(request, None)
        seen += [task.id.version for task in page.tasks]
        if not page.token:
            break
        request.token = page.token
    assert seen == ["v4", "v3", "v2", "v1", "v0"]


@pytest.mark.parametrize(
    "request_fields",
    [
        {"limit": 0},
        {"limit": 1, "token": "x"},
        {"limit": 1, "token": "9" * 30},
        {"limit": 1, "sort_by": {"key": "nothing"}},
        {"limit": 1, "filters": "eq(nothing,1)"},
        {"limit": 1, "filters": "eq(closure,1)"},
        {"limit": 1, "filters": "eq(id,one)"},
        {"limit": 1, "filters": "like(name,1)"},
        {"limit": 1, "filters": "name=1"},
        {"limit": 1, "filters": "eq(workflow.name,1)"},
        {"limit": 1, "filters": "eq(moon.name,1)"},
    ],
)
async def test_wrong_list_request_is_refused(world: World, request_fields: dict[str, object]) -> None:
    """Limits, tokens, sort keys and filters that mean nothing are INVALID_ARGUMENT."""
    request = ResourceListRequest(id=NAMES, **request_fields)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError):
        await world.admin.ListTasks(request, None)


async def test_version_is_that_of_the_contract(world: World) -> None:
    """Clients that compare releases of Flyte see the one whose contract is served."""
    found = await world.admin.GetVersion(GetVersionRequest(), None)
    assert found.control_plane_version.Version == "v1.16.8"
    assert found.control_plane_version.Build.startswith("flyteform-")


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    """A second control plane on the same directory reads what the first has written."""
    async with open_world(tmp_path) as first:
        plan = await first.register_launch_plan("wf")
    async with open_world(tmp_path) as second:
        assert (await second.admin.GetLaunchPlan(ObjectGetRequest(id=plan), None)).id == plan
        workflow = identifier(WORKFLOW, "wf")
        assert (await second.admin.GetWorkflow(ObjectGetRequest(id=workflow), None)).id == workflow
