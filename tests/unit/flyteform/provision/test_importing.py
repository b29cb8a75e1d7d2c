"""Import: the declaration that is written of a project plans to nothing, whoever has registered what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import launch_plan_pb2, schedule_pb2
from flyteidl.core import identifier_pb2

from flyteform.errors import DefinitionError, InvalidInputError, NotFoundError
from flyteform.provision import LaunchPlan, RegisteredTask, RegisteredWorkflow
from flyteform.provision.errors import DeclarationError
from flyteform.provision.importing import import_declaration
from flyteform.provision.model import Action
from flyteform.provision.provisioner import apply_plan, make_plan
from flyteform.provision.source_text import identifier
from flyteform.provision.state_memory import MemoryStateStore
from support.control_plane import control_plane
from support.declarations import PIPELINES, TASKS, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.client.admin import AdminClient

RICH = (
    """from datetime import UTC, datetime, timedelta
from flyteform import CronSchedule, FixedRate, Resources
from flyteform.provision import *
from tasks import total
from jobs import many, odd

acme = Project("acme", name='The "Acme"', description="It's a\\nproject", labels={"team": "a"})
everyday = Workflow(total, project=acme, description="all day")
LaunchPlan(everyday, name="nightly", default_inputs={"x": 5}, schedule=CronSchedule(schedule="0 3 * * *"),
    notifications=[Email(["a@b.c"], ["FAILED"]), Slack(["x@y.z"], ["SUCCEEDED", "FAILED"])], labels={"k": "v"},
    annotations={"a": "b"}, environment={"E": "1"}, max_parallelism=3, service_account="robot", iam_role="role",
    interruptible=False, overwrite_cache=True, quality_of_service=QualityOfService(tier="HIGH"),
    raw_output_prefix="s3://b/p", concurrency=Concurrency(2, "WAIT"))
LaunchPlan(everyday, name="fixed", fixed_inputs={"x": 7}, schedule=FixedRate(timedelta(hours=3)), active=False,
    concurrency=Concurrency(1))
hers = Workflow(many, project=acme)
LaunchPlan(hers, name="typed", default_inputs={
    "when": datetime(2026, 1, 2, 3, tzinfo=UTC), "wait": timedelta(minutes=5), "names": ["a", "b"],
    "rates": {"a": 0.5}, "on": True})
Workflow(odd, project=acme)
"""
    + "\n".join(
        f'Settings({value}, project=acme, domain="development")'
        for value in (
            'TaskResources(defaults=Resources(cpu="1", mem="1Gi"), limits=Resources(cpu="4", gpu="1"))',
            'ClusterResources({"quota": "10"})',
            'ExecutionQueues(["fast"])',
            'ExecutionClusterLabel("gpu")',
            'PluginOverrides({"spark": PluginOverride(["a", "b"], "USE_DEFAULT")})',
            'ExecutionSettings(max_parallelism=7, labels={"l": "m"}, interruptible=True)',
            'ClusterAssignment("pool")',
        )
    )
    + """
Settings(ExecutionQueues(["slow"]), project=acme)
Settings(ExecutionQueues(["own"]), project=acme, domain="development", workflow="tasks.total")
"""
)
JOBS = """import enum
from datetime import datetime, timedelta
from flyteform import task, workflow


class Colour(enum.Enum):
    RED = "red"


@task
def count(when: datetime, wait: timedelta, names: list[str], rates: dict[str, float], on: bool) -> int:
    return 1


@task
def paint(colour: Colour) -> int:
    return 1


@workflow
def many(
    when: datetime, wait: timedelta, names: list[str], rates: dict[str, float], on: bool = False
) -> int:
    return count(when=when, wait=wait, names=names, rates=rates, on=on)


@workflow
def odd(colour: Colour = Colour.RED) -> int:
    return paint(colour=colour)
"""


async def imported(tmp_path: Path, client: AdminClient, domain: str | None = None) -> tuple[Path, str]:
    """Write the declaration of what project acme has."""
    found = await import_declaration(client, "acme", domain)
    assert not found.notes
    path = tmp_path / "imported" / "acme.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(found.text)
    return path, found.text


async def apply(path: Path, client: AdminClient) -> MemoryStateStore:
    """Apply a declaration."""
    store = MemoryStateStore()
    result = await apply_plan(await make_plan(path, client, store), client, store)
    assert result.ok, [str(each.error) for each in result.outcomes if each.error]
    return store


async def test_what_is_imported_plans_to_nothing(tmp_path: Path) -> None:
    """Everything that can be declared is written down, and the declaration changes nothing; an apply makes it ours."""
    path = write_project(tmp_path / "work", pipelines=RICH)
    (path.parent / "jobs.py").write_text(JOBS)
    async with control_plane(tmp_path) as client:
        theirs = await apply(path, client)
        declaration, text = await imported(tmp_path, client)
        store = MemoryStateStore()
        plan = await make_plan(declaration, client, store)
        assert plan.steps == ()
        assert 'schedule=CronSchedule("0 3 * * *")' in text
        assert 'RegisteredLaunchPlan("jobs.odd"' in text
        assert text.count("Settings(") == 9 + text.count("ExecutionSettings(")
        await apply_plan(plan, client, store)
        owned = {address for address in (await theirs.load()).owned if address.kind != "metadata"}
        assert {address for address in (await store.load()).owned if address.kind != "metadata"} == owned
        assert not (await make_plan(declaration, client, store)).has_changes
        again = await import_declaration(client, "acme")
        assert again.text == text


async def test_an_imported_launch_plan_can_be_edited(tmp_path: Path) -> None:
    """A changed schedule is a new version, activated; nothing else changes; and that can be imported again."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        declaration, text = await imported(tmp_path, client)
        declaration.write_text(text.replace("0 3 * * *", "0 4 * * *"))
        store = MemoryStateStore()
        plan = await make_plan(declaration, client, store)
        assert [(step.action, step.address.name) for step in plan.steps] == [
            (Action.NEW_VERSION, "nightly"),
            (Action.ACTIVATE, "nightly"),
        ]
        assert (await apply_plan(plan, client, store)).ok
        again, _ = await imported(tmp_path, client)
        assert not (await make_plan(again, client, MemoryStateStore())).has_changes


async def test_launch_plans_of_others_are_imported_as_they_are(tmp_path: Path) -> None:
    """A version that somebody named, with an input that Python says otherwise, or with what has no words, stays."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        nightly = await _nightly(client)
        spec = launch_plan_pb2.LaunchPlanSpec()
        spec.CopyFrom(nightly.spec)
        spec.labels.values["by"] = "hand"
        await _register(client, "by-hand", "v1", spec)
        spec.entity_metadata.schedule.cron_schedule.CopyFrom(
            schedule_pb2.CronSchedule(schedule="0 3 * * *", offset="PT5M")
        )
        await _register(client, "with-offset", "v2", spec)
        declaration, text = await imported(tmp_path, client)
        assert 'imported="v1:' in text
        assert 'RegisteredLaunchPlan("with-offset", "v2", acme, "development", active=True)' in text
        assert not (await make_plan(declaration, client, MemoryStateStore())).has_changes


async def _nightly(client: AdminClient) -> launch_plan_pb2.LaunchPlan:
    (found,) = [row async for row in client.list_launch_plans("acme", "development", name="nightly")]
    return found


async def _register(client: AdminClient, name: str, version: str, spec: launch_plan_pb2.LaunchPlanSpec) -> None:
    identifier = identifier_pb2.Identifier(
        resource_type=identifier_pb2.LAUNCH_PLAN, project="acme", domain="development", name=name, version=version
    )
    await client.create_launch_plan(identifier, spec)
    await client.set_launch_plan_active(identifier, active=True)


async def test_names_that_are_no_trouble(tmp_path: Path) -> None:
    """Names that mean something in Python, or nothing in a filter, make no text that cannot be read or planned."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        total = (await _nightly(client)).spec
        for name in ('quote"s', "it's", "x.import", "new\nline", "(odd)", "a;b", "back\\slash", "# no comment"):
            await _register(client, name, "v1", total)
        found = await import_declaration(client, "acme")
        assert len(found.notes) == 4
        declaration = tmp_path / "acme.py"
        declaration.write_text(found.text)
        assert not (await make_plan(declaration, client, MemoryStateStore())).has_changes


def test_variables_have_names_of_their_own() -> None:
    """A name that Python, or the declaration, has in use gets a number or a line."""
    taken = {"int", "total"}
    names = [identifier(text, taken) for text in ("int", "total", "total", "import", "²", "3d", "Größe")]
    assert names == ["int_2", "total_2", "total_3", "import_", "resource", "_3d", "gr_e"]


async def test_what_is_out_of_use_is_left_out(tmp_path: Path) -> None:
    """Archived names, and inactive launch plans of archived workflows, are not imported."""
    path = write_project(tmp_path / "work")
    others = PIPELINES.replace("total", "more").replace("nightly", "weekly")
    other = write_project(tmp_path / "other", tasks=TASKS.replace("def total", "def more"), pipelines=others)
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        used = await import_declaration(client, "acme")
        store = await apply(other, client)
        assert "weekly" in (await import_declaration(client, "acme")).text
        assert (await apply_plan(await make_plan(other, client, store, destroy=True), client, store)).ok
        await apply(path, client)
        assert (await import_declaration(client, "acme")).text == used.text


async def test_the_version_of_a_workflow_is_the_one_in_use(tmp_path: Path) -> None:
    """Though newer versions are registered, what its active default launch plan starts, and calls, is imported."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        used = await import_declaration(client, "acme")
        write_project(path.parent, tasks=TASKS.replace("y=x)", "y=3)"))
        plan = await make_plan(path, client, MemoryStateStore())
        registrations = [step for step in plan.steps if step.action is Action.NEW_VERSION]
        result = await apply_plan(replace(plan, changes=tuple(registrations)), client, MemoryStateStore())
        assert result.ok
        assert result.outcomes
        assert (await import_declaration(client, "acme")).text == used.text


async def test_one_domain_alone(tmp_path: Path) -> None:
    """Only the domain that is asked for is written down; unknown projects and domains are refused."""
    both = PIPELINES + 'Workflow(total, project=acme, domain="staging")\n'
    path = write_project(tmp_path / "work", pipelines=both)
    async with control_plane(tmp_path) as client:
        await apply(path, client)
        assert '"staging"' in (await import_declaration(client, "acme")).text
        declaration, text = await imported(tmp_path, client, "development")
        assert '"staging"' not in text
        assert not (await make_plan(declaration, client, MemoryStateStore())).has_changes
        with pytest.raises(NotFoundError):
            await import_declaration(client, "nobody")
        with pytest.raises(InvalidInputError, match="has no domain 'nowhere'"):
            await import_declaration(client, "acme", "nowhere")


@pytest.mark.parametrize(
    "resource",
    [
        'RegisteredTask("tasks.add", "v9")',
        'RegisteredWorkflow("tasks.total", "v9", inputs={})',
        'RegisteredLaunchPlan("nightly", "v9", active=True)',
    ],
)
async def test_a_reference_to_nothing_is_refused(tmp_path: Path, resource: str) -> None:
    """A version that is not registered cannot be declared by its name: nothing would be there to register."""
    path = tmp_path / "declared.py"
    path.write_text(f"from flyteform.provision import *\n{resource}\n")
    async with control_plane(tmp_path) as client:
        with pytest.raises(DeclarationError, match=r"version v9 of .* is not registered"):
            await make_plan(path, client)


def test_what_is_no_reference() -> None:
    """A reference has a name and a version; a launch plan for it needs to know the inputs."""
    with pytest.raises(DefinitionError, match="takes a name and a version"):
        RegisteredTask("x", "")
    with pytest.raises(DefinitionError, match="needs to know its inputs"):
        LaunchPlan(RegisteredWorkflow("x", "v1"), name="y")
