"""The calls that flytectl's commands make, with what the commands need of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    matchable_resource_pb2,
    node_execution_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
    project_pb2,
    task_execution_pb2,
    task_pb2,
    version_pb2,
    workflow_attributes_pb2,
    workflow_pb2,
)
from flyteidl.core.identifier_pb2 import Identifier, ResourceType, WorkflowExecutionIdentifier
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from support.admin import DOMAIN, PROJECT, identifier, integers, task_spec, workflow_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from google.protobuf.message import Message

# What `--attrFile` of each attribute command holds.
ATTRIBUTES: dict[int, dict[str, Message]] = {
    matchable_resource_pb2.TASK_RESOURCE: {
        "task_resource_attributes": matchable_resource_pb2.TaskResourceAttributes(
            defaults=matchable_resource_pb2.TaskResourceSpec(cpu="1", memory="150Mi"),
            limits=matchable_resource_pb2.TaskResourceSpec(cpu="2", memory="450Mi"),
        )
    },
    matchable_resource_pb2.CLUSTER_RESOURCE: {
        "cluster_resource_attributes": matchable_resource_pb2.ClusterResourceAttributes(attributes={"foo": "bar"})
    },
    matchable_resource_pb2.EXECUTION_QUEUE: {
        "execution_queue_attributes": matchable_resource_pb2.ExecutionQueueAttributes(tags=["foo", "bar"])
    },
    matchable_resource_pb2.EXECUTION_CLUSTER_LABEL: {
        "execution_cluster_label": matchable_resource_pb2.ExecutionClusterLabel(value="blue")
    },
    matchable_resource_pb2.PLUGIN_OVERRIDE: {
        "plugin_overrides": matchable_resource_pb2.PluginOverrides(
            overrides=[matchable_resource_pb2.PluginOverride(task_type="python-task", plugin_id=["other"])]
        )
    },
    matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG: {
        "workflow_execution_config": matchable_resource_pb2.WorkflowExecutionConfig(max_parallelism=5)
    },
}


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[AdminServiceStub]:
    """Give AdminService of a control plane of its own."""
    running = ControlPlane(ControlPlaneSettings(state_dir=tmp_path / "platform", grpc_port=0, http_port=0))
    addresses = await running.start()
    try:
        async with grpc.aio.insecure_channel(addresses.grpc) as channel:
            yield AdminServiceStub(channel)
    finally:
        await running.stop()


async def test_register_files_twice(admin: Any) -> None:
    """Registering what is there is ALREADY_EXISTS, which flytectl counts as done; a changed one is not."""
    requests = await register(admin)
    for method, request in requests:
        assert await code(getattr(admin, method)(request)) is grpc.StatusCode.ALREADY_EXISTS
    changed = task_spec("greet", image="other:2")
    request = task_pb2.TaskCreateRequest(id=changed.template.id, spec=changed)
    assert await code(admin.CreateTask(request)) is grpc.StatusCode.INVALID_ARGUMENT


async def test_get_and_update(admin: Any) -> None:
    """`get` of every entity with `--filter.*`, `update launchplan --activate`, metadata, projects, `version`."""
    await register(admin)
    plan = identifier(ResourceType.LAUNCH_PLAN, "hello")
    by_version = {"filters": "eq(version,v1)", **newest()}
    assert [found.id.name for found in (await admin.ListTasks(listing("greet", **by_version))).tasks] == ["greet"]
    assert [found.id.version for found in (await admin.ListWorkflows(listing("hello", **by_version))).workflows] == [
        "v1"
    ]
    contains = {"filters": "contains(name,ell)", **newest()}
    assert len((await admin.ListLaunchPlans(listing(**contains))).launch_plans) == 1
    assert (await admin.GetTask(got(identifier(ResourceType.TASK, "greet")))).closure.compiled_task.template.type
    assert (await admin.GetWorkflow(got(identifier(ResourceType.WORKFLOW, "hello")))).closure.compiled_workflow
    active = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="hello")
    for state, expected in (
        (launch_plan_pb2.ACTIVE, grpc.StatusCode.OK),
        (launch_plan_pb2.INACTIVE, grpc.StatusCode.NOT_FOUND),
    ):
        await admin.UpdateLaunchPlan(launch_plan_pb2.LaunchPlanUpdateRequest(id=plan, state=state))
        assert (await admin.GetLaunchPlan(got(plan))).closure.state == state
        request = launch_plan_pb2.ActiveLaunchPlanRequest(id=active)
        assert await code(admin.GetActiveLaunchPlan(request)) is expected
    for kind, name in (
        (ResourceType.TASK, "greet"),
        (ResourceType.WORKFLOW, "hello"),
        (ResourceType.LAUNCH_PLAN, "hello"),
    ):
        named = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=name)
        described = common_pb2.NamedEntityMetadata(description="told", state=common_pb2.NAMED_ENTITY_ARCHIVED)
        await admin.UpdateNamedEntity(
            common_pb2.NamedEntityUpdateRequest(resource_type=kind, id=named, metadata=described)
        )
        found = await admin.GetNamedEntity(common_pb2.NamedEntityGetRequest(resource_type=kind, id=named))
        assert found.metadata == described
        everything = common_pb2.NamedEntityListRequest(resource_type=kind, project=PROJECT, domain=DOMAIN, limit=100)
        assert [entity.metadata.description for entity in (await admin.ListNamedEntities(everything)).entities]
    assert (await admin.GetVersion(version_pb2.GetVersionRequest())).control_plane_version.Version


async def test_projects(admin: Any) -> None:
    """`create project`, `update project` with labels, `--archive` and `--activate`, `get project` with filters."""
    project = project_pb2.Project(id="forecast", name="Forecast", description="of the weather")
    project.labels.values["team"] = "sky"
    await admin.RegisterProject(project_pb2.ProjectRegisterRequest(project=project))
    again = admin.RegisterProject(project_pb2.ProjectRegisterRequest(project=project))
    assert await code(again) is grpc.StatusCode.ALREADY_EXISTS

    async def listed(filters: str = "") -> list[str]:
        request = project_pb2.ProjectListRequest(filters=filters, **newest())
        return [found.id for found in (await admin.ListProjects(request)).projects]

    assert await listed("eq(name,Forecast)") == ["forecast"]
    assert await listed("value_in(identifier,forecast;nothing)") == ["forecast"]
    project.state = project_pb2.Project.ARCHIVED
    await admin.UpdateProject(project)
    assert "forecast" not in await listed()
    found = await admin.GetProject(project_pb2.ProjectGetRequest(id="forecast"))
    assert (found.state, found.labels.values["team"]) == (project_pb2.Project.ARCHIVED, "sky")
    project.state = project_pb2.Project.ACTIVE
    await admin.UpdateProject(project)
    assert "forecast" in await listed()


async def test_executions(admin: Any) -> None:
    """`create execution` of both kinds, `get execution` with filters and `--details`, `delete`, `update`."""
    await register(admin)
    made = {}
    for name, kind in (("hello", ResourceType.LAUNCH_PLAN), ("greet", ResourceType.TASK)):
        spec = execution_pb2.ExecutionSpec(launch_plan=identifier(kind, name))
        request = execution_pb2.ExecutionCreateRequest(
            project=PROJECT, domain=DOMAIN, name=f"run-{name}", spec=spec, inputs=integers(x=1)
        )
        made[name] = (await admin.CreateExecution(request)).id

    async def names(filters: str) -> list[str]:
        found = await admin.ListExecutions(listing(filters=filters, **newest()))
        return [execution.id.name for execution in found.executions]

    assert await names("") == ["run-greet", "run-hello"]
    # --filter.fieldSelector "execution.phase in (UNDEFINED;SUCCEEDED),execution.execution_name=run-hello", and so on
    assert await names("value_in(execution.phase,UNDEFINED;SUCCEEDED)+eq(execution.execution_name,run-hello)") == [
        "run-hello"
    ]
    assert await names("ne(execution.phase,UNDEFINED)") == []
    assert await names("contains(execution_name,greet)") == ["run-greet"]
    assert await names("eq(workflow.name,hello)") == ["run-hello"]
    assert await names("eq(task.name,greet)") == ["run-greet"]
    assert await names("gte(execution.execution_created_at,2020-01-01T00:00:00Z)") == ["run-greet", "run-hello"]
    wrong = listing(filters="eq(project,flytesnacks)", **newest())
    assert await code(admin.ListExecutions(wrong)) is grpc.StatusCode.INVALID_ARGUMENT
    await details(admin, made["hello"])
    terminate = execution_pb2.ExecutionTerminateRequest(id=made["hello"], cause="flytectl")
    await admin.TerminateExecution(terminate)
    assert await code(admin.TerminateExecution(terminate)) is grpc.StatusCode.FAILED_PRECONDITION
    archive = execution_pb2.ExecutionUpdateRequest(id=made["hello"], state=execution_pb2.EXECUTION_ARCHIVED)
    await admin.UpdateExecution(archive)
    assert await names("") == ["run-greet"]
    relaunched = await admin.RelaunchExecution(execution_pb2.ExecutionRelaunchRequest(id=made["hello"], name="again"))
    assert relaunched.id.name == "again"


async def details(admin: Any, execution: WorkflowExecutionIdentifier) -> None:
    """Ask as `get execution --details` does, before anything has run."""
    shown = await admin.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=execution))
    assert shown.closure.workflow_id.name == "hello"
    nodes = node_execution_pb2.NodeExecutionListRequest(workflow_execution_id=execution, limit=100)
    assert not (await admin.ListNodeExecutions(nodes)).node_executions
    node = node_execution_pb2.NodeExecutionGetRequest()
    node.id.node_id, node.id.execution_id.name = "n0", execution.name
    node.id.execution_id.project, node.id.execution_id.domain = execution.project, execution.domain
    assert await code(admin.GetNodeExecution(node)) is grpc.StatusCode.NOT_FOUND
    attempts = task_execution_pb2.TaskExecutionListRequest(node_execution_id=node.id, limit=100)
    assert not (await admin.ListTaskExecutions(attempts)).task_executions


@pytest.mark.parametrize("kind", sorted(ATTRIBUTES))
async def test_attribute_files(admin: Any, kind: int) -> None:
    """`update`, `get` and `delete` of an attribute of project, domain and workflow; then it is NOT_FOUND."""
    await register(admin)
    matching = matchable_resource_pb2.MatchingAttributes(**ATTRIBUTES[kind])  # type: ignore[arg-type]
    scopes: list[tuple[str, Any, dict[str, str]]] = [
        ("WorkflowAttributes", workflow_attributes_pb2, {"project": PROJECT, "domain": DOMAIN, "workflow": "hello"}),
        ("ProjectDomainAttributes", project_domain_attributes_pb2, {"project": PROJECT, "domain": DOMAIN}),
        ("ProjectAttributes", project_attributes_pb2, {"project": PROJECT}),
    ]
    for name, messages, scope in scopes:
        get = getattr(messages, f"{name}GetRequest")(resource_type=kind, **scope)
        attributes = getattr(messages, name)(matching_attributes=matching, **scope)
        await getattr(admin, f"Update{name}")(getattr(messages, f"{name}UpdateRequest")(attributes=attributes))
        found = (await getattr(admin, f"Get{name}")(get)).attributes.matching_attributes
        if merged := (name, kind) == ("ProjectAttributes", matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG):
            # A project's configuration is shown with what the platform's own adds to it.
            assert found.workflow_execution_config.max_parallelism == 5
        else:
            assert found == matching
        listed = matchable_resource_pb2.ListMatchableAttributesRequest(resource_type=kind)
        assert len((await admin.ListMatchableAttributes(listed)).configurations) == 1
        await getattr(admin, f"Delete{name}")(getattr(messages, f"{name}DeleteRequest")(resource_type=kind, **scope))
        if not merged:
            assert await code(getattr(admin, f"Get{name}")(get)) is grpc.StatusCode.NOT_FOUND


async def register(admin: Any) -> list[tuple[str, Message]]:
    """Register a task, a workflow and its launch plan; return the requests."""
    task, plan = task_spec("greet"), launch_plan_pb2.LaunchPlanSpec()
    workflow = workflow_spec("hello", "v1", task.template.id)
    plan.workflow_id.CopyFrom(workflow.template.id)
    requests: list[tuple[str, Message]] = [
        ("CreateTask", task_pb2.TaskCreateRequest(id=task.template.id, spec=task)),
        ("CreateWorkflow", workflow_pb2.WorkflowCreateRequest(id=workflow.template.id, spec=workflow)),
        (
            "CreateLaunchPlan",
            launch_plan_pb2.LaunchPlanCreateRequest(id=identifier(ResourceType.LAUNCH_PLAN, "hello"), spec=plan),
        ),
    ]
    for method, request in requests:
        await getattr(admin, method)(request)
    return requests


def newest() -> dict[str, Any]:
    """Return flytectl's default order and limit."""
    return {"limit": 100, "sort_by": common_pb2.Sort(key="created_at", direction=common_pb2.Sort.DESCENDING)}


def listing(name: str = "", **fields: Any) -> common_pb2.ResourceListRequest:
    """Ask for a list in the project's domain, of one name or of all."""
    return common_pb2.ResourceListRequest(
        id=common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=name), **fields
    )


def got(wanted: Identifier) -> common_pb2.ObjectGetRequest:
    """Ask for a version."""
    return common_pb2.ObjectGetRequest(id=wanted)


async def code(call: Any) -> grpc.StatusCode:
    """Return the code that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
