"""Options of resources, what replaces them, what two of them share, and what a stock platform refuses."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.admin import common_pb2, project_pb2
from flyteidl.core.identifier_pb2 import TASK, WORKFLOW

import flyteform.pulumi
from flyteform.errors import NotFoundError
from flyteform.pulumi.kinds import CONFIGURATION, PROJECT, TYPES
from support.pulumi.programs import SIMPLE
from support.pulumi.stacks import Stack, stack_in

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.client.admin import AdminClient

PLACED = "acme/development/tasks."
BEFORE = """import pulumi
from flyteform import CronSchedule
from flyteform.pulumi import LaunchPlan, Project, Task, Workflow
from tasks import add, total

acme = Project("acme", opts=pulumi.ResourceOptions(protect=True))
Task("sum", add, project=acme, domain="development")
Task("moving", add, project=acme, domain="staging")
everyday = Workflow("everyday", total, project="acme", domain="development", launch_plan=False)
LaunchPlan(
    "nightly",
    everyday,
    name="nightly",
    schedule=CronSchedule(schedule="0 3 * * *"),
    opts=pulumi.ResourceOptions(ignore_changes=["spec.entity_metadata.schedule"]),
)
"""
AFTER = (
    BEFORE.replace('"nightly",\n    everyday', '"night",\n    everyday')
    .replace(
        "opts=pulumi.ResourceOptions(ignore",
        'opts=pulumi.ResourceOptions(aliases=[pulumi.Alias(name="nightly")], ignore',
    )
    .replace("0 3 * * *", "0 4 * * *")
    .replace('Workflow("everyday"', 'Workflow("daily"')
    .replace('domain="staging"', 'domain="production"')
)


async def is_archived(client: AdminClient, kind: Any, domain: str, name: str) -> bool:
    """Tell whether a name is archived."""
    named = common_pb2.NamedEntityIdentifier(project="acme", domain=domain, name=name)
    return (await client.get_named_entity(kind, named)).metadata.state == common_pb2.NAMED_ENTITY_ARCHIVED


async def test_options_of_resources(stack: Stack) -> None:
    """Aliases keep, ignored changes stay, another domain replaces, a new name archives nothing, protection holds."""
    stack.write(BEFORE)
    made = (await stack.engine.up()).check()
    assert set(made.operations()) == {"acme", "sum", "moving", "everyday", "nightly", f"{PLACED}double"}
    order = [step.name for step in made.steps]
    assert order[0] == "acme"
    stack.write(AFTER)
    changed = (await stack.engine.up()).check()
    assert changed.operations() == {"moving": "delete", "daily": "create", "everyday": "delete"}
    assert [step.operation for step in changed.steps if step.name == "moving"] == ["replace", "delete"]
    assert changed.step("moving").paths == {"domain": "UPDATE_REPLACE"}
    assert "stays in use" in changed.said
    assert not await is_archived(stack.client, WORKFLOW, "development", "tasks.total")
    assert await is_archived(stack.client, TASK, "staging", "tasks.add")
    assert (await stack.engine.preview()).check().operations() == {}
    destroyed = await stack.engine.destroy()
    assert list(destroyed.errors.values()) == ["acme cannot be deleted: it is protected"]
    assert (await stack.client.get_project("acme")).state == project_pb2.Project.ACTIVE
    assert await is_archived(stack.client, WORKFLOW, "development", "tasks.total")


async def test_what_needs_a_flyteform_platform_is_refused_before_anything_changes(tmp_path: Path) -> None:
    """A policy that a stock FlyteAdmin does not have fails the preview."""
    program = SIMPLE.replace(
        "from flyteform import", "from flyteform.provision import Concurrency\nfrom flyteform import"
    )
    async with stack_in(tmp_path, stock=True) as stack:
        stack.write(program.replace("default_inputs", 'concurrency=Concurrency(1, "WAIT"), default_inputs'))
        refused = await stack.engine.preview()
        assert ["stock FlyteAdmin" in text for text in refused.errors.values()] == [True]
        with pytest.raises(NotFoundError):
            await stack.client.get_project("acme")
        stack.write(program.replace("default_inputs", 'concurrency=Concurrency(1, "SKIP"), default_inputs'))
        (await stack.engine.up()).check()
        assert (await stack.engine.refresh()).check().operations() == {}


async def test_mistakes_in_programs_are_told_clearly(stack: Stack) -> None:
    """What is declared twice, or not at all, is said with what to do."""
    twice = 'from flyteform.pulumi import Task\nfrom tasks import add\nTask("a", add)\nTask("b", add)\n'
    stack.write(twice)
    assert "b: task tasks.add is declared already" in (await stack.engine.preview()).program
    stack.write("from flyteform.pulumi import Task\nTask('a')\n")
    assert "an entity is missing" in (await stack.engine.preview()).program


def snake(name: str) -> str:
    """Return a property's name as Python writes it."""
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)


@pytest.mark.parametrize("token", TYPES)
def test_classes_and_schema_agree(token: str) -> None:
    """Each type has a class that takes every input of the schema and has every output."""
    described = TYPES[token]
    made = getattr(flyteform.pulumi, token.rpartition(":")[2])
    taken = set(inspect.signature(made.__init__).parameters)
    assert {snake(name) for name in described.inputs} <= taken
    annotated = {name for each in made.__mro__ for name in vars(each).get("__annotations__", {})}
    assert {snake(name) for name in described.outputs} - {"spec"} <= annotated | set(dir(made))
    assert described is PROJECT or made.described is described


def test_the_provider_takes_all_configuration() -> None:
    """Each key of the configuration is an argument of Provider."""
    taken = set(inspect.signature(flyteform.pulumi.Provider.__init__).parameters)
    assert {snake(each.name) for each in CONFIGURATION} <= taken
