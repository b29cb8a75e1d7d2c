"""protect, depends_on, moved, selections and refreshes on a real control plane."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from flyteform.errors import DefinitionError
from flyteform.provision.errors import DeclarationError
from flyteform.provision.identifiers import identifier_of
from flyteform.provision.model import Action, Address, Kind
from flyteform.provision.provisioner import apply_plan, make_plan
from flyteform.provision.resources import Project
from flyteform.provision.selection import Selection
from flyteform.provision.state_memory import MemoryStateStore
from support.control_plane import control_plane
from support.declarations import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Plan

HEADER = """from flyteform import CronSchedule, Resources
from flyteform.provision import *
from tasks import add, double, total

acme = Project("acme")
"""
NIGHTLY = 'LaunchPlan(Workflow(total, project=acme), name="{}", schedule=CronSchedule(schedule="0 3 * * *"){})\n'


class World:
    """One declaration, its state and a platform."""

    def __init__(self, folder: Path, client: AdminClient) -> None:
        self.client = client
        self.store = MemoryStateStore()
        self._folder = folder / "work"
        self.path = write_project(self._folder)

    async def plan(self, text: str, **options: object) -> Plan:
        """Declare this, and plan."""
        self.path.write_text(HEADER + text)
        return await make_plan(self.path, self.client, self.store, **options)  # type: ignore[arg-type]

    async def apply(self, text: str, **options: object) -> list[str]:
        """Declare this, and apply it; return the steps in the order in which they were done."""
        plan = await self.plan(text, **options)
        result = await apply_plan(plan, self.client, self.store)
        assert [str(each.error) for each in result.outcomes if each.error] == []
        return [
            f"{each.change.action.value} {each.change.address.kind.value}:{each.change.address.name}"
            for each in result.outcomes
        ]

    async def active(self) -> dict[str, str]:
        """Return the active version of every launch plan in acme."""
        rows = self.client.list_launch_plans("acme", "development", filters="eq(state,1)")
        return {row.id.name: row.id.version async for row in rows}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("Task(add, project=acme)\n", {}),
        (NIGHTLY.format("nightly", ", protect=True"), {"destroy": True}),
        (NIGHTLY.format("nightly", ", protect=True, active=False"), {}),
    ],
)
async def test_protected_is_not_taken_out_of_use(tmp_path: Path, text: str, options: dict[str, object]) -> None:
    """Destroyed, deactivated or no longer declared at all: one clear error, until protection is taken away."""
    async with control_plane(tmp_path) as client:
        world = World(tmp_path, client)
        await world.apply(NIGHTLY.format("nightly", ", protect=True"))
        with pytest.raises(DeclarationError, match="launch plan nightly in acme/development") as refused:
            await world.plan(text, **options)
        assert "protect" in f"{refused.value.message} {refused.value.remedy}"
        await world.apply(NIGHTLY.format("nightly", ""))
        await world.apply(text.replace(", protect=True", ""), **options)
        assert "nightly" not in await world.active()


async def test_what_is_depended_on_goes_first(tmp_path: Path) -> None:
    """A task waits for another one that it does not call, and is not applied if that fails."""
    text = "second = Task(double, project=acme)\nTask(add, project=acme, depends_on=second)\n"
    async with control_plane(tmp_path) as client:
        world = World(tmp_path, client)
        plan = await world.plan(text)
        add = next(each for each in plan.steps if each.address.name == "tasks.add")
        assert Address(Kind.TASK, "acme", "development", "tasks.double") in add.depends_on
        steps = await world.apply(text)
        assert steps.index("create task:tasks.double") < steps.index("create task:tasks.add")
        reverse = "first = Task(add, project=acme)\nTask(double, project=acme, depends_on=[first])\n"
        names = [each.address.name for each in (await world.plan(reverse, destroy=True)).steps]
        assert sorted(names) == ["acme", "tasks.add", "tasks.double"]


async def test_a_circle_is_refused(tmp_path: Path) -> None:
    """A task that waits for its own workflow, which calls it, is an error that names both."""
    text = "w = Workflow(total, project=acme)\nTask(add, project=acme, depends_on=w)\n"
    async with control_plane(tmp_path) as client:
        with pytest.raises(DeclarationError, match=r"in a circle: .*tasks\.add"):
            await World(tmp_path, client).plan(text)


async def test_a_renamed_launch_plan_follows_its_former_self(tmp_path: Path) -> None:
    """Its schedule goes over at once: the old name ends when the new one is registered, and neither fires twice."""
    async with control_plane(tmp_path) as client:
        world = World(tmp_path, client)
        await world.apply(NIGHTLY.format("nightly", ""))
        renamed = NIGHTLY.format("every-night", ', moved="nightly"')
        plan = await world.plan(renamed)
        created = next(each for each in plan.steps if each.address.name == "every-night")
        assert (created.action, created.reason) == (Action.CREATE, "was nightly")
        assert created.fields == ()
        assert (await world.apply(renamed)) == [
            "create launch_plan:every-night",
            "deactivate launch_plan:nightly",
            "activate launch_plan:every-night",
        ]
        assert set(await world.active()) == {"every-night", "tasks.total"}
        assert not (await world.plan(renamed)).has_changes
        assert not (await world.plan(renamed.replace(', moved="nightly"', ""))).has_changes


async def test_a_former_name_stays_in_use_if_the_new_one_cannot_be(tmp_path: Path) -> None:
    """Where the new name is refused, the schedule of the old one goes on."""
    async with control_plane(tmp_path) as client:
        world = World(tmp_path, client)
        await world.apply(NIGHTLY.format("nightly", ""))
        before = await world.active()
        plan = await world.plan(NIGHTLY.format("every-night", ', moved="nightly"'))
        project = await client.get_project("acme")
        project.state = project.ARCHIVED
        del project.domains[:]
        await client.update_project(project)
        result = await apply_plan(plan, client, world.store)
        assert not result.ok
        assert await world.active() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NIGHTLY.format("a", ', moved="b"') + NIGHTLY.format("b", ""), "declared too"),
        (NIGHTLY.format("a", ', moved="nightly"') + NIGHTLY.format("b", ', moved="nightly"'), "two names"),
        (NIGHTLY.format("a", ', moved="x/y"'), "no former name"),
    ],
)
async def test_unclear_moves_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """A former name that is declared too, that two claim, or that is none, is one clear error."""
    async with control_plane(tmp_path) as client:
        world = World(tmp_path, client)
        await world.apply(NIGHTLY.format("nightly", ""))
        with pytest.raises(DeclarationError, match=message):
            await world.plan(text)


async def test_a_target_alone_is_applied_and_the_rest_stays_owned(tmp_path: Path) -> None:
    """What is not selected is neither written nor forgotten: a later plan of everything takes it up."""
    both = NIGHTLY.format("one", "") + NIGHTLY.format("two", "")
    async with control_plane(tmp_path) as client:
        world = World(tmp_path, client)
        await world.apply(both, selection=Selection(("one",)))
        assert set(await world.active()) == {"one"}
        await world.apply(both)
        assert set(await world.active()) == {"one", "two", "tasks.total"}
        owned = (await world.store.load()).owned
        await world.apply("", selection=Selection(("launch_plan:two",)))
        assert set(await world.active()) == {"one", "tasks.total"}
        two = Address(Kind.LAUNCH_PLAN, "acme", "development", "two")
        assert (await world.store.load()).owned == owned - {two}
        await world.apply("", selection=Selection((), ("launch_plan:one",)))
        assert set(await world.active()) == {"one"}
        assert {each.name for each in (await world.store.load()).owned} == {"one", "acme"}


async def test_a_refresh_writes_to_the_state_alone(tmp_path: Path) -> None:
    """What others changed is taken over into the state: afterwards it is a difference of the declaration, no drift."""
    text = NIGHTLY.format("nightly", "")
    async with control_plane(tmp_path) as client:
        world = World(tmp_path, client)
        await world.apply(text)
        nightly = Address(Kind.LAUNCH_PLAN, "acme", "development", "nightly")
        version = (await world.active())["nightly"]
        await client.set_launch_plan_active(identifier_of(nightly, version), active=False)
        drift = [each for each in (await world.plan(text)).steps if each.drift]
        assert [(each.action, each.address) for each in drift] == [(Action.ACTIVATE, nightly)]
        steps = await world.apply(text, refresh_only=True)
        assert steps == ["refresh launch_plan:nightly"]
        assert "nightly" not in await world.active()
        assert (await world.store.load()).records[nightly].active is False
        assert not (await world.plan(text, refresh_only=True)).has_changes
        again = (await world.plan(text)).steps
        assert [(each.action, each.drift) for each in again] == [(Action.ACTIVATE, False)]


async def test_a_refresh_lets_go_of_what_is_gone(tmp_path: Path) -> None:
    """A task archived by somebody else is owned no longer, and the next plan brings it back as its own again."""
    text = "Task(add, project=acme)\n"
    async with control_plane(tmp_path) as client:
        world = World(tmp_path, client)
        await world.apply(text)
        other = World(tmp_path, client)
        await other.apply(text)
        await other.apply("")
        steps = await world.apply(text, refresh_only=True)
        assert steps == ["refresh task:tasks.add"]
        assert {each.kind for each in (await world.store.load()).owned} == {Kind.PROJECT}
        assert (await world.apply(text)) == ["update task:tasks.add"]


def test_options_of_another_type_are_refused() -> None:
    """A name where a resource is asked for, and the other way round, is one clear error."""
    with pytest.raises(DefinitionError, match="depends_on takes resources"):
        Project("a", depends_on=["b"])  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match=re.escape("ignore_changes and moved take texts")):
        Project("a", moved=[Project("b")])  # type: ignore[arg-type]
