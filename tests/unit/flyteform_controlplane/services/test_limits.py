"""What an operator limits: resources and types of tasks, cluster pools, sizes; and who did what."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import project_attributes_pb2
from flyteidl.admin.common_pb2 import Annotations, Labels, NamedEntityIdentifier, NamedEntityUpdateRequest
from flyteidl.admin.execution_pb2 import (
    EXECUTION_ARCHIVED,
    ExecutionCreateRequest,
    ExecutionSpec,
    ExecutionTerminateRequest,
    ExecutionUpdateRequest,
    WorkflowExecutionGetRequest,
)
from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.admin.matchable_resource_pb2 import MatchableResource, MatchingAttributes, TaskResourceSpec
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.tasks_pb2 import Resources

from flyteform.compiler import apply_defaults
from flyteform_controlplane.dispatch.leases import LeaseBuilder
from flyteform_controlplane.domain.config import AdminConfig, TaskResources, TaskScope
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.domain.principals import Principal
from flyteform_controlplane.errors import InvalidArgumentError
from support.admin import DOMAIN, PROJECT, World, integers, open_world, task_spec

if TYPE_CHECKING:
    from pathlib import Path


async def register(world: World, name: str = "t", **requests: str) -> None:
    """Register a task that asks for resources."""
    spec = task_spec(name)
    for resource, value in requests.items():
        number = Resources.ResourceName.Value(resource.upper())
        spec.template.container.resources.requests.add(name=number, value=value)
    await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)


async def set_project(world: World, attributes: MatchingAttributes) -> None:
    """Set attributes of the project."""
    of_project = project_attributes_pb2.ProjectAttributes(project=PROJECT, matching_attributes=attributes)
    request = project_attributes_pb2.ProjectAttributesUpdateRequest(attributes=of_project)
    await world.admin.UpdateProjectAttributes(request, None)


async def test_tasks_stay_below_the_platforms_limits(tmp_path: Path) -> None:
    """A request above the platform's limit is refused in Flyte's words; attributes of the project replace the limit."""
    async with open_world(tmp_path, AdminConfig(task_limits=TaskResources(cpu="2", memory="1Gi"))) as world:
        await register(world, "fits", cpu="2000m", memory="1Gi", gpu="8")
        wording = (
            r"^Requested MEMORY default \[4Gi\] is greater than current limit set in the platform configuration "
            r"\[1Gi\]. Please contact Flyte Admins to change these limits or consult the configuration"
        )
        with pytest.raises(InvalidArgumentError, match=wording):
            await register(world, "large", memory="4Gi")
        attributes = MatchingAttributes()
        attributes.task_resource_attributes.limits.memory = "8Gi"
        await set_project(world, attributes)
        await register(world, "large", memory="4Gi")
        with pytest.raises(InvalidArgumentError, match=r"Requested CPU default \[3\]"):
            await register(world, "wide", cpu="3")


async def register_pod(world: World, text: str) -> None:
    """Register a task that is a pod with this specification, in JSON."""
    spec = task_spec("pod")
    spec.template.ClearField("container")
    spec.template.k8s_pod.pod_spec.update(json.loads(text))
    await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)


POD = '{"containers": [{"name": "side"}, {"name": "primary", "resources": %s}]}'


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        (POD % '{"requests": {"cpu": 3}}', r"Requested CPU default \[3\] is greater than current limit"),
        (POD % '{"limits": {"memory": "2Gi"}}', r"Requested MEMORY limit \[2Gi\] is greater than current limit"),
        (POD % '{"requests": {"cpu": 2}, "limits": {"cpu": "500m"}}', r"CPU default \[2\] is greater than the limit"),
        (POD % '{"limits": {"nvidia.com/gpu": 2}}', r"Requested GPU limit \[2\]"),
        (POD % '{"requests": {"memory": "lots"}}', "resources.requests.memory"),
        (POD % '{"requests": {"memory": {}}}', r"containers\[1\].resources.requests.memory is not a str"),
        (POD % '{"requests": ["cpu"]}', "requests is not a dict"),
        ('{"containers": {"name": "primary"}}', "containers is not a list"),
    ],
)
async def test_containers_of_pods_stay_below_the_platforms_limits(tmp_path: Path, pod: str, message: str) -> None:
    """Each container of a pod task is held to the limits as a container task is; what is no pod spec is refused."""
    limits = TaskResources(cpu="2", memory="1Gi", gpu="1")
    async with open_world(tmp_path, AdminConfig(task_limits=limits)) as world:
        with pytest.raises(InvalidArgumentError, match=message):
            await register_pod(world, pod)
        await register_pod(world, POD % '{"requests": {"cpu": 2, "hugepages-2Mi": "1Gi"}, "limits": {"cpu": 2}}')


async def test_pod_tasks_need_a_pod(world: World) -> None:
    """Flyte's words for a pod task without a specification."""
    spec = task_spec("pod")
    spec.template.k8s_pod.SetInParent()
    with pytest.raises(InvalidArgumentError, match="with a defined pod spec"):
        await world.admin.CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec), None)


async def test_runtime_may_be_left_out_but_not_its_version(world: World) -> None:
    """Who gives no runtime registers all the same, as with Flyte; one without a version is refused."""
    spec = task_spec("plain")
    spec.template.metadata.runtime.ClearField("version")
    request = TaskCreateRequest(id=spec.template.id, spec=spec)
    with pytest.raises(InvalidArgumentError, match="missing runtime version"):
        await world.admin.CreateTask(request, None)
    request.spec.template.metadata.ClearField("runtime")
    await world.admin.CreateTask(request, None)


async def test_tasks_that_ask_for_nothing_get_the_defaults(world: World) -> None:
    """A lease carries the platform's defaults, or the project's, as request and limit; what a task says stays."""
    plan = await world.register_launch_plan("wf")
    name = await world.execute(plan, "run", x=1)
    leases = LeaseBuilder(
        world.database, world.objects, AdminConfig(task_defaults=TaskResources(cpu="1", memory="1Gi"))
    )

    async def resources() -> tuple[dict[str, str], dict[str, str]]:
        lease = await leases.build(ExecutionKey(name.project, name.domain, name.name), 1, timedelta(seconds=1))
        (task,) = lease.closure.tasks
        found = task.template.container.resources
        label = Resources.ResourceName.Name
        return {label(one.name): one.value for one in found.requests}, {
            label(one.name): one.value for one in found.limits
        }

    assert await resources() == ({"CPU": "1", "MEMORY": "1Gi"}, {"CPU": "1", "MEMORY": "1Gi"})
    attributes = MatchingAttributes()
    attributes.task_resource_attributes.defaults.cpu = "250m"
    await set_project(world, attributes)
    assert (await resources())[0] == {"CPU": "250m", "MEMORY": "1Gi"}


def test_defaults_leave_what_a_task_says() -> None:
    """A request without a limit is its limit too, a limit without a request its request."""
    closure = CompiledWorkflowClosure()
    container = closure.tasks.add().template.container
    container.resources.requests.add(name=Resources.CPU, value="2")
    container.resources.limits.add(name=Resources.MEMORY, value="3Gi")
    apply_defaults(closure.tasks, TaskResourceSpec(cpu="1", memory="1Gi"))
    for entries in (container.resources.requests, container.resources.limits):
        assert {one.name: one.value for one in entries} == {Resources.CPU: "2", Resources.MEMORY: "3Gi"}
    untouched = CompiledWorkflowClosure()
    untouched.CopyFrom(closure)
    apply_defaults(closure.tasks, TaskResourceSpec())
    assert closure == untouched


@pytest.mark.parametrize(
    ("default", "limit", "message"),
    [("2", "1", r"Requested CPU default \[2\] is greater than the limit \[1\]"), ("x", "1", "defaults.cpu")],
)
async def test_impossible_task_resources_are_refused(world: World, default: str, limit: str, message: str) -> None:
    """Attributes whose defaults exceed their limits, or are no quantities, are INVALID_ARGUMENT."""
    attributes = MatchingAttributes()
    attributes.task_resource_attributes.defaults.cpu = default
    attributes.task_resource_attributes.limits.cpu = limit
    with pytest.raises(InvalidArgumentError, match=message):
        await set_project(world, attributes)


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ((), True),
        ((TaskScope(),), True),
        ((TaskScope(PROJECT),), True),
        ((TaskScope(PROJECT, "production"), TaskScope(PROJECT, DOMAIN)), True),
        ((TaskScope("other"),), False),
        ((TaskScope(PROJECT, "production"),), False),
    ],
)
async def test_task_types_are_allowed_where_the_whitelist_says(
    tmp_path: Path, scopes: tuple[TaskScope, ...], allowed: bool
) -> None:
    """A listed type is refused outside of its projects and domains; one without scopes is allowed everywhere."""
    async with open_world(tmp_path, AdminConfig(task_type_whitelist={"python-task": scopes})) as world:
        if allowed:
            await register(world)
            return
        with pytest.raises(InvalidArgumentError, match=r"task type \[python-task\] must be whitelisted"):
            await register(world)


async def test_executions_belong_to_their_domains_pool(tmp_path: Path) -> None:
    """The domain's cluster pool is written into executions; naming another one is INVALID_ARGUMENT."""
    async with open_world(tmp_path, AdminConfig(cluster_pools={DOMAIN: "small"})) as world:
        plan = await world.register_launch_plan("wf")
        name = await world.execute(plan, x=1)
        found = await world.admin.GetExecution(WorkflowExecutionGetRequest(id=name), None)
        assert found.spec.cluster_assignment.cluster_pool_name == "small"
        spec = ExecutionSpec()
        spec.cluster_assignment.cluster_pool_name = "large"
        with pytest.raises(InvalidArgumentError, match=r"cluster pool \[small\]"):
            await world.execute(plan, spec=spec, x=1)


async def test_counts_of_labels_annotations_and_nodes_are_limited(tmp_path: Path) -> None:
    """More entries or nodes than the operator allows are INVALID_ARGUMENT, at registration and at launch."""
    config = AdminConfig(max_label_entries=1, max_annotation_entries=1, max_workflow_nodes=3)
    async with open_world(tmp_path, config) as world:
        two = {"a": "1", "b": "2"}
        for spec in (LaunchPlanSpec(labels=Labels(values=two)), LaunchPlanSpec(annotations=Annotations(values=two))):
            with pytest.raises(InvalidArgumentError, match="has 2 entries"):
                await world.register_launch_plan("wf", f"v{spec.HasField('labels')}", spec)
        plan = await world.register_launch_plan("wf", "v3")
        for own in (ExecutionSpec(labels=Labels(values=two)), ExecutionSpec(annotations=Annotations(values=two))):
            with pytest.raises(InvalidArgumentError, match="has 2 entries"):
                await world.execute(plan, spec=own, x=1)
    (tmp_path / "other").mkdir()
    async with open_world(tmp_path / "other", AdminConfig(max_workflow_nodes=2)) as world:
        with pytest.raises(InvalidArgumentError, match="at most 2 are allowed"):
            await world.register_workflow("wf")


@pytest.mark.parametrize("cron", ["* * * *", "61 * * * *", "@never", "CRON_TZ=Nowhere/At_All * * * * *"])
async def test_unreadable_schedules_are_refused_at_registration(world: World, cron: str) -> None:
    """Cron text that the scheduler could not read never becomes a launch plan."""
    spec = LaunchPlanSpec(fixed_inputs=integers(x=1))
    spec.entity_metadata.schedule.cron_schedule.schedule = cron
    with pytest.raises(InvalidArgumentError, match="invalid value for schedule"):
        await world.register_launch_plan("wf", spec=spec)


async def test_projects_settings_are_completed_by_the_applications(tmp_path: Path) -> None:
    """What a project's execution settings leave out is answered with the application's value."""
    config = AdminConfig(max_parallelism=9, raw_output_prefix="s3://app", kubernetes_service_account="app")
    async with open_world(tmp_path, config) as world:
        attributes = MatchingAttributes()
        attributes.workflow_execution_config.raw_output_data_config.output_location_prefix = "s3://project"
        await set_project(world, attributes)
        request = project_attributes_pb2.ProjectAttributesGetRequest(
            project=PROJECT, resource_type=MatchableResource.WORKFLOW_EXECUTION_CONFIG
        )
        found = (await world.admin.GetProjectAttributes(request, None)).attributes.matching_attributes
        settings = found.workflow_execution_config
        assert settings.max_parallelism == 9
        assert settings.raw_output_data_config.output_location_prefix == "s3://project"
        assert settings.security_context.run_as.k8s_service_account == "app"


async def test_only_what_has_versions_has_metadata(world: World) -> None:
    """Metadata of another kind of entity is INVALID_ARGUMENT."""
    name = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="x")
    with pytest.raises(InvalidArgumentError, match="resource_type"):
        await world.admin.UpdateNamedEntity(NamedEntityUpdateRequest(id=name), None)


async def test_who_is_logged_in_is_written_down(world: World) -> None:
    """The caller is the execution's principal, whatever the request says, and who aborted or archived it."""

    def context(subject: str) -> SimpleNamespace:
        return SimpleNamespace(principal=Principal(subject, frozenset({"all"}), 0.0))

    plan = await world.register_launch_plan("wf")
    request = ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name="run", inputs=integers(x=1))
    request.spec.launch_plan.CopyFrom(plan)
    request.spec.metadata.principal = "somebody else"
    name = (await world.admin.CreateExecution(request, context("ann"))).id
    await world.admin.TerminateExecution(ExecutionTerminateRequest(id=name, cause="enough"), context("bob"))
    archive = ExecutionUpdateRequest(id=name, state=EXECUTION_ARCHIVED)
    await world.admin.UpdateExecution(archive, context("eve"))
    found = await world.admin.GetExecution(WorkflowExecutionGetRequest(id=name), None)
    assert found.spec.metadata.principal == "ann"
    assert found.closure.abort_metadata.principal == "bob"
    assert found.closure.state_change_details.principal == "eve"
