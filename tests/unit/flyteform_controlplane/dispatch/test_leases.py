"""What a lease tells the data plane beyond the execution's own words: attributes, queues, quality of service."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import project_attributes_pb2, workflow_attributes_pb2
from flyteidl.admin.execution_pb2 import ExecutionSpec
from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.admin.matchable_resource_pb2 import MatchingAttributes, PluginOverride, TaskResourceAttributes
from flyteidl.core.execution_pb2 import QualityOfService
from google.protobuf.text_format import Parse

from flyteform.errors import InvalidInputError
from flyteform.proto.flyteform.v1.link_pb2 import Lease, StagedObject
from flyteform_controlplane.dispatch.leases import LeaseBuilder
from flyteform_controlplane.dispatch.staging import LARGEST_BYTES, add_staging
from flyteform_controlplane.domain.config import AdminConfig, QualityConfig, QueueConfig, TaskResources
from flyteform_controlplane.domain.ports import ExecutionKey
from support.admin import DOMAIN, PROJECT, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Return a control plane."""
    async with open_world(tmp_path) as world:
        yield world


async def set_attributes(world: World, text: str, workflow: str = "") -> None:
    """Set attributes, in protobuf's text format, of the project or of a workflow."""
    attributes = Parse(text, MatchingAttributes())
    if not workflow:
        of_project = project_attributes_pb2.ProjectAttributes(project=PROJECT, matching_attributes=attributes)
        update = project_attributes_pb2.ProjectAttributesUpdateRequest(attributes=of_project)
        await world.admin.UpdateProjectAttributes(update, None)
        return
    of_workflow = workflow_attributes_pb2.WorkflowAttributes(
        project=PROJECT, domain=DOMAIN, workflow=workflow, matching_attributes=attributes
    )
    request = workflow_attributes_pb2.WorkflowAttributesUpdateRequest(attributes=of_workflow)
    await world.admin.UpdateWorkflowAttributes(request, None)


async def lease_of(
    world: World, config: AdminConfig | None = None, name: str = "run", plan: str = "", spec: str = ""
) -> Lease:
    """Launch the workflow `wf` and return the execution's lease."""
    launch_plan = await world.register_launch_plan("wf", name, Parse(plan, LaunchPlanSpec()))
    execution = await world.execute(launch_plan, name, Parse(spec, ExecutionSpec()), x=1)
    builder = LeaseBuilder(world.database, world.admin.backend.objects, config or AdminConfig())
    return await builder.build(ExecutionKey(PROJECT, DOMAIN, execution.name), 1, timedelta(seconds=1))


async def test_most_specific_plugin_overrides_travel_with_the_lease(world: World) -> None:
    """A workflow's overrides come in place of the project's; without any there are none."""
    assert not (await lease_of(world)).plugin_overrides
    override = 'plugin_overrides {{ overrides {{ task_type: "sql" plugin_id: "{}" missing_plugin_behavior: {} }} }}'
    await set_attributes(world, override.format("presto", "FAIL"))
    await set_attributes(world, override.format("athena", "USE_DEFAULT"), workflow="wf")
    (found,) = (await lease_of(world, name="again")).plugin_overrides
    assert list(found.plugin_id) == ["athena"]
    assert found.missing_plugin_behavior == PluginOverride.USE_DEFAULT


async def test_resources_of_the_platform_and_the_project_travel_with_the_lease(world: World) -> None:
    """Defaults and limits, the project's amount by amount before the platform's, for tasks that are made later."""
    await set_attributes(world, 'task_resource_attributes { defaults { cpu: "1" } limits { cpu: "2" } }')
    platform = AdminConfig(task_defaults=TaskResources("500m", "1Gi"), task_limits=TaskResources("8", "2Gi", gpu="1"))
    found = (await lease_of(world, platform)).task_resources
    expected = 'defaults { cpu: "1" memory: "1Gi" } limits { cpu: "2" memory: "2Gi" gpu: "1" }'
    assert found == Parse(expected, TaskResourceAttributes())


@pytest.mark.parametrize(
    ("tags", "queue"), [((), "any"), (("unknown", "gpu"), "fast"), (("unknown",), "any"), (("gpu", "slow"), "fast")]
)
async def test_tags_choose_the_queue_of_containers(world: World, tags: tuple[str, ...], queue: str) -> None:
    """The first tag that a queue has decides; without one the domain's, or the tags of all domains, do."""
    config = AdminConfig(queues=QueueConfig({"gpu": ("fast",), "slow": ("slow",), "all": ("any",)}, {"": ("all",)}))
    if tags:
        quoted = " ".join(f'tags: "{tag}"' for tag in tags)
        await set_attributes(world, f"execution_queue_attributes {{ {quoted} }}")
    (task,) = (await lease_of(world, config)).closure.tasks
    assert {pair.key: pair.value for pair in task.template.container.config} == {"child_queue": queue}


async def test_without_queues_containers_are_told_none(world: World) -> None:
    """Tags without a queue of theirs change nothing."""
    await set_attributes(world, 'execution_queue_attributes { tags: "gpu" }')
    (task,) = (await lease_of(world)).closure.tasks
    assert not task.template.container.config


BUDGETS = QualityConfig({"HIGH": timedelta(minutes=1), "LOW": timedelta(hours=1)}, {DOMAIN: "LOW"})


@pytest.mark.parametrize(
    ("spec", "plan", "config", "expected"),
    [
        ("", "", QualityConfig(), ""),
        ("", "", BUDGETS, "spec { queueing_budget { seconds: 3600 } }"),
        ("", "quality_of_service { tier: HIGH }", BUDGETS, "spec { queueing_budget { seconds: 60 } }"),
        ("", "quality_of_service { tier: MEDIUM }", BUDGETS, "tier: MEDIUM"),
        (
            "quality_of_service { spec { queueing_budget { seconds: 5 } } }",
            "quality_of_service { tier: HIGH }",
            BUDGETS,
            "spec { queueing_budget { seconds: 5 } }",
        ),
    ],
)
async def test_quality_of_service_is_decided_by_precedence(
    world: World, spec: str, plan: str, config: QualityConfig, expected: str
) -> None:
    """The execution's word, then the launch plan's, then the domain's tier; a tier becomes its queueing budget."""
    lease = await lease_of(world, AdminConfig(quality=config), spec=spec, plan=plan)
    assert lease.spec.quality_of_service == Parse(expected, QualityOfService())


async def test_large_parts_of_a_lease_go_by_url(world: World) -> None:
    """A lease stays small whatever the closure and the inputs weigh; small parts go with it."""
    plan = await world.register_launch_plan("large")
    name = await world.execute(plan, "large", x=1)
    execution = ExecutionKey(PROJECT, DOMAIN, name.name)
    objects = world.admin.backend.objects
    whole = await LeaseBuilder(world.database, objects).build(execution, 1, timedelta(seconds=1))
    assert (whole.closure_url, whole.inputs_url) == ("", "")
    light = await LeaseBuilder(world.database, objects, inline_bytes=1).build(execution, 1, timedelta(seconds=1))
    assert (light.HasField("closure"), light.HasField("inputs")) == (False, False)
    assert light.closure_url.startswith("http://127.0.0.1:1/objects/metadata/leases/")
    assert light.inputs_url
    (stored,) = [one.uri async for one in objects.list(f"{objects.prefix}/metadata/leases/")]
    assert await objects.get(stored) == whole.closure.SerializeToString(deterministic=True)


class Elsewhere:
    """The stores of a control plane and of a cluster `east`."""

    prefix = "s3://control"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def holder(self, uri: str) -> str | None:
        """Know one bucket."""
        return "east" if uri.startswith("s3://east/") else None

    async def below(self, uri: str, expires_in: timedelta, limit: int) -> list[StagedObject]:
        """Return one object, of a size that its name may say."""
        assert expires_in
        assert limit
        self.asked.append(uri)
        return [StagedObject(signed_url="http://signed", size=LARGEST_BYTES + 1 if "huge" in uri else 1)]


def lease_with(*uris: str, bundle: str = "") -> Lease:
    """Return a lease whose inputs name objects, and whose task names a code bundle."""
    lease = Lease()
    lease.closure.tasks.add().template.container.args.extend(["run", f"--bundle={bundle}", "s3://control"])
    for number, uri in enumerate(uris):
        lease.inputs.literals[str(number)].collection.literals.add().scalar.blob.uri = uri
    return lease


async def test_a_lease_says_what_its_cluster_has_to_copy() -> None:
    """Bundles of the control plane's store and objects of other clusters; neither its own nor what is nobody's."""
    stores = Elsewhere()
    uris = ("s3://west/own", "s3://east/a", "s3://control/uploads/b", "s3://public/c")
    lease = lease_with(*uris, bundle="s3://control/uploads/code.tar.gz")
    await add_staging(lease, "s3://west", stores)
    assert stores.asked == [one.uri for one in lease.staging]
    assert sorted(stores.asked) == ["s3://control/uploads/b", "s3://control/uploads/code.tar.gz", "s3://east/a"]


async def test_what_is_too_large_to_be_copied_is_refused_with_a_way_out() -> None:
    """The message names the object and says what to do instead."""
    with pytest.raises(InvalidInputError, match="s3://east/huge") as refused:
        await add_staging(lease_with("s3://east/huge"), "s3://west", Elsewhere())
    assert refused.value.remedy
