"""Settings, policies, metadata and all that launch plans carry: applied, read back, mended, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import common_pb2, launch_plan_pb2, matchable_resource_pb2, task_pb2
from flyteidl.core.identifier_pb2 import WORKFLOW

from flyteform.client.attributes import AttributesClient, Scope
from flyteform.client.errors import UnsupportedError
from flyteform.client.policies import PolicyClient
from flyteform.errors import DefinitionError
from flyteform.proto.flyteform.v1 import policies_pb2
from flyteform.provision import (
    ClusterResources,
    Concurrency,
    Email,
    ExecutionSettings,
    PluginOverride,
    PluginOverrides,
    Project,
    QualityOfService,
    Settings,
    Task,
    Workflow,
)
from flyteform.provision.errors import DeclarationError
from flyteform.provision.identifiers import identifier_of
from flyteform.provision.model import Action, Address, Kind
from flyteform.provision.provisioner import apply_plan, make_plan
from flyteform.provision.state_memory import MemoryStateStore
from support.control_plane import control_plane
from support.declarations import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Plan
    from flyteform.provision.ports import StateStore

HEADER = """from flyteform import CronSchedule, Resources
from flyteform.provision import *
from tasks import total

acme = Project("acme")
"""
EVERYTHING = (
    HEADER
    + """
Settings(TaskResources(defaults=Resources(cpu="1"), limits=Resources(cpu="4", mem="4Gi")), project=acme)
Settings(ClusterResources({"quota": "5"}), project=acme, domain="development")
Cluster("own", labels=["gpu"])
Settings(ExecutionQueues(["fast", "slow"]), project=acme, domain="development")
Settings(ExecutionClusterLabel("gpu"), project=acme, domain="development")
Settings(
    PluginOverrides({"spark": PluginOverride("own"), "ray": PluginOverride(["a", "b"], missing="USE_DEFAULT")}),
    project=acme,
)
Settings(
    ExecutionSettings(
        max_parallelism=5, labels={"a": "b"}, annotations={"n": "1"}, environment={"X": "1"}, interruptible=True,
        service_account="runner", raw_output_prefix="s3://bucket/raw", overwrite_cache=True,
    ),
    project=acme,
)
Settings(ClusterAssignment("pool"), project=acme, domain="development")
everyday = Workflow(total, project=acme, description="adds")
Settings(ExecutionSettings(max_parallelism=1), workflow=everyday)
LaunchPlan(
    everyday,
    name="nightly",
    default_inputs={"x": 5},
    schedule=CronSchedule(schedule="CRON_TZ=Europe/Berlin 0 3 * * *"),
    description="at night",
    notifications=[Email("me@example.org"), Slack(["s@example.org"], ["FAILED"]), PagerDuty("p@example.org")],
    concurrency=Concurrency(2, "WAIT"),
    catch_up=3,
    labels={"l": "1"},
    annotations={"n": "2"},
    environment={"E": "F"},
    max_parallelism=3,
    raw_output_prefix="s3://raw",
    service_account="other",
    iam_role="role",
    interruptible=False,
    overwrite_cache=True,
    quality_of_service=QualityOfService("HIGH"),
    cluster_pool="pool",
)
Metadata("task", "tasks.add", acme, description="sums")
"""
)


async def applied(path: Path, client: AdminClient, store: StateStore, *, destroy: bool = False) -> Plan:
    """Plan, apply all of it, and return the plan."""
    plan = await make_plan(path, client, store, destroy=destroy)
    result = await apply_plan(plan, client, store)
    assert [str(outcome.error) for outcome in result.outcomes if outcome.error] == []
    return plan


async def newest(client: AdminClient, name: str) -> launch_plan_pb2.LaunchPlanSpec:
    """Return the newest version of a launch plan in acme."""
    found = client.list_launch_plans("acme", "development", name=name, newest=True)
    return [each.spec async for each in found].pop()


def done(plan: Plan) -> dict[str, tuple[Action, dict[str, tuple[str | None, str | None]]]]:
    """Return what a plan's steps do, by address."""
    return {
        str(each.address): (each.action, {field.path: (field.before, field.after) for field in each.fields})
        for each in plan.steps
    }


async def test_everything_is_applied_once_and_removed(tmp_path: Path) -> None:
    """All kinds at all scopes: applied; then nothing to do; destroyed; then gone; and applied again."""
    path = write_project(tmp_path / "work", pipelines=EVERYTHING)
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        first = await applied(path, client, store)
        kinds = {each.address.kind for each in first.steps}
        assert kinds == set(Kind)
        assert not (await make_plan(path, client, store)).has_changes
        attributes = AttributesClient(client.caller)
        assert len(await attributes.list(matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG)) == 2
        destroyed = await applied(path, client, store, destroy=True)
        assert {each.address for each in first.steps} == {each.address for each in destroyed.steps}
        assert await attributes.list(matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG) == []
        assert not (await make_plan(path, client, store, destroy=True)).has_changes
        await applied(path, client, store)
        assert not (await make_plan(path, client, store)).has_changes


async def test_a_launch_plan_carries_all_that_is_declared(tmp_path: Path) -> None:
    """What the platform has then is what was written: schedule, notifications, identity, limits, policy."""
    path = write_project(tmp_path / "work", pipelines=EVERYTHING)
    async with control_plane(tmp_path) as client:
        await applied(path, client, MemoryStateStore())
        spec = await newest(client, "nightly")
        assert spec.entity_metadata.schedule.cron_schedule.schedule == "CRON_TZ=Europe/Berlin 0 3 * * *"
        told = [(each.WhichOneof("type"), list(each.phases)) for each in spec.entity_metadata.notifications]
        assert told == [("email", [6, 8]), ("slack", [6]), ("pager_duty", [6, 8])]
        assert (spec.max_parallelism, spec.overwrite_cache, spec.HasField("interruptible")) == (3, True, True)
        assert spec.interruptible.value is False
        assert spec.security_context.run_as.k8s_service_account == "other"
        assert spec.quality_of_service.tier == 1
        assert [(pair.key, pair.value) for pair in spec.envs.values] == [("E", "F")]
        name = common_pb2.NamedEntityIdentifier(project="acme", domain="development", name="nightly")
        policy = await PolicyClient(client.caller).get(name)
        assert policy is not None
        assert policy.concurrency.behavior == policies_pb2.CONCURRENCY_BEHAVIOR_WAIT
        assert policy.catch_up.max == 3
        name.name = "tasks.total"
        assert (await client.get_named_entity(WORKFLOW, name)).metadata.description == "adds"


async def test_skip_is_flytes_own_policy(tmp_path: Path) -> None:
    """SKIP travels in the launch plan's spec, and so works against a stock FlyteAdmin."""
    text = HEADER + 'LaunchPlan(Workflow(total, project=acme), name="n", concurrency=Concurrency(1))\n'
    path = write_project(tmp_path / "work", pipelines=text)
    async with control_plane(tmp_path, stock=True) as client:
        store = MemoryStateStore()
        await applied(path, client, store)
        spec = await newest(client, "n")
        assert spec.concurrency_policy.max == 1
        assert spec.concurrency_policy.behavior == launch_plan_pb2.CONCURRENCY_LIMIT_BEHAVIOR_SKIP
        assert not (await make_plan(path, client, store)).has_changes


async def test_what_a_stock_platform_lacks_is_refused_in_the_plan(tmp_path: Path) -> None:
    """A policy or cluster that Flyte has not is one clear error before anything is written; without them all works."""
    path = write_project(tmp_path / "work", pipelines=EVERYTHING)
    async with control_plane(tmp_path, stock=True) as client:
        with pytest.raises(UnsupportedError, match="needs a flyteform control plane"):
            await make_plan(path, client, MemoryStateStore())
        text = EVERYTHING.replace('Cluster("own", labels=["gpu"])\n', "")
        path.write_text(text.replace('Concurrency(2, "WAIT")', 'Concurrency(2, "SKIP")').replace("catch_up=3,", ""))
        store = MemoryStateStore()
        await applied(path, client, store)
        assert not (await make_plan(path, client, store)).has_changes


async def test_quality_of_service_is_refused_as_a_setting(tmp_path: Path) -> None:
    """FlyteAdmin refuses it for projects and workflows: the plan says so, and where it belongs."""
    path = write_project(tmp_path / "work", pipelines=HEADER + 'Settings(QualityOfService("HIGH"), project=acme)\n')
    async with control_plane(tmp_path) as client:
        with pytest.raises(DeclarationError, match="executions and launch plans alone"):
            await make_plan(path, client, MemoryStateStore())


async def test_metadata_of_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A description needs a task, workflow or launch plan that is declared or registered."""
    text = HEADER + 'Metadata("task", "nowhere", acme, description="x")\n'
    path = write_project(tmp_path / "work", pipelines=text)
    async with control_plane(tmp_path) as client:
        with pytest.raises(DeclarationError, match="task nowhere in acme/development, which does not exist"):
            await make_plan(path, client, MemoryStateStore())


async def test_what_somebody_else_changed_is_drift_and_is_mended(tmp_path: Path) -> None:
    """Settings, policy and description changed behind its back are told apart from a declaration that changed."""
    path = write_project(tmp_path / "work", pipelines=EVERYTHING)
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        await applied(path, client, store)
        label = matchable_resource_pb2.MatchingAttributes()
        label.execution_cluster_label.value = "cpu"
        await AttributesClient(client.caller).update(Scope("acme", "development"), label)
        name = common_pb2.NamedEntityIdentifier(project="acme", domain="development", name="nightly")
        await PolicyClient(client.caller).delete(name)
        path.write_text(EVERYTHING.replace('description="adds"', 'description="adds up"'))
        plan = await make_plan(path, client, store)
        assert {str(each.address): each.drift for each in plan.steps} == {
            "settings execution_cluster_label in acme/development": True,
            "policy nightly in acme/development": True,
            "metadata workflow/tasks.total in acme/development": False,
        }
        steps = done(plan)
        assert steps["settings execution_cluster_label in acme/development"] == (
            Action.UPDATE,
            {"value": ("cpu", "gpu")},
        )
        await applied(path, client, store)
        assert not (await make_plan(path, client, store)).has_changes


async def test_plugin_overrides_that_are_gone_go(tmp_path: Path) -> None:
    """FlyteAdmin merges overrides by task type: one that is no longer declared is removed all the same."""
    path = write_project(tmp_path / "work", pipelines=EVERYTHING)
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        await applied(path, client, store)
        path.write_text(EVERYTHING.replace('"spark": PluginOverride("own"), ', ""))
        plan = await applied(path, client, store)
        assert done(plan)["settings plugin_override in acme"] == (
            Action.UPDATE,
            {"overrides.spark": ("own", None)},
        )
        assert not (await make_plan(path, client, store)).has_changes


async def test_ignored_fields_keep_what_the_platform_has(tmp_path: Path) -> None:
    """A difference in an ignored field makes no step; in another one of the same resource it does."""
    declared = 'Project("acme", name="{}", labels={{"a": "1"}}, ignore_changes=["labels"])\n'
    text = HEADER.replace('acme = Project("acme")\n', "")
    path = write_project(tmp_path / "work", pipelines=text + declared.format("Acme"))
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        await applied(path, client, store)
        project = await client.get_project("acme")
        project.labels.values["a"] = "2"
        del project.domains[:]
        await client.update_project(project)
        assert not (await make_plan(path, client, store)).has_changes
        path.write_text(text + declared.format("Acme Inc"))
        await applied(path, client, store)
        project = await client.get_project("acme")
        assert (project.name, dict(project.labels.values)) == ("Acme Inc", {"a": "2"})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Concurrency(0), "at least one"),
        (lambda: Concurrency(1, "QUEUE"), "no policy"),  # type: ignore[arg-type]
        (lambda: Email([]), "somebody"),  # type: ignore[arg-type]
        (lambda: Email("a@b", ["RUNNING"]), "no final phases"),  # type: ignore[arg-type]
        (QualityOfService, "a tier or"),
        (lambda: Workflow(3), "what @workflow makes"),
        (lambda: Task(None), "what @task makes"),
        (lambda: Project("a", labels={"a": 1}), "labels takes texts"),  # type: ignore[dict-item]
        (lambda: ExecutionSettings(max_parallelism="3"), "max_parallelism='3'"),  # type: ignore[arg-type]
        (lambda: ExecutionSettings(max_parallelism=-1), "max_parallelism=-1"),
        (lambda: ClusterResources(3), "values takes texts"),  # type: ignore[arg-type]
        (lambda: PluginOverrides({"a": "b"}), "PluginOverride by task type"),  # type: ignore[dict-item]
        (lambda: PluginOverride(()), "takes plugins"),
        (lambda: Settings("cpu"), "Settings takes"),  # type: ignore[arg-type]
        (lambda: Settings(PluginOverrides({"a": PluginOverride("b")}), workflow="w"), "one domain"),
    ],
)
def test_what_no_platform_has_is_refused_where_it_is_written(wrong, message: str) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001 - any maker
    """A value that cannot be is one clear error at its line of the declaration."""
    with pytest.raises(DefinitionError, match=message):
        wrong()


NIGHTLY = """
LaunchPlan(
    Workflow(total, project=acme), name="nightly", default_inputs={"x": 5}, labels={"mine": "1", "theirs": "1"},
    schedule=CronSchedule(schedule="0 3 * * *"), max_parallelism=NUMBER,
    ignore_changes=["schedule", "labels.theirs", "active"],
)
"""


async def test_a_launch_plan_keeps_what_others_may_change(tmp_path: Path) -> None:
    """A schedule edited elsewhere, a label and whether it is active stay; the next edit is made on top of them."""
    path = write_project(tmp_path / "work", pipelines=HEADER + NIGHTLY.replace("NUMBER", "2"))
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        await applied(path, client, store)
        spec = await newest(client, "nightly")
        spec.entity_metadata.schedule.cron_schedule.schedule = "0 9 * * *"
        spec.labels.values["theirs"] = "2"
        other = identifier_of(Address(Kind.LAUNCH_PLAN, "acme", "development", "nightly"), "by-hand")
        await client.create_launch_plan(other, spec)
        await client.set_launch_plan_active(other, active=True)
        await applied(path, client, store)
        assert not (await make_plan(path, client, store)).has_changes
        path.write_text(HEADER + NIGHTLY.replace("NUMBER", "4"))
        plan = await applied(path, client, store)
        assert done(plan)["launch plan nightly in acme/development"][1] == {"max_parallelism": ("2", "4")}
        spec = await newest(client, "nightly")
        assert spec.entity_metadata.schedule.cron_schedule.schedule == "0 9 * * *"
        assert dict(spec.labels.values) == {"mine": "1", "theirs": "2"}
        assert not (await make_plan(path, client, store)).has_changes


async def test_an_ignored_image_of_a_task_stays_and_its_workflow_calls_it(tmp_path: Path) -> None:
    """A task whose image is set by others keeps it when its code changes, and the workflow calls that version."""
    text = HEADER + 'Task(add, project=acme, ignore_changes=["image"])\nWorkflow(total, project=acme)\n'
    path = write_project(tmp_path / "work", pipelines=text.replace("import total", "import add, total"))
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        await applied(path, client, store)
        at = Address(Kind.TASK, "acme", "development", "tasks.add")
        found = [each async for each in client.list_tasks("acme", "development", name="tasks.add", newest=True)]
        template = found[0].closure.compiled_task.template
        template.container.image = "theirs:2"
        template.id.version = "by-hand"
        await client.create_task(identifier_of(at, "by-hand"), task_pb2.TaskSpec(template=template))
        await applied(path, client, store)
        found = [each async for each in client.list_tasks("acme", "development", name="tasks.add", newest=True)]
        assert found[0].closure.compiled_task.template.container.image == "theirs:2"
        rows = [each async for each in client.list_workflows("acme", "development", name="tasks.total", newest=True)]
        workflow = await client.get_workflow(rows[0].id)
        called = [node.task_node.reference_id for node in workflow.closure.compiled_workflow.primary.template.nodes]
        assert found[0].id.version in [each.version for each in called]
        assert not (await make_plan(path, client, store)).has_changes


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ('Project("acme", ignore_changes=["state"])', "cannot name 'state'"),
        ('LaunchPlan(Workflow(total), name="n", ignore_changes=["workflow"])', "cannot name 'workflow'"),
        ('Workflow(total, ignore_changes=["nodes"])', "its graph is what it is"),
    ],
)
async def test_what_cannot_be_ignored_is_refused(tmp_path: Path, declared: str, message: str) -> None:
    """A field that nothing could be left of is one clear error that names those that can be ignored."""
    text = HEADER.replace('acme = Project("acme")\n', "") + declared
    path = write_project(tmp_path / "work", pipelines=text + "\n")
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        plain = write_project(tmp_path / "work", pipelines=text[: text.rindex(", ignore")] + ")\n")
        await applied(plain, client, store)
        path.write_text(text + "\n")
        with pytest.raises(DeclarationError) as refused:
            await make_plan(path, client, store)
        assert message in f"{refused.value.message} {refused.value.remedy}"
