"""A stack's life by Pulumi's protocol: the same scenario on the tests' own engine, and on the real CLI where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import common_pb2
from flyteidl.core.identifier_pb2 import LAUNCH_PLAN, TASK, Identifier

from flyteform.errors import NotFoundError
from flyteform.provision.desired import Target, declare
from flyteform.provision.model import Kind
from support.pulumi.programs import SIMPLE, TASKS
from support.pulumi.stacks import OWN, REAL, Stack, has_cli, real_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flyteform.client.admin import AdminClient

needs_cli = pytest.mark.skipif(not has_cli(), reason="no pulumi on PATH")
ENGINES = [pytest.param(False, id="own-engine"), pytest.param(True, id="real-cli", marks=needs_cli)]
PLACED = "acme/development/tasks."
ALL = {"acme", f"{PLACED}double", f"{PLACED}add", "everyday", f"{PLACED}total", "nightly"}
FASTER = TASKS.replace('cpu="1"', 'cpu="2"')
LATER = SIMPLE.replace("0 3 * * *", "0 4 * * *")
COMMAND = """from flyteform import CronSchedule
from flyteform.provision import LaunchPlan, Project, Workflow
from tasks import total

acme = Project("acme")
everyday = Workflow(total, project=acme)
LaunchPlan(everyday, name="nightly", default_inputs={"x": 5}, schedule=CronSchedule(schedule="0 3 * * *"))
"""


async def active_version(client: AdminClient, name: str) -> str | None:
    """Return the active version of a launch plan."""
    async for plan in client.list_launch_plans("acme", "development", name=name, filters="eq(state,1)"):
        return plan.id.version
    return None


async def is_archived(client: AdminClient, name: str) -> bool:
    """Tell whether the name of a task is archived."""
    named = common_pb2.NamedEntityIdentifier(project="acme", domain="development", name=name)
    return (await client.get_named_entity(TASK, named)).metadata.state == common_pb2.NAMED_ENTITY_ARCHIVED


async def archive(client: AdminClient, name: str) -> None:
    """Archive a task behind the stack's back."""
    named = common_pb2.NamedEntityIdentifier(project="acme", domain="development", name=name)
    entity = await client.get_named_entity(TASK, named)
    entity.metadata.state = common_pb2.NAMED_ENTITY_ARCHIVED
    entity.id.CopyFrom(named)
    entity.resource_type = TASK
    await client.update_named_entity(entity)


def versions_of_the_command(folder: Path) -> dict[str, str]:
    """Return the versions that `flyteform plan` gives the same definitions."""
    (folder / "command.py").write_text(COMMAND)
    desired = declare(folder / "command.py", Target("acme", "development"))
    return {f"{each.address.kind}/{each.address.name}": each.version for each in desired.entities}


@pytest.mark.parametrize("real", ENGINES)
async def test_the_life_of_a_stack(stack: Stack, record_property: Callable[[str, object], None], *, real: bool) -> None:
    """Preview, up, nothing to do, change, drift found and repaired, destroy: each does what it says and no more."""
    engine = real_engine(stack) if real else stack.engine
    record_property("engine", REAL if real else OWN)
    client = stack.client

    foreseen = (await engine.preview()).check()
    assert foreseen.operations() == dict.fromkeys(ALL, "create")
    with pytest.raises(NotFoundError):
        await client.get_project("acme")

    made = (await engine.up()).check()
    assert made.operations() == dict.fromkeys(ALL, "create")
    expected = versions_of_the_command(engine.folder)
    assert made.outputs == {
        "version": expected[f"{Kind.WORKFLOW}/tasks.total"],
        "active": expected[f"{Kind.LAUNCH_PLAN}/nightly"],
    }
    assert await active_version(client, "nightly") == made.outputs["active"]

    assert (await engine.up()).check().operations() == {}

    stack.write(LATER, FASTER)
    told = (await engine.preview()).check()
    changed = ALL - {"acme"}  # the module of both tasks has changed
    assert told.operations() == dict.fromkeys(changed, "update")
    assert "spec.template.container.resources.requests[0].value" in told.step(f"{PLACED}double").paths
    assert "spec.entity_metadata.schedule.cron_schedule.schedule" in told.step("nightly").paths
    assert "resources.requests.cpu  1 → 2" in told.said
    assert "fires" in told.said
    assert await active_version(client, "nightly") == made.outputs["active"]
    moved = (await engine.up()).check()
    assert moved.operations() == dict.fromkeys(changed, "update")
    assert await active_version(client, "nightly") == moved.outputs["active"] != made.outputs["active"]

    old = Identifier(resource_type=LAUNCH_PLAN, project="acme", domain="development", name="nightly")
    old.version = made.outputs["active"]
    await client.set_launch_plan_active(old, active=True)
    await archive(client, "tasks.add")
    drifted = (await engine.refresh()).check()
    assert drifted.operations() == {"nightly": "update", f"{PLACED}add": "update"}
    foreseen = (await engine.preview()).check()
    assert foreseen.operations() == {"nightly": "update", f"{PLACED}add": "update"}
    assert set(foreseen.step("nightly").paths) == {"activeVersion"}
    (await engine.up()).check()
    assert await active_version(client, "nightly") == moved.outputs["active"]
    assert not await is_archived(client, "tasks.add")
    assert (await engine.preview()).check().operations() == {}

    assert (await engine.destroy()).check().operations() == dict.fromkeys(ALL, "delete")
    assert await active_version(client, "nightly") is None
    assert await is_archived(client, "tasks.add")
    assert (await engine.up()).check().operations() == dict.fromkeys(ALL, "create")
    assert not await is_archived(client, "tasks.add")
