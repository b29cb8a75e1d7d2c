"""What follows an apply: drift, going back, and the state by hand, against a real control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import project_pb2
from flyteidl.core.identifier_pb2 import TASK as TASK_TYPE

from flyteform.errors import InvalidInputError, NotFoundError
from flyteform.provision.addresses import address_text, parse_address
from flyteform.provision.apply import execute
from flyteform.provision.errors import StateError
from flyteform.provision.model import Action, Address, Kind, project_address
from flyteform.provision.provisioner import apply_plan, default_store, make_plan
from flyteform.provision.restoring import find_drift, plan_return, return_to
from flyteform.provision.state import Record, State
from flyteform.provision.state_changes import forget, move, push
from flyteform.provision.state_memory import MemoryStateStore
from support.control_plane import control_plane
from support.declarations import PIPELINES, TASKS, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.client.admin import AdminClient
    from flyteform.provision.state_store import DocumentStore

NIGHTLY = Address(Kind.LAUNCH_PLAN, "acme", "development", "nightly")
TOTAL = Address(Kind.WORKFLOW, "acme", "development", "tasks.total")
DEFAULT = Address(Kind.LAUNCH_PLAN, "acme", "development", "tasks.total")
LATER = PIPELINES.replace("0 3", "0 4")


async def apply(path: Path, client: AdminClient, **texts: str) -> State:
    """Write the example anew, apply it, and return the state that this leaves."""
    write_project(path.parent, **texts)
    store = default_store(path, client.config)
    assert (await apply_plan(await make_plan(path, client, store), client, store)).ok
    return await store.load()


async def roll_back(client: AdminClient, store: DocumentStore, **where: object) -> set[tuple[Action, str]]:
    """Go back, and return what that did to which names."""
    state = await store.load()
    target = await return_to(client, state, **where)  # type: ignore[arg-type] - as the caller has them
    plan = await plan_return(client, state, target)
    async with store.lock():
        assert (await execute(plan, client, store, goals=target.goals)).ok
    return {(step.action, step.address.name) for step in plan.steps}


async def active(client: AdminClient, name: str) -> list[str]:
    """Return the active versions of a launch plan."""
    rows = client.list_launch_plans("acme", "development", filters=f"eq(name,{name})+eq(state,1)")
    return [row.id.version async for row in rows]


async def test_the_state_says_what_was_applied(tmp_path: Path) -> None:
    """Versions, activation and declared fields are recorded, of every resource."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        state = await apply(path, client)
        assert len(state.records) == 6
        assert state.records[project_address("acme")].fields["description"] == "Makes everything"
        assert [state.records[NIGHTLY].version] == await active(client, "nightly")
        assert state.records[NIGHTLY].active is True
        assert state.records[TOTAL].active is None
        assert state.lineage


async def test_no_drift_after_an_apply(tmp_path: Path) -> None:
    """What was applied is there; a changed declaration that is not applied yet is no drift."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        state = await apply(path, client)
        write_project(path.parent, pipelines=LATER)
        drift = await find_drift(client, state)
        assert not drift.has_changes
        assert drift.counts.unchanged == 6


async def test_drift_is_what_others_did(tmp_path: Path) -> None:
    """Another active version, changed settings and archived names are found, with both values, and marked as drift."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        first = await apply(path, client)
        state = await apply(path, client, pipelines=LATER)
        former = first.records[NIGHTLY].version
        row = [row async for row in client.list_launch_plans("acme", "development", filters=f"eq(version,{former})")]
        await client.set_launch_plan_active(row[0].id, active=True)
        project = await client.get_project("acme")
        del project.domains[:]
        project.description = "hacked"
        await client.update_project(project)
        names = client.list_named_entities(TASK_TYPE, "acme", "development", filters="eq(name,tasks.add)")
        async for name in names:
            name.metadata.state = 1
            await client.update_named_entity(name)
        drift = await find_drift(client, state)
        assert {(step.action, step.address.name) for step in drift.steps} == {
            (Action.ACTIVATE, "nightly"),
            (Action.UPDATE, "acme"),
            (Action.UPDATE, "tasks.add"),
        }
        assert all(step.drift for step in drift.steps)
        fields = {each.path: (each.before, each.after) for step in drift.steps for each in step.fields}
        assert fields["description"] == ("hacked", "Makes everything")
        assert fields["active"] == (former, state.records[NIGHTLY].version)


async def test_a_project_that_was_archived_by_others_is_drift(tmp_path: Path) -> None:
    """Also where the declaration only uses it; a declaration that nobody has touched has no drift of its projects."""
    mine = PIPELINES.replace('acme = Project("acme", ', 'Project("other", ').replace("project=acme", 'project="acme"')
    path = write_project(tmp_path / "work", pipelines=mine)
    async with control_plane(tmp_path) as client:
        await client.register_project(project_pb2.Project(id="acme", name="Acme"))
        state = await apply(path, client, pipelines=mine)
        assert (await find_drift(client, state)).changes != ()
        assert not (await find_drift(client, state)).has_changes
        project = await client.get_project("acme")
        del project.domains[:]
        project.state = project_pb2.Project.ARCHIVED
        await client.update_project(project)
        steps = (await find_drift(client, state)).steps
        assert [(step.action, step.address, step.drift) for step in steps] == [
            (Action.UPDATE, project_address("acme"), True)
        ]


async def test_back_to_the_version_before(tmp_path: Path) -> None:
    """A launch plan goes back to the version that was applied before, and forth again; nothing is registered."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        store = default_store(path, client.config)
        first = await apply(path, client)
        second = await apply(path, client, pipelines=LATER)
        before, after = first.records[NIGHTLY].version, second.records[NIGHTLY].version
        assert await roll_back(client, store, address=NIGHTLY) == {(Action.ACTIVATE, "nightly")}
        assert await active(client, "nightly") == [before]
        state = await store.load()
        assert state.records == {**second.records, NIGHTLY: first.records[NIGHTLY]}
        assert not (await find_drift(client, state)).has_changes
        assert await roll_back(client, store, address=NIGHTLY, version=after) == {(Action.ACTIVATE, "nightly")}
        assert await active(client, "nightly") == [after]


async def test_a_workflow_takes_its_launch_plans_back(tmp_path: Path) -> None:
    """Going back to a version of a workflow activates the launch plans that were bound to it."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        store = default_store(path, client.config)
        first = await apply(path, client)
        await apply(path, client, tasks=TASKS.replace("retries=3", "retries=4"))
        done = await roll_back(client, store, address=TOTAL)
        assert done == {(Action.ACTIVATE, "nightly"), (Action.ACTIVATE, "tasks.total")}
        assert await active(client, "nightly") == [first.records[NIGHTLY].version]
        assert (await store.load()).records[TOTAL] == first.records[TOTAL]


async def test_back_to_a_whole_apply(tmp_path: Path) -> None:
    """All is as it was: what came later goes out of use, what went comes back, changed fields are restored."""
    path = write_project(tmp_path / "work")
    shorter = PIPELINES[: PIPELINES.index("nightly =")].replace("Makes everything", "Makes some")
    async with control_plane(tmp_path) as client:
        store = default_store(path, client.config)
        first = await apply(path, client)
        second = await apply(path, client, pipelines=shorter + 'weekly = LaunchPlan(everyday, name="weekly")\n')
        assert NIGHTLY not in second.records
        assert await roll_back(client, store, serial=first.serial) == {
            (Action.ACTIVATE, "nightly"),
            (Action.DEACTIVATE, "weekly"),
            (Action.UPDATE, "acme"),
        }
        assert (await store.load()).records == first.records
        write_project(path.parent)
        assert not (await make_plan(path, client, store)).has_changes
        await roll_back(client, store, serial=second.serial)
        assert (await store.load()).records == second.records


async def test_going_back_where_nothing_is(tmp_path: Path) -> None:
    """What is not owned, has no earlier version, or was not left by any apply, is one clear error."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        state = await apply(path, client)
        with pytest.raises(InvalidInputError, match="no apply of an earlier version"):
            await return_to(client, state, address=NIGHTLY)
        with pytest.raises(InvalidInputError, match="no apply of version v9"):
            await return_to(client, state, address=NIGHTLY, version="v9")
        with pytest.raises(NotFoundError):
            await return_to(client, state, address=project_address("other"))
        with pytest.raises(StateError, match="no apply left serial 99"):
            await return_to(client, state, serial=99)


async def test_what_is_forgotten_stays(tmp_path: Path) -> None:
    """Forgotten and taken out of the declaration, a launch plan keeps running; renamed, it is still taken care of."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        store = default_store(path, client.config)
        await apply(path, client)
        await forget(store, [NIGHTLY])
        write_project(path.parent, pipelines=PIPELINES[: PIPELINES.index("nightly =")])
        assert not (await make_plan(path, client, store)).has_changes
        with pytest.raises(StateError, match="not in the state"):
            await forget(store, [NIGHTLY])
        other = parse_address("launch_plan:acme/development/other")
        await move(store, DEFAULT, other)
        assert other in (await store.load()).owned
        with pytest.raises(StateError, match="cannot become"):
            await move(store, other, TOTAL)


async def test_pushing_follows_a_lineage() -> None:
    """Another lineage, or an older state, replaces nothing unless forced; the same one again changes nothing."""
    store = MemoryStateStore()
    records = {NIGHTLY: Record("v1")}
    await push(store, State(7, records, "a"))
    assert await store.load() == State(7, records, "a")
    await push(store, State(7, records, "a"))
    assert (await store.load()).serial == 7
    with pytest.raises(StateError, match="begun elsewhere"):
        await push(store, State(9, records, "b"))
    with pytest.raises(StateError, match="has serial 7"):
        await push(store, State(6, records, "a"))
    with pytest.raises(StateError, match="has serial 7"):
        await push(store, State(7, {}, "a"))
    await push(store, State(9, {}, "a"))
    assert await store.load() == State(9, {}, "a")
    await push(store, State(2, records, "b"), force=True)
    assert await store.load() == State(10, records, "b")


@pytest.mark.parametrize(
    "text", ["project:acme", "settings:acme//task_resource", "metadata:a/d/task/x.y", "launch_plan:a/d/n"]
)
def test_addresses_read_back(text: str) -> None:
    """An address is written as it is read."""
    assert address_text(parse_address(text)) == text


@pytest.mark.parametrize("text", ["", "nightly", "launch_plan:a/d", "launch_plan:a/d/", "x:a/b/c", "project:"])
def test_what_is_no_address(text: str) -> None:
    """The error says how one is written."""
    with pytest.raises(InvalidInputError) as caught:
        parse_address(text)
    assert "KIND:PROJECT/DOMAIN/NAME" in str(caught.value.remedy)
